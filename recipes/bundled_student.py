"""Make the student of any label: `python recipes/bundled_student.py DATA TEACHER OUT [OPTIONS]`.

DATA is a folder with `corpora/NAME.jsonl`, `corpora/NAME.labels.json`, `permissive.json` (the sets
whose licence lets weights ship) and `open/train.json`. Each stage goes on where it was stopped:

1. OUT/transfer.json, the transfer set (see `transfer_set.py`), OUT/sets.json, what it is made of,
   and OUT/in_domain, held-out passages of six of its sets in the form of DATA/corpora.
2. OUT/near, the teacher's soft labels of the first half: of each passage its own and listed labels,
   two more of the corpus, and two of the pool, which is all labels of all passages.
3. OUT/beside, those of the second half: of each passage three of these, and ten labels that stand
   beside its own in the open passages or are known to other sets.
4. OUT/run, a student with a `boundary` head.
5. OUT/student, what ships: calibrated on the held-out sets, in half precision, with the graph of
   the runtime in eight bits, held against torch on the sample's dev part.
6. OUT/student/metrics.json and README.md, from the benchmarks, which are run here.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from calibration import (
    Calibration,
    ScoredGroup,
    calibrate_student,
    calibration_error,
    fit_calibration,
    mean_f1,
)
from model_card import write_card
from transfer_set import HELD_OUT, gather, open_passages, read_labels, with_beside

from gliner_distill.corpus.reader import CorpusFile, sample_path, write_passages
from gliner_distill.corpus.statistics import scan_corpus
from gliner_distill.entities import Passage
from gliner_distill.files import replace_file
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.progress import StageProgress
from gliner_distill.runtime.bundle import write_bundle
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.heads import BOUNDARY
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.bundling import make_bundle, quantize_graph, student_weights
from gliner_distill.student.export import check_answers
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.initialization import initialize_student, load_or_train_vocabulary
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import STUDENT_FOLDER
from gliner_distill.training.settings import TrainingSettings

SEED = 0
NEGATIVES, FROM_POOL = 2, 2
DEV_PASSAGES = 300
SHAPE = StudentConfig(
    n_pieces=1,  # the vocabulary's
    head=BOUNDARY,
    hidden_width=160,
    n_layers=2,
    label_hidden_width=512,
    embedding_dropout_prob=0.0,
    dropout_prob=0.1,
)
SETTINGS = TrainingSettings(
    alpha=0.5,
    positive_weight=2.0,
    augmentation_prob=0.3,
    batch_size=32,
    precision="bf16",
    seed=SEED,
)


def main() -> None:
    """Make the transfer set, its soft labels and the student."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("out", type=Path)
    parser.add_argument("--words", type=int, default=4_500_000, help="of the transfer set")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    transfer = given.out / "transfer.json"
    teacher = GLiNERTeacher.from_pretrained(given.teacher, device=given.device)
    teacher.name = Path(given.teacher).name
    if not transfer.exists():
        gathered = gather(given.data, given.words, teacher, given.out, SEED)
        write_passages(transfer, gathered)
    with timed(given.out, "labeling"):
        stores = label(list(CorpusFile(transfer)), open_passages(given.data), teacher, given.out)
    with timed(given.out, "training"):
        train(stores, given.out / "run", given.epochs)
    finish(given.out / "run" / STUDENT_FOLDER, given.data / "corpora", given.out / "student")
    measure(given.data, given.teacher, given.out)
    write_card(given.data, given.out)


@contextmanager
def timed(out: Path, stage: str) -> Iterator[None]:
    """Add the hours that a stage takes, stopped or not, to OUT/hours.json."""
    path, start = out / "hours.json", time.perf_counter()
    try:
        yield
    finally:
        hours = json.loads(path.read_text()) if path.exists() else {}
        hours[stage] = hours.get(stage, 0.0) + (time.perf_counter() - start) / 3600
        replace_file(path, (json.dumps(hours, indent=1) + "\n").encode())


def label(
    passages: list[Passage], ours: list[Passage], teacher: GLiNERTeacher, out: Path
) -> list[Path]:
    """Ask the teacher; return the folders of the two stores."""
    counts = scan_corpus(passages).label_counts
    near, rest = passages[: len(passages) // 2], passages[len(passages) // 2 :]
    beside = list(with_beside(rest, ours, SEED))
    pool = tuple(sorted(counts))
    parts = {
        "near": (near, LabelPolicy(NEGATIVES, pool=pool, from_pool=FROM_POOL, seed=SEED)),
        "beside": (beside, LabelPolicy(seed=SEED)),
    }
    for name, (corpus, policy) in parts.items():
        scan = replace(scan_corpus(corpus), label_counts=counts)
        with StageProgress() as progress:
            label_corpus(
                corpus,
                teacher,
                out / name,
                policy=policy,
                scan=scan,
                progress=progress.update,
                stage=f"labeling {name}",
            )
    return [out / name for name in parts]


def train(stores: list[Path], folder: Path, epochs: int) -> None:
    """Train a student on the stores together."""
    items = list(chain.from_iterable(map(SoftLabelStore, stores)))
    vocabulary, pieces = load_or_train_vocabulary(stores[0], items)
    config = replace(SHAPE, n_pieces=len(vocabulary))
    with StageProgress() as progress:
        train_student(
            initialize_student(vocabulary, pieces, config, seed=SEED),
            vocabulary,
            items,
            folder,
            replace(SETTINGS, epochs=epochs),
            resume=True,
            progress=progress.update,
        )


def finish(trained: Path, corpora: Path, folder: Path) -> None:
    """Calibrate a trained student; write it in half precision, with its graph and the fit."""
    student, vocabulary = load_student(trained)
    predictor = StudentPredictor(student, vocabulary)
    groups = [score_set(predictor, corpora, name) for name in HELD_OUT]
    fitted, raw = fit_calibration(groups), Calibration((0.0, 0.0, 0.0))
    calibrate_student(student, shift=fitted.shift, scale=fitted.scale)
    metadata: dict[str, Any] = {
        "calibration": {
            "sets": list(HELD_OUT),
            "passages a set": DEV_PASSAGES,
            "shift": fitted.shift,
            "scale": fitted.scale,
            "mean F1 at 0.5": {"before": mean_f1(groups, raw), "after": mean_f1(groups, fitted)},
            "expected calibration error": {
                "before": calibration_error(groups, raw),
                "after": calibration_error(groups, fitted),
            },
        }
    }
    save_student(folder, student, vocabulary, metadata=metadata, half=True)
    # Once more, rounded to half precision as it was saved, now with its graph in 8 bits.
    student, vocabulary = load_student(folder)
    bundle = quantize_graph(make_bundle(student, vocabulary, metadata=metadata))
    passages = list(CorpusFile(sample_path("dev")))
    bundle, measurements = check_answers(bundle, student, vocabulary, passages)
    write_bundle(folder, bundle, torch_weights=student_weights(student, half=True))
    print(json.dumps(metadata | {"runtime": asdict(measurements)}, indent=1))


def score_set(predictor: StudentPredictor, corpora: Path, name: str) -> ScoredGroup:
    """Return a student's answers on the passages of a set that the benchmark asks, too."""
    passages = list(CorpusFile(corpora / f"{name}.jsonl", skip_bad=True))
    rows = np.linspace(0, len(passages) - 1, min(DEV_PASSAGES, len(passages))).round().astype(int)
    chosen = [passages[row] for row in rows]
    asked = tuple(read_labels(corpora, name))
    labels = [asked] * len(chosen)
    return ScoredGroup(
        logits=predictor.logits([passage.words for passage in chosen], labels),
        labels=labels,
        gold=[[one for one in passage.entities if one.label in asked] for passage in chosen],
    )


def measure(data: Path, teacher: str, out: Path) -> None:
    """Run the benchmarks on the sets that are held out whole, and on those held out in part."""
    student = out / "student"
    held_out = ("--sets", "held-out", "--passages", str(DEV_PASSAGES), "--out")
    runs: list[tuple[str | Path, ...]] = [
        ("open_label.py", data / "corpora", student, teacher, *held_out, out / "held_out"),
        ("open_label.py", out / "in_domain", student, teacher, "--out", out / "in_domain_scores"),
        ("robustness.py", data / "corpora", student, *held_out, out / "robustness.json"),
    ]
    benchmarks = Path(__file__).resolve().parents[1] / "benchmarks"
    for script, *arguments in runs:
        subprocess.run([sys.executable, benchmarks / script, *arguments], check=True)


if __name__ == "__main__":
    main()
