"""`gliner-distill distill` and `bench` as their users meet them: folder, report, output, errors.

The start is an 8-wide student, the teacher a tiny random GLiNER or one that looks words up.
"""

import errno
import json
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.corpus.reader import write_passages
from gliner_distill.distillation import evaluation as domain_evaluation
from gliner_distill.distillation import few_shot as gold_tuning
from gliner_distill.distillation import pipeline as distillation
from gliner_distill.distillation.job import DistillJob
from gliner_distill.distillation.pipeline import distil_to_folder
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import DistillError, ExportError
from gliner_distill.evaluation import speed
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.student import export as export_module
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.teacher.gliner import GLiNERTeacher

LEXICON = {"paris": "city", "london": "city", "mary": "person", "john": "person", "ann": "person"}
LABELS = {"person": "", "city": ""}
FOLDER_FILES = {
    *("README.md", "report.html", "results.json", "student_config.json", "weights.safetensors"),
    *("tokenizer.json", "words.onnx", "fp32", "work"),
}


def make_texts(n_documents):
    names = list(LEXICON)
    return [f"{names[n % 5]} left {names[n * 3 % 5]} in {n}" for n in range(n_documents)]


@pytest.fixture(scope="module")
def start_folder(tmp_path_factory, build_student, small_vocabulary):
    folder = tmp_path_factory.mktemp("start") / "tiny_start"
    student = build_student(head="boundary", label_hidden_width=12)
    save_student(folder, student, small_vocabulary, metadata={})
    return folder


@pytest.fixture(autouse=True)
def small_world(tmp_path, monkeypatch, start_folder):
    """A folder with texts and labels, relative paths, few epochs, quick measurements."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(distillation, "EPOCHS", 2)
    for module in (distillation, gold_tuning):
        monkeypatch.setattr(module, "bundled_student_path", lambda: start_folder)
    monkeypatch.setattr(gold_tuning, "_MIN_EPOCHS", 2)
    monkeypatch.setattr(gold_tuning, "_MAX_EPOCHS", 2)
    monkeypatch.setattr(distillation, "computes_in_bf16", lambda: False)
    monkeypatch.setattr(domain_evaluation, "TIMED_WORDS", 20)
    monkeypatch.setattr(speed, "_SECONDS", 0.01)
    Path("texts.txt").write_text("\n".join(make_texts(40)))
    Path("labels.txt").write_text("".join(f"{label}\n" for label in LABELS))


@pytest.fixture
def distil(lexicon_teacher):
    """A function that distils from the lexicon; it returns the figures."""

    def run(out="out", **options):
        teacher = lexicon_teacher(LEXICON)
        job = DistillJob(**({"texts": "texts.txt", "labels": LABELS, "teacher": "t"} | options))
        return distil_to_folder(job, Path(out), lambda: teacher, progress=lambda *step: None)

    return run


def write_gold(n_passages=20, label="person"):
    passages = []
    for text in make_texts(n_passages):
        words = tuple(text.split())
        passages.append(Passage(words, (Entity(0, 1, LEXICON[words[0]]), Entity(1, 2, label))))
    write_passages("gold.json", passages)


class TestFolder:
    def test_is_the_trained_student_in_both_precisions(self, distil):
        distil()
        assert {path.name for path in Path("out").iterdir()} == FOLDER_FILES
        trained = StudentPredictor(*load_student("out/work/run-0/student"))
        words, labels = [text.split() for text in make_texts(40)], list(LABELS)
        expected = trained.logits(words, [labels] * 40)
        for folder, precision, off in (("out", "int8", 0.5), ("out/fp32", "fp32", 1e-4)):
            student = StudentNER.from_pretrained(folder, num_threads=1)
            assert student.precision == precision
            for logits, exact in zip(student.word_logits(words, labels), expected, strict=True):
                np.testing.assert_allclose(logits, exact, atol=off)
            config = json.loads(Path(folder, "student_config.json").read_text())
            assert config["labels"] == labels

    def test_has_thresholds_fitted_where_that_gains(self, distil, monkeypatch):
        fits = []

        def fit(bundle, passages, *, min_gain):
            fits.append(([passage.labels for passage in passages], min_gain))
            return replace(bundle, label_thresholds={"person": 0.25, "city": 0.5})

        monkeypatch.setattr("gliner_distill.student.export.fit_bundle_thresholds", fit)
        distil()
        assert fits == [([("person", "city")] * 4, 0.02)] * 2
        for folder in ("out", "out/fp32"):
            config = json.loads(Path(folder, "student_config.json").read_text())
            assert config["runtime"]["label_thresholds"]["person"] == 0.25

    def test_has_thresholds_fitted_on_what_was_to_be_learned(self, distil, monkeypatch):
        """On text that tuned students count in, too, and on the annotation as it is."""
        fits = []
        monkeypatch.setattr(
            "gliner_distill.student.export.fit_bundle_thresholds",
            lambda bundle, passages, *, min_gain: fits.append(passages) or bundle,
        )

        def guide(folder, items, gold, settings, *, progress):
            everything = [replace(item, probs=np.ones_like(item.probs)) for item in items["dev"]]
            return {"train": items["train"], "dev": everything}, None

        monkeypatch.setattr(distillation, "refine_soft_labels", guide)
        write_gold()
        distil(gold="gold.json")
        for passages in fits:
            of_text, of_gold = passages[:2], passages[2:]
            assert [{one.label for one in passage.entities} for passage in of_text] == [
                {"person"}  # a passage whole
            ] * 2
            assert [len(passage.entities) for passage in of_gold] == [2, 2]
        assert len(fits) == 2

    def test_has_results_that_are_the_figures(self, distil):
        figures = distil()
        assert json.loads(Path("out/results.json").read_text()) == json.loads(json.dumps(figures))
        assert set(figures["speed"]) == set(figures["size_bytes"])
        assert figures["teacher"] == "t"
        sizes = sum(
            Path("out", name).stat().st_size
            for name in (
                "words.onnx",
                "weights.safetensors",
                "student_config.json",
                "tokenizer.json",
            )
        )
        assert figures["size_bytes"]["student"] == sizes
        assert figures["verdict"] in Path("out/report.html").read_text()
        card = Path("out/README.md").read_text()
        assert card.startswith("---\nlibrary_name: gliner-distill\n")
        assert f"# out: a student for 2 labels\n\n{figures['verdict']}\n" in card

    def test_has_gold_figures(self, distil):
        write_gold()
        figures = distil(gold="gold.json")
        assert figures["gold_passages"] == {"train": 16, "dev": 2, "test": 2}
        assert figures["passages"] == {"train": 16, "dev": 2, "test": 2}
        # The teacher finds the names, of which gold has the first, and "left" beside it.
        gold = figures["gold"]["teacher"]
        assert (gold["n_reference"], gold["n_found"]) == (4, 4)
        assert gold["f1"] == 0.5
        assert "Against gold (2 passages): F1" in Path("out/README.md").read_text()
        assert "<h2>Against gold</h2>" in Path("out/report.html").read_text()

    def test_shows_text_as_text(self, distil):
        nasty = '<script>alert("x")</script> mary'
        Path("texts.txt").write_text("\n".join(f"{nasty} {text}" for text in make_texts(40)))
        distil(labels={"person": "", "a|b<i>": "", "city": ""})
        page = Path("out/report.html").read_text()
        assert "http" not in page
        assert "<script" not in page
        assert "&lt; / script &gt; mary" in page
        assert "a|b&lt;i&gt;" in page
        assert "a\\|b\\<i\\>" in Path("out/README.md").read_text()

    def test_is_made_where_the_teacher_finds_nothing(self, distil):
        Path("texts.txt").write_text("\n".join(f"nothing to see {n}" for n in range(40)))
        figures = distil()
        assert figures["verdict"].startswith("The teacher finds nothing in the test passages")
        assert len(figures["notes"]) == 2

    def test_is_written_again_without_training(self, distil, monkeypatch):
        first = distil()
        for name in FOLDER_FILES - {"work", "fp32"}:
            Path("out", name).unlink()
        shutil.rmtree("out/fp32")
        again = distil()
        assert {path.name for path in Path("out").iterdir()} == FOLDER_FILES
        for key in ("agreement", "disagreements", "curve", "passages", "size_bytes", "notes"):
            assert again[key] == first[key]

    def test_that_cannot_be_written_is_one_error_and_made_later(self, distil, monkeypatch):
        def fail(path, content):
            raise OSError(errno.ENOSPC, "No space left on device")

        for place in ("bundle", "domain_student"):
            with monkeypatch.context() as patch:
                patch.setattr(f"gliner_distill.{place}.replace_file", fail)
                with pytest.raises(DistillError, match="cannot be written: No space left"):
                    distil()
        assert distil()["agreement"]["n_reference"] > 0

    def test_is_in_single_precision_where_eight_bits_lose_too_much(self, distil, monkeypatch):
        export = export_module.export_student

        def refuse(*args, precision, **options):
            if precision == "int8":
                raise ExportError("too much is lost")
            return export(*args, precision=precision, **options)

        monkeypatch.setattr(export_module, "export_student", refuse)
        assert any("so it is in single precision" in note for note in distil()["notes"])
        assert StudentNER.from_pretrained("out", num_threads=1).precision == "fp32"


@pytest.fixture
def gliner(gliner_folder):
    """A tiny random GLiNER in a folder with a space in its name."""
    shutil.copytree(gliner_folder, "my teacher")
    return "my teacher"


class TestDistillCommand:
    ARGS = ("distill", "texts.txt", "--labels", "labels.txt", "--out", "my student")

    def test_prints_a_verdict_and_the_report_and_goes_on_later(self, run_cli, gliner, monkeypatch):
        args = (*self.ARGS, "--teacher", gliner)
        score, calls = GLiNERTeacher.score_passages, count()

        def stop(self, passages, labels):
            if next(calls) == 1:
                raise KeyboardInterrupt
            return score(self, passages, labels)

        with monkeypatch.context() as patch:
            patch.setattr(GLiNERTeacher, "score_passages", stop)
            stopped = run_cli(*args)
        assert stopped.code == 1
        assert stopped.err.splitlines()[-1] == (
            "gliner-distill: stopped; my student keeps what is finished; the same command goes on "
            "from there"
        )
        finished = run_cli(*args)
        assert finished.code == 0
        results = json.loads(Path("my student/results.json").read_text())
        assert finished.out == f"{results['verdict']}\nreport: my student/report.html\n"
        progress = [line.partition(":")[0] for line in finished.err.splitlines()]
        stages = ["labeling text-0 dev", "labeling text-0 test", "training", "exporting"]
        assert progress[:5] == [*stages, "measuring"]
        assert results["teacher"] == gliner
        assert results["size_bytes"]["teacher"] == sum(
            path.stat().st_size for path in Path(gliner).iterdir()
        )
        predicted = run_cli("predict", "-m", "my student", "mary left", "-l", "person")
        assert predicted.code == 0

    def test_says_what_is_doubtful(self, run_cli, gliner):
        Path("labels.txt").write_text("company: a firm\nfirm\n")
        Path("texts.txt").write_text("\n".join([*make_texts(40), *make_texts(2)]))
        finished = run_cli(*self.ARGS, "--teacher", gliner)
        assert finished.code == 0
        assert "repeated documents left out: 2" in finished.err.splitlines()
        assert any(line.startswith("labels 'company' and") for line in finished.err.splitlines())

    @pytest.mark.parametrize(
        ("content", "args", "message"),
        [
            ("", (), "texts.txt: the file is empty; expected passages"),
            (
                "one\ntwo\n",
                (),
                "texts.txt: 2 passages of at most 120 words in 2 documents; at least 20 are "
                "needed, and a student learns well from a thousand: give more text",
            ),
            (
                '{"body": "one"}\n{"id": 1}\n',
                ("--column", "body"),
                "texts.txt: line 2: no field 'body'; the object has 'id'; correct it, or leave bad "
                "records out with --skip-bad",
            ),
            (
                "one\n" * 40,
                ("--gold", "none.json"),
                "none.json: no such file; expected the path of a corpus file, or a hub data set's "
                "owner/name",
            ),
        ],
    )
    def test_errors_are_one_line(self, run_cli, content, args, message):
        Path("texts.txt").write_text(content)
        finished = run_cli(*self.ARGS, "--teacher", "none", *args)
        assert (finished.code, finished.out) == (1, "")
        assert finished.err == f"gliner-distill: {message}\n"
        assert not Path("my student").exists()

    def test_a_missing_teacher_is_one_line(self, run_cli):
        finished = run_cli(*self.ARGS, "--teacher", "none")
        assert finished.code == 1
        assert finished.err.startswith("gliner-distill: none: ")
        assert finished.err.count("\n") == 1

    def test_other_labels_are_one_line(self, run_cli, gliner):
        assert run_cli(*self.ARGS, "--teacher", gliner).code == 0
        Path("labels.txt").write_text("ship\n")
        finished = run_cli(*self.ARGS, "--teacher", gliner)
        assert (finished.code, finished.out) == (1, "")
        assert finished.err == (
            "gliner-distill: my student: was distilled with other labels or another teacher; "
            "choose another --out\n"
        )

    @pytest.mark.parametrize(
        ("args", "part"),
        [
            (("distill",), "Missing argument 'TEXTS'"),
            (("distill", "a", "--teacher", "t", "--out", "o"), "Missing option '--labels'"),
            (("distill", "a", "--labels", "l", "--out", "o"), "Missing option '--teacher'"),
            (("distill", "a", "--labels", "l", "--teacher", "t"), "Missing option '--out'"),
            ((*ARGS, "--teacher", "t", "--minutes", "0"), "'--minutes'"),
            (("bench", "--rounds", "0"), "'--rounds'"),
            (("bench", "--threads", "0"), "'--threads'"),
        ],
    )
    def test_wrong_usage_is_one_line_and_exit_code_2(self, run_cli, args, part):
        finished = run_cli(*args)
        assert (finished.code, finished.out) == (2, "")
        assert part in finished.err
        assert finished.err.count("\n") == 1


class TestBenchCommand:
    @pytest.fixture(autouse=True)
    def little_to_read(self, monkeypatch):
        monkeypatch.setattr(speed, "_WORDS", 400)
        monkeypatch.setattr(speed, "_RUNS", 1)
        monkeypatch.setattr(speed, "TEXT_WORDS", (25,))
        monkeypatch.setattr(speed, "LABEL_COUNTS", (5,))

    def test_prints_a_table_and_writes_json(self, run_cli):
        finished = run_cli("bench", "--threads", 1, "--rounds", 1, "--json", "bench.json")
        assert finished.code == 0
        head, blank, *table = finished.out.splitlines()
        assert head.endswith("; 1 threads; median of 1 rounds (lowest–highest)")
        assert blank == ""
        assert table[:2] == ["| | bundled student |", "|---|---:|"]
        assert len(table) == 2 + 1 + 4
        assert finished.err.splitlines() == [
            "0/3 texts of 25 words, 5 labels",
            "1/3 one text at a time",
            "2/3 first answer of bundled student",
        ]
        figures = json.loads(Path("bench.json").read_text())
        assert (figures["threads"], figures["rounds"]) == (1, 1)
        assert figures["models"]["bundled student"]["memory_mb"] > 0

    def test_errors_are_one_line(self, run_cli):
        Path("neither").mkdir()
        finished = run_cli("bench", "neither")
        assert finished.code == 1
        assert finished.err == (
            "gliner-distill: neither: neither a student nor a GLiNER (no gliner_config.json in "
            "it)\n"
        )
        finished = run_cli("bench", "--json", "none/x.json")
        assert finished.err == ("gliner-distill: none/x.json: cannot be written: no folder none\n")
