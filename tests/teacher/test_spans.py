"""Teachers that give spans of characters: text from words, spans to words, labels they know."""

import numpy as np
import pytest

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import split_words, word_texts
from gliner_distill.errors import InputError, TeacherError
from gliner_distill.patterns.labels import FINDERS
from gliner_distill.teacher.base import check_answers, knows_label
from gliner_distill.teacher.spans import SpanTeacher, join_words


def make_teacher(find, labels=("city",), **more):
    return SpanTeacher(find, labels, **({"name": "rules", "version": "1"} | more))


def entities_of(teacher, text, labels):
    words = word_texts(text)
    probs = teacher.score_passages([words], [labels])[0]
    return [
        (" ".join(words[entity.start_word : entity.end_word]), entity.label, entity.score)
        for entity in decode_entities(probs, labels)
    ]


class TestJoinWords:
    @pytest.mark.parametrize(
        "text",
        [
            "Write to ann.lee@example.org. Bye!",
            "See https://www.example.com/a/b at 10:30, or 12/03/2024 (maybe).",
            "It costs £3.50; that's 2.5% of 1,000.",
            "The host is 192.168.0.1 and 00:1a:2b:3c:4d:5e.",
            "Note: all is well. He left.",
            "DE89 3704 0044 0532 0130 00 is an IBAN",
            "",
            "x",
        ],
    )
    def test_join_words_restores_common_text(self, text):
        joined, starts = join_words(word_texts(text))
        expected = text.replace("1,000", "1, 000")  # a guess: most commas end a clause
        assert joined == expected
        assert starts == [word.start_char for word in split_words(expected)]

    @pytest.mark.parametrize("words", [[".", "a"], [":", ":"], ["", ""], ["a", "\u200b", "b c"]])
    def test_join_words_keeps_the_place_of_odd_words(self, words):
        joined, starts = join_words(words)
        assert [joined[start:][: len(word)] for start, word in zip(starts, words, strict=True)] == (
            words
        )

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("email", "ann.lee-1@mail.example.org"),
            ("url", "https://example.com/a-b/c"),
            ("iban", "DE89 3704 0044 0532 0130 00"),
            ("card", "4111 1111 1111 1111"),
            ("ipv4", "192.168.0.1"),
            ("ipv6", "fe80::1"),
            ("mac", "00:1a:2b:3c:4d:5e"),
        ],
    )
    def test_patterns_find_their_types_in_joined_text(self, kind, text):
        joined, _ = join_words(word_texts(f"Take {text} now."))
        assert [joined[start:end] for start, end in FINDERS[kind](joined)] == [text]


class TestSpanTeacher:
    def test_spans_become_words_with_their_probabilities(self):
        def find(texts):
            for text in texts:
                place = text.index("New York")
                yield [(place, place + 8, "City", 0.75), (0, 3, "person")]

        teacher = make_teacher(find, ["city", "person"])
        found = entities_of(teacher, "Ann saw New York.", ["person", "city"])
        assert found == [("Ann", "person", 1.0), ("New York", "city", 0.75)]

    def test_a_span_within_a_word_covers_the_word_and_spaces_cover_none(self):
        teacher = make_teacher(lambda texts: [[(5, 7, "city"), (3, 5, "city"), (8, 9, "city")]])
        found = entities_of(teacher, "old London", ["city"])
        assert found == [("London", "city", 1.0)]
        spaces = make_teacher(lambda texts: [[(3, 4, "city")]])
        assert entities_of(spaces, "old London", ["city"]) == []

    def test_labels_are_known_in_any_spelling_and_with_a_description(self):
        teacher = make_teacher(
            lambda texts: [[(0, 1, "GPE")]], {"Place_name": "GPE", "city": "GPE"}
        )
        asked = ["place name: where one is", "river", "city"]
        assert [knows_label(teacher, label) for label in asked] == [True, False, True]
        probs = teacher.score_passages([["x"]], [asked])[0]
        assert probs[0, :, 0].tolist() == [1, 0, 1]
        check_answers("rules", [["x"]], [asked], [probs])

    def test_spans_of_other_labels_are_left_out(self):
        teacher = make_teacher(lambda texts: [[(0, 1, "river")]])
        assert not teacher.score_passages([["x"]], [["city"]])[0].any()

    def test_many_passages_are_asked_in_parts_in_order(self):
        sizes = []

        def find(texts):
            sizes.append(len(texts))
            return [[(0, 1, "city")] if text == "x" else [] for text in texts]

        passages = [["x"] if n % 3 else ["y"] for n in range(600)]
        scores = make_teacher(find).score_passages(passages, [["city"]] * 600)
        assert [bool(probs.any()) for probs in scores] == [n % 3 != 0 for n in range(600)]
        assert max(sizes) < 600

    def test_fingerprint_changes_with_name_version_and_labels(self):
        def find(texts):
            return []

        given = [
            {},
            {"name": "other"},
            {"version": "2"},
            {"labels": ["town"]},
            {"labels": {"city": "GPE"}},
        ]
        assert len({make_teacher(find, **more).fingerprint for more in given}) == len(given)
        assert make_teacher(find).fingerprint == make_teacher(lambda texts: None).fingerprint

    @pytest.mark.parametrize(
        "span",
        [
            *((0, 9, "city"), (2, 2, "city"), (-1, 1, "city"), (0, 1), (0, 1, "city", 2.0)),
            *((0, 1, "city", float("nan")), (0, 1, 7), "city", None, (0, 1, "city", "x")),
        ],
    )
    def test_a_span_of_another_shape_is_named_with_its_text(self, span):
        teacher = make_teacher(lambda texts: [[span]])
        with pytest.raises(TeacherError, match=r"^rules: returned the span .*'old x'.*expected"):
            teacher.score_passages([["old", "x"]], [["city"]])

    def test_a_wrong_number_of_answers_is_named(self):
        teacher = make_teacher(lambda texts: [[]])
        with pytest.raises(TeacherError, match="got 2 texts, but returned spans for 1"):
            teacher.score_passages([["x"], ["y"]], [["city"]] * 2)

    def test_no_label_is_refused(self):
        with pytest.raises(InputError, match="labels is empty"):
            make_teacher(lambda texts: [], [])


def test_passages_without_words_get_empty_answers():
    probs = make_teacher(lambda texts: [[]]).score_passages([[]], [["city"]])[0]
    assert probs.shape == (0, 1, 3)
    assert probs.dtype == np.float32
