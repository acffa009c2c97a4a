"""The requests for entities and for checks."""

import json

import pytest

from gliner_distill.teacher.llm.questions import Question, cut_questions

WORDS = ("Ada", "saw", "{Paris}")


def test_question_has_the_passage_and_the_labels_with_descriptions():
    question = Question(WORDS, ("person", "city: a place {large} or small"))
    system, user = question.messages()
    assert user == {"role": "user", "content": "Ada saw {Paris}"}
    assert "- person\n- city: a place {large} or small\n" in system["content"]
    assert '{"entities": [{"text"' in system["content"]
    assert question.names == ("person", "city")


def test_question_names_labels_in_full_where_they_differ_after_a_colon():
    assert Question(WORDS, ("time: of day", "time: of year")).names == (
        "time: of day",
        "time: of year",
    )


def test_question_asks_for_a_strict_schema():
    form = Question(WORDS, ("person", "city: a town")).answer_format()
    schema = form["json_schema"]["schema"]
    entity = schema["properties"]["entities"]["items"]
    assert form["json_schema"]["strict"]
    assert entity["properties"]["label"]["enum"] == ["person", "city"]
    for part in (schema, entity):
        assert part["required"] == list(part["properties"])
        assert part["additionalProperties"] is False


def test_question_marks_the_span_of_a_check():
    system, user = Question(WORDS, ("city: a town",)).check_messages(2, 3, 0)
    assert user["content"] == "Ada saw ⟦ {Paris} ⟧"
    assert "city: a town" in system["content"]


def test_question_keys_differ_with_words_labels_and_order():
    questions = [
        Question(WORDS, ("a", "b")),
        Question(WORDS, ("b", "a")),
        Question(("Ada saw", "{Paris}"), ("a", "b")),
        Question(WORDS, ("a: b",)),
    ]
    keys = {question.key for question in questions}
    keys |= {
        question.check_key(*span) for question in questions[:2] for span in ((0, 1, 0), (0, 2, 0))
    }
    assert len(keys) == 8
    assert questions[0].key == Question(WORDS, ("a", "b")).key


@pytest.mark.parametrize("part", ["words", "label"])
def test_question_can_be_sent_with_half_of_a_surrogate_pair(part):
    broken = "a\ud800"
    question = Question((broken,), ("b",)) if part == "words" else Question(("a",), (broken,))
    sent = [question.messages(), question.answer_format(), question.check_messages(0, 1, 0)]
    json.dumps(sent, ensure_ascii=False).encode()
    assert len(question.key) == 64


def test_cut_questions_covers_long_passages_with_windows():
    words = [str(number) for number in range(1000)]
    parts = list(cut_questions(words, ("a",), max_words=400))
    assert [len(question.words) for _, question in parts] == [400, 400, 264]
    kept = [
        word
        for window, question in parts
        for word in question.words[
            window.keep_start - window.start : window.keep_end - window.start
        ]
    ]
    assert kept == words


@pytest.mark.parametrize(("words", "prompts"), [((), ("a",)), (WORDS, ())])
def test_cut_questions_asks_nothing_without_words_or_labels(words, prompts):
    assert list(cut_questions(words, prompts, max_words=400)) == []
