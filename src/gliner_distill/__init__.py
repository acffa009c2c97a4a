"""Distil GLiNER into an LSTM student of at most 6M parameters.

The names in `__all__` are the public ones. Each is loaded when it is first used, so importing this
package imports neither torch nor pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gliner_distill.corpus import CorpusFile, read_passages
    from gliner_distill.entities import Entity, Passage, entities_to_probs
    from gliner_distill.errors import DistillError
    from gliner_distill.evaluation import StudentPredictor, TeacherPredictor, evaluate
    from gliner_distill.label_policy import LabelPolicy
    from gliner_distill.label_sets import EncodedLabels
    from gliner_distill.labelling import label_corpus
    from gliner_distill.mean_teacher import MeanTeacher
    from gliner_distill.runtime import StudentNER
    from gliner_distill.settings import TrainingSettings
    from gliner_distill.shards import LabelledPassage
    from gliner_distill.soft_labels import SoftLabelStore
    from gliner_distill.student import Student, load_student
    from gliner_distill.teacher import GLiNERTeacher, Teacher
    from gliner_distill.training import train_student

__version__ = "0.1.0"

__all__ = [
    "CorpusFile",
    "DistillError",
    "EncodedLabels",
    "Entity",
    "GLiNERTeacher",
    "LabelPolicy",
    "LabelledPassage",
    "MeanTeacher",
    "Passage",
    "SoftLabelStore",
    "Student",
    "StudentNER",
    "StudentPredictor",
    "Teacher",
    "TeacherPredictor",
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
    "CorpusFile": "corpus",
    "DistillError": "errors",
    "EncodedLabels": "label_sets",
    "Entity": "entities",
    "GLiNERTeacher": "teacher",
    "LabelPolicy": "label_policy",
    "LabelledPassage": "shards",
    "MeanTeacher": "mean_teacher",
    "Passage": "entities",
    "SoftLabelStore": "soft_labels",
    "Student": "student",
    "StudentNER": "runtime",
    "StudentPredictor": "evaluation",
    "Teacher": "teacher",
    "TeacherPredictor": "evaluation",
    "TrainingSettings": "settings",
    "entities_to_probs": "entities",
    "evaluate": "evaluation",
    "label_corpus": "labelling",
    "load_student": "student",
    "read_passages": "corpus",
    "train_student": "training",
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
