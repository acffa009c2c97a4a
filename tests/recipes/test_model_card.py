"""The card of a student: every figure and license is in it, from the files of the measurements."""

import importlib
import json
from pathlib import Path

import pytest

from gliner_distill.errors import CorpusError
from gliner_distill.hub.cards import Card

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
    ),
]
HALF = {"calibration error": 0.321, "entities by threshold": {"0.3": 1.25, "0.5": 0.875}}
METADATA = {
    "relations": {"found": 0.876, "invented": 0.021, "n_pairs": [1234, 5678]},
    "calibration": {
        "sets": ["one", "two"],
        "passages per set": 3,
        "shift": [-0.5, 0.25, 0.0],
        "mean F1 at 0.5": {"before": 0.411, "after": 0.433},
        "expected calibration error": {"before": 0.222, "after": 0.111},
        "half of the sets, fitted on the other half": [HALF, HALF | {"calibration error": 0.432}],
    },
}


@pytest.fixture
def model_card(monkeypatch):
    """The recipe as a module."""
    monkeypatch.syspath_prepend(str(RECIPES))
    return importlib.import_module("model_card")


def figures_of(f1, n_correct):
    return {
        "best threshold": 0.4,
        "calibration error": 0.123,
        "at 0.5": {"one": f1, "two": f1 / 2, "macro": 0.75 * f1, "micro": f1},
        "at best": {"macro": f1},
        "frequent labels": {
            "one": {"city": {"annotated": 30, "answered": 9, "correct": n_correct}},
            "two": {"river": {"annotated": 20, "answered": 0, "correct": 0}},
        },
    }


def personal_settings():
    """Return results of the benchmark of personal data; only some of them belong into the card."""

    def of(recall, precision):
        return {
            "recall": recall,
            "precision": precision,
            "n_gold": 120,
            "recall interval": [recall - 0.05, recall + 0.04],
        }

    shown = {
        "url": (of(0.95, 0.9), of(0.91, 0.8)),
        "person": (of(0.95, 0.9), of(0.89, 0.9)),
        "iban": (of(0.95, 0.7), of(0.91, None)),
    }
    right = [
        {
            "setting": "threshold 0.5",
            "patterns": True,
            "wording": wording,
            "types": {label: rows[wording - 1] for label, rows in shown.items()},
            "invented": {"per_1000_words": 3.21 * wording},
        }
        for wording in (1, 2)
    ]
    others = [row | {"patterns": False, "types": {}} for row in right]
    return [*right, *others, *(row | {"setting": "threshold 0.3", "types": {}} for row in right)]


@pytest.fixture
def folders(tmp_path, build_student, small_vocabulary):
    """The folders DATA and OUT with a student and the files of all measurements."""
    from gliner_distill.student.files import save_student

    data, out = tmp_path / "data", tmp_path / "out"
    student = build_student(head="boundary", label_hidden_width=4)
    save_student(out / "student", student, small_vocabulary, metadata=METADATA)
    models = {"teacher": {"source": "great-gliner", "sha256": "fedcba9876543210"}}
    figures = {"teacher": figures_of(0.8, 3), "student": figures_of(0.6, 0), "models": models}
    unchanged = {"gold": [0.5, 0.7], "own": [1.0, 1.0]}
    apart = {"flat": {"at 0.5": {"real": 0.45}}, "multi": {"at 0.5": {"real": 0.67}}}
    files = {
        "held_out/open_label.json": figures,
        "in_domain_scores/open_label.json": figures,
        "robustness.json": {"student": {"unchanged": unchanged}, "sets": ["one", "two"]},
        "unseen_passages.json": {"published": apart, "models": {}},
        "personal_data.json": {"student": personal_settings()},
        "hours.json": {"labeling": 1.25, "training": 2.0},
        "sets.json": {"open and sample": 1234, "known": 56789, "shared": 10},
    }
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(json.dumps(content))
    (data / "corpora").mkdir(parents=True)
    sources = "| name | origin | license |\n|---|---|---|\n| known | me/known | CC BY 4.0 |\n"
    sources += "| shared | me/shared | CC BY-SA 4.0 |\n"
    (data / "corpora" / "SOURCES_A.md").write_text(sources)
    (data / "permissive.json").write_text('["known", "shared"]')
    return data, out


def write(model_card, folders):
    model_card.write_card(*folders)
    return (folders[1] / "student" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "row",
    [
        "| one | 80.0 | 60.0 | 75.0% |",
        "| macro | 60.0 | 45.0 | 75.0% |",
        "| unchanged | 60.0 | 100.0 |",
        "| real | 45.0 | 67.0 |",
        "| threshold | 0.3 | 0.5 |",
        "|---|---:|---:|",
        "| url | 120 | 95.0 | 90.0 to 99.0 | 90.0 | 91.0 | 80.0 | yes |",
        "| person | 120 | 95.0 | 90.0 to 99.0 | 90.0 | 89.0 | 90.0 | **no** |",
        "| iban | 120 | 95.0 | 90.0 to 99.0 | 70.0 | 91.0 | 0.0 | **no** |",
        "| first half | 1.25 | 0.88 |",
        "| second half | 1.25 | 0.88 |",
        "| known | 56,789 | me/known | CC BY 4.0 | no |",
        "| shared | 10 | me/shared | CC BY-SA 4.0 | **yes** |",
        "| open and sample | 1,234 | this project | CC0 1.0 | no |",
    ],
)
def test_write_card_has_every_row(model_card, folders, row):
    assert f"\n{row}\n" in write(model_card, folders)


def test_write_card_has_tables_in_one_piece(model_card, folders):
    card = write(model_card, folders)
    lines = card.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|---"):
            # A table has its header right above the dashes and a row right below.
            n_columns = line.count("|")
            assert lines[number - 1].count("|") == lines[number + 1].count("|") == n_columns
            assert lines[number - 2] == ""
    assert "\n\n\n" not in card


@pytest.mark.parametrize(
    "words",
    [
        "`great-gliner`, a GLiNER of 25.6M parameters with the fingerprint fedcba987654.",
        "recognizes 87.6% of 1,234 broader labels, and takes 2.1% of 5,678 other labels",
        "On 3 passages of each held-out set, the shifts -0.5, 0.25, 0.0 were subtracted",
        "The mean F1 at 0.5 was 41.1 before and 43.3 after.",
        "0.111; without them it was 0.222.",
        "is 0.321 in the first half and 0.432 in the second.",
        "finds nothing for 2 of 2, and the teacher nothing for 1 of 2.",
        "invents 3.2 entities per 1,000 words with the first wordings, and 6.4 with the second",
        "Labeling took 1.2 hours and training 2.0 hours",
    ],
)
def test_write_card_has_every_figure(model_card, folders, words):
    assert words in " ".join(write(model_card, folders).split())


def test_write_card_has_the_numbers_of_the_recipe(model_card, folders, monkeypatch):
    numbers = {"sets_share": 0.12, "max_read": 34, "asked_share": 0.56, "n_asked": 78}
    numbers |= {"plain": 0.21, "described": 0.43, "renamed": 0.65, "plural": 0.87}
    assert numbers.keys() == model_card.RECIPE.keys()
    monkeypatch.setattr(model_card, "RECIPE", numbers)
    card = " ".join(write(model_card, folders).split())
    for words in (
        "12% of the words that were read came from the passages that the sets annotated",
        "a small set was read up to 34 times in each pass",
        "56% of the passages with such answers taught up to 78 of these labels",
        "the first description in 43% of the draws and a synonym in 65%",
        "the label as it is in 21%,",
        "(87% of them around its plural)",
    ):
        assert words in card


def test_card_takes_its_numbers_from_the_recipe(model_card):
    training_set, wordings = map(importlib.import_module, ("training_set", "label_wordings"))
    for name, number in model_card.RECIPE.items():
        module = training_set if hasattr(training_set, name.upper()) else wordings
        assert getattr(module, name.upper()) == number


def test_write_card_names_what_the_teacher_had_learned_from(model_card, folders):
    card = " ".join(write(model_card, folders).split())
    assert "started from no earlier student" in card
    assert "generation" not in card
    assert "The teacher had learned from three more sets" in card
    for name in ("ebm_pico", "mtod_en", "verspoor_variome"):
        assert f"`{name}`" in card
        assert f"| {name} |" not in card


def test_write_card_writes_all_figures_as_metrics(model_card, folders):
    write(model_card, folders)
    out = folders[1]
    metrics = json.loads((out / "student" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["held out"] == json.loads((out / "held_out" / "open_label.json").read_text())
    assert metrics["kept apart"]["flat"]["at 0.5"] == {"real": 0.45}
    assert "start" not in metrics
    assert set(metrics["hours"]) == {"labeling", "training"}


def test_write_card_refuses_a_set_that_is_not_permitted(model_card, folders):
    (folders[0] / "permissive.json").write_text('["known"]')
    with pytest.raises(CorpusError, match="shared"):
        write(model_card, folders)


def test_mean_share_counts_no_share_above_1(model_card):
    student = {"one": 0.9, "two": 0.2, "three": 0.3, "macro": 0.1}
    teacher = {"one": 0.6, "two": 0.4, "three": 0.0, "macro": 0.1}
    metrics = {"student": {"at 0.5": student}, "teacher": {"at 0.5": teacher}}
    assert model_card.mean_share(metrics) == "75.0%"


def test_write_card_has_metadata_with_every_measured_set(model_card, folders):
    metadata = Card.parse(write(model_card, folders)).metadata
    assert (metadata["license"], metadata["language"]) == ("apache-2.0", "en")
    assert set(metadata["datasets"]) == {"known", "shared"}
    [index] = metadata["model-index"]
    measured = {
        (result["dataset"]["name"], result["dataset"]["split"]): result["metrics"][0]["value"]
        for result in index["results"]
    }
    assert measured == {
        (name, split): f1
        for split in ("validation", "test")
        for name, f1 in (("one", 0.6), ("two", 0.3))
    }
