"""Distill a GLiNER into an LSTM of at most 6M parameters, the student, and run it without torch.

The names in `__all__` are the public ones. Each is imported when it is first used, so importing
this package loads neither torch nor pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gliner_distill.corpus.reader import CorpusFile as CorpusFile
    from gliner_distill.corpus.reader import read_passages as read_passages
    from gliner_distill.decoding import entities_to_probs as entities_to_probs
    from gliner_distill.distillation.job import Distilled as Distilled
    from gliner_distill.distillation.job import DistillJob as DistillJob
    from gliner_distill.distillation.job import DistillSettings as DistillSettings
    from gliner_distill.distillation.pipeline import distill as distill
    from gliner_distill.distillation.pipeline import distill_from as distill_from
    from gliner_distill.entities import Entity as Entity
    from gliner_distill.entities import LabeledPassage as LabeledPassage
    from gliner_distill.entities import Passage as Passage
    from gliner_distill.errors import CorpusError as CorpusError
    from gliner_distill.errors import DistillError as DistillError
    from gliner_distill.errors import ExportError as ExportError
    from gliner_distill.errors import FormatVersionError as FormatVersionError
    from gliner_distill.errors import HubError as HubError
    from gliner_distill.errors import InputError as InputError
    from gliner_distill.errors import MissingExtraError as MissingExtraError
    from gliner_distill.errors import RedactionError as RedactionError
    from gliner_distill.errors import SettingsError as SettingsError
    from gliner_distill.errors import StoreError as StoreError
    from gliner_distill.errors import StudentError as StudentError
    from gliner_distill.errors import TeacherError as TeacherError
    from gliner_distill.evaluation.evaluate import evaluate as evaluate
    from gliner_distill.evaluation.models import NERModel as NERModel
    from gliner_distill.evaluation.models import TeacherNER as TeacherNER
    from gliner_distill.evaluation.models import load_model as load_model
    from gliner_distill.labeling.pipeline import label_corpus as label_corpus
    from gliner_distill.labeling.policy import LabelPolicy as LabelPolicy
    from gliner_distill.redaction.labels import PERSONAL_LABELS as PERSONAL_LABELS
    from gliner_distill.redaction.mapping import read_mapping as read_mapping
    from gliner_distill.redaction.mapping import write_mapping as write_mapping
    from gliner_distill.redaction.placeholders import restore as restore
    from gliner_distill.redaction.redactor import Redaction as Redaction
    from gliner_distill.redaction.redactor import Redactor as Redactor
    from gliner_distill.runtime.config import StudentConfig as StudentConfig
    from gliner_distill.runtime.labels import EncodedLabels as EncodedLabels
    from gliner_distill.runtime.ner import StudentNER as StudentNER
    from gliner_distill.store.store import SoftLabelStore as SoftLabelStore
    from gliner_distill.student.export import export_student as export_student
    from gliner_distill.student.files import load_student as load_student
    from gliner_distill.student.model import Student as Student
    from gliner_distill.teacher.base import Teacher as Teacher
    from gliner_distill.teacher.ensemble import TeacherEnsemble as TeacherEnsemble
    from gliner_distill.teacher.gliner import GLiNERTeacher as GLiNERTeacher
    from gliner_distill.teacher.gliner2 import GLiNER2Teacher as GLiNER2Teacher
    from gliner_distill.teacher.spans import SpanTeacher as SpanTeacher
    from gliner_distill.training.settings import TrainingSettings as TrainingSettings
    from gliner_distill.training.train import train as train

__version__ = "0.1.0"

_NAMES_OF_MODULE = {
    "corpus.reader": ("CorpusFile", "read_passages"),
    "decoding": ("entities_to_probs",),
    "distillation.job": ("DistillJob", "DistillSettings", "Distilled"),
    "distillation.pipeline": ("distill", "distill_from"),
    "entities": ("Entity", "LabeledPassage", "Passage"),
    "errors": (
        *("CorpusError", "DistillError", "ExportError", "FormatVersionError", "HubError"),
        *("InputError", "MissingExtraError", "RedactionError", "SettingsError", "StoreError"),
        *("StudentError", "TeacherError"),
    ),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.models": ("NERModel", "TeacherNER", "load_model"),
    "labeling.pipeline": ("label_corpus",),
    "labeling.policy": ("LabelPolicy",),
    "redaction.labels": ("PERSONAL_LABELS",),
    "redaction.mapping": ("read_mapping", "write_mapping"),
    "redaction.placeholders": ("restore",),
    "redaction.redactor": ("Redaction", "Redactor"),
    "runtime.config": ("StudentConfig",),
    "runtime.labels": ("EncodedLabels",),
    "runtime.ner": ("StudentNER",),
    "store.store": ("SoftLabelStore",),
    "student.export": ("export_student",),
    "student.files": ("load_student",),
    "student.model": ("Student",),
    "teacher.base": ("Teacher",),
    "teacher.ensemble": ("TeacherEnsemble",),
    "teacher.gliner": ("GLiNERTeacher",),
    "teacher.gliner2": ("GLiNER2Teacher",),
    "teacher.spans": ("SpanTeacher",),
    "training.settings": ("TrainingSettings",),
    "training.train": ("train",),
}
_MODULE_OF_NAME = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names}

__all__ = sorted([*_MODULE_OF_NAME, "__version__"])


def __getattr__(name: str) -> Any:
    """Return a public name from its module.

    Raises:
        AttributeError: The package has no such name.
        MissingExtraError: The module needs a package that is not installed.
    """
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
    except ModuleNotFoundError as error:
        from gliner_distill.errors import MissingExtraError

        if error.name is None or error.name.startswith(__name__):
            raise
        raise MissingExtraError(error.name, "train") from error


def __dir__() -> list[str]:
    return __all__
