"""The training of a teacher: it learns, continues where it was stopped, and refuses bad input."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
WORDS = ("saw", "left", "built", "old", "new", "big", "north", "south")
CITIES, PERSONS = ("paris", "london"), ("mary", "john", "ann")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
    ),
]


@pytest.fixture
def recipe(monkeypatch):
    """The recipe as a module, under a name of its own: `tests/teacher` is called `teacher`, too."""
    monkeypatch.syspath_prepend(str(RECIPES))
    spec = importlib.util.spec_from_file_location("teacher_recipe", RECIPES / "teacher.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "teacher_recipe", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def encoder(build_gliner, tmp_path_factory):
    """A folder with the encoder of a tiny GLiNER: do not change it."""
    model = build_gliner("UniEncoderSpan")
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    model.model.token_rep_layer.bert_layer.model.save_pretrained(folder)
    model.data_processor.transformer_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(recipe, tmp_path, monkeypatch):
    """A folder of data: persons and cities among other words."""
    import teacher_data

    folder = tmp_path / "data"
    (folder / "open").mkdir(parents=True)
    (folder / "corpora").mkdir()
    rows = [
        {
            "tokenized_text": [person, verb, word, city],
            "ner": [[0, 0, "person"], [3, 3, "city"]],
        }
        for person in PERSONS
        for verb in WORDS
        for word in WORDS
        for city in CITIES
    ]
    for part, name in enumerate(teacher_data.OPEN_FILES):
        (folder / "open" / f"{name}.json").write_text(json.dumps(rows[part::4]))
    (folder / "open" / "labels.jsonl").write_text("")
    for name in ("held", "known"):
        lines = [json.dumps(rows[0] | {"tokenized_text": [name, "saw", "the", "rhine"]})]
        (folder / "corpora" / f"{name}.jsonl").write_text("\n".join(lines))
        (folder / "corpora" / f"{name}.labels.json").write_text('["person", "city", "river"]')
    (folder / "permissive.json").write_text('["known"]')
    monkeypatch.setattr(teacher_data, "HELD_OUT", ("held",))
    monkeypatch.setattr(teacher_data, "sample_path", lambda split: folder / "open" / "train.json")
    monkeypatch.setattr(teacher_data, "BATCH_WORDS", 60)
    return folder


@pytest.fixture
def train(recipe, data, encoder, monkeypatch):
    """A function that runs the recipe as its command line does.

    It trains in fp32: bf16 takes many times as long on processors that do not have it.
    """

    def run(out, *options):
        command = ["teacher.py", data, encoder, out, "--precision", "fp32", *options]
        monkeypatch.setattr("sys.argv", [str(argument) for argument in command])
        recipe.main()
        return out

    return run


def weights_of(out):
    return (out / "teacher" / "model.safetensors").read_bytes()


class TestTraining:
    def test_the_loss_falls_and_the_f1_rises(self, recipe, train, tmp_path, monkeypatch):
        # The encoder is tiny and random, and takes larger steps than a trained one.
        monkeypatch.setattr(recipe, "ENCODER_RATE", 3e-3)
        monkeypatch.setattr(recipe, "HEAD_RATE", 3e-3)
        out = train(tmp_path / "out", "--steps", "120", "--every", "60")
        curve = json.loads((out / "curve.json").read_text())
        assert [point["step"] for point in curve] == [0, 60, 120]
        assert curve[2]["loss per word"] < 0.85 * curve[1]["loss per word"]
        assert curve[2]["f1"]["open"] > 0.4 > curve[0]["f1"]["open"]
        assert set(curve[0]["f1"]) == {"open", "held", "held out"}
        metrics = json.loads((out / "teacher" / "metrics.json").read_text())
        assert metrics["curve"] == curve
        assert metrics["words"] == curve[2]["words"]
        assert set(metrics["data"]) == {
            *("open/train.json", "open/more.json", "open/focus.json", "open/real.json"),
            *("sample/train.json", "known"),
        }

    def test_a_stopped_run_continues_to_the_same_weights(
        self, recipe, train, tmp_path, monkeypatch
    ):
        options = ("--steps", "6", "--every", "2", "--seed", "3")
        whole = train(tmp_path / "whole", *options)
        assert weights_of(train(tmp_path / "other", *options[:4])) != weights_of(whole)
        write = recipe.write_checkpoint

        def write_and_stop(path, checkpoint):
            write(path, checkpoint)
            raise RuntimeError("the machine went away")

        out = tmp_path / "stopped"
        monkeypatch.setattr(recipe, "write_checkpoint", write_and_stop)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="went away"):
                train(out, *options)
        assert not (out / "teacher").exists()
        train(out, *options)
        assert weights_of(out) == weights_of(whole)
        steps = [point["step"] for point in json.loads((out / "curve.json").read_text())]
        assert steps == [0, 2, 4, 6]

    def test_a_finished_run_is_left_alone(self, train, tmp_path, capsys):
        options = ("--steps", "1", "--precision", "bf16")
        out = train(tmp_path / "out", *options)
        before = weights_of(out)
        train(out, *options)
        assert weights_of(out) == before
        assert str(out / "teacher") in capsys.readouterr().out.splitlines()[-1]

    def test_the_number_of_steps_is_planned_and_kept(self, recipe, train, tmp_path, monkeypatch):
        planned = []
        monkeypatch.setattr(recipe, "steps_within", lambda *_, **times: planned.append(times) or 3)
        metrics = train(tmp_path / "out") / "teacher" / "metrics.json"
        assert json.loads(metrics.read_text())["steps"] == 3
        assert [min(times.values()) > 0 for times in planned] == [True]


class TestPlan:
    @pytest.mark.parametrize(
        ("minutes", "pause", "step", "expected"),
        [(20, 10, 0.5, 2071), (1, 0, 1, 57), (1, 60, 1, 1), (0.1, 0, 100, 1)],
    )
    def test_steps_fill_the_time_beside_eleven_measurements(
        self, recipe, minutes, pause, step, expected
    ):
        assert recipe.steps_within(minutes, pause_seconds=pause, step_seconds=step) == expected

    def test_rates_rise_and_then_fall_to_nothing(self, recipe):
        rates = [recipe.rate_at(step, 1000) for step in range(1000)]
        assert rates[0] == pytest.approx(1 / 50)
        assert max(rates) == rates[50] == 1
        assert np.all(np.diff(rates[:50]) > 0)
        assert np.all(np.diff(rates[50:]) < 0)
        assert 0 < rates[-1] < 0.002
        assert recipe.rate_at(0, 1) == 1


class TestErrors:
    @pytest.mark.parametrize(
        "options", [("--steps", "0"), ("--every", "0"), ("--minutes", "0"), ("--minutes", "-3")]
    )
    def test_a_number_that_is_too_small_is_refused(self, train, tmp_path, options):
        with pytest.raises(SystemExit) as error:
            train(tmp_path / "out", *options)
        assert options[0] in str(error.value)
        assert "\n" not in str(error.value)

    def test_a_folder_in_the_repository_is_refused(self, train):
        out = RECIPES.parent / "runs"
        with pytest.raises(SystemExit, match="repository"):
            train(out)
        assert not out.exists()

    def test_a_checkpoint_of_another_run_is_refused(self, recipe, train, tmp_path, monkeypatch):
        def stop(*_):
            raise RuntimeError("the machine went away")

        monkeypatch.setattr(recipe, "write_teacher", stop)
        out = tmp_path / "out"
        with pytest.raises(RuntimeError, match="went away"):
            train(out, "--steps", "2")
        with pytest.raises(RuntimeError, match="went away"):
            train(out)  # the checkpoint knows the number of steps
        for options, changed in (
            (("--steps", "3"), "steps"),
            (("--steps", "2", "--seed", "1"), "seed"),
            (("--steps", "2", "--precision", "bf16"), "precision"),
        ):
            with pytest.raises(SystemExit, match=changed) as error:
                train(out, *options)
            assert "\n" not in str(error.value)

    @pytest.mark.parametrize("name", ["permissive.json", "open/labels.jsonl", "corpora/held.jsonl"])
    def test_missing_data_is_named(self, train, data, tmp_path, name):
        (data / name).unlink()
        with pytest.raises(SystemExit, match=Path(name).name) as error:
            train(tmp_path / "out", "--steps", "1")
        assert "\n" not in str(error.value)
