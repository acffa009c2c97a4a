"""TODO-DOC."""

import typer

from gliner_distill.cli import options as given
from gliner_distill.cli.evaluate import _read_gold
from gliner_distill.cli.terminal import quiet_libraries, when_stopped
from gliner_distill.errors import ExportError, StudentError


def export(
    student: given.StudentArgument,
    out: given.ExportFolder,
    precision: given.Precision = "int8",
    check: given.CheckCorpus = None,
) -> None:
    """Make a student that runs without torch.

    Holds it against the student first: in fp32 its logits must be the same within 0.0001, in int8
    its F1 must be within half a point. What does not pass is not written.

    Prints one line: size, largest difference of logits, F1 of both against gold, F1 of the export
    against the student's entities, and its threshold. Writes words.onnx, weights.safetensors,
    student_config.json and tokenizer.json into OUT, for `predict --model OUT`.
    """
    with when_stopped("nothing was written"):
        from gliner_distill.runtime.config import CONFIG_FILE, other_metadata, read_student_config
        from gliner_distill.runtime.locate import find_student

        folder = find_student(student)
        if folder is None:
            raise StudentError(
                f"{student}: no student: no {CONFIG_FILE} in it or in its folder student; expected "
                f"the folder of a student or of a run"
            )
        if out.exists() and (not out.is_dir() or out.samefile(folder)):
            problem = "holds the student itself" if out.is_dir() else "is a file"
            raise ExportError(f"{out}: {problem}; choose another --out")
        from gliner_distill.corpus.reader import sample_path
        from gliner_distill.student.export import export_student
        from gliner_distill.student.files import load_student

        quiet_libraries()
        loaded = load_student(folder)
        corpus = check if check is not None else str(sample_path("dev"))
        passages = _read_gold(corpus, skip_bad=False)
        metadata = other_metadata(read_student_config(folder)[1])
        figures = export_student(
            *loaded, out, precision=precision, passages=passages, metadata=metadata
        )
    typer.echo(
        f"{out}: {figures.n_bytes:,} bytes, {figures.precision}; on {figures.n_passages:,} "
        f"passages: logits at most {figures.max_logit_difference:.2g} off, F1 "
        f"{100 * figures.f1:.1f} (student {100 * figures.torch_f1:.1f}), agreement "
        f"{100 * figures.agreement_f1:.1f}, threshold {figures.threshold:.2f}"
    )
