"""Distil GLiNER into an LSTM student of at most 6M parameters.

The names in `__all__` are the public ones. Each is loaded when it is first used, so importing this
package imports neither torch nor pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gliner_distill.corpus.reader import CorpusFile, read_passages
    from gliner_distill.decoding import entities_to_probs
    from gliner_distill.entities import Entity, LabeledPassage, Passage
    from gliner_distill.errors import DistillError
    from gliner_distill.evaluation.evaluate import evaluate
    from gliner_distill.evaluation.models import TeacherNER
    from gliner_distill.labeling.pipeline import label_corpus
    from gliner_distill.labeling.policy import LabelPolicy
    from gliner_distill.runtime.labels import EncodedLabels
    from gliner_distill.runtime.ner import StudentNER
    from gliner_distill.store.store import SoftLabelStore
    from gliner_distill.student.files import load_student
    from gliner_distill.student.model import Student
    from gliner_distill.student.predictor import StudentPredictor
    from gliner_distill.teacher.base import Teacher
    from gliner_distill.teacher.ensemble import TeacherEnsemble
    from gliner_distill.teacher.gliner import GLiNERTeacher
    from gliner_distill.training.loop import train_student
    from gliner_distill.training.settings import TrainingSettings

__version__ = "0.1.0"

__all__ = [
    "CorpusFile",
    "DistillError",
    "EncodedLabels",
    "Entity",
    "GLiNERTeacher",
    "LabelPolicy",
    "LabeledPassage",
    "Passage",
    "SoftLabelStore",
    "Student",
    "StudentNER",
    "StudentPredictor",
    "Teacher",
    "TeacherEnsemble",
    "TeacherNER",
    "TrainingSettings",
    "__version__",
    "entities_to_probs",
    "evaluate",
    "label_corpus",
    "load_student",
    "read_passages",
    "train_student",
]

_MODULES = {
    "CorpusFile": "corpus.reader",
    "DistillError": "errors",
    "EncodedLabels": "runtime.labels",
    "Entity": "entities",
    "GLiNERTeacher": "teacher.gliner",
    "LabelPolicy": "labeling.policy",
    "LabeledPassage": "entities",
    "Passage": "entities",
    "SoftLabelStore": "store.store",
    "Student": "student.model",
    "StudentNER": "runtime.ner",
    "StudentPredictor": "student.predictor",
    "Teacher": "teacher.base",
    "TeacherEnsemble": "teacher.ensemble",
    "TeacherNER": "evaluation.models",
    "TrainingSettings": "training.settings",
    "entities_to_probs": "decoding",
    "evaluate": "evaluation.evaluate",
    "label_corpus": "labeling.pipeline",
    "load_student": "student.files",
    "read_passages": "corpus.reader",
    "train_student": "training.loop",
}


def __getattr__(name: str) -> Any:
    """Return a public name from its module.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: Its module needs a package that is not installed.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        from gliner_distill.errors import MissingExtraError

        if error.name is None or error.name.startswith(__name__):
            raise
        raise MissingExtraError(error.name, "train") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
