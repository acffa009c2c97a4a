"""Make the open-label student: `python recipes/bundled_student.py DATA TEACHER OUT [OPTIONS]`.

DATA is a folder with `corpora/NAME.jsonl`, `corpora/NAME.labels.json`, `permissive.json` (the data
sets whose licenses allow us to publish the weights) and `open/train.json`. Each stage continues
where it was stopped:

1. OUT/transfer.json is the transfer set (see `transfer_set.py`), OUT/sets.json lists its parts, and
   OUT/in_domain has held-out passages of six of its sets in the form of DATA/corpora.
2. OUT/near has the teacher's soft labels for the first half: each passage is asked for its own and
   listed labels, two more labels of the corpus, and two from the pool of all labels.
3. OUT/beside has the soft labels for the second half: each passage is asked for three of these, and
   for ten labels that occur beside its own in the open passages or are known to other sets.
4. OUT/run has a student with a `boundary` head.
5. OUT/student is the student to publish: calibrated on the held-out sets, in half precision, with
   the graph of the runtime in 8 bits, and compared with torch on the dev split of the sample.
6. OUT/student/metrics.json and README.md come from the benchmarks, which this recipe runs.
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
from transfer_set import (
    HELD_OUT,
    IN_DOMAIN_PASSAGES,
    gather,
    open_passages,
    read_labels,
    with_beside,
)

from gliner_distill.corpus.reader import CorpusFile, sample_path, write_passages
from gliner_distill.corpus.statistics import scan_corpus
from gliner_distill.entities import Passage
from gliner_distill.files import write_json
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.progress import StageProgress
from gliner_distill.runtime.bundle import write_bundle
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.heads import BOUNDARY
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.bundling import make_bundle, quantize_graph, student_weights
from gliner_distill.student.export import check_answers
from gliner_distill.student.files import load_student
from gliner_distill.student.initialization import initialize_student, load_or_train_vocabulary
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.loop import train_student
from gliner_distill.training.run import STUDENT_FOLDER
from gliner_distill.training.settings import TrainingSettings

SEED = 0
NEGATIVES, FROM_POOL = 2, 2
DEV_PASSAGES = 300
ARCHITECTURE = StudentConfig(
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
    """Make the transfer set, its soft labels, the student and its card."""
    options = parse_options()
    data, out = options.data, options.out
    out.mkdir(parents=True, exist_ok=True)
    transfer = out / "transfer.json"
    teacher = GLiNERTeacher.from_pretrained(options.teacher, device=options.device)
    teacher.name = Path(options.teacher).name
    if not transfer.exists():
        passages = gather(
            data, options.words, teacher, out, SEED, n_in_domain=options.in_domain_passages
        )
        write_passages(transfer, passages)
    with timed(out, "labeling"):
        stores = label(list(CorpusFile(transfer)), open_passages(data), teacher, out)
    with timed(out, "training"):
        train(stores, out / "run", options.epochs)
    trained = out / "run" / STUDENT_FOLDER
    finish(trained, data / "corpora", out / "student", n_passages=options.dev_passages)
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
    parser.add_argument("--words", type=int, default=4_500_000, help="words in the transfer set")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--dev-passages", type=int, default=DEV_PASSAGES, help="passages per held-out set"
    )
    parser.add_argument(
        "--in-domain-passages",
        type=int,
        default=IN_DOMAIN_PASSAGES,
        help="passages held out from each in-domain set",
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


def label(
    passages: list[Passage], open_texts: list[Passage], teacher: GLiNERTeacher, out: Path
) -> list[Path]:
    """Label both halves of the transfer set; return the folders of the two stores."""
    counts = scan_corpus(passages).label_counts
    near, rest = passages[: len(passages) // 2], passages[len(passages) // 2 :]
    beside = list(with_beside(rest, open_texts, SEED))
    pool = tuple(sorted(counts))
    halves = {
        "near": (near, LabelPolicy(NEGATIVES, pool=pool, from_pool=FROM_POOL, seed=SEED)),
        "beside": (beside, LabelPolicy(seed=SEED)),
    }
    for name, (corpus, policy) in halves.items():
        # Negatives are sampled by the label counts of the whole transfer set, not of one half.
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
    return [out / name for name in halves]


def train(stores: list[Path], folder: Path, epochs: int) -> None:
    """Train a student on both stores together."""
    passages = list(chain.from_iterable(map(SoftLabelStore, stores)))
    vocabulary, pieces = load_or_train_vocabulary(stores[0], passages)
    config = replace(ARCHITECTURE, n_pieces=len(vocabulary))
    with StageProgress() as progress:
        train_student(
            initialize_student(vocabulary, pieces, config, seed=SEED),
            vocabulary,
            passages,
            folder,
            replace(SETTINGS, epochs=epochs),
            resume=True,
            progress=progress.update,
        )


def finish(trained: Path, corpora: Path, folder: Path, *, n_passages: int = DEV_PASSAGES) -> None:
    """Calibrate a trained student and write it in half precision, with its graph in 8 bits."""
    student, vocabulary = load_student(trained)
    predictor = StudentPredictor(student, vocabulary)
    groups = [score_set(predictor, corpora, name, n_passages) for name in HELD_OUT]
    fitted, raw = fit_calibration(groups), Calibration((0.0, 0.0, 0.0))
    calibrate_student(student, shift=fitted.shift, scale=fitted.scale)
    metadata: dict[str, Any] = {
        "calibration": {
            "sets": list(HELD_OUT),
            "passages per set": n_passages,
            "shift": fitted.shift,
            "scale": fitted.scale,
            "mean F1 at 0.5": {"before": mean_f1(groups, raw), "after": mean_f1(groups, fitted)},
            "expected calibration error": {
                "before": calibration_error(groups, raw),
                "after": calibration_error(groups, fitted),
            },
        }
    }
    student.half().float()  # rounds the weights as the file will, before the comparison with torch
    bundle = quantize_graph(make_bundle(student, vocabulary, metadata=metadata))
    passages = list(CorpusFile(sample_path("dev")))
    bundle, measurements = check_answers(bundle, student, vocabulary, passages)
    # One folder for both: torch loads the weights, and the runtime the graph and some weights.
    write_bundle(folder, bundle, torch_weights=student_weights(student, half=True))
    print(json.dumps(metadata | {"runtime": asdict(measurements)}, indent=1))


def score_set(
    predictor: StudentPredictor, corpora: Path, name: str, n_passages: int
) -> ScoredGroup:
    """Return the answers of a student on the passages of a set that the benchmark also uses."""
    passages = list(CorpusFile(corpora / f"{name}.jsonl", skip_bad=True))
    rows = np.linspace(0, len(passages) - 1, min(n_passages, len(passages))).round().astype(int)
    chosen = [passages[row] for row in rows]
    asked = tuple(read_labels(corpora, name))
    labels = [asked] * len(chosen)
    return ScoredGroup(
        logits=predictor.logits([passage.words for passage in chosen], labels),
        labels=labels,
        gold=[
            [entity for entity in passage.entities if entity.label in asked] for passage in chosen
        ],
    )


def measure(data: Path, teacher: str, out: Path, *, n_passages: int = DEV_PASSAGES) -> None:
    """Run the benchmarks on the held-out sets and on the held-out passages of other sets."""
    student = out / "student"
    held_out = ("--sets", "held-out", "--passages", str(n_passages), "--out")
    runs: list[tuple[str | Path, ...]] = [
        ("open_label.py", data / "corpora", student, teacher, *held_out, out / "held_out"),
        ("open_label.py", out / "in_domain", student, teacher, "--out", out / "in_domain_scores"),
        ("robustness.py", data / "corpora", student, *held_out, out / "robustness.json"),
    ]
    thesaurus = data / "open" / "labels.jsonl"
    if thesaurus.exists():
        runs[-1] += ("--thesaurus", thesaurus)
    benchmarks = Path(__file__).resolve().parents[1] / "benchmarks"
    for script, *arguments in runs:
        subprocess.run([sys.executable, benchmarks / script, *arguments], check=True)


if __name__ == "__main__":
    main()
