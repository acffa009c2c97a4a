"""The contenders of speed.py and their processes.

The input is folders and interpreters. The output is one `Worker` per contender, which answers the
requests that speed_workers.py lists.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from gliner_distill.runtime.locate import bundled_student_path

HERE = Path(__file__).resolve().parent
STUDENT_BATCH = 32
GLINER_BATCH = 8  # gliner's default
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("RAYON_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
_WEIGHTS = (".safetensors", ".onnx", ".npz", ".npy", ".bin")


class NotMeasuredError(Exception):
    """A contender cannot be measured, or not in this case; the message is one line."""


@dataclass(frozen=True)
class Contender:
    """An engine with a model.

    Attributes:
        name: The name in --contenders.
        title: The name in tables.
        command: The command that starts its process.
        batch_size: The number of texts per batch.
        is_student: Whether it is a student of this package.
        has_f1: Whether it was trained for the labels that it is asked.
        needs: The model that speed_models.py must make first, if any.
        size_mb: The size of its weights on disk.
        missing: The reason why it cannot be measured, if that is known.
    """

    name: str
    title: str
    command: tuple[str, ...]
    batch_size: int = GLINER_BATCH
    is_student: bool = False
    has_f1: bool = False
    needs: str | None = None
    size_mb: float | None = None
    missing: str | None = None


def list_contenders(
    students: Mapping[str, Path | None], teacher: Path, pythons: Mapping[str, str | None]
) -> list[Contender]:
    """Return all contenders; the models that some of them need are made later.

    Args:
        students: The folders of `int8` and `fp32`, or None; `int8` is then the bundled student.
        teacher: The folder of a GLiNER.
        pythons: The interpreters for `student` (another version, or None), `spacy` and
            `fast-gliner`.
    """
    torch_teacher = Contender(
        "teacher-torch",
        "gliner torch, teacher",
        worker_command("gliner", str(teacher)),
        has_f1=True,
        size_mb=measure_size(teacher),
    )
    rust = pythons["fast-gliner"] or sys.executable
    return [
        *_list_students(students, pythons["student"]),
        torch_teacher,
        made("teacher-onnx", "gliner onnx, teacher", "gliner-onnx", "teacher-onnx"),
        made("small-torch", "gliner torch, small-v2.1 shape", "gliner", "small"),
        made("small-onnx", "gliner onnx, small-v2.1 shape", "gliner-onnx", "small-onnx"),
        made("teacher-openvino", "gliner OpenVINO, teacher", "gliner-openvino", "teacher-openvino"),
        made(
            "small-openvino",
            "gliner OpenVINO, small-v2.1 shape",
            "gliner-openvino",
            "small-openvino",
        ),
        made("gliner2-small", "gliner2 torch, 2.5-small shape", "gliner2", "gliner2-small"),
        made("teacher-fast", "fast-gliner, teacher", "fast-gliner", "teacher-onnx", rust),
        made("small-fast", "fast-gliner, small-v2.1 shape", "fast-gliner", "small-onnx", rust),
        Contender(
            "spacy",
            "spaCy en_core_web_sm NER",
            worker_command("spacy", "en-core-web-sm", pythons["spacy"] or sys.executable),
        ),
    ]


def _list_students(students: Mapping[str, Path | None], other: str | None) -> list[Contender]:
    """Return the students of this version, and that of another one if it has an interpreter."""
    bundled = bundled_student_path()
    found = []
    for precision, folder in students.items():
        missing = f"no --{precision} FOLDER was given" if precision != "int8" else None
        found.append(
            Contender(
                f"student-{precision}",
                f"student {precision}",
                worker_command("student", str(folder or "")),
                batch_size=STUDENT_BATCH,
                is_student=True,
                has_f1=True,
                size_mb=measure_size(folder or bundled),
                missing=None if folder else missing,
            )
        )
    if other:
        found.append(
            Contender(
                "student-other",
                "student int8, other version",
                worker_command("student", "", other),
                batch_size=STUDENT_BATCH,
                is_student=True,
                has_f1=True,
            )
        )
    return found


def made(
    name: str, title: str, kind: str, needs: str, interpreter: str = sys.executable
) -> Contender:
    """Return a contender whose model must be made first; its command still lacks the folder."""
    command = worker_command(kind, "", interpreter)
    has_f1 = name.startswith("teacher")
    return Contender(name, title, command, has_f1=has_f1, needs=needs)


def worker_command(kind: str, source: str, interpreter: str = sys.executable) -> tuple[str, ...]:
    # Another interpreter has its own packages; -I hides those of PYTHONPATH from it.
    isolated = () if interpreter == sys.executable else ("-I",)
    return (interpreter, *isolated, str(HERE / "speed_workers.py"), kind, source)


def measure_size(folder: Path) -> float:
    """Return the size of the weights in a folder, in millions of bytes."""
    files = [path for path in folder.glob("*") if path.suffix in _WEIGHTS]
    return sum(path.stat().st_size for path in files) / 1e6


def make_models(contenders: Sequence[Contender], teacher: Path, folder: Path) -> list[Contender]:
    """Make the models that contenders need, and return the contenders with them.

    A contender whose model could not be made has the reason in `missing`.
    """
    names = {contender.needs for contender in contenders if contender.needs}
    if names & {"small-onnx", "small-openvino"}:
        names.add("small")
    if not names:
        return list(contenders)
    print(f"making {', '.join(sorted(names))}", file=sys.stderr)
    ran = subprocess.run(
        [sys.executable, HERE / "speed_models.py", teacher, folder, *sorted(names)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode == 0:
        reasons = json.loads(ran.stdout.splitlines()[-1])
    else:
        reasons = dict.fromkeys(names, last_line(ran.stderr) or "it could not be made")
    return [
        replace(
            contender,
            # A worker's command ends with its source.
            command=(*contender.command[:-1], str(folder / contender.needs)),
            size_mb=measure_size(folder / contender.needs),
            missing=reasons[contender.needs],
        )
        if contender.needs
        else contender
        for contender in contenders
    ]


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


class Worker:
    """The process of a contender; use it as a context manager, which ends the process.

    Attributes:
        contender: The contender.
        loading: The process's report after loading: `import_s`, `load_s`, `versions`.
    """

    def __init__(self, contender: Contender, n_threads: int) -> None:
        """Start the process and wait until the model is loaded.

        Raises:
            NotMeasuredError: The process cannot be started, or the model does not load.
        """
        self.contender = contender
        if contender.missing:
            raise NotMeasuredError(contender.missing)
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._started = time.perf_counter()
        try:
            self._process = subprocess.Popen(
                [*contender.command, str(n_threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=make_environment(n_threads),
            )
        except OSError as error:
            self._errors.close()
            raise NotMeasuredError(f"{contender.command[0]}: {error.strerror}") from error
        try:
            self.loading = self._read_answer()
        except BaseException:
            self.close()
            raise

    @property
    def age_s(self) -> float:
        """The seconds since the process was started."""
        return time.perf_counter() - self._started

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request.

        Raises:
            NotMeasuredError: The contender fails, or its process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise NotMeasuredError(self._describe_end()) from None
        return self._read_answer()

    def _read_answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise NotMeasuredError(self._describe_end())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NotMeasuredError(answer["error"])
        return answer

    def _describe_end(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        reason = last_line(self._errors.read())
        return f"its process ended with {code}" + (f": {reason}" if reason else "")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def make_environment(n_threads: int) -> dict[str, str]:
    """Return this process's environment with a number of threads, without GPU and network."""
    threads = dict.fromkeys(THREAD_VARIABLES, str(n_threads))
    apart = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return dict(os.environ) | threads | apart
