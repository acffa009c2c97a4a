"""Write a site: a page with a student that runs in the browser, for any server of static files.

site/index.html         the page, and its files beside it
site/service_worker.js  keeps all files for visits without a network
site/student/           the student's files
site/gliner-distill/    the JavaScript modules and the kernel, also a package for npm
"""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gliner_distill.entities import Passage
from gliner_distill.errors import ExportError
from gliner_distill.files import reason_of, replace_file
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.bundle import Bundle, quantize_weights
from gliner_distill.runtime.embeddings import PIECE_SCALES
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.web.student_files import make_student_files
from gliner_distill.web.unicode_tables import TABLES_FILE, make_tables, version_of

MODULES: Final = Path(__file__).parent / "npm"
"""The JavaScript modules, with the kernel."""

MAX_F1_LOSS: Final = 0.005
"""The F1 that a site may lose against its student: half a point."""

_PAGE = Path(__file__).parents[1] / "resources" / "page"
_PAGE_WITHOUT_SERVER = Path(__file__).parent / "page"
_ONLY_WITH_SERVER = ("review.js",)
_WORKER_FILE = "service_worker.js"
_ONLY_FOR_DEVELOPERS = (".d.ts", ".md", "package.json")


@dataclass(frozen=True, slots=True)
class SiteMeasurements:
    """The comparison of a site with its student, made before the site was written.

    Attributes:
        n_bytes: The bytes that a browser downloads.
        n_passages: The number of passages that both answered.
        student_f1: The span F1 of the student against gold.
        f1: The span F1 of the site against gold.
        agreement_f1: The span F1 of the site against the entities of the student.
    """

    n_bytes: int
    n_passages: int
    student_f1: float
    f1: float
    agreement_f1: float


def write_site(
    folder: Path, bundle: Bundle, passages: Sequence[Passage], *, name: str
) -> SiteMeasurements:
    """Write a site, after checking that its answers match those of the student.

    Args:
        folder: The folder to write to; files of an earlier site are replaced.
        bundle: The student.
        passages: Passages with gold entities for the comparison.
        name: The name of the student.

    Raises:
        ExportError: The student is of a kind that JavaScript does not support, or loses too much
            F1 in 8 bits, or the folder cannot be written.
    """
    coded = bundle if PIECE_SCALES in bundle.weights else quantize_weights(bundle)
    files = _make_files(coded, name)
    words = [passage.words for passage in passages]
    labels = [passage.own_labels for passage in passages]
    gold = [list(passage.entities) for passage in passages]
    expected = StudentNER(bundle).predict_words(words, labels)
    predicted = StudentNER(coded).predict_words(words, labels)
    f1, student_f1 = score_spans(predicted, gold).f1, score_spans(expected, gold).f1
    if f1 < student_f1 - MAX_F1_LOSS:
        raise ExportError(
            f"in 8 bits, the student has an F1 of {100 * f1:.1f} on {len(passages)} passages, and "
            f"{100 * student_f1:.1f} before; at most {100 * MAX_F1_LOSS:.2g} points may be lost, "
            "so nothing was written; export it with --precision int8, and then that export with "
            "--format web"
        )
    _write_files(folder, files)
    n_bytes = sum(len(content) for file, content in files.items() if _is_loaded(file))
    agreement = score_spans(predicted, expected).f1
    return SiteMeasurements(n_bytes, len(passages), student_f1, f1, agreement)


def _make_files(bundle: Bundle, name: str) -> dict[str, bytes]:
    """Return the files of a site by their paths, the service worker last."""
    student = make_student_files(bundle, name=name)
    files = {f"student/{file}": content for file, content in student.items()}
    for path in sorted(MODULES.rglob("*")):
        if path.is_file():
            files[f"gliner-distill/{path.relative_to(MODULES).as_posix()}"] = path.read_bytes()
    if version_of(TABLES_FILE.read_text()) != unicodedata.unidata_version:
        # This Python knows another version of Unicode, and splits some texts into other words.
        files[f"gliner-distill/{TABLES_FILE.name}"] = make_tables().encode()
    # The page is that of `serve`, except that its engine is a student in the browser.
    pages = (*sorted(_PAGE.iterdir()), *sorted(_PAGE_WITHOUT_SERVER.iterdir()))
    files |= {path.name: path.read_bytes() for path in pages if path.name not in _ONLY_WITH_SERVER}
    worker = files.pop(_WORKER_FILE).decode()
    kept = {"./": files["index.html"]} | {file: files[file] for file in files if _is_loaded(file)}
    digest = hashlib.sha256()
    for file, content in kept.items():
        digest.update(f"{file}\n{len(content)}\n".encode() + content)
    worker = worker.replace("SITE_VERSION", f"gliner-distill {digest.hexdigest()[:16]}")
    return files | {_WORKER_FILE: worker.replace('["SITE_FILES"]', json.dumps(list(kept))).encode()}


def _is_loaded(file: str) -> bool:
    """Return whether a browser loads a file."""
    return not file.endswith(_ONLY_FOR_DEVELOPERS)


def _write_files(folder: Path, files: dict[str, bytes]) -> None:
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            replace_file(folder / name, content)
    except OSError as error:
        raise ExportError(f"{folder}: cannot be written: {reason_of(error)}") from error
