"""The stand-in for the package `gliner`, whose classes are students and need no torch.

`gliner_distill.compat.install` puts this module in the place of `gliner`. It has the names that
packages import to find entities: `GLiNER`, also in `gliner.model`, and `GLiNERConfig`.
"""

from pathlib import Path
from typing import Any, ClassVar

from gliner_distill.runtime.gliner_api.keywords import pop_model, warn_once
from gliner_distill.runtime.gliner_api.surroundings import CallerConfig as GLiNERConfig
from gliner_distill.runtime.locate import find_student
from gliner_distill.runtime.ner import StudentNER

__all__ = ["GLiNER", "GLiNERConfig"]

__version__ = "0.2.29"
"""The version of gliner whose names and keywords a student knows, for packages that read it."""


class GLiNER(StudentNER):
    """A student in the place of a GLiNER.

    Attributes:
        stand_in: The folder of the student that is loaded in the place of every GLiNER; None for
            the student that is installed with the package.
    """

    stand_in: ClassVar[Path | None] = None

    @classmethod
    def from_pretrained(cls, model: str | Path | None = None, **keywords: Any) -> StudentNER:
        """Load the student in a folder, or the stand-in for every other name.

        Args:
            model: The folder of a student, or the name of any GLiNER, which is not looked for.
            keywords: See `StudentNER.from_pretrained`.

        Raises:
            StudentError: The student's files are broken.
            InputError: A keyword of GLiNER asks for something that a student cannot do.
            TypeError: GLiNER has no such keyword.
        """
        model = pop_model(model, keywords)
        if model is None or find_student(model) is None:
            loaded = "the bundled student" if cls.stand_in is None else f"{cls.stand_in}"
            warn_once(f"{model}: gliner_distill.compat loads {loaded} in place of this GLiNER")
            model = cls.stand_in
        return super().from_pretrained(model, **keywords)
