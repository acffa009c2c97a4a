"""The whole of `gliner-distill distill`: stages, exports, figures, report and card."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gliner_distill import __version__
from gliner_distill.bundle import FP32, GRAPH_FILE, TABLES_FILE
from gliner_distill.distillation import Distilled, LoadTeacher, distil
from gliner_distill.domain_evaluation import evaluate_distilled
from gliner_distill.domain_report import render_card, render_page
from gliner_distill.domain_work import DistilJob
from gliner_distill.entities import Passage, decode_entities
from gliner_distill.errors import DistillError
from gliner_distill.export import export_smallest, export_student
from gliner_distill.features import TOKENIZER_FILE
from gliner_distill.files import replace_file
from gliner_distill.progress import ShowProgress
from gliner_distill.runtime import StudentNER
from gliner_distill.shards import LabelledPassage
from gliner_distill.student import load_student
from gliner_distill.student_config import CONFIG_FILE

FP32_FOLDER, RESULTS_FILE, REPORT_FILE, CARD_FILE = FP32, "results.json", "report.html", "README.md"
_BUNDLE_FILES = (GRAPH_FILE, TABLES_FILE, CONFIG_FILE, TOKENIZER_FILE)
_MIN_GAIN = 0.02
"""By how much a label's F1 on dev must be better for its threshold to leave 0.5."""


def distil_to_folder(
    job: DistilJob, out: Path, load_teacher: LoadTeacher, *, on_progress: ShowProgress
) -> dict[str, Any]:
    """Distil, export, measure, and write it all; return the figures of `results.json`.

    The folder itself is the student, in eight bits where that loses little; `fp32` has it in single
    precision.

    Args:
        job: What to distil.
        out: A new folder, or that of an earlier run of the same job.
        load_teacher: Returns the job's teacher, the same one each time.
        on_progress: Called with a stage's name, words done, words in all, and a short text.

    Raises:
        DistillError: Whatever is wrong with texts, teacher, folder or disk. What is finished is
            kept, and the same call goes on from there.
    """
    distilled = distil(job, out, load_teacher, on_progress=on_progress)
    n_words = _count_words(distilled, "dev")
    on_progress("exporting", 0, n_words, "")
    exported = export_both(distilled, out, facts={"labels": list(job.labels)})
    on_progress("exporting", n_words, n_words, "")
    students = {name: StudentNER.from_pretrained(folder) for name, folder in exported.items()}
    n_words = _count_words(distilled, "test")
    on_progress("measuring", 0, n_words, "")
    sizes: dict[str, int | None] = {
        name: sum((folder / file).stat().st_size for file in _BUNDLE_FILES)
        for name, folder in exported.items()
    }
    sizes["teacher"] = _teacher_bytes(job.teacher)
    figures = evaluate_distilled(distilled, students, load_teacher(), sizes=sizes)
    figures |= {"teacher": job.teacher, "version": __version__}
    on_progress("measuring", n_words, n_words, "")
    _write(out, figures)
    return figures


def export_both(distilled: Distilled, out: Path, *, facts: Mapping[str, Any]) -> dict[str, Path]:
    """Write the student, and in single precision, thresholds fitted on dev; return the folders.

    Where eight bits lose too much both are in single precision, and a note says so.
    """
    student, vocabulary = load_student(distilled.student)
    passages = [_as_reference(item) for item in distilled.dev]
    passages += [item.passage for item in distilled.gold["dev"]]
    in_full = export_student(
        student,
        vocabulary,
        out / FP32_FOLDER,
        precision=FP32,
        passages=passages,
        facts=facts,
        min_gain=_MIN_GAIN,
    )
    smallest = export_smallest(
        student,
        vocabulary,
        out,
        passages=passages,
        facts=facts,
        min_gain=_MIN_GAIN,
    )
    if smallest.precision == in_full.precision:
        distilled.notes.append(
            "in eight bits the student would lose too much on dev, so it is in single precision"
        )
    return {"student": out, "student fp32": out / FP32_FOLDER}


def _count_words(distilled: Distilled, part: str) -> int:
    items = distilled.items[part] + distilled.gold[part]
    return sum(len(item.passage.words) for item in items)


def _as_reference(item: LabelledPassage) -> Passage:
    """Return a passage whose entities are those that were to be learned."""
    found = tuple(decode_entities(item.probs, item.labels))
    return replace(item.passage, entities=found, labels=item.labels)


def _teacher_bytes(source: str) -> int | None:
    folder = Path(source)
    files: Sequence[Path] = list(folder.glob("*")) if folder.is_dir() else []
    return sum(file.stat().st_size for file in files if file.is_file()) or None


def _write(out: Path, figures: Mapping[str, Any]) -> None:
    title = f"{out.resolve().name}: a student for {len(figures['labels'])} labels"
    contents = {
        RESULTS_FILE: json.dumps(figures, indent=1, ensure_ascii=False) + "\n",
        REPORT_FILE: render_page(figures, title),
        CARD_FILE: render_card(figures, title),
    }
    for name, content in contents.items():
        try:
            replace_file(out / name, content.encode("utf-8", "replace"))
        except OSError as error:
            reason = error.strerror or error
            raise DistillError(f"{out / name}: cannot be written: {reason}") from error
