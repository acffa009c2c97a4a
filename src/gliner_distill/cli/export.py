"""The command `export`: write a student with only the files that `predict` needs."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gliner_distill.cli.command import Command
from gliner_distill.cli.options import option
from gliner_distill.cli.terminal import quiet_libraries, say, when_stopped
from gliner_distill.errors import ExportError, StudentError
from gliner_distill.files import lock_folder

if TYPE_CHECKING:
    from gliner_distill.entities import Passage
    from gliner_distill.student.export import ExportMeasurements

Student = Annotated[
    str | None,
    typer.Argument(
        metavar="[STUDENT]",
        help="The folder of a student or of a run; by default the bundled student.",
    ),
]

OutFolder = Annotated[
    Path, option("--out", metavar="FOLDER", text="The folder for the exported student.")
]

Precision = Annotated[
    Literal["fp32", "int8"] | None,
    option(
        "--precision",
        metavar="PRECISION",
        text="The precision of the weights: fp32 keeps them as trained; int8 takes less space "
        "and is faster.",
        show_default="int8, and fp32 with --format onnx",
    ),
]

Format = Annotated[
    Literal["student", "onnx", "web"],
    option(
        "--format",
        metavar="FORMAT",
        text="The files to write: student writes those that predict needs; onnx adds the LSTM as "
        "words.onnx, for other runtimes, and needs the extra onnx; web writes a page with the "
        "student, for any server of static files.",
    ),
]

CheckCorpus = Annotated[
    str | None,
    option(
        "--check",
        metavar="CORPUS",
        text="Annotated passages for checking the export against the original.",
        show_default="the dev split of the sample that comes with the package",
    ),
]


def export(
    out: OutFolder,
    student: Student = None,
    precision: Precision = None,
    file_format: Format = "student",
    check: CheckCorpus = None,
) -> None:
    """Export a student to a folder that holds only what `predict` needs.

    The export is first compared with the original: in fp32 its logits may differ by at most
    0.0001, in int8 its F1 by at most half a point. An export that does not pass is not written. A
    student with an F1 of 0 is exported, with a warning.

    Prints one line: the size, the largest difference of the logits, the F1 of both against gold,
    the F1 of the export against the entities of the original, and the threshold. Writes the
    student and its card into OUT, for `predict --model OUT`. With --format onnx, OUT also gets
    words.onnx in single precision, compared with the original in the same way.

    With --format web, OUT gets a site instead: a page on which the student finds entities in the
    browser, also without a network after the first visit. It computes in 8 bits and needs no torch.
    """
    if file_format == "web":
        _export_site(student, out, precision, check)
    else:
        _export_student(student, out, precision, check, with_graph=file_format == "onnx")


def _export_student(
    student: str | None,
    out: Path,
    precision: Literal["fp32", "int8"] | None,
    check: str | None,
    *,
    with_graph: bool,
) -> None:
    if with_graph and precision == "int8":
        raise ExportError(
            "--format onnx writes single precision only; leave out --precision int8, or export in "
            "8 bits into another folder without --format onnx"
        )
    with when_stopped("nothing was written"):
        folder = _find_original(student, out)
        from gliner_distill.runtime.bundle import read_score_map
        from gliner_distill.runtime.config import other_metadata, read_student_config
        from gliner_distill.student.cards import write_export_card
        from gliner_distill.student.export import export_student
        from gliner_distill.student.files import load_student

        quiet_libraries()
        loaded = load_student(folder)
        passages = _read_check(check)
        with _lock(out):
            measured = export_student(
                *loaded,
                out,
                precision=precision or ("fp32" if with_graph else "int8"),
                with_graph=with_graph,
                passages=passages,
                score_map=read_score_map(folder),
                metadata=other_metadata(read_student_config(folder)[1]),
            )
            corpus = (
                "the dev split of gliner-distill's sample" if check is None else Path(check).name
            )
            write_export_card(out, folder, measured, corpus=corpus)
    if not measured.torch_f1:
        say(
            f"{student or 'the bundled student'}: the student finds none of the annotated entities "
            "(F1 0), so its agreement with the original says nothing about its quality; train it "
            "again, or use --check to check it on passages with the labels that it was trained on",
            err=True,
        )
    say(f"{out}: {_describe(measured)}")


def _describe(measured: "ExportMeasurements") -> str:
    return (
        f"{measured.n_bytes:,} bytes, {measured.precision}; on {measured.n_passages:,} "
        f"passages: logits differ by at most {measured.max_logit_difference:.2g}, F1 "
        f"{100 * measured.f1:.1f} (student {100 * measured.torch_f1:.1f}), agreement "
        f"{100 * measured.agreement_f1:.1f}, threshold {measured.threshold:.2f}"
    )


def _export_site(student: str | None, out: Path, precision: str | None, check: str | None) -> None:
    if precision == "fp32":
        raise ExportError("--format web computes in 8 bits only; leave out --precision fp32")
    with when_stopped("nothing was written"):
        folder = _find_original(student, out)
        from gliner_distill.runtime.bundle import read_bundle
        from gliner_distill.runtime.locate import find_student
        from gliner_distill.web.site import write_site

        if find_student(out) is not None:
            raise ExportError(f"{out}: this folder holds a student; choose another --out")
        passages = _read_check(check)
        with _lock(out):
            name = folder.name if student is None else Path(student).resolve().name
            measured = write_site(out, read_bundle(folder), passages, name=name)
    say(
        f"{out}: a site of {measured.n_bytes:,} bytes; on {measured.n_passages:,} passages: F1 "
        f"{100 * measured.f1:.1f} (student {100 * measured.student_f1:.1f}), agreement "
        f"{100 * measured.agreement_f1:.1f}; show it with `python -m http.server -d {out}`"
    )


def _find_original(student: str | None, out: Path) -> Path:
    """Return the folder of the student to export, after a look at both folders."""
    from gliner_distill.runtime.locate import find_student, locate_model

    located = locate_model(student)
    if located.kind != "student":
        raise StudentError(f"{student}: this is a GLiNER; expected the folder of a student")
    # Writing into the folder of the student would destroy the original.
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: is a file; choose another --out")
    # In the folder of a run, too, an export would take the place of the student.
    found = find_student(out)
    if found is not None and found.samefile(located.folder):
        raise ExportError(f"{out}: this folder holds the student itself; choose another --out")
    return located.folder


def _read_check(corpus: str | None) -> "list[Passage]":
    from gliner_distill.cli.reading.input import read_annotated
    from gliner_distill.corpus.reader import sample_path

    return read_annotated(corpus if corpus is not None else str(sample_path("dev")))


def _lock(out: Path) -> AbstractContextManager[None]:
    busy = f"{out}: another process exports into it; wait for it, or choose another --out"
    return lock_folder(out, busy=busy, error=ExportError)


EXPORT = Command(
    export,
    "Export only what `predict` needs of a student, and check it.",
    """\
  gliner-distill export runs/distilled --out small
  gliner-distill export runs/distilled --out exact --precision fp32 \\
    --check test.json
  gliner-distill export runs/distilled --out graph --format onnx
  gliner-distill export --out site --format web""",
    work="exporting the student; nothing was written",
    less_memory="give fewer or shorter passages with --check",
)
