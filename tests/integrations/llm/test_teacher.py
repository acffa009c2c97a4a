"""A language model as a teacher: probabilities, answers that are kept, cost, and stores."""

import json
import math
import threading
from contextlib import suppress

import numpy as np
import pytest

import stand_in_endpoint as stand_in
from distillation_world import LEXICON, make_texts
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import END, INSIDE, START, Passage
from gliner_distill.errors import StoreError, TeacherError
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.teacher.llm.settings import Prices

LABELS = ("person", "city: a large town")
POLICY = LabelPolicy(fixed=("person", "city"), descriptions={"city": "a large town"})
PASSAGES = [Passage(tuple(text.split())) for text in make_texts(14)]


def score(teacher, text, labels=LABELS):
    [probs] = teacher.score_passages([text.split()], [labels])
    return probs


def label(teacher, folder, passages=PASSAGES, **more):
    pytest.importorskip("pyarrow")
    from gliner_distill.labeling.pipeline import label_corpus

    return label_corpus(
        passages, teacher, folder, policy=POLICY, limits=ShardLimits(passages=4), **more
    )


def read_shards(folder):
    return {path.name: path.read_bytes() for path in (folder / "data").iterdir()}


def as_answer(*entities):
    """Return the content of an answer from pairs of text and label."""
    listed = [{"text": text, "label": name, "before": "", "after": ""} for text, name in entities]
    return json.dumps({"entities": listed})


def test_scores_decode_to_the_entities_of_the_answer(endpoint, open_teacher):
    text = "mary saw london and john left paris"
    probs = score(open_teacher(), text)
    found = {(e.start_word, e.end_word, e.label) for e in decode_entities(probs, LABELS)}
    assert found == {(0, 1, "person"), (4, 5, "person"), (2, 3, LABELS[1]), (6, 7, LABELS[1])}
    assert (probs.shape, probs.dtype) == ((7, 2, 3), np.float32)


def test_scores_of_several_answers_are_the_shares_that_have_an_entity(endpoint, open_teacher):
    given = [
        as_answer(("old paris", "city"), ("mary", "person")),
        as_answer(("paris", "city"), ("mary", "person")),
        as_answer(("old paris", "city")),
        as_answer(),
    ]
    endpoint.answer = lambda endpoint, body, number: given[number]
    probs = score(open_teacher(n_answers=4), "mary saw old paris")
    [body] = endpoint.asked
    assert (body["n"], body["temperature"], "logprobs" in body) == (4, 1.0, False)
    np.testing.assert_allclose(probs[:, 1, START], [0, 0, 0.5, 0.25])
    np.testing.assert_allclose(probs[:, 1, END], [0, 0, 0, 0.5])
    np.testing.assert_allclose(probs[:, 1, INSIDE], [0, 0, 0.5, 0.5])
    np.testing.assert_allclose(probs[:, 0, START], [0.5, 0, 0, 0])


def test_scores_of_one_answer_come_from_log_probabilities(endpoint, open_teacher):
    def answer(endpoint, body, number):
        content = as_answer(("paris", "city"), ("mary", "person"))
        logprobs = stand_in.as_tokens(content)
        for token in logprobs["content"]:
            if token["token"] in ("paris", "city"):
                token["logprob"] = math.log(0.9)
            elif token["token"] == "before":
                token["logprob"] = -5.0
        return stand_in.as_choice(content, logprobs=logprobs)

    endpoint.answer = answer
    probs = score(open_teacher(), "mary saw paris")
    assert endpoint.asked[0]["logprobs"] is True
    np.testing.assert_allclose(probs[:, 1, START], [0, 0, 0.81], rtol=1e-6)
    np.testing.assert_allclose(probs[:, 0, START], [1, 0, 0])


def test_answers_that_are_missing_are_asked_for_again(endpoint, open_teacher):
    endpoint.refused = ("n",)  # as by an endpoint that gives one answer per request
    endpoint.faults = [lambda handler: False, stand_in.answers("no JSON")]
    score(open_teacher(n_answers=3), "mary saw paris")
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize("has_logprobs", [True, False])
def test_a_check_weighs_each_entity(endpoint, open_teacher, has_logprobs):
    def answer(endpoint, body, number):
        if not stand_in.is_check(body):
            return as_answer(("paris", "city"), ("old", "person"))
        assert body["logprobs"] is True
        content = stand_in.know(endpoint, body)
        others = [
            {"token": token, "logprob": math.log(0.8 if token == content else 0.2)}
            for token in ("yes", "no")
        ]
        token = {"token": content, "logprob": math.log(0.8), "top_logprobs": others}
        more = {"logprobs": {"content": [token]}} if has_logprobs else {}
        return stand_in.as_choice(content, **more)

    endpoint.answer = answer
    teacher = open_teacher(check=True)
    probs = score(teacher, "old paris")
    score(teacher, "old paris")
    yes, no = (0.8, 0.2) if has_logprobs else (1.0, 0.0)
    np.testing.assert_allclose(probs[:, 1, START], [0, yes])
    np.testing.assert_allclose(probs[:, 0, START], [no, 0])
    assert [body["temperature"] for body in endpoint.asked] == [0.0] * 3


def test_a_check_without_a_valid_answer_changes_nothing(endpoint, open_teacher):
    def answer(endpoint, body, number):
        return "perhaps" if stand_in.is_check(body) else as_answer(("paris", "city"))

    endpoint.answer = answer
    assert score(open_teacher(check=True), "old paris")[1, 1, START] == 1


def test_long_passages_are_asked_in_windows(endpoint, open_teacher):
    words = ["old"] * 20
    words[2] = words[10] = words[18] = "paris"
    probs = score(open_teacher(max_words=8), " ".join(words))
    assert np.flatnonzero(probs[:, 1, START]).tolist() == [2, 10, 18]
    assert max(len(text.split()) for text in endpoint.passages) == 8


def test_nothing_is_asked_without_words_or_labels(endpoint, open_teacher):
    scores = open_teacher().score_passages([[], ["paris"], []], [LABELS, [], []])
    assert [probs.shape for probs in scores] == [(0, 2, 3), (1, 0, 3), (0, 0, 3)]
    assert endpoint.asked == []


def test_a_passage_that_occurs_twice_is_asked_about_once(endpoint, open_teacher):
    teacher = open_teacher()
    first, second = teacher.score_passages([["paris"]] * 2, [LABELS] * 2)
    np.testing.assert_array_equal(first, second)
    score(teacher, "paris")
    assert len(endpoint.asked) == 1
    score(teacher, "paris", LABELS[:1])
    assert len(endpoint.asked) == 2


def test_fingerprints_tell_apart_what_changes_the_answers(endpoint, open_teacher, monkeypatch):
    others = [
        open_teacher("b"),
        *(open_teacher(**{name: 2}) for name in ("n_answers", "temperature")),
    ]
    teachers = [open_teacher("a"), open_teacher("a", check=True), *others]
    assert len({teacher.fingerprint for teacher in teachers}) == 5
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.org/v1")
    assert open_teacher("a", n_requests=1).fingerprint == teachers[0].fingerprint


def test_the_same_run_twice_asks_nothing_twice(endpoint, open_teacher, tmp_path):
    label(open_teacher(), tmp_path / "store")
    asked = endpoint.passages
    assert len(asked) == len(set(asked)) == len({passage.words for passage in PASSAGES})
    label(open_teacher(), tmp_path / "store")
    assert endpoint.passages == asked


@pytest.mark.parametrize("settings", [{}, {"n_answers": 3}, {"check": True}])
def test_stores_are_the_same_for_any_order_and_concurrency(
    endpoint, open_teacher, tmp_path, settings
):
    def answer(endpoint, body, number):
        passing = threading.Event()
        passing.wait(sum(map(ord, body["messages"][1]["content"])) % 4 / 1000)  # in any order
        content = stand_in.know(endpoint, body)
        return as_answer() if number == 2 else content

    endpoint.answer = answer
    for n_requests in (1, 8):
        label(open_teacher(n_requests=n_requests, **settings), tmp_path / str(n_requests))
    assert read_shards(tmp_path / "1") == read_shards(tmp_path / "8")


@pytest.mark.parametrize("n_answered", [0, 3, 9])
def test_a_run_that_was_stopped_pays_nothing_twice(endpoint, open_teacher, tmp_path, n_answered):
    label(open_teacher(), tmp_path / "whole")
    asked = endpoint.passages
    endpoint.asked.clear()
    endpoint.faults = [lambda handler: False] * n_answered + [stand_in.fails(401)] * 9
    with pytest.raises(TeacherError, match="OPENAI_API_KEY"):
        label(open_teacher(), tmp_path / "store")
    endpoint.faults = []
    label(open_teacher(), tmp_path / "store")
    assert endpoint.passages == asked
    assert read_shards(tmp_path / "store") == read_shards(tmp_path / "whole")


def test_a_store_of_other_settings_is_refused_by_name(endpoint, open_teacher, tmp_path):
    label(open_teacher(), tmp_path / "store")
    with pytest.raises(StoreError, match=r"n_answers 1, not 3; temperature 0\.0, not 1\.0"):
        label(open_teacher(n_answers=3), tmp_path / "store")


def test_a_repair_asks_nothing_again(endpoint, open_teacher, tmp_path):
    label(open_teacher(), tmp_path / "store")
    shards, asked = read_shards(tmp_path / "store"), endpoint.passages
    for path in (tmp_path / "store" / "data").iterdir():
        path.unlink()
    label(open_teacher(), tmp_path / "store", repair=True)
    assert read_shards(tmp_path / "store") == shards
    assert endpoint.passages == asked


def test_a_teacher_that_failed_at_once_leaves_room_for_another(endpoint, open_teacher, tmp_path):
    with pytest.raises(TeacherError, match="mistyped"):
        label(open_teacher("mistyped"), tmp_path / "store")
    store = label(open_teacher(), tmp_path / "store")
    assert store.manifest.teacher == "llm:stand-in"
    assert store.manifest.teacher_metadata["model"] == stand_in.MODEL


def test_the_limit_of_the_cost_stops_in_time_and_the_same_command_goes_on(
    endpoint, open_teacher, tmp_path
):
    # A request is expected to cost about 5 at most, and costs about 0.2 in fact.
    dear = {"prices": Prices(1000.0, 1000.0), "max_cost": 7.0}
    stopped = open_teacher(**dear)
    with pytest.raises(TeacherError, match=r"7\.00.*kept.*same command.*--max-cost"):
        label(stopped, tmp_path / "store")
    assert 0 < stopped.cost <= 7.0
    assert 0 < len(endpoint.asked) < len(PASSAGES)
    for _ in range(len(PASSAGES)):
        with suppress(TeacherError):
            label(open_teacher(**dear), tmp_path / "store")
    label(open_teacher(), tmp_path / "whole")
    assert read_shards(tmp_path / "store") == read_shards(tmp_path / "whole")
    assert len(endpoint.asked) == 2 * len({passage.words for passage in PASSAGES})


@pytest.mark.parametrize("has_usage", [True, False])
def test_a_summary_tells_tokens_and_cost(endpoint, open_teacher, tmp_path, caplog, has_usage):
    endpoint.has_usage = has_usage
    label(open_teacher(prices=Prices(1.0, 2.0)), tmp_path / "store")
    n_asked = len(endpoint.asked)
    first, last = caplog.messages
    assert "14 passages" in first
    assert f"{n_asked} passages with" in last
    if has_usage:
        assert f"{10 * n_asked:,} written" in last
    assert "which cost" in last


def test_an_estimate_counts_what_is_left(endpoint, open_teacher, tmp_path, caplog):
    # The first shard of four passages is finished, and two answers of the second one are kept.
    endpoint.faults = [lambda handler: False] * 6 + [stand_in.fails(401)] * 9
    with pytest.raises(TeacherError):
        label(open_teacher(n_requests=1), tmp_path / "store")
    endpoint.faults = []
    label(open_teacher(prices=Prices(1000, 0)), tmp_path / "store")
    n_tokens = sum(
        sum(len(message["content"]) for message in body["messages"]) // 5
        for body in endpoint.asked[:6]
    )
    estimate = caplog.messages[1]
    assert "text of 8 passages" in estimate
    assert "2 more are answered already" in estimate
    assert f"{8 * n_tokens / 6:,.0f} tokens to read" in estimate


def test_the_lexicon_is_learned(endpoint, open_teacher, tmp_path):
    store = label(open_teacher(), tmp_path / "store")
    for passage in store:
        found = {(e.start_word, e.label) for e in decode_entities(passage.probs, passage.labels)}
        expected = {
            (place, LEXICON[word])
            for place, word in enumerate(passage.words)
            if LEXICON.get(word) in POLICY.fixed
        }
        assert found == expected
