"""Turn a trained student into the one to publish: read labels, compare them, calibrate, write.

The student learns to read labels in other words (`label_wordings.py`) and which of two labels is
the broader one (`label_relations.py`). Then it is calibrated on the held-out sets, so that 0.5 is
the best threshold for F1 and it finds about as many entities at other thresholds as the teacher
(`calibration.py`). The folder has its weights in half precision, and the runtime computes with
them in 8 bits.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from calibration import (
    THRESHOLDS,
    Calibration,
    ScoredGroup,
    calibrate_student,
    calibration_error,
    check_score_map,
    fit_calibration,
    fit_score_map,
    match_count,
    mean_f1,
)
from label_relations import fit_relations, labels_apart, make_pairs
from label_wordings import STEPS, align_wordings, count_labels
from thesaurus import Thesaurus
from transfer_set import HELD_OUT, read_labels

from gliner_distill.corpus.reader import CorpusFile, sample_path
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Passage
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.runtime.bundle import write_bundle
from gliner_distill.runtime.config import INT8
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.specificity import LabelKinds
from gliner_distill.store.quantization import UNIFORM
from gliner_distill.student.bundling import make_bundle, student_weights
from gliner_distill.student.export import check_answers
from gliner_distill.student.files import load_student
from gliner_distill.student.model import Student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.student.relations import kind_rows
from gliner_distill.teacher.base import Teacher

DEV_PASSAGES = 300


def finish(
    trained: Path,
    passages: Sequence[Passage],
    thesaurus: Thesaurus,
    teacher: Teacher,
    corpora: Path,
    folder: Path,
    *,
    answers: Path,
    seed: int,
    n_passages: int = DEV_PASSAGES,
    wording_steps: int = STEPS,
) -> None:
    """Teach a trained student to read and compare labels, calibrate it, and write it.

    Args:
        trained: The folder of the student.
        passages: The open passages, for their labels and for pairs of a specific and a broader one.
        thesaurus: The meaning of the labels.
        teacher: The teacher, whose number of entities at each threshold the student should match.
        corpora: The folder with the held-out sets.
        folder: The folder to write.
        answers: The folder for the teacher's answers on the held-out sets, which the benchmark
            reads as well.
        seed: The random seed.
        n_passages: The number of passages of each held-out set.
        wording_steps: The number of steps in which the student learns other words for labels.
    """
    trained_student, vocabulary = load_student(trained)
    labels, weights = count_labels(passages, thesaurus)
    student = align_wordings(
        trained_student, vocabulary, labels, weights, thesaurus, seed=seed, steps=wording_steps
    )
    apart = labels_apart(thesaurus, seed)
    pairs = make_pairs(thesaurus, passages, seed)
    student, relations = fit_relations(student, vocabulary, pairs, apart=apart, seed=seed)
    groups = [score_set(student, vocabulary, corpora, name, n_passages) for name in HELD_OUT]
    wanted = [count_answers(teacher, corpora, name, n_passages, answers) for name in HELD_OUT]
    score_map, calibration = calibrate(student, groups, wanted)
    metadata = {
        "relations": asdict(relations),
        "calibration": {
            "sets": list(HELD_OUT),
            "passages per set": n_passages,
            **calibration,
        },
    }
    student.half().float()  # rounds the weights as the file will, before the comparison with torch
    bundle = replace(make_bundle(student, vocabulary, metadata=metadata), precision=INT8)
    dev = list(CorpusFile(sample_path("dev")))
    bundle, measurements = check_answers(bundle, student, vocabulary, dev)
    bundle = replace(bundle, score_map=score_map)
    # One folder for both: torch and the runtime read the same weights.
    write_bundle(folder, bundle, torch_weights=student_weights(student, half=True))
    print(json.dumps(metadata | {"runtime": asdict(measurements)}, indent=1))


def calibrate(
    student: Student, groups: Sequence[ScoredGroup], wanted: Sequence[Mapping[float, int]]
) -> tuple[ScoreMap, dict[str, Any]]:
    """Shift the logits of a student, and return its map of scores and the measurements of both.

    Args:
        student: The student, changed in place.
        groups: Its answers before the shift.
        wanted: For each group, the number of entities that the teacher finds, by threshold.
    """
    totals = {threshold: sum(count[threshold] for count in wanted) for threshold in THRESHOLDS}
    raw = Calibration((0.0, 0.0, 0.0))
    fitted = match_count(groups, fit_calibration(groups), totals[0.5])
    calibrate_student(student, shift=fitted.shift)
    score_map = fit_score_map(groups, fitted, totals)
    return score_map, {
        "shift": fitted.shift,
        "mean F1 at 0.5": {"before": mean_f1(groups, raw), "after": mean_f1(groups, fitted)},
        "expected calibration error": {
            "before": calibration_error(groups, raw),
            "after": calibration_error(groups, fitted, score_map),
        },
        "half of the sets, fitted on the other half": check_score_map(groups, fitted, wanted),
    }


def choose_passages(corpora: Path, name: str, n_passages: int) -> list[Passage]:
    """Return the passages of a set that the benchmark also uses."""
    passages = list(CorpusFile(corpora / f"{name}.jsonl", skip_bad=True))
    rows = np.linspace(0, len(passages) - 1, min(n_passages, len(passages))).round().astype(int)
    return [passages[row] for row in rows]


def score_set(
    student: Student, vocabulary: Vocabulary, corpora: Path, name: str, n_passages: int
) -> ScoredGroup:
    """Return the answers of a student on the passages of a set."""
    chosen = choose_passages(corpora, name, n_passages)
    asked = tuple(read_labels(corpora, name))
    labels = [asked] * len(chosen)
    kinds = LabelKinds.from_rows(kind_rows(student, vocabulary, asked))
    predictor = StudentPredictor(student, vocabulary)
    return ScoredGroup(
        logits=predictor.logits([passage.words for passage in chosen], labels),
        labels=labels,
        gold=[
            [entity for entity in passage.entities if entity.label in asked] for passage in chosen
        ],
        kinds=[kinds] * len(chosen),
    )


def count_answers(
    teacher: Teacher, corpora: Path, name: str, n_passages: int, folder: Path
) -> dict[float, int]:
    """Return the number of entities that the teacher finds in a set at each threshold."""
    chosen = choose_passages(corpora, name, n_passages)
    # The benchmark continues with this store, so it must be made in the same way there.
    store = label_corpus(
        chosen,
        teacher,
        folder / f"{name}-{len(chosen)}",
        policy=LabelPolicy(fixed=tuple(read_labels(corpora, name))),
        # The compact quantizer has bins that are too wide to decode at 0.1.
        quantizer=UNIFORM,
        keep_subword_vectors=False,
    )
    labeled = list(store)
    return {
        threshold: sum(
            len(decode_entities(item.probs, item.labels, threshold=threshold)) for item in labeled
        )
        for threshold in THRESHOLDS
    }
