"""The study of agreement with the teacher: its conditions, lines and tables, and a tiny run."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.corpus.reader import sample_path
from gliner_distill.decoding import entities_to_probs
from gliner_distill.entities import Entity, LabeledPassage, Passage
from gliner_distill.training.settings import TrainingSettings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def agreement():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("agreement")


@pytest.fixture(scope="module")
def conditions(agreement):
    return importlib.import_module("agreement_conditions")


@pytest.fixture(scope="module")
def report(agreement):
    return importlib.import_module("agreement_report")


@pytest.fixture(scope="module")
def transfer_text():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("transfer_text")


def passages_of(*lengths):
    return [Passage(tuple(f"w{place}" for place in range(length))) for length in lengths]


def labeled_passages(*lengths):
    entity = Entity(0, 1, "city", 0.9)
    return [
        LabeledPassage(
            passage, ("city",), entities_to_probs([entity], ("city",), len(passage.words))
        )
        for passage in passages_of(*lengths)
    ]


def test_names_of_conditions_differ_and_say_what_is_unusual(conditions):
    jobs = conditions.plan("text", 600_000, 2, 2)
    names = [job.name for job in jobs if job.seed == 0]
    assert len(set(names)) == len(names)
    assert names[0] == "bundled"
    assert "bundled, 89042 words, 2 epochs, alpha 0.7" in names
    assert "vectors, 600000 words, 3 epochs" in names


def test_plan_without_text_stays_within_the_sample(conditions):
    words = {job.condition.n_words for job in conditions.plan("", 600_000, 1, 1)}
    assert max(words) == conditions.SAMPLE_WORDS


def test_plan_has_each_training_once_and_none_with_more_words_than_asked(conditions):
    for text, n_words in (("", 600_000), ("text", 89_042), ("text", 30_000), ("text", 1_900_000)):
        jobs = conditions.plan(text, n_words, 2, 2)
        keys = [(job.name, job.seed) for job in jobs]
        assert len(set(keys)) == len(keys)
        assert max(job.condition.n_words for job in jobs) <= n_words


def test_main_refuses_too_few_words_and_a_folder_without_text(agreement, tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "run_jobs", pytest.fail)
    for option, error in (("--words=29999", "2"), (f"--text={tmp_path}", "no part is labeled yet")):
        monkeypatch.setattr("sys.argv", ["agreement.py", str(tmp_path), option])
        with pytest.raises(SystemExit, match=error):
            agreement.main()


def test_check_parts_passes_over_an_unfinished_part_only_if_it_is_the_last(transfer_text, tmp_path):
    finished = sample_path("dev").parent / "soft_labels" / "dev"
    (tmp_path / "part-000").mkdir()
    with pytest.raises(SystemExit, match="no part is labeled yet"):
        transfer_text.check_parts(tmp_path)
    (tmp_path / "part-001").symlink_to(finished)
    with pytest.raises(SystemExit, match=r"part-000.*run transfer_text\.py again"):
        transfer_text.check_parts(tmp_path)
    (tmp_path / "part-000").rmdir()
    (tmp_path / "part-002").mkdir()
    transfer_text.check_parts(tmp_path)


def test_plan_gives_only_the_bundled_start_more_than_the_usual_sizes(conditions):
    jobs = conditions.plan("text", 1_900_000, 1, 1)
    large = {(job.condition.start, job.condition.n_words, job.condition.alpha) for job in jobs}
    large = {item for item in large if item[1] > 600_000}
    assert large == {("bundled", 1_200_000, 1.0), ("bundled", 1_900_000, 1.0)}


def test_curve_sizes_go_on_with_twice_as_many_words_up_to_the_maximum(conditions):
    assert conditions.curve_sizes(100_000) == [30_000, conditions.SAMPLE_WORDS]
    sizes = conditions.curve_sizes(2_500_000)
    assert sizes[-4:] == [600_000, 1_200_000, 2_400_000, 2_500_000]


def test_up_to_takes_whole_passages_until_the_words_are_reached(agreement):
    passages = labeled_passages(4, 4, 4)
    assert len(agreement.up_to(passages, 4)) == 1
    assert len(agreement.up_to(passages, 5)) == 2
    with pytest.raises(SystemExit, match="12 labeled words; expected 13"):
        agreement.up_to(passages, 13)


def test_fit_line_finds_the_slope_and_the_words_for_a_share(report):
    line = report.fit_line([(10.0, 0.3), (100.0, 0.4), (1000.0, 0.5)])
    assert line.slope == pytest.approx(0.1)
    assert line.middle == pytest.approx((2, 0.4))
    assert line.half_width == pytest.approx(0.0, abs=1e-6)
    assert line.log_words_for(0.7) == pytest.approx(5)
    assert line.log_words_for(0.7, steeper=0.2) == pytest.approx(3)


def test_fit_line_gives_the_interval_of_the_slope(report):
    line = report.fit_line([(1.0, 0.0), (10.0, 0.2), (100.0, 0.1), (1000.0, 0.3)])
    # Residuals -0.03, 0.09, -0.09, 0.03; s^2 = 0.018 / 2; the sum of squares of x is 5.
    assert line.slope == pytest.approx(0.08)
    assert line.half_width == pytest.approx(4.3027 * np.sqrt(0.009 / 5), rel=1e-4)


def test_extrapolations_leave_out_lines_without_a_clear_slope(conditions, report):
    runs = {
        conditions.Condition("bundled", n_words).name: {
            str(seed): {"accuracy_vs_teacher": accuracy + 0.02 * seed, "recall_vs_teacher": recall}
            for seed in range(2)
        }
        for n_words, accuracy, recall in (
            (1_000, 0.5, 0.6),
            (10_000, 0.6, 0.4),
            (100_000, 0.7, 0.61),
        )
    }
    # Residuals are 0.01, so s^2 = 6e-4 / 4, and the sum of squares of x is 4; t is 2.776.
    _, _, *rows = report.extrapolations(runs).splitlines()
    assert [row.split(" | ")[:2] for row in rows] == [["| bundled, word accuracy", "+10.0 ± 1.7"]]


def test_curve_points_are_those_of_the_usual_epochs_and_targets(conditions, report):
    usual = conditions.Condition("bundled", 300_000).name
    runs = {
        usual: {"0": {"recall_vs_teacher": 0.8}, "1": {"recall_vs_teacher": 0.82}},
        conditions.Condition("bundled", 300_000, epochs=9).name: {"0": {"recall_vs_teacher": 0.9}},
        conditions.Condition("bundled", 300_000, alpha=0.4).name: {"0": {"recall_vs_teacher": 0.7}},
    }
    points = report.curve_points(runs, "bundled", "recall_vs_teacher")
    assert points == [(300_000.0, [0.8, 0.82])]


def test_pairs_of_compares_each_student_with_the_one_without_its_change(conditions, report):
    usual, other = (conditions.Condition("bundled", 300_000, alpha) for alpha in (1.0, 0.4))
    names = ("bundled", usual.name, other.name, "the same teacher, labels in reverse order")
    runs = {name: {} for name in names}
    assert report.pairs_of(runs) == [(usual.name, "bundled"), (other.name, usual.name)]
    assert report.pairs_of({other.name: {}}) == []


def test_cut_ends_a_part_with_the_passage_that_reaches_its_words(transfer_text):
    parts = list(transfer_text.cut(passages_of(3, 3, 3, 1), 5))
    assert [[len(passage.words) for passage in part] for part in parts] == [[3, 3], [3, 1]]


def test_count_labels_counts_what_was_asked_and_found(transfer_text):
    counts = transfer_text.count_labels(iter(labeled_passages(4, 6)))
    assert counts["words labeled"] == 10
    assert counts["labels asked per passage"] == counts["labels found per passage"] == 1.0
    assert counts["labels of the test that were found"] == 1


@pytest.mark.slow
def test_a_tiny_run_has_all_measures_and_prints_all_tables(
    agreement, conditions, report, tmp_path, monkeypatch
):
    starts = {name: TrainingSettings(epochs=1) for name in conditions.STARTS}
    monkeypatch.setattr(conditions, "STARTS", starts)
    row = agreement.run(conditions.Condition("vectors", 300, alpha=0.4), 0)
    assert row["words"] >= 300
    assert row["threshold"] in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    assert all(0 <= row[measure] <= 1 for measure in conditions.MEASURES)
    jobs = [*agreement.references("a", "b"), *conditions.plan("text", 600_000, 2, 2)]
    runs = {}
    for place, job in enumerate(jobs):
        # More words must help beyond doubt, or no line is drawn.
        gain = place / 1e6 + math.log10(getattr(job.condition, "n_words", 0) or 1) / 100
        shifted = row | {measure: row[measure] + gain for measure in conditions.MEASURES}
        runs.setdefault(job.name, {})[str(job.seed)] = shifted
    texts = "\n".join(report.tables(runs))
    assert "not run" not in texts
    assert all(job.name in texts for job in jobs)
    assert "10^" in texts
    report.draw(runs, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["agreement.png"]
