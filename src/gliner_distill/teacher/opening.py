"""Open teachers by name, as the option `--teacher` gives them.

A name is one of these:

- `python:MODULE:OBJECT`: an object of a module in the current folder; see `modules`;
- `llm:MODEL`: a language model behind an endpoint;
- a folder or a hub id: a GLiNER or a GLiNER2, told apart by their files; see `checkpoints`.

Several names open a `TeacherEnsemble`. Torch is imported only where a checkpoint is loaded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.base import Teacher
from gliner_distill.teacher.checkpoints import locate_checkpoint
from gliner_distill.teacher.ensemble import TeacherEnsemble
from gliner_distill.teacher.llm.settings import LLMSettings
from gliner_distill.teacher.llm.teacher import open_llm_teacher
from gliner_distill.teacher.modules import open_module_teacher

PYTHON_PREFIX: Final = "python:"
"""The start of the name of a teacher that is an object of a Python module."""

LLM_PREFIX: Final = "llm:"
"""The start of the name of a language model."""


def open_teachers(
    names: Sequence[str],
    *,
    device: str = "cpu",
    folder: Path | None = None,
    llm: LLMSettings | None = None,
) -> Teacher:
    """Return the teacher that a name stands for, or an ensemble of several.

    Args:
        names: One name or several; see `open_teacher`.
        device: A torch device name such as `cpu` or `cuda:0`.
        folder: The folder of the modules of `python:` teachers; the current folder by default.
        llm: How language models are asked.

    Raises:
        TeacherError: A teacher cannot be opened, or is named twice.
        HubError: A model cannot be downloaded from the hub.
        MissingExtraError: A package that a teacher needs is not installed.
    """
    teachers = [open_teacher(name, device=device, folder=folder, llm=llm) for name in names]
    return TeacherEnsemble(teachers) if len(teachers) > 1 else teachers[0]


def open_teacher(
    name: str,
    *,
    device: str = "cpu",
    folder: Path | None = None,
    llm: LLMSettings | None = None,
) -> Teacher:
    """Return the teacher that a name stands for.

    Args:
        name: `python:MODULE:OBJECT`, `llm:MODEL`, or the folder or hub id of a GLiNER or GLiNER2.
        device: The torch device of a GLiNER or GLiNER2.
        folder: The folder of the module of a `python:` teacher; the current folder by default.
        llm: How a language model is asked.

    Raises:
        TeacherError: The teacher cannot be opened.
        HubError: The model cannot be downloaded from the hub.
        MissingExtraError: A package that the teacher needs is not installed.
    """
    if name.startswith(PYTHON_PREFIX):
        return open_module_teacher(name, folder or Path.cwd())
    if name.startswith(LLM_PREFIX):
        return open_llm_teacher(name.removeprefix(LLM_PREFIX), llm)
    if Path(name).suffix == ".py":
        raise TeacherError(
            f"{name}: a teacher in a Python file has the name python:{Path(name).stem}:OBJECT; "
            "run the command in the folder of the file"
        )
    _, kind = locate_checkpoint(name)
    if kind == "gliner2":
        from gliner_distill.teacher.gliner2 import GLiNER2Teacher

        return GLiNER2Teacher.from_pretrained(name, device=device)
    from gliner_distill.teacher.gliner import GLiNERTeacher  # imports torch

    return GLiNERTeacher.from_pretrained(name, device=device)


def is_checkpoint(name: str) -> bool:
    """Return whether a name stands for a model's folder or hub id.

    >>> is_checkpoint("models/gliner"), is_checkpoint("llm:mistral"), is_checkpoint("python:a:b")
    (True, False, False)
    """
    return not name.startswith((PYTHON_PREFIX, LLM_PREFIX))
