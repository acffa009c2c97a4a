"""Make the bundled student: `python recipes/bundled_student.py DATA TEACHER OUT [OPTIONS]`.

DATA is a folder with `corpora/NAME.jsonl`, `corpora/NAME.labels.json`, `permissive.json` (the data
sets whose licenses allow us to publish the weights) and `open/*.json` with `open/labels.jsonl` (the
passages with open labels and the thesaurus). Each stage continues where it was stopped:

1. OUT/in_domain and OUT/apart have the passages that are kept apart (see `transfer_set.py`).
2. OUT/answers has the teacher's answers for labels that the annotation of a passage leaves open
   (see `teacher_answers.py`).
3. OUT/run has a student with a `boundary` head. It starts with the subword vectors of the teacher
   (OUT/pieces, see `pieces.py`) and learns from the annotation and the teacher's answers (see
   `training_set.py`).
4. OUT/student is the student to publish: it reads labels in other words as it reads the labels
   themselves (see `label_wordings.py`), has learned which of two labels is the broader one (see
   `label_relations.py`), is calibrated on the held-out sets (see `calibration.py`), and is written
   in half precision, to be computed with in 8 bits (see `finishing.py`).
5. OUT/student/metrics.json and README.md come from the benchmarks, which this recipe runs.

The teacher answers in bf16, and the student is trained in it. Give `--precision fp32` on a
processor without instructions for bf16: it is slow there, and torch cannot train an LSTM in it.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

from finishing import DEV_PASSAGES, finish
from label_wordings import STEPS
from model_card import PUBLISHED, write_card
from open_passages import Draw
from pieces import load_pieces
from teacher_answers import QuestionMaker, ask_teacher
from thesaurus import Thesaurus, read_thesaurus
from training_set import make_training_set, read_answers, set_passages
from transfer_set import IN_DOMAIN_PASSAGES, Material, gather, take_words

from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.files import write_json
from gliner_distill.progress import StageProgress
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.heads import BOUNDARY
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.initialization import initialize_student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import STUDENT_FOLDER
from gliner_distill.training.settings import TrainingSettings

SEED = 0
ASKED_WORDS_PER_SET = 30_000
ARCHITECTURE = StudentConfig(
    head=BOUNDARY,
    hidden_width=160,
    n_layers=2,
    label_hidden_width=512,
    label_lstm_width=128,
    embedding_dropout_prob=0.0,
    dropout_prob=0.1,
)
# The annotation and the teacher's answers are both in the targets, so alpha is 1.
SETTINGS = TrainingSettings(
    alpha=1.0,
    positive_weight=1.5,
    augmentation_prob=0.3,
    batch_size=32,
    learning_rate=6e-3,
    precision="bf16",
    seed=SEED,
)


def main() -> None:
    """Keep passages apart, ask the teacher, train the student, and write it with its card."""
    options = parse_options()
    data, out = options.data, options.out
    out.mkdir(parents=True, exist_ok=True)
    material = gather(data, out, SEED, n_in_domain=options.in_domain_passages)
    draw = Draw.from_passages(material.open, Thesaurus(read_thesaurus(data)))
    teacher = GLiNERTeacher.from_pretrained(options.teacher, device=options.device)
    teacher.name = Path(options.teacher).resolve().name
    joined = join_sets(material, ASKED_WORDS_PER_SET)
    with timed(out, "labeling"):
        # Half precision is three times as fast on processors with instructions for it, and many
        # times as slow on others. The teacher in full precision gives the subword vectors and the
        # figures.
        asked = GLiNERTeacher.from_pretrained(options.teacher, device=options.device)
        if options.precision == "bf16":
            asked.model.bfloat16()
        stores = label(material, joined, draw, asked, out / "answers")
    passages = make_training_set(material, draw, read_answers(stores), joined, options.words, SEED)
    with timed(out, "training"):
        settings = replace(SETTINGS, epochs=options.epochs, precision=options.precision)
        train(passages, teacher, out, settings)
    finish(
        out / "run" / STUDENT_FOLDER,
        material.open,
        draw.thesaurus,
        teacher,
        data / "corpora",
        out / "student",
        answers=out / "held_out" / "teacher",
        seed=SEED,
        n_passages=options.dev_passages,
        wording_steps=options.wording_steps,
    )
    measure(data, options.teacher, out, n_passages=options.dev_passages)
    write_card(data, out)


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--words", type=int, default=10_000_000, help="words in one pass over the training set"
    )
    parser.add_argument("--epochs", type=int, default=5, help="passes over the training set")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--precision",
        choices=("bf16", "fp32"),
        default=SETTINGS.precision,
        help="precision of labeling and training; processors without bf16 need fp32",
    )
    parser.add_argument(
        "--dev-passages", type=int, default=DEV_PASSAGES, help="passages per held-out set"
    )
    parser.add_argument(
        "--in-domain-passages",
        type=int,
        default=IN_DOMAIN_PASSAGES,
        help="passages held out from each in-domain set",
    )
    parser.add_argument(
        "--wording-steps",
        type=int,
        default=STEPS,
        help="steps in which the student learns other words for labels",
    )
    return parser.parse_args()


@contextmanager
def timed(out: Path, stage: str) -> Iterator[None]:
    """Add the hours that a stage takes to OUT/hours.json, even if it is stopped."""
    path, start = out / "hours.json", time.perf_counter()
    try:
        yield
    finally:
        hours = json.loads(path.read_text()) if path.exists() else {}
        hours[stage] = hours.get(stage, 0.0) + (time.perf_counter() - start) / 3600
        write_json(path, hours)


def join_sets(material: Material, n_words: int) -> dict[str, list[Passage]]:
    """Return passages of each set, joined so that the teacher reads its labels less often.

    Args:
        material: The passages.
        n_words: About how many words to return of each set; a small set is joined several times.
    """
    rng = random.Random(SEED)
    return {
        name: list(take_words(set_passages(passages, (), rng), n_words))
        for name, passages in sorted(material.sets.items())
    }


def label(
    material: Material,
    joined: Mapping[str, Sequence[Passage]],
    draw: Draw,
    teacher: GLiNERTeacher,
    folder: Path,
) -> list[SoftLabelStore]:
    """Return the teacher's answers for the open passages and for some of each set."""
    questions = QuestionMaker(material.open, draw)
    parts = {
        "open": material.open,
        "sets": [passage for passages in joined.values() for passage in passages],
    }
    stores = []
    for name, passages in parts.items():
        with StageProgress() as progress:
            stores.append(
                ask_teacher(
                    passages, questions, teacher, folder / name, SEED, progress=progress.update
                )
            )
    return stores


def train(
    passages: Sequence[LabeledPassage],
    teacher: GLiNERTeacher,
    out: Path,
    settings: TrainingSettings,
) -> None:
    """Train a student in OUT/run; it starts with the subword vectors of the teacher."""
    texts = chain(
        (word for passage in passages for word in passage.words),
        (label for passage in passages for label in passage.labels),
    )
    pieces = load_pieces(teacher, texts, out / "pieces")
    config = replace(ARCHITECTURE, n_pieces=len(pieces.vocabulary))
    with StageProgress() as progress:
        train_student(
            initialize_student(pieces.vocabulary, pieces, config, seed=SEED),
            pieces.vocabulary,
            passages,
            out / "run",
            settings,
            resume=True,
            progress=progress.update,
        )


def measure(data: Path, teacher: str, out: Path, *, n_passages: int = DEV_PASSAGES) -> None:
    """Run the benchmarks on all passages that are held out or kept apart."""
    student, corpora = out / "student", data / "corpora"
    held_out = ("--sets", "held-out", "--passages", str(n_passages), "--out")
    thesaurus = ("--thesaurus", data / "open" / "labels.jsonl")
    apart: list[str | Path] = sorted((out / "apart").glob("*.json"))
    apart += ["--student", f"{PUBLISHED}={student}"]
    runs: list[tuple[str | Path, ...]] = [
        ("open_label.py", corpora, student, teacher, *held_out, out / "held_out"),
        ("open_label.py", out / "in_domain", student, teacher, "--out", out / "in_domain_scores"),
        ("robustness.py", corpora, student, *thesaurus, *held_out, out / "robustness.json"),
        ("unseen_passages.py", *apart, "--out", out / "unseen_passages.json"),
        ("personal_data.py", student, "--out", out / "personal_data.json"),
    ]
    benchmarks = Path(__file__).resolve().parents[1] / "benchmarks"
    for script, *arguments in runs:
        subprocess.run([sys.executable, benchmarks / script, *arguments], check=True)


if __name__ == "__main__":
    main()
