"""Read a harmed folder with the functions and the commands that users call.

Each function returns what it has read, for kinds whose harm must be noticed. It raises an
`AssertionError` if an answer cannot be right, whatever the files hold.
"""

import hashlib
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from conftest import LEXICON, LexiconTeacher
from distillation_world import LABELS as DISTILLED_LABELS
from fuzz.texts import check_answers
from gliner_distill.cli.main import main
from gliner_distill.corpus.documents import read_documents
from gliner_distill.corpus.labels import read_labels
from gliner_distill.corpus.reader import read_passages, write_passages
from gliner_distill.corpus.statistics import CorpusNotes
from gliner_distill.distillation.job import DistillJob, DistillSettings
from gliner_distill.distillation.pipeline import distill_from
from gliner_distill.entities import Passage
from gliner_distill.errors import DistillError
from gliner_distill.evaluation.models import load_model
from gliner_distill.gate import check_gliner
from gliner_distill.redaction.mapping import read_mapping
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.store.integrity import find_faults
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student.files import load_student
from gliner_distill.teacher.llm.grounding import PassageText, ground
from gliner_distill.teacher.llm.kept_answers import KeptAnswers, restore_answer
from gliner_distill.training.settings import TrainingSettings
from gliner_distill.training.train import train

torch.set_num_threads(1)

LABELS = ["person", "city", "river", "company"]
_SENTENCE = "mary saw the old bank of the Rhine in Paris and john left Acme for london , 1990 ."
TEXTS = [(_SENTENCE[first:] + _SENTENCE)[: 90 - first] for first in range(50)]
SETTINGS = TrainingSettings(epochs=2, batch_size=2, learning_rate=0.05)
CONFIG = StudentConfig(embedding_width=8, hidden_width=8)
DISTILLATION = DistillSettings(
    epochs=2,
    learning_rate=0.02,
    precision="fp32",
    shard_passages=8,
    min_tuning_epochs=2,
    max_tuning_epochs=2,
    timed_words=20,
    timed_seconds=0.01,
)


def ask_student(folder: Path) -> object:
    """Return the answers to fifty texts of the student in a folder."""
    return _answers_of(StudentNER.from_pretrained(folder, num_threads=1))


def ask_both_students(folder: Path) -> object:
    """Return such answers of the runtime, and the weights that torch loads."""
    student, _ = load_student(folder)
    return ask_student(folder), _digest(student)


def save_again(folder: Path) -> None:
    """Save the student of a folder in place and elsewhere, with its card."""
    student = StudentNER.from_pretrained(folder, num_threads=1)
    student.save_pretrained(folder / "copy")
    student.save_pretrained(folder)


def read_store(folder: Path) -> object:
    """Return the passages of a store, read in order and one by one, after describing it."""
    find_faults(folder)
    run_command("inspect", folder)
    run_command("inspect", folder, "--verify")
    store = SoftLabelStore(folder)
    items = [*store, *(store[position] for position in range(len(store)))]
    return [(item.passage, item.labels, item.probs.tobytes()) for item in items]


def train_on_store(folder: Path) -> object:
    """Return the student that is trained on the store in a folder."""
    return _digest(train(folder / "store", folder / "run", SETTINGS, config=CONFIG))


def resume_training(folder: Path) -> object:
    """Return the student of a training run that was stopped after the first epoch."""
    return _digest(train(folder / "store", folder / "run", SETTINGS, config=CONFIG, resume=True))


def distill_again(folder: Path) -> object:
    """Return the answers of a student after distilling it once more."""
    job = DistillJob(str(folder / "texts.txt"), DISTILLED_LABELS, gold=str(folder / "gold.json"))
    settings = replace(DISTILLATION, start=folder / "start")
    distill_from(job, LexiconTeacher(LEXICON), folder / "out", settings=settings)
    return ask_student(folder / "out")


def ask_gliner(folder: Path) -> None:
    """Check the files of a GLiNER, load it and ask it."""
    check_gliner(folder, name="the GLiNER")
    model = load_model(folder)
    for text, entities in zip(TEXTS[:3], model.inference(TEXTS[:3], LABELS), strict=True):
        _check_positions({"text": text, "entities": entities})


def read_corpus(folder: Path) -> None:
    """Read a corpus in every way: as passages, as documents, and by commands."""
    path = _corpus_in(folder)
    problems = [_read_as_passages(path)]
    notes = CorpusNotes()
    for column in (None, "text"):
        read = partial(read_documents, path, column=column, notes=notes)
        problems.append(_try(lambda read=read: list(read())))
    run_command("inspect", path, "--skip-bad")
    if path.is_file():
        student = samples_of(folder) / "student"
        done = run_command("predict", path, "-m", student, "-l", "person", "-l", "city")
        for line in done.splitlines():
            _check_positions(json.loads(line))
        found = folder.parent.parent / "found.parquet"
        run_command("predict", path, "-m", student, "-l", "city", "--out", found, "--skip-bad")
        found.unlink(missing_ok=True)
    if None not in problems:
        _raise(problems[0])


def read_label_file(folder: Path) -> None:
    """Read a file of labels, and predict with it."""
    path = folder / "labels.txt"
    problem = _try(lambda: _check_labels(read_labels(path)))
    student = samples_of(folder) / "student"
    run_command("predict", TEXTS[0], "-m", student, "--labels", path)
    _raise(problem)


def read_kept_answers(folder: Path) -> None:
    """Read the answers of a language model, and add one to them that another reader finds."""
    path = folder / "answers.jsonl"
    kept, again = KeptAnswers(), KeptAnswers()
    kept.read(path)
    with kept.written_to(path):
        kept.add("new", [[]], None)
    again.read(path)
    assert again.get("new")[-1] == []
    for key in "abc":
        for answer in map(restore_answer, again.get(key)):
            ground(PassageText(["Ada", "in", "Paris"]), ["person", "city"], answer or [])


def restore_texts(folder: Path) -> None:
    """Read the mapping of a redaction, and restore a text with it."""
    path = folder / "mapping.json"
    problem = _try(lambda: read_mapping(path))
    run_command("redact", "[PERSON_1] saw [CITY_1]", "--restore", "--mapping", path)
    _raise(problem)


def ask_anything(folder: Path) -> None:
    """Ask a student the question in a folder; refusing it is fine."""
    question = json.loads((folder / "question.json").read_text(encoding="utf-8"))
    check_answers(_student_in(samples_of(folder) / question["student"]), question)


@cache
def _student_in(folder: Path) -> StudentNER:
    return StudentNER.from_pretrained(None if folder.name == "bundled" else folder, num_threads=1)


def samples_of(folder: Path) -> Path:
    """Return the folder of the unharmed samples; a worker copies them from there."""
    return folder.parents[1] / "samples"


def run_command(*arguments: object) -> str:
    """Run a command in this process and return its output; it must end with 0, 1 or 2."""
    out, err = _stream(), _stream()
    saved = sys.argv, sys.stdin, sys.stdout, sys.stderr
    sys.argv, sys.stdin = ["gliner-distill", *map(str, arguments)], _stream()
    sys.stdout, sys.stderr = out, err
    code: object = None
    try:
        main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = saved
    assert code in (0, 1, 2), f"exit code {code}"
    for stream in (out, err):
        stream.flush()
    assert "Traceback" not in err.buffer.getvalue().decode()
    return out.buffer.getvalue().decode()


def _stream() -> Any:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8")


def _try(read: Callable[[], object]) -> DistillError | None:
    """Read in one of several ways, and return the error of ours with which that ends."""
    problem = None
    try:
        read()
    except DistillError as error:
        problem = error
    assert "\n" not in str(problem)
    return problem


def _raise(problem: DistillError | None) -> None:
    if problem is not None:
        raise problem


def _corpus_in(folder: Path) -> Path:
    files = sorted(path for path in folder.iterdir() if path.name != "large")
    return files[0] if len(files) == 1 else folder


def _read_as_passages(path: Path) -> DistillError | None:
    passages: list[Passage] = []
    problem = _try(lambda: list(read_passages(path)))
    _try(lambda: passages.extend(read_passages(path, skip_bad=True)))
    for passage in passages:
        assert all(passage.words)
        for entity in passage.entities:
            assert 0 <= entity.start_word < entity.end_word <= len(passage.words)
            assert entity.label
    if passages:
        copy = path.parent.parent / "copy.json"
        write_passages(copy, passages)
        again = list(read_passages(copy))
        copy.unlink()
        assert again == passages
    return problem


def _check_labels(labels: dict[str, str]) -> None:
    assert labels
    assert all(label.strip() for label in labels)


def _check_positions(answer: dict[str, Any]) -> None:
    for entity in answer["entities"]:
        assert answer["text"][entity["start"] : entity["end"]] == entity["text"]


def _answers_of(student: StudentNER) -> object:
    return student.inference(TEXTS, LABELS, threshold=0.2)


def _digest(student: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in student.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()
