"""The benchmark of passages kept apart, run as a user runs it, and the list of mute labels."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark_results import table_rows
from gliner_distill.corpus.reader import write_passages
from gliner_distill.entities import Entity, Passage

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def unseen_passages(benchmarks):
    return benchmarks("unseen_passages")


@pytest.fixture(scope="module")
def mute_labels(benchmarks):
    return benchmarks("mute_labels")


@pytest.fixture(scope="module")
def files(sets, tmp_path_factory):
    """Two groups: what the student has learned, and the same with a second label."""
    folder = tmp_path_factory.mktemp("groups")
    learned = sets["learned"]
    twice = [
        Passage(
            passage.words,
            tuple(
                Entity(entity.start_word, entity.end_word, label)
                for entity in passage.entities
                for label in (entity.label, "thing")
            ),
        )
        for passage in learned
    ]
    write_passages(folder / "one.json", learned)
    write_passages(folder / "two.json", [*twice, Passage(("nothing", "here"))])
    return (folder / "one.json", folder / "two.json")


@pytest.fixture(scope="module")
def figures(files, unseen_passages, run_once, student_folder):
    """Return the printed output and the content of unseen_passages.json: leave them alone."""
    options = ("--student", f"new={student_folder}", "--min-entities", 1)
    printed, world = run_once(unseen_passages, *files, *options)
    return printed, json.loads((world / "unseen_passages.json").read_text())


class TestUnseenPassages:
    @pytest.mark.slow
    def test_unseen_passages_scores_the_first_label_alone_in_flat_mode(
        self, figures, sets, student_folder
    ):
        from gliner_distill import StudentNER

        student = StudentNER.from_pretrained(student_folder)
        n_correct = n_both = 0
        for passage in sets["learned"]:
            if passage.entities:
                labels = list(dict.fromkeys(entity.label for entity in passage.entities))
                labels.insert(1, "thing")
                [found] = student.predict_words([passage.words], [labels])
                n_correct += len(set(found) & set(passage.entities))
                n_both += len(found) + len(passage.entities)
        flat = figures[1]["new"]["flat"]["at 0.5"]
        assert flat["two"] == pytest.approx(2 * n_correct / n_both)
        assert flat["one"] == 1.0
        assert flat["mean"] == pytest.approx((1 + flat["two"]) / 2)

    def test_unseen_passages_scores_all_labels_with_multi_label(
        self, figures, sets, student_folder
    ):
        from gliner_distill import StudentNER

        student = StudentNER.from_pretrained(student_folder)
        n_correct = n_both = 0
        for passage in sets["learned"]:
            if passage.entities:
                text = " ".join(passage.words)
                ends = np.cumsum([len(word) + 1 for word in passage.words]) - 1
                starts = [0, *(ends + 1)]
                gold = {
                    (starts[entity.start_word], ends[entity.end_word - 1], label)
                    for entity in passage.entities
                    for label in (entity.label, "thing")
                }
                labels = sorted({label for *_, label in gold})
                answer = student.predict_entities(text, labels, multi_label=True)
                found = {(one["start"], one["end"], one["label"]) for one in answer}
                n_correct += len(found & gold)
                n_both += len(found) + len(gold)
        multi = figures[1]["new"]["multi"]["at 0.5"]
        assert multi["two"] == pytest.approx(2 * n_correct / n_both)
        assert 0 < multi["two"] < 1

    def test_unseen_passages_takes_the_threshold_with_the_best_mean(self, figures):
        for own in figures[1]["new"].values():
            means = own["mean by threshold"]
            assert means[str(own["best threshold"])] == max(means.values())
            assert own["at best"]["mean"] == max(means.values())
            assert own["at 0.3"]["mean"] == means["0.3"]

    def test_unseen_passages_prints_a_table_for_each_mode(self, figures):
        printed, figures = figures
        parts = printed.split("\nLabels ")[0].split("\nF1 of exact spans, ")[1:]
        for mode, part in zip(("flat", "multi"), parts, strict=True):
            assert part.startswith(mode)
            rows = table_rows(part)
            assert list(rows) == ["group", "one", "two", "mean"]
            own = figures["new"][mode]
            for name in ("one", "two", "mean"):
                keys = ("at 0.5", "at 0.3", "at best")
                assert rows[name][2:] == [f"{100 * own[key][name]:.1f}" for key in keys]
        n_entities = [int(table_rows(part)["two"][1]) for part in parts]
        assert n_entities[1] == 2 * n_entities[0] > 0

    def test_unseen_passages_lists_the_mute_labels_of_each_group(self, figures):
        printed, figures = figures
        counts = figures["new"]["multi"]["frequent labels"]
        assert list(counts) == ["one", "two"]
        assert all(each["annotated"] for each in counts["two"].values())
        assert "thing" in counts["two"]
        assert "thing" not in figures["new"]["flat"]["frequent labels"]["two"]
        assert "Labels that find nothing or less than a tenth" in printed

    @pytest.mark.slow
    def test_unseen_passages_measures_the_bundled_student_by_default(
        self, files, unseen_passages, run, world
    ):
        run(unseen_passages, *files, "--out", "bundled.json")
        figures = json.loads((world / "bundled.json").read_text())
        assert list(figures) == ["student", "models"]
        assert figures["models"]["student"]["source"] == "bundled"

    def test_unseen_passages_ends_without_the_file(self, unseen_passages, run, world):
        with pytest.raises(SystemExit, match=r"^missing\.json: "):
            run(unseen_passages, "missing.json")

    def test_as_words_undoes_split_again(self, unseen_passages):
        passage = Passage(("Mr.", "A", "of", "the", "U.S."), (Entity(0, 2, "person"),))
        text, [entity] = unseen_passages.split_again(passage)
        found = [{"start": 0, "end": 5, "text": "Mr. A", "label": "person", "score": 0.5}]
        assert unseen_passages.as_words(text, found) == [entity] == [Entity(0, 3, "person")]


class TestMuteLabels:
    GOLD = [[Entity(n, n + 1, label) for n in range(20)] for label in ("city", "river")]  # noqa: RUF012

    def counts(self, mute_labels, predicted):
        return mute_labels.count_frequent_labels(predicted, self.GOLD)

    def test_mute_labels_are_those_without_a_right_answer(self, mute_labels):
        counts = self.counts(mute_labels, [[Entity(0, 2, "city")], []])
        assert mute_labels.mute_labels(counts) == ["city", "river"]
        assert mute_labels.silent_labels(counts) == ["river"]
        assert mute_labels.nearly_mute_labels(counts) == []

    def test_nearly_mute_labels_find_less_than_a_tenth(self, mute_labels):
        counts = self.counts(mute_labels, [self.GOLD[0][:1], self.GOLD[1][:2]])
        assert mute_labels.mute_labels(counts) == []
        assert mute_labels.nearly_mute_labels(counts) == ["city"]

    def test_count_frequent_labels_leaves_rare_labels_out(self, mute_labels):
        gold = [self.GOLD[0][:19], self.GOLD[1]]
        assert list(mute_labels.count_frequent_labels([[], []], gold)) == ["river"]

    def test_print_mute_labels_sums_up_all_sets(self, mute_labels, capsys):
        silent = self.counts(mute_labels, [[Entity(0, 2, "city")], self.GOLD[1]])
        mute_labels.print_mute_labels("student", {"one": silent, "two": silent, "none": {}})
        rows = table_rows(capsys.readouterr().out)
        assert rows["one"] == ["2", "city (0 of 20, 1 wrong)", "-"]
        assert rows["together"] == ["4", "2", "0"]
        assert "none" not in rows


class TestAnswerInCalls:
    """A runtime that refuses calls with a negative number."""

    @pytest.fixture
    def answer(self, benchmarks):
        from gliner_distill.errors import InputError

        def answer(numbers):
            def ask(part):
                if min(numbers[part]) < 0:
                    raise InputError("too many candidates")
                return [[number] for number in numbers[part]]

            return benchmarks("named_students").answer_in_calls(ask, len(numbers))

        return answer

    def test_answer_in_calls_leaves_refused_passages_empty(self, answer, capsys):
        numbers = [*range(100), -1, 7]
        assert answer(numbers) == [*([number] for number in range(100)), [], [7]]
        assert capsys.readouterr().out.startswith("1 of 102 passages count as empty")

    def test_answer_in_calls_fails_if_all_passages_are_refused(self, answer):
        from gliner_distill.errors import InputError

        with pytest.raises(InputError, match="too many"):
            answer([-1, -2])
