"""The kinds of cases: which file of which sample is harmed, what reads it, and what must follow.

In a kind that must agree, the files carry checksums: the answers are those of the unharmed files,
or the harm is told. In a kind with `signed` in its name, the checksums are written anew, as by an
author who means harm, and other answers are right. The same holds for files that users write and
for a GLiNER.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from fuzz.damage import harm_file, harm_stored_file
from fuzz.texts import draw_question

CORPORA = (
    *("gliner.json", "answers.jsonl", "doccano.jsonl", "prodigy.jsonl", "presidio.json"),
    *("gliner2.jsonl", "label_studio.json", "label_studio_min.json", "table.csv", "words.csv"),
    *("table.tsv", "columns.conll", "numbered.conll", "text.txt", "notes.txt", "brat"),
    *("words.parquet", "texts.parquet", "documents"),
    *(["docbin.spacy"] if find_spec("spacy") else []),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of cases.

    Attributes:
        name: The name, which a report shows.
        sample: The folder of the samples that is copied for each case.
        harm: Harms a file of the copy, and says how.
        reader: The function of `fuzz.readers` that reads the copy.
        must_agree: Whether the answers must be those of the unharmed files.
    """

    name: str
    sample: str
    harm: Callable[[Random, Path], str]
    reader: str
    must_agree: bool = False

    def read(self, folder: Path) -> object:
        """Read a folder; the readers are imported by the process that reads."""
        import fuzz.readers

        return getattr(fuzz.readers, self.reader)(folder)


def kind_named(name: str) -> Kind:
    """Return the kind of a name."""
    return KINDS[name]


def _harm(*names: str) -> Callable[[Random, Path], str]:
    """Return a function that harms one of the files of a folder whose owner is not trusted."""

    def harm(rng: Random, folder: Path) -> str:
        name = _draw_file(rng, folder, names)
        return f"{name}: {harm_stored_file(rng, folder / name)}"

    return harm


def _harm_own(*names: str) -> Callable[[Random, Path], str]:
    """Return a function that harms the content of a file that users name themselves."""

    def harm(rng: Random, folder: Path) -> str:
        name = _draw_file(rng, folder, names)
        return f"{name}: {harm_file(rng, folder / name)}"

    return harm


def _draw_file(rng: Random, folder: Path, patterns: tuple[str, ...]) -> str:
    found = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    return rng.choice(sorted(found)).relative_to(folder).as_posix()


def _and_sign(
    harm: Callable[[Random, Path], str], sign: Callable[[Path], None]
) -> Callable[[Random, Path], str]:
    """Return a function that harms a file and then writes the checksums anew, if that works."""

    def harm_and_sign(rng: Random, folder: Path) -> str:
        done = harm(rng, folder)
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            sign(folder)
        return f"{done}; signed"

    return harm_and_sign


def _sign_student(folder: Path) -> None:
    from student_folders import sign

    # A pipe or a device has no checksum that could be written.
    if all(path.is_file() and not path.is_symlink() for path in folder.iterdir()):
        sign(folder)


def _sign_store(folder: Path) -> None:
    from gliner_distill.json_files import CHECKSUM, write_sealed_json

    path = folder / "manifest.json"
    if path.is_symlink() or not path.is_file():
        return
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    manifest.pop(CHECKSUM, None)
    with suppress(OSError, TypeError, KeyError, AttributeError):
        for record in [*manifest["shards"], *manifest["other_files"]]:
            file = folder / record["file"]
            if file.is_file() and not file.is_symlink():
                content = file.read_bytes()
                record["n_bytes"] = len(content)
                record["sha256"] = hashlib.sha256(content).hexdigest()
    write_sealed_json(path, manifest)


def _ask(student: str) -> Callable[[Random, Path], str]:
    def write_question(rng: Random, folder: Path) -> str:
        question = json.dumps(draw_question(rng) | {"student": student})
        (folder / "question.json").write_text(question, encoding="utf-8")
        return f"asked: {question[:2000]}"

    return write_question


_STUDENT_FILES = {
    "student_config.json": "ask_student",
    "student.safetensors": "ask_both_students",
    "tokenizer.json": "ask_student",
}
_STORE_FILES = {"manifest.json": ("manifest.json",), "shards": ("data/*.parquet",)}
_PIECE_FILES = {"subword vectors": "subword_vectors.safetensors", "pieces": "tokenizer.json"}
_RUN_FILES = ("run/checkpoint.safetensors", "run/metrics.jsonl", "run/config.json")
_WORK_FILES = ("out/work/*.json", "out/work/*-0/*.json", "out/work/*-0/labels-*/*.json")
_DEEP_WORK_FILES = (
    "out/work/*/labels-*/data/*",
    "out/work/run-*/*.json*",
    "out/work/run-*/gold/*.json",
)
_STARTS = (
    "out/work/run-*/student/*",
    "out/work/run-*/*.safetensors",
    "out/work/run-*/gold/tuned/*/*",
)
_GLINER_FILES = (
    "gliner_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "model.safetensors",
)


def _make_kinds() -> list[Kind]:
    kinds = [
        Kind(f"student: {name}", "student", _harm(name), reader, must_agree=True)
        for name, reader in _STUDENT_FILES.items()
    ]
    kinds += [
        Kind(f"export: {name}", "export", _harm(name), "ask_student", must_agree=True)
        for name in ("weights.safetensors", "student_config.json")
    ]
    kinds += [
        Kind(f"signed student: {name}", "student", _and_sign(_harm(name), _sign_student), reader)
        for name, reader in _STUDENT_FILES.items()
    ]
    kinds.append(Kind("card", "card", _harm("README.md", "config.json"), "save_again"))
    kinds += [
        Kind(f"store: {name}", "store", _harm(*files), "read_store", must_agree=True)
        for name, files in _STORE_FILES.items()
    ]
    kinds += [
        Kind(f"signed store: {name}", "store", _and_sign(_harm(*files), _sign_store), "read_store")
        for name, files in _STORE_FILES.items()
    ]
    for name, file in _PIECE_FILES.items():
        harm = _harm(f"store/{file}")
        kinds.append(Kind(f"store: {name}", "training", harm, "train_on_store", must_agree=True))
        signed = _and_sign(harm, lambda folder: _sign_store(folder / "store"))
        kinds.append(Kind(f"signed store: {name}", "training", signed, "train_on_store"))
    kinds += [
        Kind("training run", "stopped", _harm(*_RUN_FILES), "resume_training", must_agree=True),
        Kind("distill: settings", "work", _harm(*_WORK_FILES), "distill_again", must_agree=True),
        Kind("distill: data", "work", _harm(*_DEEP_WORK_FILES), "distill_again", must_agree=True),
        Kind("distill: students", "work", _harm(*_STARTS), "distill_again", must_agree=True),
    ]
    kinds += [Kind(f"GLiNER: {n}", "gliner", _harm(n), "ask_gliner") for n in _GLINER_FILES]
    kinds += [Kind(f"corpus: {n}", n, _harm_own("*"), "read_corpus") for n in CORPORA]
    kinds += [
        Kind(f"labels: {name}", name, _harm_own("*"), "read_label_file")
        for name in ("lines of labels", "JSON of labels")
    ]
    kinds.append(Kind("kept answers", "kept answers", _harm_own("*"), "read_kept_answers"))
    kinds.append(Kind("mapping", "mapping", _harm_own("*"), "restore_texts"))
    kinds += [
        Kind(f"texts: {name} student", "questions", _ask(name), "ask_anything")
        for name in ("student", "bundled")
    ]
    return kinds


KINDS = {kind.name: kind for kind in _make_kinds()}
