"""The command `label-studio`: pre-annotate the tasks of Label Studio, and keep the corrections."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import Patterns, ThreadCount, Threshold, option
from gliner_distill.cli.reading.documents import MaxMemory, Model
from gliner_distill.cli.terminal import quiet_libraries, say
from gliner_distill.errors import DistillError, MissingExtraError

_CREDENTIALS = "GLINER_DISTILL_CREDENTIALS"

Gold = Annotated[
    Path | None,
    option(
        "--gold",
        metavar="FILE",
        text="The file that gets the annotations that people submit, for `distill --gold`. It is "
        "created if necessary, and other lines in it are kept.",
        show_default="corrections are not kept",
    ),
]

Host = Annotated[
    str,
    option(
        "--host",
        metavar="ADDRESS",
        text="The address to listen at; with 0.0.0.0, other machines can connect.",
    ),
]

Port = Annotated[
    int,
    option("--port", metavar="N", text="The port; 0 for any free one.", min=0, max=65535),
]

AllowedHosts = Annotated[
    list[str] | None,
    option(
        "--allow-host",
        metavar="NAME",
        text="A host name in the address of this backend, such as host.docker.internal. Repeat "
        "the option for more names. Numeric addresses and localhost are always allowed.",
    ),
]


def label_studio(
    gold: Gold = None,
    model: Model = None,
    host: Host = "127.0.0.1",
    port: Port = 9090,
    allow_host: AllowedHosts = None,
    threshold: Threshold = 0.5,
    patterns: Patterns = True,
    threads: ThreadCount = None,
    max_memory: MaxMemory = "2GB",
) -> None:
    """Run a machine learning backend for Label Studio, until Ctrl-C.

    Label Studio sends tasks to the backend, which answers with the entities that the model finds.
    The labels are those of the project, so the backend works for every project that has a `Labels`
    tag for a `Text` tag.

    Prints the address of the backend and the file of gold.

    Writes the file of --gold each time an annotator submits, changes or deletes an annotation. It
    has one JSON object per line and per text, with the newest annotation.

    If the environment variable GLINER_DISTILL_CREDENTIALS is set to USER:PASSWORD, Label Studio
    must be given both for this backend. By itself, it sends them with tasks, but not with
    annotations.
    """
    from gliner_distill.evaluation.models import load_model
    from gliner_distill.integrations.label_studio.app import create_app
    from gliner_distill.integrations.label_studio.gold import GoldFile
    from gliner_distill.integrations.label_studio.predictions import Predictor, name_version

    try:
        from uvicorn import Config, Server
    except ModuleNotFoundError as error:
        raise MissingExtraError("uvicorn", "label-studio") from error
    from gliner_distill.serve.server import listen

    quiet_libraries()
    credentials = os.environ.get(_CREDENTIALS)
    if credentials is not None and ":" not in credentials:
        raise DistillError(f"{_CREDENTIALS} has no colon; expected USER:PASSWORD")
    kept = None if gold is None else GoldFile(gold)
    loaded = load_model(model, num_threads=threads, max_memory=max_memory)
    version = name_version(model, threshold=threshold, patterns=patterns)
    predictor = Predictor(loaded, version=version, threshold=threshold, patterns=patterns)
    app = create_app(
        predictor, gold=kept, hosts=[host, *(allow_host or [])], credentials=credentials
    )
    listener = listen(host, port)
    address = f"[{host}]" if ":" in host else host
    say(f"backend of {version}: http://{address}:{listener.getsockname()[1]}")
    say(f"gold: {'not kept; give --gold FILE' if gold is None else gold}")
    say("stop it with Ctrl-C")
    config = Config(app, log_level="warning", access_log=False)
    # Ctrl-C is the usual way to end it. The server finishes its answers first.
    with suppress(KeyboardInterrupt):
        Server(config).run(sockets=[listener])


LABEL_STUDIO = Command(
    label_studio,
    "Pre-annotate the tasks of Label Studio.",
    """\
  gliner-distill label-studio --gold gold.jsonl
  gliner-distill label-studio -m my-student --gold gold.jsonl --port 9091""",
    work="labeling tasks",
    less_memory="cut long texts, or use fewer labels",
)
