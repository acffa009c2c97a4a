"""The start of a teacher and its folder: no pickle, no foreign code, names in place of paths."""

import importlib
import json
import warnings
from pathlib import Path

import pytest

from gliner_distill.errors import TeacherError

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
    ),
]


@pytest.fixture
def recipe(monkeypatch):
    """The recipe as a module."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module("teacher_model")


@pytest.fixture
def encoder(build_gliner, tmp_path):
    """A folder with the encoder of a tiny GLiNER."""
    model = build_gliner("UniEncoderSpan")
    folder = tmp_path / "tiny"
    model.model.token_rep_layer.bert_layer.model.save_pretrained(folder)
    model.data_processor.transformer_tokenizer.save_pretrained(folder)
    return folder


class TestLoadStart:
    def test_an_encoder_becomes_a_span_gliner(self, recipe, encoder):
        import torch
        from safetensors.torch import load_file

        model, same, other = (recipe.load_start(encoder, seed=seed) for seed in (0, 0, 1))
        assert type(model).__name__ == "UniEncoderSpanGLiNER"
        assert model.config.span_mode == "markerV0"
        states = [each.model.state_dict() for each in (model, same, other)]
        assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
        assert any(not torch.equal(value, states[2][key]) for key, value in states[0].items())
        name = "encoder.layer.0.output.dense.weight"
        prefix = "token_rep_layer.bert_layer.model."
        assert torch.equal(states[0][prefix + name], load_file(encoder / "model.safetensors")[name])

    def test_a_new_gliner_begins_with_low_scores(self, recipe, encoder):
        from gliner_distill.teacher.gliner import GLiNERTeacher

        teacher = GLiNERTeacher(recipe.load_start(encoder, seed=0))
        [probs] = teacher.score_passages([["mary", "left", "paris"]], [["city", "person"]])
        assert 0.001 < probs.min() <= probs.max() < 0.2

    def test_a_gliner_is_trained_further(self, recipe, gliner_folder):
        import torch

        model = recipe.load_start(gliner_folder, seed=0)
        assert {value.dtype for value in model.model.parameters()} == {torch.float32}

    def test_a_gliner_of_another_kind_is_refused(self, recipe, build_gliner, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build_gliner("UniEncoderToken").save_pretrained(
                str(tmp_path / "token"), safe_serialization=True
            )
        with pytest.raises(TeacherError, match=r"token.*UniEncoderTokenGLiNER"):
            recipe.load_start(tmp_path / "token", seed=0)

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
    def test_an_encoder_without_a_file_is_refused(self, recipe, encoder, name):
        (encoder / name).rename(encoder / "pytorch_model.bin")
        with pytest.raises(TeacherError, match=name) as error:
            recipe.load_start(encoder, seed=0)
        assert "\n" not in str(error.value)

    def test_an_encoder_that_brings_code_is_refused(self, recipe, encoder):
        config = json.loads((encoder / "config.json").read_text())
        config["auto_map"] = {"AutoModel": "modeling.Model"}
        (encoder / "config.json").write_text(json.dumps(config))
        with pytest.raises(TeacherError, match="auto_map"):
            recipe.load_start(encoder, seed=0)

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
    def test_a_broken_file_is_refused(self, recipe, encoder, name):
        (encoder / name).write_bytes(b"{broken")
        with pytest.raises(TeacherError, match="tiny") as error:
            recipe.load_start(encoder, seed=0)
        assert "\n" not in str(error.value)

    def test_a_missing_folder_is_refused(self, recipe, tmp_path):
        with pytest.raises(TeacherError, match="none"):
            recipe.load_start(tmp_path / "none", seed=0)


def scores(at_half, at_best):
    """Return what a point of the curve says of F1; the held-out sets have half of the open ones."""
    pairs = {"f1": at_half, "best f1": at_best}
    return {key: {"open": value, "held out": value / 2} for key, value in pairs.items()}


METRICS = {
    "encoder": {"name": "tiny", "sha256": "e" * 64},
    "seed": 7,
    "data": {"more.json": 1234},
    "steps": 30,
    "words": 5678,
    "batch words": 640,
    "minutes": 1.5,
    "curve": [
        {"step": 0, "words": 0, "loss per word": None, **scores(0.0, 0.125)},
        {"step": 30, "words": 5678, "loss per word": 0.25, **scores(0.5, 0.75)},
    ],
}


class TestWriteTeacher:
    @pytest.fixture
    def folder(self, recipe, encoder, tmp_path):
        recipe.write_teacher(recipe.load_start(encoder, seed=0), tmp_path / "out", METRICS)
        return tmp_path / "out"

    def test_the_folder_loads_and_names_no_path(self, recipe, folder):
        import torch
        from safetensors.torch import load_file

        from gliner_distill.teacher.gliner import GLiNERTeacher

        teacher = GLiNERTeacher.from_pretrained(folder)
        assert teacher.score_passages([["paris"]], [["city"]])[0].shape == (1, 1, 3)
        assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {
            torch.float16
        }
        config = (folder / "gliner_config.json").read_text()
        assert str(folder.parent) not in config
        assert not folder.with_name("out.part").exists()

    def test_metrics_and_card_say_where_it_comes_from(self, recipe, folder):
        metrics = json.loads((folder / "metrics.json").read_text())
        digest = recipe.file_sha256(folder / "model.safetensors")
        assert metrics["weights sha256"] == digest
        assert METRICS.items() <= metrics.items()
        card = (folder / "README.md").read_text(encoding="utf-8")
        for fact in (
            *(digest, "e" * 64, "`tiny`", "Seed 7, 30 steps", "| more.json | 1,234 |"),
            *(
                "| 0 | 0 | – | 0.0 / 12.5 | 0.0 / 6.2 |",
                "| 30 | 5,678 | 0.250 | 50.0 / 75.0 | 25.0 / 37.5 |",
            ),
        ):
            assert fact in card


class TestSpanLoss:
    def test_span_loss_is_the_sum_over_asked_labels_and_real_spans(self, recipe):
        import torch

        logits = torch.randn(2, 3, 2, 4, generator=torch.Generator().manual_seed(0))
        targets = torch.zeros(2, 6, 4)
        targets[0, 1, 2] = 1
        label_mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
        span_mask = torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]]).bool()
        expected = 0.0
        for row in range(2):
            for span in range(6):
                for label in range(4):
                    prob = torch.sigmoid(logits[row, span // 2, span % 2, label]).item()
                    right = prob if targets[row, span, label] else 1 - prob
                    if label_mask[row, label] and span_mask[row, span]:
                        weight = 3 if targets[row, span, label] else 1
                        expected -= weight * torch.tensor(right).log().item()
        found = recipe.span_loss(logits, targets, label_mask, span_mask, positive_weight=3)
        assert found.item() == pytest.approx(expected, rel=1e-5)

    def test_span_loss_agrees_with_gliner(self, recipe, build_gliner):
        import torch

        from gliner_distill.entities import Entity, Passage

        model = build_gliner("UniEncoderSpan")
        collate = model.data_collator_class(
            model.config, data_processor=model.data_processor, prepare_labels=True
        )
        passages = [
            Passage(("mary", "left", "paris"), (Entity(0, 1, "person"),), ("city", "person")),
            Passage(("john",), (Entity(0, 1, "person"),), ("person",)),
        ]
        inputs = collate([recipe.as_item(passage) for passage in passages])
        with torch.no_grad():
            output = model(**inputs)
        found = recipe.span_loss(
            output.logits, inputs["labels"], output.prompts_embedding_mask, inputs["span_mask"]
        )
        assert found.item() == pytest.approx(output.loss.item(), rel=1e-4)
