"""Label text for the study of agreement: `python benchmarks/transfer_text.py OUT TEACHER TEXT...`.

TEXT are files of passages. The passages that are copies of ones in the sample are left out, the
others are shuffled within each group of files (a group is a list of files joined by commas), and
the labels to ask about each are chosen as `reproduce --best` chooses them: up to six labels of the
annotation, three labels of the sample's test that the bundled student finds, and one at random.
Then the teacher labels as many parts of about 100,000 words as --words asks for. Run the command
again with a larger --words to label more; finished parts are not labeled again.

The teacher must be the one of the sample's soft labels; its fingerprint is checked. OUT/text.json
says how many copies were left out, and how often the labels of the test were asked and found.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import StoreError
from gliner_distill.files import write_json
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.reproduction.transfer import ask_like_test, leave_out_copies
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.teacher.gliner import GLiNERTeacher

PART_WORDS: Final = 100_000


def main() -> None:
    """Choose the passages and label them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("text", nargs="+", help="files of passages; commas join a group")
    parser.add_argument("--words", type=int, default=300_000)
    options = parser.parse_args()
    teacher = GLiNERTeacher.from_pretrained(options.teacher)
    check_teacher(teacher)
    chosen, notes = choose_text([group.split(",") for group in options.text])
    options.out.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(cut(chosen, PART_WORDS)):
        if number * PART_WORDS >= options.words:
            break
        asked = list(ask_like_test(part, labels_of_test(), bundled_student(), seed=number))
        label_corpus(
            asked,
            teacher,
            options.out / f"part-{number:03}",
            policy=LabelPolicy(),
            keep_subword_vectors=False,
        )
        print(f"part {number}", flush=True)
    notes |= count_labels(read_parts(options.out))
    write_json(options.out / "text.json", notes)
    print(notes)


def check_teacher(teacher: GLiNERTeacher) -> None:
    """Make sure that a teacher is the one of the sample's soft labels."""
    folder = sample_path("test").parent / "soft_labels" / "test"
    expected = SoftLabelStore(folder).manifest.teacher_fingerprint
    if teacher.fingerprint != expected:
        raise SystemExit(
            f"{teacher.name} has the fingerprint {teacher.fingerprint[:12]}; expected the teacher "
            f"of the sample's soft labels, {expected[:12]}"
        )


def labels_of_test() -> list[str]:
    """Return all labels of the sample's test, in alphabetical order."""
    passages = read_passages(sample_path("test"))
    return sorted({label for passage in passages for label in passage.own_labels})


def bundled_student() -> StudentNER:
    """Return the student that comes with the package."""
    return StudentNER.from_pretrained(str(bundled_student_path()))


def choose_text(groups: Sequence[Sequence[str]]) -> tuple[list[Passage], dict[str, Any]]:
    """Return the passages of all groups without copies, each group shuffled, and counts."""
    sample = [
        passage
        for split in ("train", "dev", "test")
        for passage in read_passages(sample_path(split))
    ]
    chosen: list[Passage] = []
    notes: dict[str, Any] = {"passages": 0, "exact copies": 0, "near copies": 0}
    for files in groups:
        read = [passage for file in files for passage in read_passages(file)]
        kept = leave_out_copies(read, sample + chosen if len(groups) > 1 else sample)
        passages = list(kept.passages)
        random.Random(0).shuffle(passages)
        chosen += passages
        notes["passages"] += len(read)
        notes["exact copies"] += kept.n_exact
        notes["near copies"] += kept.n_near
    notes["words that are left"] = sum(len(passage.words) for passage in chosen)
    return chosen, notes


def cut(passages: Sequence[Passage], n_words: int) -> Iterator[list[Passage]]:
    """Yield parts of about so many words: each ends with the passage that reaches them."""
    part: list[Passage] = []
    n_part = 0
    for passage in passages:
        part.append(passage)
        n_part += len(passage.words)
        if n_part >= n_words:
            yield part
            part, n_part = [], 0
    if part:
        yield part


def read_parts(out: Path) -> Iterator[LabeledPassage]:
    """Yield the labeled passages of all parts that are finished."""
    folders = sorted(out.glob("part-*"))
    for folder in folders:
        try:
            store = SoftLabelStore(folder)
        except StoreError:
            # The last part may still be in work.
            if folder != folders[-1]:
                raise
            return
        yield from store


def check_parts(out: Path) -> None:
    """Make sure that a folder has finished parts, before a study starts.

    Raises:
        SystemExit: No part is finished, or one before the last is not.
    """
    try:
        first = next(read_parts(out), None)
        for folder in sorted(out.glob("part-*"))[:-1]:
            SoftLabelStore(folder)
    except StoreError as error:
        raise SystemExit(f"{error}: run transfer_text.py again") from error
    if first is None:
        raise SystemExit(f"{out}: no part is labeled yet; run transfer_text.py first")


def count_labels(passages: Iterator[LabeledPassage]) -> dict[str, Any]:
    """Return how many labels were asked and found, and how many of the test's were ever found."""
    n_passages = n_words = n_asked = n_found = 0
    found: set[str] = set()
    for labeled in passages:
        labels = {entity.label for entity in decode_entities(labeled.probs, labeled.labels)}
        n_passages += 1
        n_words += len(labeled.passage.words)
        n_asked += len(labeled.labels)
        n_found += len(labels)
        found |= labels
    known = set(labels_of_test())
    return {
        "passages labeled": n_passages,
        "words labeled": n_words,
        "labels asked per passage": round(n_asked / max(n_passages, 1), 2),
        "labels found per passage": round(n_found / max(n_passages, 1), 2),
        "labels of the test that were found": len(known & found),
        "labels of the test": len(known),
    }


if __name__ == "__main__":
    main()
