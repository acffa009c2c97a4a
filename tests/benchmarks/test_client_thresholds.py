"""The benchmark of clients, run as a user runs it, on one tiny set."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmark_results import LABELS, table_rows
from gliner_distill.runtime.ner import StudentNER

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
    ),
]


def count(model, texts, *, flat_ner=True):
    """Return the number of entities by threshold, as JSON has it."""
    return {
        str(threshold): sum(map(len, model.inference(texts, list(LABELS), flat_ner, threshold)))
        for threshold in THRESHOLDS
    }


def test_client_thresholds_counts_the_entities_of_each_client(
    world, sets, student_folder, gliner_folder
):
    from gliner_distill.evaluation.models import TeacherNER
    from gliner_distill.teacher.gliner import GLiNERTeacher

    # The clients must find the stand-in when they are imported, so the process has to be a new one.
    command = [sys.executable, BENCHMARKS / "client_thresholds.py", "data", gliner_folder]
    shutil.copytree(student_folder, world / "students" / "learned")
    options = ("--student", "students/{set}", "--sets", "learned", "--out", "out.json")
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((world / "out.json").read_text())
    clients = figures["clients"]
    texts = [" ".join(passage.words) for passage in sets["learned"]]
    teacher = TeacherNER(GLiNERTeacher.from_pretrained(gliner_folder))
    assert figures["teacher"] == count(teacher, texts)
    assert figures["teacher, nested"] == count(teacher, texts, flat_ner=False)
    model = StudentNER.from_pretrained(student_folder)
    student, nested = (count(model, texts, flat_ner=flat_ner) for flat_ner in (True, False))
    assert student["0.1"] > student["0.9"]
    for name, own in clients.items():
        counts = nested if name == "spaCy, style `span`" else student
        expected = {at: counts[at] for at in own["entities"]}
        assert own == {"entities": expected, "same": 1.0, "other": 0}, name
    for package, name in (("pyarrow", "`predict`"), ("spacy", "spaCy"), ("haystack", "Haystack")):
        is_missing = find_spec(package) is None
        assert (name not in clients) is is_missing
        assert (f"{name} is left out, because {package} is" in done.stdout) is is_missing
    first, second = map(table_rows, done.stdout.split("| divided by the teacher's"))
    assert list(first) == ["entities", "teacher", "teacher, nested", *clients]
    assert list(second) == list(clients)
    assert first["`predict`"] == [*map(str, student.values()), "100.0%", "0"]


def test_page_has_the_committed_counts_of_distilled_students():
    root = BENCHMARKS.parent
    figures = json.loads(
        (root / "benchmarks/results/client_thresholds/domain_students.json").read_text()
    )
    page = (root / "docs/integrations/README.md").read_text(encoding="utf-8")
    rows = table_rows(page.partition("### Students made by")[2])
    assert rows["teacher"] == [f"{n:,}" for n in figures["teacher"].values()]
    together = [name for name in rows if name.startswith("`StudentNER`")]
    named = {
        **dict.fromkeys(("StudentNER", "`predict`", "`serve`", "data frames"), *together),
        **dict.fromkeys(("Presidio", "LangChain", "Haystack", "LlamaIndex"), *together),
        **{"Label Studio": together[0], "spaCy": "spaCy", "gliner-spacy": "gliner-spacy"},
        "`GLiNERRecognizer`": "Presidio's `GLiNERRecognizer`",
        "`GlinerGraphTransformer`": "LangChain's `GlinerGraphTransformer`",
        "`GLiNERLinkExtractor`": "LangChain's `GLiNERLinkExtractor`",
    }
    for name, row in named.items():
        assert rows[row] == [f"{n:,}" for n in figures["clients"][name]["entities"].values()], name
