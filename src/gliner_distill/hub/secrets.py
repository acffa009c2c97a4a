"""Descriptions of errors that hold neither passwords nor tokens."""

import re
from urllib.parse import unquote, urlsplit

# A password may hold "/" or "@", although it should be quoted.
_USER_INFO = re.compile(r"://(\S*)@")
_TOKEN = re.compile(r"\bhf_\w{8,}")


def describe_cause(error: BaseException, *, token: str | bool | None = None) -> str:
    """Return the class and the message of an error as one line of at most 200 characters.

    Args:
        error: The error.
        token: A token that was given for the call, which is hidden as well.
    """
    kind = type(error).__name__
    is_of_port = kind == "ValueError" and "Port " in str(error)
    # Their messages quote a part of the address.
    if kind in ("InvalidURL", "LocationParseError") or is_of_port:
        return (
            f"{kind}: HF_ENDPOINT or the address of a proxy is not a URL; special characters of a "
            "password must be quoted, such as / by %2F"
        )
    return hide_secrets(" ".join(f"{kind}: {error}".split()), token=token)[:200]


def hide_secrets(text: str, *, token: str | bool | None = None) -> str:
    """Return a text without the passwords in its URLs and without tokens.

    The user and the password of HF_ENDPOINT and of the proxies, and the token of the hub, are
    hidden wherever they occur.

    Args:
        text: The text.
        token: A token to hide besides the saved one.

    >>> hide_secrets("http://ann:s3cret@hub.example.org/api with Bearer hf_abcdefgh")
    'http://[hidden]@hub.example.org/api with Bearer [hidden]'
    """
    from urllib.request import getproxies  # takes a while, and messages of errors are rare

    from huggingface_hub import constants

    text = _USER_INFO.sub("://[hidden]@", text)
    urls = [constants.ENDPOINT, *getproxies().values()]
    given = _spellings(token) if isinstance(token, str) else []
    secrets = [_saved_token(), *given, *(part for url in urls for part in _passwords(url))]
    # The longest comes first, because one secret may be part of another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    return _TOKEN.sub("[hidden]", text)


def check_endpoint() -> None:
    """Check that HF_ENDPOINT is a URL.

    With another endpoint, huggingface_hub 2 cannot be imported, and prints a part of the address.

    Raises:
        ValueError: It is not a URL; see `describe_cause` for the message.
    """
    from huggingface_hub import constants

    urlsplit(constants.ENDPOINT).port  # noqa: B018 (it raises the error)


def has_token(token: str | bool | None) -> bool:
    """Return whether a request with this argument `token` sends one, given or saved."""
    return isinstance(token, str) or (token is not False and _saved_token() is not None)


def _saved_token() -> str | None:
    """Return the token of this machine; None if there is none or it cannot be read."""
    try:
        check_endpoint()
    except ValueError:
        return None
    from huggingface_hub import get_token

    return get_token()


def _spellings(token: str) -> list[str]:
    """Return a token as messages quote it: as it is, on one line, and as Python would write it."""
    return [token, " ".join(token.split()), repr(token)[1:-1]]


def _passwords(url: str) -> list[str]:
    """Return the secrets of a URL as they are written there and as they are sent.

    These are the password, also in a URL without a scheme, and the query, which may be a token.
    """
    before, _, address = url.rpartition("@")
    password = before.removeprefix("http://").removeprefix("https://").partition(":")[2]
    return [password, unquote(password), address.partition("?")[2]]
