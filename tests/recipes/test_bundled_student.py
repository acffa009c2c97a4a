"""The recipe of the open-label student, from the transfer set to the card."""

import importlib
import json
from pathlib import Path

import pytest

IN_DOMAIN = ("fewnerd_a", "snips", "btc", "wet_lab_protocols", "redocred", "bionlp13cg")
RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
    ),
]


@pytest.fixture
def bundled_student(monkeypatch):
    """The recipe of the student as a module."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module("bundled_student")


@pytest.fixture
def finished(bundled_student, tmp_path, monkeypatch, build_student, small_vocabulary):
    """The folder that `finish` makes from an untrained student and two held-out sets."""
    from gliner_distill.student.files import save_student

    monkeypatch.setattr(bundled_student, "HELD_OUT", ("one", "two"))
    for name in ("one", "two"):
        rows = [
            {"tokenized_text": ["in", "paris", str(n)], "ner": [[1, 1, "city"]]} for n in (1, 2)
        ]
        write_lines(tmp_path / "corpora" / f"{name}.jsonl", rows)
        (tmp_path / "corpora" / f"{name}.labels.json").write_text('["City", "person"]')
    trained = build_student(head="boundary", n_layers=2, label_hidden_width=4)
    save_student(tmp_path / "trained", trained, small_vocabulary, metadata={})
    folder = tmp_path / "out" / "student"
    bundled_student.finish(tmp_path / "trained", tmp_path / "corpora", folder)
    return folder


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


class TestFinish:
    def test_finish_writes_calibrated_weights_in_half_precision(self, tmp_path, finished, capsys):
        import torch
        from safetensors.torch import load_file

        weights = load_file(finished / "student.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float16}
        before = load_file(tmp_path / "trained" / "student.safetensors")["bias"]
        config = json.loads((finished / "student_config.json").read_text())["calibration"]
        expected = config["scale"] * (before - torch.tensor(config["shift"]))
        torch.testing.assert_close(weights["bias"].float(), expected, rtol=1e-3, atol=1e-3)
        assert config["sets"] == ["one", "two"]
        assert config["mean F1 at 0.5"]["after"] >= config["mean F1 at 0.5"]["before"]

    def test_finish_writes_a_folder_for_torch_and_the_runtime(self, finished):
        from gliner_distill import StudentNER

        config = json.loads((finished / "student_config.json").read_text())
        assert config["runtime"]["precision"] == StudentNER.from_pretrained(finished).precision
        assert {"architecture", "calibration", "runtime"} <= set(config)


class TestCard:
    def test_write_card_has_every_figure_and_license(self, tmp_path, finished, bundled_student):
        out, data = tmp_path / "out", tmp_path
        figures = {
            model: {
                "best threshold": 0.4,
                "calibration error": 0.123,
                "at 0.5": {"one": f1, "two": f1 / 2, "macro": 0.75 * f1, "micro": f1},
                "at best": {"macro": f1},
            }
            for model, f1 in (("teacher", 0.8), ("student", 0.6))
        }
        unchanged = {"gold": [0.5, 0.7], "own": [1.0, 1.0]}
        robustness = {"student": {"unchanged": unchanged}, "sets": ["one", "two"]}
        files = {
            "held_out/open_label.json": figures,
            "in_domain_scores/open_label.json": figures,
            "robustness.json": robustness,
            "hours.json": {"labeling": 1.25, "training": 2.0},
            "sets.json": {"open and sample": 1234, "known": 56789, "shared": 10},
        }
        for name, content in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(json.dumps(content))
        sources = "| name | origin | license |\n|---|---|---|\n| known | me/known | CC BY 4.0 |\n"
        sources += "| shared | me/shared | CC BY-SA 4.0 |\n"
        (data / "corpora" / "SOURCES_A.md").write_text(sources)
        (data / "permissive.json").write_text('["known", "shared"]')
        bundled_student.write_card(data, out)
        card = (finished / "README.md").read_text(encoding="utf-8")
        for row in (
            "| one | 80.0 | 60.0 | 75.0% |",
            "| macro | 60.0 | 45.0 | 75.0% |",
            "| unchanged | 60.0 | 100.0 |",
            "| known | 56,789 | me/known | CC BY 4.0 | no |",
            "| shared | 10 | me/shared | CC BY-SA 4.0 | **yes** |",
            "| open and sample | 1,234 | this project | CC0 1.0 | no |",
        ):
            assert f"\n{row}\n" in card
        assert "Labeling took 1.2 hours and training 2.0 hours" in card
        metrics = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
        assert metrics["held out"] == figures


class TestTimed:
    def test_timed_adds_up_runs_that_were_stopped(self, tmp_path, bundled_student, monkeypatch):
        clock = iter([0.0, 3600.0, 5000.0, 6800.0])
        monkeypatch.setattr(bundled_student.time, "perf_counter", lambda: next(clock))
        with pytest.raises(KeyboardInterrupt), bundled_student.timed(tmp_path, "training"):
            raise KeyboardInterrupt
        with bundled_student.timed(tmp_path, "training"):
            pass
        assert json.loads((tmp_path / "hours.json").read_text()) == {"training": 1.5}


def test_recipe_runs_from_the_sets_to_the_card(
    bundled_student, tmp_path, gliner_folder, monkeypatch
):
    from gliner_distill import StudentNER
    from gliner_distill.student.files import load_student

    data, out = tmp_path / "data", tmp_path / "out"
    sets = (*bundled_student.HELD_OUT, *IN_DOMAIN, "more")
    for position, name in enumerate(sets):
        # Words of its own for each set, so that no set shares eight of them with another.
        rows = [
            {"tokenized_text": [f"{name}{n}", "in", "paris", str(n)], "ner": [[2, 2, "city"]]}
            for n in range(3)
        ]
        write_lines(data / "corpora" / f"{name}.jsonl", rows)
        listed = data / "corpora" / f"{name}.labels.json"
        listed.write_text(json.dumps(["city", "person", f"kind {position}"]))
    (data / "open").mkdir()
    (data / "open" / "train.json").write_text(
        json.dumps([{"tokenized_text": ["mary", "saw", "london"], "ner": [[0, 0, "person"]]}])
    )
    (data / "permissive.json").write_text(json.dumps(sets))
    sources = "".join(f"| {name} | me/{name} | MIT |\n" for name in sets)
    (data / "corpora" / "SOURCES_A.md").write_text(sources)
    options = ("--words", "10", "--epochs", "1", "--dev-passages", "2", "--in-domain-passages", "1")
    # A sample of two passages; that of the package has 90,000 words.
    sample = data / "open" / "train.json"
    transfer_set = importlib.import_module("transfer_set")
    monkeypatch.setattr(transfer_set, "sample_path", lambda split: sample)
    command = ["bundled_student.py", data, gliner_folder, out, *options]
    monkeypatch.setattr("sys.argv", [str(argument) for argument in command])
    bundled_student.main()
    folder = out / "student"
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "metrics.json", "student.safetensors", "student_config.json"),
        *("tokenizer.json", "words.onnx"),
    }
    assert load_student(folder)[0].config.head == "boundary"
    assert StudentNER.from_pretrained(folder).precision == "int8"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["hours"]) == {"labeling", "training"}
    card = (folder / "README.md").read_text()
    assert f"| {bundled_student.HELD_OUT[0]} | " in card
    assert "| open and sample | " in card
