"""The benchmark without task data: the texts, the search for words, and a tiny run."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.entities import Entity, LabeledPassage, Passage

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)

LABELS = ("city", "river")


@pytest.fixture(scope="module")
def study(benchmarks):
    return benchmarks("without_data")


@pytest.fixture(scope="module")
def texts(benchmarks):
    return benchmarks("without_data_texts")


@pytest.fixture(scope="module")
def adversarial(benchmarks):
    return benchmarks("adversarial_words")


@pytest.fixture
def searching(adversarial, build_gliner, build_finder, small_vocabulary):
    """A search of a tiny GLiNER against a random student."""
    return adversarial.WordSearch(
        build_gliner("UniEncoderSpan"), build_finder(), small_vocabulary, LABELS
    )


def labeled(n_words, name="w"):
    words = tuple(f"{name}{place}" for place in range(n_words))
    return LabeledPassage(Passage(words), LABELS, np.full((n_words, 2, 3), 0.1, np.float32))


def test_candidate_words_are_whole_words_of_three_letters_or_more(adversarial, build_gliner):
    tokenizer = build_gliner("UniEncoderSpan").data_processor.transformer_tokenizer
    words = adversarial.candidate_words(tokenizer)
    assert {"paris", "the", "old"} <= set(words)
    assert not {"of", "a", "##a", "[CLS]", "7"} & set(words)


def test_choose_straight_through_reads_one_candidate_with_the_gradient_of_the_mean(adversarial):
    import torch

    candidates = torch.eye(2)
    vectors = torch.tensor([[0.8, 0.6]], requires_grad=True)
    chosen, rows = adversarial.choose_straight_through(vectors, candidates)
    assert chosen.tolist() == [0]
    torch.testing.assert_close(rows, torch.tensor([[1.0, 0.0]]))
    [slope] = torch.autograd.grad(rows[0, 1], vectors)
    # p = softmax(20 * cosines), and dp2 = 20 * p1 * p2 * (dcos2 - dcos1). On the unit circle, a
    # change d of the vector changes the cosines by d - (d . v) v.
    p2 = 1 / (1 + math.exp(20 * 0.2))
    factor = 20 * p2 * (1 - p2)
    expected = factor * (torch.tensor([-1.0, 1.0]) - (-0.8 + 0.6) * torch.tensor([0.8, 0.6]))
    torch.testing.assert_close(slope[0], expected, rtol=1e-4, atol=1e-6)


def test_inside_logits_equal_the_inside_probabilities_of_the_teacher(adversarial):
    import torch

    from gliner_distill.entities import INSIDE
    from gliner_distill.teacher.gliner import span_to_word_probs

    torch.manual_seed(0)
    logits = torch.randn(3, 6, 4, 2)
    n_words = torch.tensor([6, 3, 1])
    expected = span_to_word_probs(torch.sigmoid(logits), n_words)[..., INSIDE]
    found = torch.sigmoid(adversarial.inside_logits(logits, n_words))
    torch.testing.assert_close(found, expected)


def test_replacing_changes_rows_only_within_the_context(adversarial):
    import torch

    layer = torch.nn.Embedding(5, 2)
    ids = torch.tensor([[0, 1], [2, 3]])
    before = layer(ids)
    index = (torch.tensor([1]), torch.tensor([0]))
    with adversarial.replacing(layer, index, torch.tensor([[7.0, 8.0]])):
        changed = layer(ids)
    assert changed[1, 0].tolist() == [7.0, 8.0]
    torch.testing.assert_close(changed[0], before[0])
    torch.testing.assert_close(layer(ids), before)


def test_search_raises_the_divergence_and_changes_only_marked_words(adversarial, searching):
    texts = ["the old bank of paris", "mary saw london and the big river"]
    drafts = [
        adversarial.Draft(tuple(texts[0].split()), (1, 2)),
        adversarial.Draft(tuple(texts[1].split()), (0, 5)),
    ]
    found, before, after = searching.search(drafts, n_steps=4)
    assert after > before
    for draft, words in zip(drafts, found, strict=True):
        kept = [place for place in range(len(words)) if place not in draft.places]
        assert [words[place] for place in kept] == [draft.words[place] for place in kept]
        assert all(words[place] in searching.words for place in draft.places)
    # The words that are found really have the divergence that the search says.
    again = [
        adversarial.Draft(words, draft.places) for words, draft in zip(found, drafts, strict=True)
    ]
    assert searching.search(again, n_steps=0)[1] == pytest.approx(after, rel=1e-4)


def test_search_measures_the_divergence_that_training_lowers(
    adversarial, searching, build_gliner, build_finder, small_vocabulary
):
    import torch

    from gliner_distill.student.losses import soft_loss, teacher_word_logits
    from gliner_distill.student.predictor import StudentPredictor
    from gliner_distill.teacher.gliner import GLiNERTeacher

    words = ("the", "old", "bank", "of", "paris")
    _, before, _ = searching.search([adversarial.Draft(words, (1,))], n_steps=0)
    [probs] = GLiNERTeacher(build_gliner("UniEncoderSpan")).score_passages([words], [LABELS])
    [logits] = StudentPredictor(build_finder(), small_vocabulary).logits([words], [LABELS])
    teacher_logits = torch.from_numpy(teacher_word_logits(probs))
    losses = soft_loss(torch.from_numpy(logits), teacher_logits, temperature=1.0)
    # The targets of training are cut off at probabilities of 1/512.
    assert before == pytest.approx(float(losses.mean()), rel=0.02)


def test_perturb_replaces_three_words_of_ten_by_candidates(texts):
    words = ["We", "met", "on", "4", "May", "near", "the", "old", "bridge", "."]
    draft = texts.perturb(words, ["alpha", "beta"], seed=1)
    assert len(draft.places) == 3
    assert draft == texts.perturb(words, ["alpha", "beta"], seed=1)
    for place, (word, old) in enumerate(zip(draft.words, words, strict=True)):
        assert word in (("alpha", "beta") if place in draft.places else (old,))
    assert not {3, 9} & set(draft.places)


def test_take_words_stops_after_the_passage_that_reaches_the_number(texts):
    passages = [labeled(4), labeled(3), labeled(5)]
    assert texts.take_words(passages, 7) == passages[:2]
    assert texts.take_words(passages, 8) == passages
    assert texts.take_words(passages, 99) == passages


def test_read_words_takes_a_list_or_lines(texts, tmp_path):
    records = [{"tokenized_text": ["a", "b"]}, {"tokenized_text": ["c"]}]
    (tmp_path / "list.json").write_text(json.dumps(records))
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, records)))
    for name in ("list.json", "lines.jsonl"):
        assert texts.read_words(tmp_path / name) == [("a", "b"), ("c",)]


def test_windows_cut_long_passages_into_equal_parts(texts):
    assert texts.windows(tuple("ab")) == [("a", "b")]
    assert [len(window) for window in texts.windows(("w",) * 81)] == [27, 27, 27]
    assert texts.windows(()) == []


def test_read_asked_splits_the_lines_of_a_set_into_words(texts, tmp_path, monkeypatch):
    (tmp_path / "meals.txt").write_text("2 cups flour, sifted\nsalt\n", encoding="utf-8")
    monkeypatch.setattr(texts, "ASKED_FOLDER", tmp_path)
    assert texts.read_asked("meals") == [("2", "cups", "flour", ",", "sifted"), ("salt",), ()]


def test_passages_for_a_domain_are_enough_and_differ(texts):
    paths = sorted(texts.ASKED_FOLDER.glob("*.txt"))
    assert [path.stem for path in paths] == ["bc5cdr", "restaurant8k", "tasteset"]
    for path in paths:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(set(lines)) == len(lines)
        assert sum(map(len, texts.read_asked(path.stem))) >= 6000


def test_random_passages_keep_the_lengths_and_the_words(texts):
    drawn = texts.random_passages([labeled(4, "a"), labeled(6, "b")], seed=0)
    assert [len(words) for words in drawn] == [4, 6]
    known = {f"a{place}" for place in range(4)} | {f"b{place}" for place in range(6)}
    assert {word for words in drawn for word in words} <= known


def test_plan_has_each_job_once_and_searches_one_set_before_the_others(
    study, texts, tmp_path, monkeypatch
):
    (tmp_path / "a.txt").touch()
    monkeypatch.setattr(study, "ASKED_FOLDER", tmp_path)
    setting = texts.Setting("corpora", "teacher", "written", "stores")
    jobs = study.plan(setting, ["a", "b"], texts.TEXTS, 2)
    keys = [(job.name, job.seed) for job in jobs]
    # No passages were written for the domain of the second set. The last students are smaller.
    assert len(set(keys)) == len(keys) == (2 * len(texts.TEXTS) - 1) * 2 + 3 * 2
    assert [job.condition.is_smaller for job in jobs[-7:]] == [False, *[True] * 6]
    assert ("b, language model, for the domain", 0) not in keys
    assert keys.index(("a, adversarial", 1)) < keys.index(("b, adversarial", 0))


def test_main_refuses_an_unknown_text(study, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["without_data.py", *"abcd", "--texts", "task data+news"])
    with pytest.raises(SystemExit):
        study.main()
    assert "unknown texts: news" in capsys.readouterr().err


def test_with_schedule_changes_the_setting_of_larger_texts_alone(study, texts):
    setting = texts.Setting("corpora", "teacher", "written", "stores", epochs=10, steps=32)
    assert study.with_schedule(setting, texts.WRITTEN + texts.CHOSEN) is setting
    more = study.with_schedule(setting, texts.WRITTEN + texts.MORE)
    most = study.with_schedule(setting, texts.WRITTEN + texts.MOST)
    assert [(item.epochs, item.steps) for item in (more, most)] == [(10, 192), (4, 1280)]


def test_tables_give_shares_and_differences_by_hand(study, texts):
    def rows(f1_values):
        return {
            str(seed): {
                "f1": f1,
                "kept": f1 / 0.8,
                "best_kept": f1 / 0.8,
                "agreement": f1,
                "found_per_100_words": 5.0,
                "divergences": [[0.1, 0.3]],
            }
            for seed, f1 in enumerate(f1_values)
        }

    runs = {
        study.run_name("meals", texts.PERTURBED): rows([0.2, 0.4]),
        study.run_name("meals", texts.ADVERSARIAL): rows([0.3, 0.5]),
    }
    shares, differences, searches = study.tables(runs)
    assert "| perturbed | 30.0 ± 14.1 | 37.5 ± 17.7 |" in shares
    assert "| adversarial minus perturbed | +10.0 [+10.0, +10.0] |" in differences
    assert "| meals, round 1 | 0.100 | 0.300 |" in searches


def test_tables_have_the_smaller_student_beside_the_usual_one(study, texts):
    row = {"kept": 0.5, "best_kept": 0.75, "agreement": 0.5, "found_per_100_words": 5.0}
    runs = {
        study.run_name("meals", texts.TASK): {"0": row | {"f1": 0.5}, "1": row | {"f1": 0.6}},
        study.run_name("meals", texts.TASK, is_smaller=True): {
            "0": row | {"f1": 0.4},
            "1": row | {"f1": 0.5},
        },
    }
    [*_, smaller] = study.tables(runs)
    assert smaller.splitlines()[2:] == [
        "| meals: task data | 45.0 ± 7.1 | 50.0 ± 0.0 | 75.0 ± 0.0 | -10.0 [-10.0, -10.0] |"
    ]


def write_corpus(path, n_passages, entities):
    words = ["mary", "saw", "the", "old", "bank", "of", "the", "rhine", "and", "left", "paris"]
    lines = []
    for number in range(n_passages):
        marked = [*words[number % 5 :], "on", "the", "thames"][: 6 + number % 4]
        record = {"tokenized_text": [*marked, str(number)], "ner": entities}
        lines.append(json.dumps(record))
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.slow
def test_run_measures_a_student_of_each_text(study, texts, gliner_folder, tmp_path, monkeypatch):
    write_corpus(tmp_path / "letters.jsonl", 40, [[0, 0, "city"]])
    write_corpus(tmp_path / "fewnerd_a.jsonl", 40, [])
    write_corpus(tmp_path / "written.jsonl", 40, [])
    (tmp_path / "letters.labels.json").write_text(json.dumps(["city", "river"]))
    setting = texts.Setting(
        *(str(tmp_path), str(gliner_folder), str(tmp_path / "written.jsonl")),
        *(str(tmp_path / "stores"), 60, 140, 6, 1, 2, 1),
    )
    for text in (texts.TASK, texts.WRITTEN + texts.CHOSEN, texts.RANDOM, texts.ADVERSARIAL):
        row = study.run(study.Condition("letters", text, setting), 0)
        assert 60 <= row["n_words"] <= 80
        assert 0 <= row["f1"] <= row["best_f1"] <= 1
        assert ("divergences" in row) == (text == texts.ADVERSARIAL)
    for before, after in row["divergences"]:
        assert after >= before
    with pytest.raises(
        SystemExit, match=r"100 times the words: there are \d+ words; expected 6000"
    ):
        study.run(study.Condition("letters", texts.WRITTEN + texts.MOST, setting), 0)
    monkeypatch.setattr(texts, "N_TIMES", {texts.MORE: 4, texts.MOST: 5})
    row = study.run(study.Condition("letters", texts.WRITTEN + texts.MORE, setting), 0)
    more = study.run(study.Condition("letters", texts.WRITTEN + texts.MOST, setting), 0)
    assert 200 < row["n_words"] < more["n_words"]
    test = texts.read_domain(setting, "letters").test
    assert [item.passage.entities for item in test] == [(Entity(0, 1, "city"),)] * 6
