"""Measure a model in a process of its own: the time to its first answer and the peak memory.

Only a new process shows what imports cost, and how much memory one model takes alone.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from gliner_distill.errors import StudentError
from gliner_distill.evaluation.models import NERModel, TeacherNER, load_model

Inference = Callable[[list[str], list[str]], object]
"""A function from texts and labels to the entities of each text, such as `NERModel.inference`."""

BUNDLED_NAME = "bundled student"
"""The name of the bundled student in tables and messages."""

_STATUS_FILE = Path("/proc/self/status")

# The child's only output is this one line of JSON; nothing in this module prints.
_FIRST_ANSWER = """
import json, sys
from gliner_distill.evaluation.startup import answer_once
json.dump(answer_once(sys.argv[2] if sys.argv[2:] else None, int(sys.argv[1])), sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Start:
    """The measurements of a process that loads a model and answers once.

    Attributes:
        seconds: The time from the start of the process to its first answer.
        memory_mb: Its peak memory, in MB.
        memory_source: `VmHWM` or, where the system does not have that, `ru_maxrss`.
    """

    seconds: float
    memory_mb: float
    memory_source: str


def measure_start(model: str | None, *, num_threads: int, n_starts: int = 3) -> Start:
    """Return the time to a model's first answer and its peak memory: medians of new processes.

    Raises:
        StudentError: A process fails.
    """
    command = [sys.executable, "-c", _FIRST_ANSWER, str(num_threads)]
    command += [model] if model is not None else []
    seconds, answers = [], []
    for _ in range(n_starts):
        started = time.perf_counter()
        # Only a new process shows the time of imports and the memory of one model alone.
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - started)
        if process.returncode:
            reason = (process.stderr.strip().splitlines() or [f"exit {process.returncode}"])[-1]
            raise StudentError(f"{model or BUNDLED_NAME}: does not start: {reason}")
        answers.append(json.loads(process.stdout))
    memory = median(answer["memory_mb"] for answer in answers)
    return Start(median(seconds), memory, answers[0]["memory_source"])


def answer_once(model: str | None, num_threads: int) -> dict[str, float | str]:
    """Read one text with a model in this process, and return the peak memory of the process.

    Returns:
        The peak as `memory_mb`, and where it was read as `memory_source`; see `Start`.
    """
    read = inference_of(load_model(model, num_threads=num_threads))
    read(["Marie Curie was born in Warsaw in 1867."], ["person", "city", "year"])
    memory_mb, source = peak_memory_mb()
    return {"memory_mb": memory_mb, "memory_source": source}


def peak_memory_mb() -> tuple[float, str]:
    """Return the peak memory of this process in MB, and where it was read.

    Returns:
        The peak, and `VmHWM` or `ru_maxrss`; see `Start`.
    """
    if _STATUS_FILE.is_file():
        for line in _STATUS_FILE.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) / 1024, name
    # On Linux, a child's `ru_maxrss` starts at its parent's value, so it is only the second choice.
    import resource  # this module does not exist on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1024), "ru_maxrss"


def inference_of(model: NERModel) -> Inference:
    """Return the function that reads texts with a model; a GLiNER uses its own library."""
    if not isinstance(model, TeacherNER):
        return model.inference
    from gliner_distill.teacher.gliner import GLiNERTeacher

    # Our wrapper also windows long texts and scores words; users of GLiNER do not pay for that.
    teacher = model.teacher
    return teacher.model.inference if isinstance(teacher, GLiNERTeacher) else model.inference
