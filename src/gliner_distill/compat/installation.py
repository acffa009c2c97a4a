"""Put a stand-in in the place of the package `gliner`, and take it away again."""

import sys
from pathlib import Path
from types import ModuleType

from gliner_distill.compat import gliner
from gliner_distill.compat.gliner import model as gliner_model
from gliner_distill.errors import InputError
from gliner_distill.runtime.locate import locate_student

_STAND_INS = {"gliner": gliner, "gliner.model": gliner_model}

_replaced: dict[str, ModuleType] = {}


def install(model: str | Path | None = None, *, replace: bool = False) -> None:
    """Let packages that import `gliner` use a student instead, without torch.

    Call this before the import of such a package. From then on, `GLiNER.from_pretrained` loads a
    student: the one in the folder that it is asked for, or `model` for every other name, such as
    the hub id of a GLiNER. A warning is logged once for each such name, and nothing is downloaded
    for it. Another call changes the model for what is loaded later.

    Args:
        model: The student that takes the place of every GLiNER: its folder, its hub id, or None
            for the student that is installed with the package.
        replace: Whether the stand-in takes the place of the real gliner even if that is already
            imported. Modules that have imported names from it keep them.

    Raises:
        InputError: The real gliner is already imported, and `replace` is not set.
        StudentError: The name does not lead to a student.
        HubError: The hub id cannot be downloaded and is not in the cache.
    """
    real = {
        name: module
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "gliner" and module not in _STAND_INS.values()
    }
    if real and not replace:
        raise InputError(
            "gliner is imported already; call gliner_distill.compat.install() before the packages "
            "that import gliner, or pass replace=True to replace it for what is imported later"
        )
    folder = None if model is None else locate_student(model)
    for name in real:
        del sys.modules[name]
    _replaced.update(real)
    gliner.GLiNER.stand_in = folder
    sys.modules.update(_STAND_INS)


def uninstall() -> None:
    """Undo `install`: `import gliner` finds the real package again, if there is one.

    Students that are already loaded continue to work. Modules that have imported names from the
    stand-in keep them.
    """
    for name, stand_in in _STAND_INS.items():
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
    sys.modules.update(_replaced)
    _replaced.clear()
