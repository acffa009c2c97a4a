"""Read a folder of text with the teacher: all of it, or the part that the budget allows."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, islice
from pathlib import Path

from gliner_distill.corpus.documents import MIN_PASSAGES
from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation.measurements import Reading
from gliner_distill.distillation.plan import measure_labeling
from gliner_distill.distillation.selection.asking import ask_teacher
from gliner_distill.distillation.selection.rounds import ROUND_FILE, RoundReader
from gliner_distill.distillation.workspace import PassageFolder, Workspace
from gliner_distill.entities import LabeledPassage, count_words
from gliner_distill.errors import SettingsError
from gliner_distill.store.manifest import MANIFEST, read_manifest

_HELD_OUT_SHARE = 0.1
"""The largest part of a budget that goes to dev, and the same to test."""

Passages = Mapping[str, Sequence[LabeledPassage]]


def read_whole(work: Workspace, folder: PassageFolder) -> dict[str, list[LabeledPassage]]:
    """Return all passages of a folder with the teacher's soft labels, by split.

    Raises:
        DistillError: See `ask_teacher`; or a file of passages was changed.
    """
    return {split: _read_split(work, folder, split) for split in folder.splits}


def read_text(
    work: Workspace, folder: PassageFolder, known: Passages, start: Path
) -> tuple[dict[str, list[LabeledPassage]], Reading, Path]:
    """Return the passages of a folder of text that the teacher reads, and how much these are.

    Args:
        work: The workspace.
        folder: The folder of text.
        known: Other passages with the teacher's soft labels, by split.
        start: The folder of the student that training starts from.

    Returns:
        The passages by split, how much was read, and the folder of the student that training starts
        from now.

    Raises:
        SettingsError: The budget is too small.
        DistillError: See `read_whole`.
    """
    if _is_read_whole(work, folder):
        read = read_whole(work, folder)
        return read, _all_of(read), start
    max_words = _HELD_OUT_SHARE * _budget_words(work, folder)
    read = {
        split: _read_split(work, folder, split, max_words)
        for split in folder.splits
        if split != "train"
    }
    dev = [*known["dev"], *read.get("dev", [])]
    is_auto = work.job.teacher_budget.kind == "auto"
    if is_auto and not is_in_rounds(folder) and _is_small(work, dev):
        read["train"] = _read_split(work, folder, "train")
        return read, _all_of(read), start
    folder.check_passages("train")
    reader = RoundReader(work, folder, dev, known["train"], start)
    read["train"] = reader.read()
    return read, reader.describe(), reader.student


def _all_of(read: Passages) -> Reading:
    n_words = count_words(read.get("train", ()))
    return Reading(n_words, n_words)


def is_in_rounds(folder: PassageFolder) -> bool:
    """Say whether the teacher has begun to read the training passages of a folder in rounds."""
    return (folder.path / "round-0" / ROUND_FILE).is_file()


def _is_read_whole(work: Workspace, folder: PassageFolder) -> bool:
    """Say whether the teacher reads a whole folder in the order of its passages."""
    if (folder.store("train") / MANIFEST).is_file() or not folder.n_passages["train"]:
        return True
    if is_in_rounds(folder):
        return False
    budget, pace = work.job.teacher_budget, work.settings.pace
    if budget.kind == "auto":
        # A time limit has already chosen the text, and leaves no time for quick students.
        return folder.n_passages["train"] < pace.min_passages or work.job.minutes is not None
    return budget.kind == "all"


def _is_small(work: Workspace, dev: Sequence[LabeledPassage]) -> bool:
    """Say whether dev has too few entities to tell when the agreement stops rising."""
    n_entities = sum(len(decode_entities(item.probs, item.labels)) for item in dev)
    return n_entities < work.settings.pace.min_dev_entities


def _budget_words(work: Workspace, folder: PassageFolder) -> float:
    """Return the number of words that a budget allows for a folder of text.

    If it is a time, the teacher's speed is measured on the first passages.

    Raises:
        SettingsError: These are not enough words to train and to test a student.
    """
    budget = work.job.teacher_budget
    first = [
        p.words
        for p in islice(CorpusFile(folder.passages_file("train")), work.settings.probe_passages)
    ]
    rate = 1.0
    if budget.kind == "minutes":
        rate = measure_labeling(work, first)
    max_words = budget.max_words(rate)
    least = MIN_PASSAGES * sum(map(len, first)) / len(first)
    if max_words < least:
        raise SettingsError(
            f"teacher budget: {budget} allow the teacher to read {max_words:,.0f} words of the "
            f"texts; at least {least:,.0f} are needed, so give a larger budget"
        )
    return max_words


def _read_split(
    work: Workspace, folder: PassageFolder, split: str, max_words: float | None = None
) -> list[LabeledPassage]:
    """Return the passages of a split with soft labels: all, or the first ones, one at least."""
    folder.check_passages(split)
    # Another process, which may read it for the workers, works in another folder.
    passages = CorpusFile(folder.passages_file(split).absolute())
    n_passages, store = folder.n_passages[split], folder.store(split)
    if max_words is not None:
        n_passages = _n_fitting(passages, max_words)
        if (store / MANIFEST).is_file():  # what an earlier run began is finished
            n_passages = read_manifest(store).n_passages
    whole = n_passages == folder.n_passages[split]
    labeled = ask_teacher(
        work,
        passages if whole else list(islice(passages, n_passages)),
        store,
        source=folder.passages_file(split),
        n_passages=n_passages,
        stage=f"labeling {folder.path.name} {split}",
    )
    return list(labeled)


def _n_fitting(passages: CorpusFile, max_words: float) -> int:
    totals = accumulate(len(passage.words) for passage in passages)
    return max(1, sum(total <= max_words for total in totals))
