"""Repeat Hinton et al. (2015) with GLiNER: `python benchmarks/hinton.py OUT --second TEACHER`.

The study repeats the experiments of "Distilling the Knowledge in a Neural Network" as closely as
open labels allow. Unless a condition says otherwise, a student learns from 300 passages of the
sample. `alpha` is the weight of the soft labels.

- Temperature: 1, 2, 4 and 8 with alpha 0.4, 0.7 and 1, compared with gold alone.
- Little data: 30 and 100 passages, with as many updates as 300, from gold, soft labels and both;
  the whole sample; and passages that have soft labels but no gold.
- An omitted label: no training passage asks for `person`, and the label gets a bias chosen on dev.
- Two teachers: students of the sample's teacher, of a second GLiNER, and of their mean.
- Experts: the second GLiNER answers for the labels that the first one confuses, or, as a
  control, for others that are asked as often.

First, the second GLiNER labels 300 training passages and the test passages; its answers are kept in
OUT/second. With --first, the sample's teacher labels the same passages again, so that its small
probabilities, for which the sample has only three bins, are kept precisely. Then OUT/results.json
gets each run; a run that is in this file is not repeated. With --claims, the students of 1,000
passages are taken from the study `claims.py`, which trains them in the same way. The program prints
Markdown tables and draws OUT/hinton.png.
"""

import argparse
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hinton_conditions import (
    FINE,
    N_ALL,
    N_TRAIN,
    OMITTED,
    SHARED,
    TRAINING,
    Condition,
    Teachers,
    plan,
)
from hinton_report import draw, tables
from hinton_students import UnannotatedHead, fit_bias, scores_of_label, without_label
from hinton_teachers import (
    combine,
    control_labels,
    entities_of,
    label_sample,
    measure_teachers,
    read_answers,
    specialty_of,
)
from sample_students import read_sample, train_sample_student
from study import (
    RESULTS_FILE,
    Row,
    Runs,
    hours,
    run_jobs,
)

from gliner_distill.entities import LabeledPassage
from gliner_distill.files import write_json
from gliner_distill.metrics import score_words
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.student.initialization import initialize_student
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--second", required=True, help="folder or hub id of a second GLiNER")
    parser.add_argument("--first", help="the sample's teacher, to ask it for finer probabilities")
    parser.add_argument("--claims", type=Path, help="results.json of claims.py")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()
    second = GLiNERTeacher.from_pretrained(options.second)
    label_sample(second, options.out / "second", n_train=N_TRAIN)
    if options.first:
        first = GLiNERTeacher.from_pretrained(options.first)
        label_sample(first, options.out / FINE, n_train=N_TRAIN, is_fine=True)
    if options.claims is not None:
        adopt(options.out, options.claims)
    jobs = plan(options.seeds, str(options.out), has_fine=(options.out / FINE).is_dir())
    runs = run_jobs(options.out, jobs, run, n_workers=options.workers)
    report(runs, options.out)


def report(runs: Runs, out: Path) -> None:
    """Print the tables and draw the plot."""
    for text in tables(runs):
        print(text, end="\n\n")
    print(f"{hours(runs):.1f} hours of processor time")
    draw(runs, out / "hinton.png")


def adopt(out: Path, claims: Path) -> None:
    """Add the runs of the study `claims.py` that are the same as some of this one."""
    known = json.loads(claims.read_text(encoding="utf-8"))
    path = out / RESULTS_FILE
    mine = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"runs": {}}
    for condition, student in SHARED.items():
        name = replace(condition, n_train=N_ALL).name
        for seed, row in known["runs"].get(f"{student}, {N_ALL} passages", {}).items():
            # The time is counted in the other study.
            kept = {key: value for key, value in row.items() if key != "curve"}
            mine["runs"].setdefault(name, {})[seed] = kept | {"cpu_seconds": 0.0}
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, {"environment": known["environment"]} | mine)


def run(condition: Condition | Teachers, seed: int) -> Row:
    """Train and measure a student, or measure the teachers."""
    if isinstance(condition, Teachers):
        return measure_teachers(Path(condition.stores))
    training = replace(
        TRAINING,
        seed=seed,
        alpha=condition.alpha,
        temperature=condition.temperature,
    )
    students: list[Student] = []

    def start(seed: int) -> Student:
        sample = read_sample()
        config = StudentConfig(len(sample.vocabulary))
        students.append(initialize_student(sample.vocabulary, sample.vectors, config, seed=seed))
        return students[0]

    head = UnannotatedHead() if condition.n_gold is not None else None
    passages = passages_of(condition) * condition.n_repeats
    row = train_sample_student(passages, training, head=head, start=start)
    return row | more_scores(students[0], row["threshold"], Path(condition.stores))


def passages_of(condition: Condition) -> list[LabeledPassage]:
    """Return the training passages of a condition."""
    passages = read_sample().train[: condition.n_train]
    if condition.mixture:
        passages = _mixture(Path(condition.stores), condition.mixture)
        passages = passages[: condition.n_train]
    if condition.omits:
        passages = without_label(passages, OMITTED)
    if condition.n_gold is not None:
        passages = [
            item if number < condition.n_gold else _without_gold(item)
            for number, item in enumerate(passages)
        ]
    return passages


def _without_gold(item: LabeledPassage) -> LabeledPassage:
    return replace(item, passage=replace(item.passage, entities=()))


@cache
def _mixture(stores: Path, mixture: str) -> list[LabeledPassage]:
    first = read_sample().train
    if mixture == FINE:
        return read_answers(stores / FINE / "train", first)
    second = read_answers(stores / "second" / "train", first)
    specialty = specialty_of(first)
    first = first[: len(second)]
    if mixture == "control":
        specialty = control_labels(first, specialty)
    return combine(first, second, mixture, specialty)


def more_scores(student: Student, threshold: float, stores: Path) -> dict[str, Any]:
    """Return the agreement with the other teachers, and the scores of the label `OMITTED`.

    Keys that end in `_biased` hold the scores with the bias of the label that is best on dev.
    """
    sample = read_sample()
    predictor = StudentPredictor(student, sample.vocabulary, threshold=threshold)
    words = [passage.words for passage in sample.test.passages]
    predicted = predictor.predict_words(words, sample.test.labels)
    first = [example.labeled for example in sample.test.examples]
    answers = read_answers(stores / "second" / "test", first)
    scores = {}
    for name, items in {"second": answers, "mean": combine(first, answers, "mean")}.items():
        agreement = score_words(predicted, entities_of(items), list(map(len, words)))
        scores[f"f1_vs_{name}"] = agreement.f1
    scores |= scores_of_label(predicted, sample.test, OMITTED)
    bias, biased = fit_bias(predictor, sample.dev, sample.test, OMITTED, threshold)
    scores |= {f"{key}_biased": value for key, value in biased.items()}
    return {key: round(float(value), 5) for key, value in (scores | {"bias": bias}).items()}


if __name__ == "__main__":
    main()
