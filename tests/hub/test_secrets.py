"""Passwords and tokens are hidden in what is told about errors.

`huggingface_hub` reads its settings when it is imported, so each call runs in its own process.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stand_in_hub import Client, running_hub

pytestmark = pytest.mark.slow

IMPORTS = """
from gliner_distill.hub import downloads
from gliner_distill.hub.downloads import download_dataset_file
from gliner_distill.hub.secrets import hide_secrets

def download_model(name):
    return downloads.download_model(name, approve=lambda folder: None)
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running_hub({"datasets/me/passages": {"data.json": b"[]"}}) as hub:
        yield hub.endpoint


@pytest.fixture
def client(endpoint: str, tmp_path: Path) -> Client:
    return Client(tmp_path / "home", endpoint, IMPORTS)


class TestSecrets:
    """The endpoint, the proxies and the token hold secrets; no message repeats them."""

    @pytest.mark.parametrize("password", ["s3cret", "pa%2Fss", "p@ss", "pa/ss"])
    @pytest.mark.parametrize(
        "call", ["download_dataset_file('me/nothing')", "download_model('me/gated')"]
    )
    def test_hub_error_hides_the_password_of_the_endpoint(
        self, client: Client, call: str, password: str
    ) -> None:
        host = client.endpoint.removeprefix("http://")
        message = replace(client, endpoint=f"http://ann:{password}@{host}").call(call)
        assert message.startswith("HubError: ")
        assert password not in message
        assert "'pa'" not in message
        assert "ann:" not in message

    @pytest.mark.parametrize("address", ["ann:s3cret@{}", "http://{}/?token=s3cret"])
    def test_hub_error_hides_the_secrets_of_an_unusual_endpoint(
        self, client: Client, address: str
    ) -> None:
        host = client.unreachable().endpoint.removeprefix("http://")
        message = replace(client, endpoint=address.format(host)).call(
            "download_dataset_file('me/passages')"
        )
        assert message.startswith("HubError: ")
        assert "s3cret" not in message

    def test_hub_error_hides_the_password_of_a_proxy_and_the_token(self, client: Client) -> None:
        nowhere = client.unreachable().endpoint.removeprefix("http://")
        token = "hf_" + "a" * 30
        secret = client.with_settings(
            HTTP_PROXY=f"http://ann:s3cret@{nowhere}", NO_PROXY="", HF_TOKEN=token
        )
        message = secret.call("download_model('me/model')")
        assert message.startswith("HubError: ")
        assert "s3cret" not in message
        assert token not in message

    def test_hide_secrets_hides_passwords_and_tokens_anywhere(self, client: Client) -> None:
        text = "Header 'Bearer hf_abcdefghij' for http://ann:s3cret@hub:80/a, password pa/ss of x"
        told = replace(client, endpoint="http://ann:pa%2Fss@hub.example.org")
        shown = told.call(f"hide_secrets({text!r})")
        assert shown == (
            "Header 'Bearer [hidden]' for http://[hidden]@hub:80/a, password [hidden] of x"
        )
