"""The speed benchmark: cases, ratios, tables and processes, with stand-ins for the engines."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from gliner_distill.corpus.reader import CorpusFile, sample_path, write_passages
from gliner_distill.entities import Entity, Passage

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
    ),
]

# An engine that takes each capitalized word for a person and refuses more than 40 labels.
STAND_IN = rf"""
import re, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
import speed_workers

def find(text, labels):
    if len(labels) > 40:
        raise ValueError("too many labels\nmore about it")
    places = re.finditer(r"[A-Z]\w*", text)
    return [{{"start": m.start(), "end": m.end(), "label": "person"}} for m in places]

def find_all(texts, labels, size):
    return [find(text, labels) for text in texts]

def load():
    print("a library prints")
    return speed_workers.Contender(find_all, find, ("numpy", "no-such-package"))

speed_workers.serve(lambda: load)
"""


@pytest.fixture(scope="module")
def modules():
    """The benchmark's modules by name."""
    names = ("speed", "speed_models", "speed_processes", "speed_report", "speed_workers")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield {name: importlib.import_module(name) for name in names}


@pytest.fixture(scope="module")
def speed(modules):
    return modules["speed"]


@pytest.fixture(scope="module")
def processes(modules):
    return modules["speed_processes"]


@pytest.fixture(scope="module")
def report(modules):
    return modules["speed_report"]


@pytest.fixture(scope="module")
def stand_in(processes, tmp_path_factory):
    """A function that returns a contender, which is a stand-in unless it gets a script."""

    def make(script=STAND_IN, name="student-int8", **metadata):
        path = tmp_path_factory.mktemp("stand-in") / f"{name}.py"
        path.write_text(script)
        command = (sys.executable, str(path), "kind", "source")
        return processes.Contender(name, f"title of {name}", command, **metadata)

    return make


@pytest.fixture(scope="module")
def measured(speed, stand_in):
    """The figures of two stand-ins, one of them a student, and of one that is not installed."""
    given = speed.make_parser().parse_args(
        [
            *("teacher", "--rounds", "2", "--fresh", "1", "--words", "800", "--threads", "1"),
            *("--settle", "0"),
        ]
    )
    contenders = [
        stand_in(is_student=True, has_f1=True, batch_size=4),
        stand_in(name="small-torch"),
        stand_in(name="spacy", missing="spacy is not installed"),
    ]
    return speed.measure(contenders, speed.read_material(sample_path("train")), given)


class TestMaterial:
    def test_material_cuts_texts_to_the_exact_length_in_order(self, speed):
        material = speed.Material([f"w{place}" for place in range(10)], ["person"])
        assert material.texts(3, 2) == ["w0 w1 w2", "w3 w4 w5"]
        assert material.texts(3, 2, start=2) == ["w6 w7 w8", "w0 w1 w2"]

    def test_read_material_lists_the_most_frequent_labels_first(self, speed):
        material = speed.read_material(sample_path("test"))
        assert material.labels[:5] == ["person", "date", "location", "city", "year"]
        assert len(set(material.labels)) == len(material.labels) >= max(speed.MANY_LABELS)

    def test_read_material_has_the_words_of_the_corpus(self, speed):
        material = speed.read_material(sample_path("test"))
        first = next(iter(CorpusFile(sample_path("test"))))
        assert tuple(material.words[: len(first.words)]) == first.words

    def test_read_material_refuses_a_corpus_shorter_than_a_text(self, speed, tmp_path):
        write_passages(tmp_path / "short.json", [Passage(("few", "words"))])
        with pytest.raises(ValueError, match="2 words, fewer than the 400"):
            speed.read_material(tmp_path / "short.json")


class TestGoldInCharacters:
    def test_gold_in_characters_spans_the_entitys_text(self, speed):
        passage = next(iter(CorpusFile(sample_path("test"))))
        text = " ".join(passage.words)
        found = speed.gold_in_characters(passage.words, passage.entities)
        assert [text[entity.start_word : entity.end_word] for entity in found] == [
            " ".join(passage.words[e.start_word : e.end_word]) for e in passage.entities
        ]


class TestCommandLine:
    def parse(self, speed, *args):
        return speed.make_parser().parse_args(["teacher", *args])

    def test_choose_contenders_takes_all_but_a_student_without_folder(self, speed):
        names = [contender.name for contender in speed.choose_contenders(self.parse(speed))]
        assert names == [
            *("student-int8", "teacher-torch", "teacher-onnx", "small-torch", "small-onnx"),
            *("teacher-openvino", "small-openvino", "gliner2-small"),
            *("teacher-fast", "small-fast", "spacy"),
        ]

    def test_choose_contenders_takes_another_version_of_the_package(self, speed):
        given = self.parse(speed, "--student-python", "old/bin/python")
        ours, other, *_ = speed.choose_contenders(given)
        assert (ours.name, other.name) == ("student-int8", "student-other")
        assert other.command[0] == "old/bin/python"
        assert other.command[-2:] == ours.command[-2:]

    def test_choose_contenders_takes_named_ones_with_folders_and_interpreters(
        self, speed, tmp_path
    ):
        options = ("--contenders", "spacy,student-fp32", "--fp32", str(tmp_path))
        given = self.parse(speed, *options, "--spacy-python", "other-python")
        student, spacy = speed.choose_contenders(given)
        assert student.command[0] == sys.executable
        assert student.command[-2:] == ("student", str(tmp_path))
        assert student.missing is None
        assert spacy.command[:2] == ("other-python", "-I")

    def test_main_refuses_an_unknown_contender(self, speed, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["speed.py", "teacher", "--contenders", "spacy,flair"])
        with pytest.raises(SystemExit) as end:
            speed.main()
        assert end.value.code == 2
        error = capsys.readouterr().err
        assert "'flair'" in error
        assert "student-int8" in error

    def test_main_refuses_a_missing_teacher(self, speed, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["speed.py", "nowhere"])
        with pytest.raises(SystemExit) as end:
            speed.main()
        assert end.value.code == 2
        assert "nowhere: " in capsys.readouterr().err


class TestWorker:
    def test_worker_answers_although_a_library_prints(self, processes, stand_in):
        with processes.Worker(stand_in(), 1) as worker:
            assert worker.loading["versions"].keys() == {"python", "numpy", "no-such-package"}
            assert worker.loading["versions"]["no-such-package"] == "unknown"
            texts = ["a Person", "nobody", "Person Person"]
            asked = {"texts": texts, "labels": ["person"]}
            answer = worker.ask({"do": "batches", "batch_size": 2, **asked})
            assert answer["entities"] == 3
            assert answer["seconds"] > 0
            assert len(worker.ask({"do": "singles", **asked})["seconds"]) == 3
            answer = worker.ask({"do": "spans", "texts": texts, "labels": [["person"]] * 3})
            both = [[0, 6, "person"], [7, 13, "person"]]
            assert answer["spans"] == [[[2, 8, "person"]], [], both]
            assert worker.ask({"do": "memory"})["peak_mb"] > 1

    def test_worker_gets_the_number_of_threads(self, processes, stand_in):
        script = (
            "import json, os, sys\n"
            "told = [sys.argv[-1], os.environ['OMP_NUM_THREADS'], os.environ['RAYON_NUM_THREADS']]"
            "\nprint(json.dumps({'told': told}))\n"
        )
        with processes.Worker(stand_in(script), 3) as worker:
            assert worker.loading == {"told": ["3", "3", "3"]}

    def test_worker_continues_after_a_request_that_fails(self, processes, stand_in):
        with processes.Worker(stand_in(), 1) as worker:
            request = {"do": "singles", "texts": ["person"], "labels": [str(n) for n in range(50)]}
            with pytest.raises(processes.NotMeasuredError, match=r"^too many labels$"):
                worker.ask(request)
            assert worker.ask(request | {"labels": ["person"]})["seconds"]

    def test_worker_names_a_package_that_is_not_installed(self, processes, stand_in):
        script = STAND_IN.replace("def load():", "def load():\n    import no_such_package.inner")
        with pytest.raises(processes.NotMeasuredError, match=r"^no_such_package is not installed$"):
            processes.Worker(stand_in(script), 1)

    def test_worker_names_a_missing_interpreter(self, processes):
        contender = processes.Contender("spacy", "spaCy", ("nowhere/python", "script"))
        with pytest.raises(processes.NotMeasuredError, match=r"^nowhere/python: No such file"):
            processes.Worker(contender, 1)

    def test_worker_quotes_the_last_line_of_a_process_that_ends(self, processes, stand_in):
        script = "import sys\nprint('first', file=sys.stderr)\nsys.exit('the machine went away')"
        with pytest.raises(processes.NotMeasuredError, match=r"ended with 1: the machine went a"):
            processes.Worker(stand_in(script), 1)

    def test_speed_workers_needs_only_the_standard_library_before_the_kind(
        self, processes, stand_in
    ):
        # -S leaves site-packages out, so nothing else can be imported.
        command = (sys.executable, "-S", "-I", str(BENCHMARKS / "speed_workers.py"))
        contender = processes.Contender("spacy", "spaCy", (*command, "spacy", "en-core-web-sm"))
        with pytest.raises(processes.NotMeasuredError, match=r"^spacy is not installed$"):
            processes.Worker(contender, 1)


class TestMeasure:
    def test_measure_times_each_case_in_each_round(self, speed, measured):
        student, other, missing = measured["contenders"].values()
        for row in (student, other):
            assert len(row["cases"]["25 words, 5 labels"]["seconds"]) == 2
            assert row["cases"]["25 words, 5 labels"]["words"] == 800
            rounds = row["cases"]["25 words, 5 labels, one at a time"]["seconds"]
            assert [len(seconds) for seconds in rounds] == [speed.LATENCY_TEXTS] * 2
            assert row["fresh"][0].keys() == {"cold_s", "import_s", "peak_mb"}
            assert row["cases"]["25 words, 50 labels"] == {"not_measured": "too many labels"}
        assert missing["not_measured"] == "spacy is not installed"
        assert missing["cases"] == {}
        assert "100 words, 10 labels" in student["cases"]
        assert "100 words, 10 labels" not in other["cases"]

    def test_measure_f1_equals_brute_force(self, measured):
        n_gold = n_found = n_right = 0
        for passage in CorpusFile(sample_path("test")):
            n_gold += len(set(passage.entities))
            for place, word in enumerate(passage.words):
                n_found += len(re.findall(r"[A-Z]\w*", word))
                is_person = Entity(place, place + 1, "person") in passage.entities
                n_right += is_person and bool(re.fullmatch(r"[A-Z]\w*", word))
        assert n_right
        row = measured["contenders"]["student-int8"]
        assert row["f1"] == pytest.approx(2 * n_right / (n_gold + n_found))
        assert "f1" not in measured["contenders"]["small-torch"]

    def test_format_report_gives_the_reason_for_missing_figures(self, report, measured):
        printed = report.format_report(measured)
        assert "- title of spacy: not measured: spacy is not installed" in printed
        assert (
            "- title of small-torch, 25 words, 50 labels: not measured: too many labels" in printed
        )
        assert "- at least 8 times the words/s of spaCy en_core_web_sm NER: not measured" in printed
        assert "| title of student-int8 |" in printed

    def test_draw_plot_writes_a_png(self, report, measured, tmp_path):
        report.draw_plot(measured, tmp_path / "speed.png")
        assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")

    def test_names_of_lines_that_are_close_together_do_not_meet(self, report):
        speeds = {"a": 100.0, "b": 105.0, "c": 110.0, "d": 115.0, "e": 200.0}
        places = report.place_names(speeds, 2.0)
        assert places == {
            "a": (True, 0),
            "b": (False, 0),
            "c": (True, 1),
            "d": (False, 1),
            "e": (True, 0),
        }

    def test_measure_returns_plain_json(self, measured):
        assert json.loads(json.dumps(measured)) == measured


class TestWarmUp:
    class Stub:
        """A worker that takes a fixed time per word."""

        def __init__(self, contender, word_s):
            self.contender, self.word_s = contender, word_s

        def ask(self, request):
            return {"seconds": self.word_s * sum(len(text.split()) for text in request["texts"])}

    @pytest.mark.parametrize(
        ("words_a_second", "expected"),
        [(100_000, 12_000), (2_000, 4_000), (10, 1_600)],
        ids=["fast", "middling", "slow"],
    )
    def test_warm_up_takes_the_texts_that_fit_the_budget(
        self, speed, stand_in, words_a_second, expected
    ):
        worker = self.Stub(stand_in(), 1 / words_a_second)
        material = speed.Material(["word"] * 40_000, ["person"] * 5)
        options = {"n_most_words": 12_000, "budget_s": 2.0, "settle_s": 0.0}
        row = speed.warm_up(worker, speed.Case(100, 5), material, **options)
        assert row["words"] == 100 * row["texts"] == pytest.approx(expected, abs=100)


class TestComparisons:
    @pytest.fixture
    def figures(self, report):
        """Three rounds in which a student reads twice the words, 100, 50 and 200 times as fast."""

        def row(title, words, seconds, **cases):
            case = {"25 words, 5 labels": {"words": words, "seconds": seconds}}
            return {"title": title, "size_mb": 1.0, "cases": case | cases}

        few, many = ({"words": 1000, "seconds": seconds} for seconds in ([1, 1, 2], [2, 1, 6]))
        alone = {"25 words, 5 labels, one at a time": {"seconds": [[0.001] * 19 + [0.02]] * 3}}
        labels = {"100 words, 10 labels": few, "100 words, 1,000 labels": many}
        student = row("student int8", 2000, [0.02, 0.04, 0.01], **labels, **alone)
        other = row("gliner torch, small-v2.1 shape", 1000, [1.0, 1.0, 1.0])
        contenders = {"student-int8": student, "small-torch": other}
        machine = {"cpu": "a CPU", "cores": 2, "threads": 2, "date": "2026-11-21"}
        figures = {"contenders": contenders, "machine": machine, "rounds": 3}
        return report.add_comparisons(figures)

    def test_add_comparisons_takes_the_median_rate_of_rounds(self, figures):
        case = figures["contenders"]["student-int8"]["cases"]["25 words, 5 labels"]
        assert case["words_a_second"] == pytest.approx(
            {"median": 100_000, "min": 50_000, "max": 200_000}
        )

    def test_add_comparisons_takes_ratios_in_each_round(self, figures):
        assert figures["ratios"]["small-torch"] == {
            "25 words, 5 labels": pytest.approx({"median": 100, "min": 50, "max": 200})
        }

    def test_add_comparisons_compares_many_labels_in_each_round(self, figures):
        found = figures["contenders"]["student-int8"]["many_labels"]
        assert found == pytest.approx({"median": 2, "min": 1, "max": 3})

    def test_add_comparisons_takes_latency_over_all_rounds(self, figures):
        case = figures["contenders"]["student-int8"]["cases"]["25 words, 5 labels, one at a time"]
        assert case["p50_ms"] == pytest.approx(1.0)
        assert 1.0 < case["p95_ms"] < 20.0
        assert case["p50_ms_by_round"]["max"] == pytest.approx(1.0)

    def test_format_goal_answers_with_the_figures(self, report, figures):
        small, _, spacy, rate, latency = map(report.format_goal, figures["goals"])
        begin = "- at least 100 times the words/s of gliner torch, small-v2.1 shape"
        assert small == f"{begin}: yes: 100 times (25 words, 5 labels)"
        assert spacy.endswith(": not measured")
        assert rate.endswith("in batches: yes: 100,000 words/s (25 words, 5 labels)")
        assert latency.endswith("no: 1.00 ms (25 words, 5 labels, one at a time)")

    def test_format_goal_counts_the_cases_that_meet_it(self, report):
        goal = {"goal": "at least 2 times", "unit": " times"}
        goal |= {"by_case": {"a": 3.0, "b": 1.0}, "met": [True, False]}
        assert report.format_goal(goal) == (
            "- at least 2 times: in 1 of 2 cases: 3.0 times (a); 1.0 times (b)"
        )


class TestModels:
    SHAPE = {  # noqa: RUF012
        **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"intermediate_size": 64, "vocab_size": 300},
    }

    def test_build_small_has_the_teachers_tokenizer_and_finds_nothing(
        self, modules, gliner_folder, tmp_path
    ):
        from gliner import GLiNER

        models = modules["speed_models"]
        head = models.SMALL_HEAD | {"hidden_size": 128}
        built = models.build_small(gliner_folder, models.SMALL_ENCODER | self.SHAPE, head)
        built.save_pretrained(str(tmp_path / "small"), safe_serialization=True)
        with pytest.warns(UserWarning, match="differs from the tokenizer size"):
            loaded = GLiNER.from_pretrained(str(tmp_path / "small"), local_files_only=True)
        assert loaded.config.encoder_config.vocab_size == 300
        assert loaded.config.encoder_config.model_type == "deberta-v2"
        assert loaded.config.max_width == 12
        assert loaded.inference(["mary saw the rhine"], ["person", "river"]) == [[]]

    def test_make_models_gives_the_reason_to_contenders_without_a_model(
        self, processes, modules, tmp_path
    ):
        reasons = modules["speed_models"].make_models(tmp_path, tmp_path, ["teacher-onnx"])
        assert reasons["teacher-onnx"]
        known = processes.list_contenders(
            {"int8": None, "fp32": None},
            tmp_path,
            {"student": None, "spacy": "python", "fast-gliner": "python"},
        )
        asked = [
            contender for contender in known if contender.name in ("teacher-torch", "teacher-onnx")
        ]
        torch_teacher, onnx_teacher = processes.make_models(asked, tmp_path, tmp_path)
        assert torch_teacher.missing is None
        assert onnx_teacher.missing
        assert onnx_teacher.command[-1] == str(tmp_path / "teacher-onnx")
