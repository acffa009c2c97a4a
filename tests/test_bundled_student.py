"""The student that is installed with the package: its files, and the answers it gives."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file

from gliner_distill.entities import split_words
from gliner_distill.hub.cards import CARD_FILE, Card
from gliner_distill.runtime.config import CONFIG_FILE, MAX_PARAMETERS, TORCH_WEIGHTS_FILE
from gliner_distill.runtime.heads import BOUNDARY
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.student.files import load_student
from gliner_distill.student.predictor import StudentPredictor

TEXT = "Marie Curie was born in Warsaw in 1867 and won the Nobel Prize in Physics in 1903."
LABELS = ("person", "city", "year", "award", "disease")
MAX_BYTES = 13_500_000


@pytest.fixture(scope="module")
def predictor():
    torch.set_num_threads(1)
    return StudentPredictor(*load_student(bundled_student_path()))


def find_entities(predictor, text, labels):
    words = split_words(text)
    [entities] = predictor.predict_words([[word.text for word in words]], [labels])
    return {
        (
            text[words[entity.start_word].start_char : words[entity.end_word - 1].end_char],
            entity.label,
        )
        for entity in entities
    }


class TestFiles:
    def test_bundled_files_take_at_most_13_and_a_half_megabytes_and_hold_no_pickle(self):
        files = sorted(bundled_student_path().iterdir())
        assert {file.suffix for file in files} <= {".json", ".md", ".safetensors"}
        assert sum(file.stat().st_size for file in files) <= MAX_BYTES

    def test_bundled_files_hold_a_boundary_student_within_the_limit(self):
        student, vocabulary = load_student(bundled_student_path())
        assert student.config.head == BOUNDARY
        assert student.n_parameters <= MAX_PARAMETERS
        assert student.config.n_pieces == len(vocabulary)
        assert student.config.threshold == 0.5

    def test_bundled_weights_are_finite_and_in_half_precision(self):
        for weight in load_file(bundled_student_path() / TORCH_WEIGHTS_FILE).values():
            assert weight.dtype == torch.float16
            assert weight.isfinite().all()

    def test_bundled_config_says_how_the_student_was_calibrated(self):
        config = json.loads((bundled_student_path() / CONFIG_FILE).read_text(encoding="utf-8"))
        fitted = config["calibration"]
        assert len(fitted["sets"]) == 12
        assert fitted["mean F1 at 0.5"]["after"] >= fitted["mean F1 at 0.5"]["before"]

    def test_bundled_card_has_the_figures_of_the_metrics(self):
        metrics = json.loads((bundled_student_path() / "metrics.json").read_text(encoding="utf-8"))
        card = (bundled_student_path() / "README.md").read_text(encoding="utf-8")
        for group in ("held out", "in domain"):
            for model in ("teacher", "student"):
                for set_name, f1 in metrics[group][model]["at 0.5"].items():
                    assert re.search(rf"\| {set_name} \|.*\b{100 * f1:.1f}\b", card), set_name

    def test_bundled_card_is_as_it_was_written_and_has_the_measured_results(self):
        metrics = json.loads((bundled_student_path() / "metrics.json").read_text(encoding="utf-8"))
        card = Card.parse((bundled_student_path() / CARD_FILE).read_text(encoding="utf-8"))
        assert not card.is_edited_text
        assert not card.is_edited_metadata
        [index] = card.metadata["model-index"]
        for result in index["results"]:
            data_set, [metric] = result["dataset"], result["metrics"]
            group = {"validation": "held out", "test": "in domain"}[data_set["split"]]
            f1 = metrics[group]["student"]["at 0.5"][data_set["name"]]
            assert metric["value"] == round(f1, 4)
        assert len(index["results"]) == 18


class TestAnswers:
    def test_bundled_student_finds_the_obvious_entities(self, predictor):
        found = find_entities(predictor, TEXT, LABELS)
        assert {("Marie Curie", "person"), ("Warsaw", "city"), ("1867", "year")} <= found
        assert not any(label == "disease" for _, label in found)

    def test_bundled_student_answers_like_the_runtime(self, predictor):
        [found] = StudentNER.from_pretrained().inference([TEXT], LABELS)
        expected = find_entities(predictor, TEXT, LABELS)
        assert {(entity["text"], entity["label"]) for entity in found} == expected

    def test_bundled_student_does_not_depend_on_the_order_of_labels(self, predictor):
        words = [TEXT.split()]
        one = predictor.logits(words, [LABELS])[0]
        other = predictor.logits(words, [LABELS[::-1]])[0]
        torch.testing.assert_close(
            torch.from_numpy(one), torch.from_numpy(other[:, ::-1].copy()), rtol=0, atol=1e-5
        )

    def test_bundled_student_does_not_depend_on_other_labels(self, predictor):
        words = [TEXT.split()]
        alone = predictor.logits(words, [LABELS[:1]])[0]
        among = predictor.logits(words, [LABELS])[0][:, :1]
        torch.testing.assert_close(
            torch.from_numpy(alone), torch.from_numpy(among.copy()), rtol=0, atol=1e-5
        )

    def test_bundled_student_scores_a_passage_alone_as_in_a_padded_batch(self, predictor):
        words = [TEXT.split()[:4], TEXT.split() * 9, TEXT.split()]
        together = predictor.logits(words, [LABELS] * 3)
        for passage, scores in zip(words, together, strict=True):
            [alone] = predictor.logits([passage], [LABELS])
            torch.testing.assert_close(
                torch.from_numpy(alone), torch.from_numpy(scores), rtol=0, atol=1e-4
            )

    @pytest.mark.parametrize("form", [str.upper, str.title])
    def test_bundled_student_does_not_depend_on_the_case_of_labels(self, predictor, form):
        words = [TEXT.split()]
        clean = predictor.logits(words, [LABELS])[0]
        shouted = predictor.logits(words, [tuple(map(form, LABELS))])[0]
        torch.testing.assert_close(torch.from_numpy(clean), torch.from_numpy(shouted))
