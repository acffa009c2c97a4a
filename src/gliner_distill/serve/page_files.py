"""The files of the page, which are read once and kept in memory."""

from importlib.resources import files
from typing import Final

from gliner_distill.errors import MissingExtraError

try:
    from fastapi import Response
except ModuleNotFoundError as error:
    raise MissingExtraError("fastapi", "serve") from error

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The page may load its own files and WebAssembly, and nothing from elsewhere or inline."""

_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}

_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def page_files() -> dict[str, Response]:
    """Return the answer for each path of the page; `/` is its `index.html`."""
    answers: dict[str, Response] = {}
    for file in (files("gliner_distill") / "resources" / "page").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if file.is_file() and suffix in _MEDIA_TYPES:
            kind = _MEDIA_TYPES[suffix]
            answers[f"/{file.name}"] = Response(file.read_bytes(), 200, _HEADERS, kind)
    if "/index.html" in answers:
        answers["/"] = answers["/index.html"]
    return answers
