"""The command `inspect`: describe a soft-label store or a corpus."""

from pathlib import Path
from typing import Annotated

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import SkipBad, option
from gliner_distill.cli.terminal import quiet_libraries, say, when_stopped
from gliner_distill.errors import DistillError, FormatVersionError, StoreError, suggest_file

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A soft-label store; the path of a corpus file; a folder with the .txt and .ann files "
        "of BRAT; or the hub id of a data set.",
    ),
]

Verify = Annotated[
    bool,
    option(
        "--verify",
        metavar=None,
        text="Read every file of the store, and name each one that differs from what was written.",
    ),
]


def inspect(source: Source, verify: Verify = False, skip_bad: SkipBad = False) -> None:
    """Describe a soft-label store or a corpus.

    Prints counts, lengths and the most frequent labels. For a corpus it also prints what had to be
    cleaned or left out; for a store, its origin, the distribution of its probabilities, how well
    the teacher agrees with the gold entities, and where the two disagree most. The description of
    an unfinished store covers its finished part. Writes no files.

    With --verify it prints a line for each file of a store that is missing or differs from what
    was written, and exits with code 1 if there is one; `label --repair` labels again what is
    broken.
    """
    with when_stopped("nothing was written"):
        quiet_libraries()
        _check_exists(source)
        if verify:
            lines = _verify(Path(source))
        elif _is_store(Path(source)):
            from gliner_distill.store.statistics import describe_store

            lines = describe_store(Path(source))
        else:
            from gliner_distill.corpus.reader import read_passages
            from gliner_distill.corpus.statistics import CorpusNotes, describe_corpus

            notes = CorpusNotes()
            passages = read_passages(source, skip_bad=skip_bad, notes=notes)
            lines = describe_corpus(passages, notes).lines()
    for line in lines:
        say(line)


def _check_exists(source: str) -> None:
    """Raise DistillError if a source is neither on this machine nor the id of a data set."""
    from gliner_distill.hub.ids import looks_like_hub_id

    if looks_like_hub_id(source):
        return
    try:
        Path(source).stat()
    except FileNotFoundError:
        raise DistillError(
            f"{source}: this file or folder does not exist{suggest_file(source)}; expected a "
            "soft-label store, a corpus, or the owner/name of a hub data set"
        ) from None
    except (OSError, ValueError):
        pass  # the reader of the corpus says what is wrong


def _is_store(path: Path) -> bool:
    """Return whether a path is a folder that should be a store, and not one of BRAT's files."""
    from gliner_distill.corpus.exports.brat import is_brat

    return path.is_dir() and not is_brat(path)


def _verify(folder: Path) -> list[str]:
    from gliner_distill.store.integrity import find_faults
    from gliner_distill.store.manifest import read_manifest

    try:
        read_manifest(folder)
    except FormatVersionError:
        raise  # `label --repair` cannot read such a store either
    except StoreError:
        pass  # one of the faults
    faults = find_faults(folder)
    for fault in faults:
        say(str(fault))
    if faults:
        raise DistillError(
            f"{folder}: {len(faults)} of its files are missing or differ from what was written; "
            "run `label` with the same arguments and --repair to label them again"
        )
    manifest = read_manifest(folder)
    state = "" if manifest.is_complete else f" of {manifest.n_passages:,}, unfinished"
    return [
        f"{folder}: whole: {len(manifest.shards)} shards, {manifest.n_labeled:,} passages{state}"
    ]


INSPECT = Command(
    inspect,
    "Describe a soft-label store or a corpus.",
    """\
  gliner-distill inspect soft_labels/train
  gliner-distill inspect soft_labels/train --verify
  gliner-distill inspect train.json
  gliner-distill inspect urchade/pile-mistral-v0.1""",
    work="reading the store or the corpus",
    less_memory="cut long passages",
)
