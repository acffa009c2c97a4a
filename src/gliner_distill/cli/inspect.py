"""TODO-DOC."""

from pathlib import Path

import typer

from gliner_distill.cli import options as given
from gliner_distill.cli.terminal import quiet_libraries, when_stopped
from gliner_distill.errors import DistillError


def inspect(
    source: given.SourceArgument, verify: given.Verify = False, skip_bad: given.SkipBad = False
) -> None:
    """Say what a soft-label store or a corpus holds.

    Prints counts, lengths, the most frequent labels and, of a corpus, what had to be cleaned or
    left out; of a store, also where it comes from, its probabilities, how well the teacher agrees
    with gold, and where the two disagree most. Writes nothing. A store that is not finished is
    described as far as it goes.

    With --verify, prints a line for each file of a store that is missing or is not what was
    written, and exits 1 if there is one; `label` with --repair labels again what is broken.
    """
    with when_stopped("nothing was written"):
        quiet_libraries()
        if verify:
            lines = _verify(Path(source))
        elif Path(source).is_dir():
            from gliner_distill.store.statistics import describe_store

            lines = describe_store(Path(source))
        else:
            from gliner_distill.corpus.reader import read_passages
            from gliner_distill.corpus.statistics import CorpusNotes, describe_corpus

            notes = CorpusNotes()
            passages = read_passages(source, skip_bad=skip_bad, notes=notes)
            lines = describe_corpus(passages, notes).lines()
    for line in lines:
        typer.echo(line)


def _verify(folder: Path) -> list[str]:
    from gliner_distill.store.integrity import find_faults
    from gliner_distill.store.manifest import read_manifest

    faults = find_faults(folder)
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise DistillError(
            f"{folder}: {len(faults)} of its files are not as they should be; `label` with the "
            f"same arguments and --repair labels again what is broken"
        )
    manifest = read_manifest(folder)
    state = "" if manifest.is_complete else f" of {manifest.n_passages:,}, unfinished"
    return [
        f"{folder}: whole: {len(manifest.shards)} shards, {manifest.n_labeled:,} passages{state}"
    ]
