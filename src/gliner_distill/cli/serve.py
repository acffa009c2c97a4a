"""The command `serve`: find entities over HTTP."""

import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import ThreadCount, option
from gliner_distill.cli.reading.documents import MaxMemory
from gliner_distill.cli.terminal import quiet_libraries, say
from gliner_distill.errors import DistillError

if TYPE_CHECKING:
    from gliner_distill.evaluation.models import NERModel
    from gliner_distill.serve.review.disagreements import Review

_KEY_VARIABLE = "GLINER_DISTILL_API_KEY"
_MIN_KEY_CHARS = 16
_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)
_HOST = re.compile(r"[\w.-]+")
_ORIGIN = re.compile(r"https?://[\w.-]+(:\d+)?")


def _check_hosts(names: list[str] | None) -> list[str]:
    for name in names or ():
        if not _HOST.fullmatch(name):
            raise typer.BadParameter(f"{name} is not a host name, such as ner.example.com")
    return names or []


def _check_origins(origins: list[str] | None) -> list[str]:
    for origin in origins or ():
        if not _ORIGIN.fullmatch(origin):
            raise typer.BadParameter(
                f"{origin} is not an origin, such as https://example.com, without a path"
            )
    return origins or []


Models = Annotated[
    list[str] | None,
    option(
        "--model",
        "-m",
        metavar="[NAME=]MODEL",
        text="The folder of a student, of a run, of an export or of a GLiNER; or a hub id. Repeat "
        "the option for more models: a request may name one, and the first one answers all other "
        "requests. Without NAME=, the name is the last part of MODEL.",
        show_default="the student that comes with the package, as `bundled`",
    ),
]

Teacher = Annotated[
    str | None,
    option(
        "--teacher",
        metavar="MODEL",
        text="The folder or the hub id of a GLiNER whose answers the page shows beside the "
        "student's. Requests can name it as `teacher`.",
        show_default="the page shows only students",
    ),
]

Distillation = Annotated[
    Path | None,
    option(
        "--distillation",
        metavar="FOLDER",
        text="The folder of a finished `distill` run. Its student is served first, as `student`, "
        "and the page shows its report and passages on which student and teacher disagree. Your "
        "judgments are written to FOLDER/judged.json, for the next `distill --gold`.",
    ),
]

Host = Annotated[
    str,
    option(
        "--host",
        metavar="ADDRESS",
        text="The address to listen at. With 0.0.0.0, other machines can connect; this needs an "
        "API key, or --no-api-key.",
    ),
]

Port = Annotated[
    int, option("--port", metavar="N", text="The port; 0 for any free one.", min=0, max=65535)
]

ApiKeyFile = Annotated[
    Path | None,
    option(
        "--api-key-file",
        metavar="FILE",
        text="A file with the key that requests must send, of at least 16 characters.",
        show_default=f"the environment variable {_KEY_VARIABLE}, or no key",
    ),
]

NoApiKey = Annotated[
    bool,
    option(
        "--no-api-key",
        metavar=None,
        text="Listen without an API key at an address that other machines can reach.",
    ),
]

AllowedHosts = Annotated[
    list[str] | None,
    option(
        "--allow-host",
        metavar="NAME",
        text="A host name by which clients reach this server, such as ner.example.com. Repeat the "
        "option for more names. Numeric addresses and localhost are always allowed.",
        callback=_check_hosts,
    ),
]

AllowedOrigins = Annotated[
    list[str] | None,
    option(
        "--allow-origin",
        metavar="ORIGIN",
        text="Another origin whose pages may use this server, such as https://example.com. Repeat "
        "the option for more origins.",
        callback=_check_origins,
    ),
]

HashKeyFile = Annotated[
    Path | None,
    option(
        "--hash-key-file",
        metavar="FILE",
        text="A file with the secret key for hashes in redacted texts, of at least 16 bytes.",
        show_default="the environment variable GLINER_DISTILL_KEY, or no hashes",
    ),
]

MaxTexts = Annotated[
    int, option("--max-texts", metavar="N", text="The largest number of texts in a request.", min=1)
]

MaxChars = Annotated[
    int,
    option(
        "--max-chars",
        metavar="N",
        text="The largest number of characters in a request, in its texts and labels together. Its "
        "body may have four times as many bytes.",
        min=1,
    ),
]

MaxLabels = Annotated[
    int,
    option("--max-labels", metavar="N", text="The largest number of labels in a request.", min=1),
]

MaxWaiting = Annotated[
    int,
    option(
        "--max-waiting",
        metavar="N",
        text="The largest number of requests that wait for a model; further ones are refused.",
        min=1,
    ),
]

TimeLimit = Annotated[
    float,
    option(
        "--time-limit",
        metavar="SECONDS",
        text="The time within which a request must arrive, and then the time for its answer.",
        min=0.1,
        max=3600,
    ),
]


def serve(
    model: Models = None,
    teacher: Teacher = None,
    distillation: Distillation = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    api_key_file: ApiKeyFile = None,
    no_api_key: NoApiKey = False,
    allow_host: AllowedHosts = None,
    allow_origin: AllowedOrigins = None,
    hash_key_file: HashKeyFile = None,
    max_texts: MaxTexts = 1_000,
    max_chars: MaxChars = 1_000_000,
    max_labels: MaxLabels = 500,
    max_waiting: MaxWaiting = 1_024,
    time_limit: TimeLimit = 30.0,
    threads: ThreadCount = None,
    max_memory: MaxMemory = "2GB",
) -> None:
    """Find entities over HTTP, until Ctrl-C or SIGTERM.

    The printed address shows a page on which you can try it. Programs send JSON such as {"text":
    "Mary left Paris.", "labels": ["person", "city"]} to /v1/entities, or a text alone to
    /v1/redact; /openapi.json describes these and all other paths. Clients of gliner.serve and of
    vLLM Factory work as well.

    Requests that wait together are read together, and each gets the answer that it would get alone.
    A server that is told to stop finishes the requests that it has.

    Prints the address and the names of the models. Neither texts nor labels are logged.

    Writes no files, except for judgments with --distillation.
    """
    from gliner_distill.processors import default_threads
    from gliner_distill.serve.app import Access, create_app
    from gliner_distill.serve.questions import Bounds
    from gliner_distill.serve.server import listen, run_server

    quiet_libraries()
    api_key = _read_api_key(api_key_file)
    _check_reach(host, has_key=api_key is not None or no_api_key)
    hash_key = _read_hash_key(hash_key_file)
    listener = listen(host, port)
    n_threads = threads or default_threads()
    models, review = _load_models(model or [], teacher, distillation, max_memory)
    bounds = Bounds(
        max_body_bytes=max(2**16, 4 * max_chars),
        max_texts=max_texts,
        max_chars=max_chars,
        max_labels=max_labels,
        max_waiting=max_waiting,
        max_waiting_chars=16 * max_chars,
        time_limit_s=time_limit,
    )
    access = Access((host, *(allow_host or ())), allow_origin or (), api_key)
    app = create_app(
        models,
        bounds=bounds,
        access=access,
        hash_key=hash_key,
        review=review,
        n_threads=n_threads,
    )
    address = f"[{host}]" if ":" in host else host
    say(f"serving {', '.join(models)}: http://{address}:{listener.getsockname()[1]}")
    say("stop it with Ctrl-C")
    run_server(app, listener, time_limit_s=time_limit)


def _load_models(
    named: list[str], teacher: str | None, distillation: Path | None, max_memory: str
) -> "tuple[dict[str, NERModel], Review | None]":
    """Return the models by name, in the order of the options, and the disagreements to show.

    Raises:
        DistillError: Two models have the same name, or a model or the distillation cannot be
            loaded.
    """
    from gliner_distill.evaluation.models import load_model
    from gliner_distill.runtime.ner import StudentNER
    from gliner_distill.serve.review.disagreements import Review

    models: dict[str, NERModel] = {}
    review = None

    def add(name: str, model: str | None, where: str) -> None:
        if name in models:
            raise DistillError(f"{where}: there are two models {name!r}; give --model NAME=MODEL")
        models[name] = load_model(model, num_threads=1, max_memory=max_memory)

    if distillation is not None:
        student = StudentNER.from_pretrained(distillation, num_threads=1, max_memory=max_memory)
        models["student"] = student
        review = Review(distillation, student)
    for text in named:
        match = None if Path(text).exists() else _NAMED.fullmatch(text)
        name, model = match.groups() if match else (Path(text).resolve().name, text)
        add(name, model, f"--model {text}")
    if not models:
        add("bundled", None, "--model")
    if teacher is not None:
        add("teacher", teacher, f"--teacher {teacher}")
    return models, review


def _read_api_key(file: Path | None) -> str | None:
    """Return the key in a file or in the environment, or None.

    Raises:
        DistillError: It cannot be read, or is short or not printable ASCII.
    """
    from gliner_distill.files import reason_of

    if file is None:
        if _KEY_VARIABLE not in os.environ:
            return None
        place, key = _KEY_VARIABLE, os.environ[_KEY_VARIABLE]
    else:
        try:
            place, key = str(file), file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DistillError(f"{file}: the key cannot be read: {reason_of(error)}") from error
    key = key.strip()
    # A header cannot hold other characters.
    if len(key) < _MIN_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise DistillError(
            f"{place}: the key must have at least {_MIN_KEY_CHARS} letters, digits or other "
            "signs of ASCII, without spaces"
        )
    return key


def _check_reach(host: str, *, has_key: bool) -> None:
    """Refuse to open the server to other machines without a key.

    Raises:
        BadParameter: The address is not one of this machine alone.
    """
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if not is_local and not has_key:
        raise typer.BadParameter(
            f"--host {host} lets other machines use this server; give --api-key-file, or "
            "--no-api-key if everybody who reaches it may use it"
        )


def _read_hash_key(file: Path | None) -> bytes | None:
    """Return the secret for hashes, or None if there is none."""
    from gliner_distill.redaction.keys import KEY_VARIABLE, read_key

    if file is None and KEY_VARIABLE not in os.environ:
        return None
    return read_key(file)


SERVE = Command(
    serve,
    "Find entities over HTTP, and show a page to try it.",
    """\
  gliner-distill serve
  gliner-distill serve -m my-student -m legal=students/legal --port 8080
  gliner-distill serve --distillation my-student --teacher models/gliner
  gliner-distill serve --host 0.0.0.0 --api-key-file key.txt \\
    --allow-host ner.example.com""",
    work="serving requests",
    less_memory="serve fewer models, or lower --max-chars",
)
