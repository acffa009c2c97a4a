"""Models by their path, texts by lines, entities by characters, for `predict` and `evaluate`.

In: a model's folder or hub id, and texts. Out: a `Predictor`, and entities with character
positions as plain JSON values.
"""

import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gliner_distill.entities import Passage, split_words
from gliner_distill.errors import CorpusError, DistillError, HubError, StudentError
from gliner_distill.evaluation import (
    Predictor,
    StudentPredictor,
    TeacherPredictor,
    evaluate,
    measure_speed,
)
from gliner_distill.files import replace_file
from gliner_distill.hub import looks_like_hub_id
from gliner_distill.student import load_student
from gliner_distill.student_config import CONFIG_FILE, find_student, open_student_path
from gliner_distill.teacher import GLiNERTeacher

_TIMED_PASSAGES = 100
_TEXT_SUFFIXES = {".txt", ".text", ".md", ".json", ".jsonl", ".csv", ".tsv", ".conll"}


def find_predictor(model: str | None, *, threshold: float | None) -> Predictor:
    """Return the student or GLiNER at a path, or the GLiNER of a hub id.

    Args:
        model: A student's folder, a run folder, a GLiNER's folder, or a hub id; None for the
            student of any label that comes with the package.
        threshold: Probability that an entity must exceed; None is the student's own, 0.5 for a
            GLiNER.

    Raises:
        StudentError: There is neither a student nor a GLiNER, or the student is broken.
        TeacherError: The GLiNER does not load.
        HubError: The hub id could not be had.
    """
    if model is None:
        return StudentPredictor(*load_student(open_student_path()), threshold=threshold)
    folder = find_student(model)
    if folder is not None:
        return StudentPredictor(*load_student(folder), threshold=threshold)
    path = Path(model)
    if path.is_dir() and not (path / "gliner_config.json").is_file():
        raise StudentError(
            f"{model}: neither a student (no {CONFIG_FILE} in it or in its folder student) nor a "
            f"GLiNER (no gliner_config.json in it)"
        )
    if not path.is_dir() and (path.exists() or not looks_like_hub_id(model)):
        problem = "this is a file" if path.exists() else "no such folder"
        raise StudentError(
            f"{model}: {problem}; expected the folder of a student, of a run or of a GLiNER, or a "
            f"GLiNER's hub id (owner/name)"
        )
    try:
        teacher = GLiNERTeacher.from_pretrained(model)
    except HubError as error:
        raise HubError(
            f"{model}: no such folder of a student or a GLiNER, and as a hub id: {error}"
        ) from error
    return TeacherPredictor(teacher, threshold=0.5 if threshold is None else threshold)


def read_documents(text: str | None) -> Iterator[str]:
    """Yield the documents that a text stands for.

    Args:
        text: The document itself; or the path of a file of documents, one a line; or None or `-`
            for standard input, one document a line. An empty line is an empty document.

    Raises:
        CorpusError: The file is missing, cannot be read, or is not UTF-8.
    """
    try:
        if text is None or text == "-":
            yield from _lines(io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig"))
        elif _is_file(text):
            with Path(text).open(encoding="utf-8-sig") as stream:
                yield from _lines(stream)
        else:
            yield text
    except UnicodeDecodeError as error:
        name = "standard input" if text is None or text == "-" else text
        raise CorpusError(f"{name}: is not UTF-8 text: {error.reason}") from error
    except OSError as error:
        raise CorpusError(f"{text}: the file cannot be read: {error.strerror or error}") from error


def predict_document(predictor: Predictor, text: str, labels: Sequence[str]) -> dict[str, Any]:
    """Return a text and its entities: `start` and `end` are characters, end exclusive."""
    words = split_words(text)
    found = predictor.predict([[word.text for word in words]], [labels])[0]
    spans = [
        (words[entity.start_word].start_char, words[entity.end_word - 1].end_char, entity)
        for entity in found
    ]
    return {
        "text": text,
        "entities": [
            {
                "start": start,
                "end": end,
                "text": text[start:end],
                "label": entity.label,
                "score": round(entity.score, 4),
            }
            for start, end, entity in spans
        ],
    }


def measure_predictor(
    predictor: Predictor, passages: Sequence[Passage], labels: Sequence[str] | None
) -> dict[str, Any]:
    """Return counts of a corpus, a model's scores against its gold entities, and its speed.

    Args:
        predictor: A student or a teacher.
        passages: Words and gold entities.
        labels: Asked of every passage; None to ask each passage's own.
    """
    asked = [passage.own_labels if labels is None else labels for passage in passages]
    first = slice(_TIMED_PASSAGES)
    return {
        "n_passages": len(passages),
        "n_words": sum(len(passage.words) for passage in passages),
        "n_entities": sum(len(passage.entities) for passage in passages),
        **evaluate(predictor, passages, asked),
        **measure_speed(predictor, passages[first], asked[first]),
    }


def write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    """Write what `measure_predictor` returned as JSON.

    Raises:
        DistillError: The disk is full, or the folder cannot be written.
    """
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise DistillError(f"{path}: cannot be written: {error.strerror or error}") from error


def _is_file(text: str) -> bool:
    """Say whether a text is a file's path.

    Raises:
        CorpusError: It is a folder, or looks like a file that does not exist.
    """
    path = Path(text)
    try:
        is_file, is_folder = path.is_file(), bool(text) and path.is_dir()
    except (OSError, ValueError):  # too long for a path, or a null character in it
        return False
    looks_like_file = len(text.split()) == 1 and path.suffix.lower() in _TEXT_SUFFIXES
    if is_folder:
        raise CorpusError(
            f"{text}: this is a folder, not a file of documents; a model is given with --model"
        )
    if looks_like_file and not is_file:
        raise CorpusError(
            f"{text}: no such file; if it is the text itself, give it on standard input"
        )
    return is_file


def _lines(stream: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\n") for line in stream)
