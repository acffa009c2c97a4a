"""Students pushed to a stand-in for the hub on this machine, and had back from it.

`huggingface_hub` reads its settings when it is imported, so students are pushed and loaded in
processes of their own. `make hub` runs these tests with several versions of it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import yaml

from gliner_distill.hub.card_files import COUNTED_FILE
from gliner_distill.hub.cards import CARD_FILE, Card
from gliner_distill.runtime.bundle import EXPORT_FILES
from stand_in_hub import READER, WRITER, Client, Fault, StandInHub, Worker, running_hub

pytestmark = pytest.mark.slow

PUSHED = {*EXPORT_FILES, COUNTED_FILE, CARD_FILE}
OTHER = {"README.md": b"# mine", "model.safetensors": b"weights", "gliner_config.json": b"{}"}
IMPORTS = """
from gliner_distill import StudentNER

student = StudentNER.from_pretrained(num_threads=1)

def names(student):
    entities = student.predict_entities("Ada Lovelace lived in London.", ["person", "city"])
    return [(entity["text"], entity["label"]) for entity in entities]

def load(name, **options):
    return StudentNER.from_pretrained(name, num_threads=1, **options)
"""
NUMBERS = count()
FOUND = "[('Ada Lovelace', 'person'), ('London', 'city')]"


@pytest.fixture(scope="module")
def hub() -> Iterator[StandInHub]:
    with running_hub({}) as hub:
        yield hub


@pytest.fixture(scope="module")
def client(hub: StandInHub, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(tmp_path_factory.mktemp("home"), hub.endpoint, IMPORTS, {"HF_TOKEN": WRITER})


@pytest.fixture(scope="module")
def worker(client: Client) -> Iterator[Worker]:
    with client.worker() as worker:
        yield worker


@pytest.fixture
def hurried(worker: Worker) -> Iterator[Worker]:
    """The worker, which does not wait between its attempts."""
    worker.call("globals().update(time=__import__('time')) or globals().update(wait=time.sleep)")
    worker.call("setattr(time, 'sleep', lambda seconds: None)")
    yield worker
    worker.call("setattr(time, 'sleep', wait)")


@pytest.fixture
def repo(hub: StandInHub) -> Iterator[str]:
    """The name of a repository that does not exist yet; faults and messages end with the test."""
    hub.faults.clear()
    hub.messages.clear()
    yield f"me/student-{next(NUMBERS)}"
    hub.faults.clear()


def card_on(hub: StandInHub, repo: str) -> Card:
    return Card.parse(hub.repos[f"models/{repo}"][CARD_FILE].decode())


def test_push_to_hub_and_from_pretrained_give_the_same_student(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    url = worker.call(f"student.push_to_hub({repo!r}, commit_message='One more')")
    model = f"models/{repo}"
    assert url == f"{hub.endpoint}/{model}/commit/{hub.commit(model)}"
    assert hub.repos[model].keys() == {*PUSHED, ".gitattributes"}
    assert hub.messages == ["One more"]
    assert worker.call(f"names(load({repo!r}))") == FOUND
    assert worker.call(f"names(load({repo!r}, local_files_only=True))") == FOUND


def test_push_to_hub_takes_the_name_of_the_user_for_a_name_without_owner(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    worker.call(f"student.push_to_hub({repo.removeprefix('me/')!r}, private=True)")
    assert f"models/{repo}" in hub.private


def test_save_pretrained_pushes_the_same_files(
    hub: StandInHub, worker: Worker, repo: str, tmp_path: Path
) -> None:
    folder = tmp_path / repo.removeprefix("me/")
    worker.call(
        f"student.save_pretrained({str(folder)!r}, push_to_hub=True, safe_serialization=True, "
        "config=None, commit_message='Saved')"
    )
    assert {path.name for path in folder.iterdir()} == PUSHED
    assert hub.messages == ["Saved"]
    for name in PUSHED - {CARD_FILE}:
        assert hub.repos[f"models/{repo}"][name] == (folder / name).read_bytes()


def test_pushed_card_has_metadata_that_the_hub_reads(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    worker.call(f"student.push_to_hub({repo!r})")
    content = hub.repos[f"models/{repo}"][CARD_FILE].decode()
    metadata = yaml.safe_load(content.split("---\n")[1])
    assert metadata["library_name"] == "gliner-distill"
    assert metadata["pipeline_tag"] == "token-classification"
    assert metadata["license"] == "apache-2.0"
    counted = json.loads(hub.repos[f"models/{repo}"][COUNTED_FILE])
    assert counted["model_type"] == "gliner-distill"


def test_push_to_hub_of_an_unchanged_student_makes_no_commit(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    worker.call(f"student.push_to_hub({repo!r})")
    worker.call(f"student.push_to_hub({repo!r})")
    assert len(hub.messages) == 1


def test_push_to_hub_keeps_a_text_and_metadata_that_were_edited_on_the_hub(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    worker.call(f"student.push_to_hub({repo!r})")
    edited = {"license": "mit", "tags": ["mine"]}
    hub.repos[f"models/{repo}"][CARD_FILE] = (
        Card(edited, "# By hand\n", True, True).render().encode()
    )
    worker.call(f"student.push_to_hub({repo!r}, commit_message='Again')")
    [logged] = [line for line in worker.logged if line.startswith("WARNING")]
    assert f"{repo}: README.md" in logged
    card = card_on(hub, repo)
    assert card.text == "# By hand\n"
    assert card.metadata["license"] == "mit"
    assert card.metadata["library_name"] == "gliner-distill"
    assert "mine" in card.metadata["tags"]


def test_push_to_hub_deletes_files_of_an_earlier_student_and_no_others(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    worker.call(f"student.push_to_hub({repo!r})")
    hub.repos[f"models/{repo}"] |= {"student.safetensors": b"old", "notes.txt": b"mine"}
    worker.call(f"student.push_to_hub({repo!r})")
    assert hub.repos[f"models/{repo}"].keys() == {*PUSHED, ".gitattributes", "notes.txt"}


def test_push_to_hub_to_a_new_branch_leaves_the_main_one(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    hub.repos[f"models/{repo}"] = {"notes.txt": b"mine"}
    url = worker.call(f"student.push_to_hub({repo!r}, branch='tried')")
    assert hub.repos[f"models/{repo}"] == {"notes.txt": b"mine"}
    assert hub.files(f"models/{repo}", "tried").keys() == {*PUSHED, "notes.txt"}
    assert worker.call(f"names(load({repo!r}, revision='tried'))") == FOUND
    commit = url.rsplit("/", 1)[1]
    assert worker.call(f"names(load({repo!r}, revision={commit!r}))") == FOUND


def test_push_to_hub_opens_a_pull_request(hub: StandInHub, worker: Worker, repo: str) -> None:
    hub.repos[f"models/{repo}"] = {"notes.txt": b"mine"}
    url = worker.call(f"student.push_to_hub({repo!r}, create_pr=True)")
    assert "/commit/" in url
    assert any("/discussions/1" in line for line in worker.logged)
    assert hub.repos[f"models/{repo}"] == {"notes.txt": b"mine"}
    assert hub.files(f"models/{repo}", "refs/pr/1").keys() == {*PUSHED, "notes.txt"}


def test_from_pretrained_takes_the_revision_that_is_asked_for(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    worker.call(f"student.push_to_hub({repo!r})")
    hub.point(f"models/{repo}", "v1")
    commit = hub.commit(f"models/{repo}")
    hub.repos[f"models/{repo}"] = {"notes.txt": b"nothing else"}
    for revision in ("v1", commit):
        assert worker.call(f"names(load({repo!r}, revision={revision!r}))") == FOUND
    assert "holds neither a student" in worker.call(f"load({repo!r})")
    answer = worker.call(f"load({repo!r}, revision='v2')")
    assert answer.startswith("HubError: ")
    assert f"model {repo} has no revision 'v2' on {hub.endpoint}" in answer


def test_from_pretrained_uses_another_cache_and_downloads_again(
    hub: StandInHub, worker: Worker, repo: str, tmp_path: Path
) -> None:
    worker.call(f"student.push_to_hub({repo!r})")
    load = f"names(load({repo!r}, cache_dir={str(tmp_path)!r}"
    assert worker.call(f"{load}))") == FOUND
    assert (tmp_path / f"models--{repo.replace('/', '--')}").is_dir()
    fetched = f"GET /{repo}/resolve/{hub.commit(f'models/{repo}')}/weights.safetensors"
    for more, n_more in (("", 0), (", force_download=True", 1)):
        n_before = hub.requests.count(fetched)
        assert worker.call(f"{load}{more}))") == FOUND
        assert hub.requests.count(fetched) == n_before + n_more


def test_from_pretrained_of_a_gliner_is_refused_before_its_weights_are_downloaded(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    hub.repos[f"models/{repo}"] = dict(OTHER)
    answer = worker.call(f"load({repo!r})")
    assert answer.startswith("StudentError: ")
    assert "this is a GLiNER" in answer
    assert not any("model.safetensors" in request for request in hub.requests if repo in request)


def test_push_to_hub_refuses_to_overwrite_another_kind_of_model(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    hub.repos[f"models/{repo}"] = dict(OTHER)
    answer = worker.call(f"student.push_to_hub({repo!r})")
    assert answer.startswith(f"HubError: model {repo} holds weights but no student_config.json")
    assert hub.repos[f"models/{repo}"] == OTHER


def test_push_to_hub_in_private_refuses_a_public_model(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    hub.repos[f"models/{repo}"] = {"notes.txt": b"mine"}
    answer = worker.call(f"student.push_to_hub({repo!r}, private=True)")
    assert answer.startswith(f"HubError: model {repo} already exists and is public")
    assert hub.repos[f"models/{repo}"] == {"notes.txt": b"mine"}


@pytest.mark.parametrize("name", ["a/b/c", "me/a b", "", "--me"])
def test_push_to_hub_refuses_a_name_that_the_hub_does_not_allow(
    worker: Worker, repo: str, name: str
) -> None:
    assert worker.call(f"student.push_to_hub({name!r})").startswith(f"HubError: {name!r} ")


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hf_old", ["HTTP 401", "write permission"]),
        (READER, ["may not write there", "HTTP 403", "write permission"]),
        ("s3cret of mine", ["cannot be uploaded"]),
        (False, ["HTTP 401", "not logged in"]),
    ],
)
def test_push_to_hub_with_a_token_that_may_not_write_tells_which_is_needed(
    hub: StandInHub, worker: Worker, repo: str, token: str | bool, said: list[str]
) -> None:
    answer = worker.call(f"student.push_to_hub({repo!r}, token={token!r})")
    assert answer.startswith(f"HubError: model {repo} cannot be uploaded to {hub.endpoint}")
    for part in said:
        assert part in answer
    assert str(token) not in answer
    assert f"models/{repo}" not in hub.repos


def test_push_to_hub_that_finds_no_such_place_says_what_to_check(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    hub.faults.append(Fault("POST .*/preupload/", 404))
    answer = worker.call(f"student.push_to_hub({repo!r})")
    for part in ("cannot be uploaded", "HTTP 404", "check the name", "HF_ENDPOINT"):
        assert part in answer


@pytest.mark.parametrize("pattern", ["PUT /large/", "POST .*/preupload/", "POST .*/commit/"])
@pytest.mark.parametrize("status", [401, 403, 500])
def test_push_to_hub_that_is_cut_off_leaves_the_model_as_it_was(
    hub: StandInHub, hurried: Worker, repo: str, pattern: str, status: int
) -> None:
    hub.repos[f"models/{repo}"] = {"student_config.json": b"{}", "weights.safetensors": b"old"}
    before = dict(hub.repos[f"models/{repo}"])
    hub.large_files.clear()
    hub.faults.append(Fault(pattern, status))
    answer = hurried.call(f"student.push_to_hub({repo!r})")
    assert answer.startswith(f"HubError: model {repo} cannot be uploaded to {hub.endpoint}")
    assert str(status) in answer
    assert hub.repos[f"models/{repo}"] == before


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, None, ["HTTP 401", "hf auth login", "your token is not valid"]),
        (401, "GatedRepo", ["gated", "HTTP 401"]),
        (403, "GatedRepo", ["gated", "HTTP 403", "accept its terms"]),
        (404, "RepoNotFound", ["HTTP 404", "check the name"]),
        (429, None, ["HTTP 429", "wait"]),
        (500, None, ["HTTP 500", "try again later"]),
        (503, None, ["HTTP 503", "try again later"]),
    ],
)
def test_from_pretrained_says_what_the_hub_answered(
    hub: StandInHub, worker: Worker, repo: str, status: int, code: str | None, said: list[str]
) -> None:
    hub.faults.append(Fault(f"GET /api/models/{repo}", status, code))
    answer = worker.call(f"load({repo!r}, token='s3cret')")
    assert answer.startswith(
        f"HubError: {repo}: this folder does not exist, and the model cannot be loaded from the "
        "hub: "
    )
    for part in said:
        assert part in answer
    assert "s3cret" not in answer


def test_from_pretrained_mentions_a_token_only_if_one_was_sent(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    hub.faults.append(Fault(f"GET /api/models/{repo}", 401))
    for options, is_sent in (("", True), (", token=True", True), (", token=False", False)):
        answer = worker.call(f"load({repo!r}{options})")
        assert ("your token" in answer) == is_sent


def test_from_pretrained_uses_the_cache_with_a_warning_if_the_hub_refuses(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    worker.call(f"student.push_to_hub({repo!r})")
    assert worker.call(f"names(load({repo!r}))") == FOUND
    hub.faults.append(Fault(f"GET /api/models/{repo}", 500))
    assert worker.call(f"names(load({repo!r}))") == FOUND
    assert any(line.startswith("WARNING") and "HTTP 500" in line for line in worker.logged)
    assert "force_download=True does not use" in worker.call(f"load({repo!r}, force_download=True)")


def test_from_pretrained_completes_a_download_that_was_cut_off(
    hub: StandInHub, worker: Worker, repo: str
) -> None:
    worker.call(f"student.push_to_hub({repo!r})")
    fault = Fault(f"GET /{repo}/resolve/.*/weights.safetensors", 403)
    hub.faults.append(fault)
    assert worker.call(f"load({repo!r})").startswith(f"HubError: {repo}: ")
    offline = worker.call(f"load({repo!r}, local_files_only=True)")
    assert offline.startswith(f"HubError: {repo}: ")
    hub.faults.clear()
    hub.faults.append(
        Fault(f"GET /{repo}/resolve/.*/weights.safetensors", is_cut_off=True, n_left=1)
    )
    # huggingface_hub 0.36 gives up, and later versions ask for the rest.
    answer = worker.call(f"names(load({repo!r}))")
    assert answer == FOUND or answer.startswith(f"HubError: {repo}: ")
    assert worker.call(f"names(load({repo!r}))") == FOUND


def test_from_pretrained_waits_for_a_slow_hub(hub: StandInHub, worker: Worker, repo: str) -> None:
    worker.call(f"student.push_to_hub({repo!r})")
    hub.faults.append(Fault(f"GET /{repo}/resolve/", delay_s=0.3))
    assert worker.call(f"names(load({repo!r}))") == FOUND


def test_local_files_only_without_a_copy_names_the_cache(
    hub: StandInHub, worker: Worker, client: Client, repo: str
) -> None:
    n_requests = len(hub.requests)
    answer = worker.call(f"load({repo!r}, revision='v1', local_files_only=True)")
    assert f"model {repo} at revision 'v1' is not completely in the cache {client.home}" in answer
    assert len(hub.requests) == n_requests


@pytest.mark.parametrize("call", ["student.push_to_hub('me/x')", "load('me/x')"])
def test_offline_push_and_load_name_the_setting(client: Client, call: str) -> None:
    with client.with_settings(HF_HUB_OFFLINE="1").worker() as offline:
        answer = offline.call(call)
    assert answer.startswith("HubError: ")
    assert "HF_HUB_OFFLINE" in answer


def test_push_to_hub_without_network_fails_at_once(client: Client) -> None:
    with client.unreachable().worker() as unreachable:
        answer = unreachable.call("student.push_to_hub('me/x')")
    assert answer.startswith("HubError: model me/x cannot be uploaded to")
    assert WRITER not in answer


def test_program_of_the_page_runs(hub: StandInHub, client: Client) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "integrations" / "hub.md"
    [program] = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=client.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "models/me/my-student" in hub.private
    url, found = done.stdout.splitlines()
    assert url.startswith(f"{hub.endpoint}/models/me/my-student/commit/")
    assert found == "Ada Lovelace"
