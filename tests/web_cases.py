"""The cases that JavaScript and Python answer alike: words, pieces, labels, entities, scores."""

from itertools import pairwise

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.entities import split_words
from gliner_distill.labels import clean_label
from gliner_distill.runtime.vocabulary import word_shape
from script_texts import in_units, make_texts, places_in_units

N_TEXTS = 10_000
CAMEL = {"flat_ner": "flatNer", "multi_label": "multiLabel", "on_long": "onLong"}
STRUCTURED = ["email", "URL", "IP address", "iban", "credit card number", "mac address", "person"]
HOSTILE = [
    *("", " \n\t", "\ud800", "a\udfffb \ud83d", "x" * 1_000_000, "\u0301" * 300, "(" * 700),
    *("a-" * 5_000, "@" * 2_000, "a.b@" * 1_000, "1.2." * 2_000, "http://" + "(" * 3_000),
]
CONTACTS = [
    "Write to maria.lopez@example.com or see www.example.org/a_(b), 203.0.113.7 and fe80::1.",
    "IBAN DE89 3704 0044 0532 0130 00, card 4111 1111 1111 1111, mac 00:1A:2b:3c:4d:5e.",
    "é@ü.de http://éa.fr x@y.Org.Please Home.It run.py \U0001d7d8 a@b.com \U0001f600 c@d.com",
]


def make_splits():
    """Return texts of every script and the passages of the sample."""
    passages = read_passages(str(sample_path("dev")))
    return [*make_texts(N_TEXTS), *(" ".join(passage.words) for passage in passages)]


def make_calls():
    """Return calls of `inference`: texts, labels and options."""
    passages = list(read_passages(str(sample_path("dev"))))
    texts = [" ".join(passage.words) for passage in passages]
    labels = sorted({label for passage in passages for label in passage.own_labels})
    broad = ["person", "politician", "Place", "city", "work_of_art"]
    long = " ".join(texts[:30])
    return [
        (texts, labels, {}),
        (texts, broad, {}),
        (texts, broad, {"threshold": 0.1, "flat_ner": False}),
        (texts, broad, {"multi_label": True, "thresholds": {"PERSON": 0.9, "city": 0.05}}),
        (texts[:9], labels[:60], {"threshold": 0.1, "flat_ner": False, "multi_label": True}),
        (texts[:9], {"person": "someone who writes books", "city": "a large town"}, {}),
        ([long], labels, {}),
        ([long], broad, {"threshold": 0.02, "flat_ner": False}),
        ([long], broad, {"on_long": "truncate"}),
        (texts[:5], broad[:2], {"threshold": 0.0}),
        ([" ".join(texts[:9])], labels[:20], {"threshold": 0.0}),
        ([" ".join([*texts, *texts])], broad, {"threshold": 0.05}),  # it is read in sections
        (CONTACTS, STRUCTURED, {}),
        (CONTACTS, STRUCTURED, {"multi_label": True, "flat_ner": False}),
        (HOSTILE, STRUCTURED, {}),
        (texts[:2], [], {}),
        ([], broad, {}),
        (texts[:2], [broad[:2], broad[2:]], {}),
    ]


def as_json(splits=(), labels=(), calls=()):
    """Return cases in the form that `cases.mjs` takes."""
    return {
        "splits": list(splits),
        "labels": list(labels),
        "calls": [
            {
                "texts": texts,
                "labels": asked,
                "options": {CAMEL.get(name, name): value for name, value in options.items()},
            }
            for texts, asked, options in calls
        ],
    }


def expected_splits(vocabulary, texts):
    """Return the words of texts as JavaScript gives them, with their pieces and shapes."""
    expected = []
    for text in texts:
        places, words = places_in_units(text), split_words(text)
        encoded = vocabulary.encode_words([word.text for word in words])
        bounds = [*encoded.word_starts.tolist(), len(encoded.piece_ids)]
        ids = encoded.piece_ids.tolist()
        expected.append(
            {
                "starts": [places[word.start_char] for word in words],
                "ends": [places[word.end_char] for word in words],
                "pieces": [ids[first:end] for first, end in pairwise(bounds)],
                "shapes": ["".join(str(int(p)) for p in word_shape(w.text)) for w in words],
            }
        )
    return expected


def expected_labels(vocabulary, labels):
    """Return the clean form and the pieces of labels."""
    return [[clean_label(label), vocabulary.encode_label(label)] for label in labels]


def expected_calls(student, calls):
    """Return the answers of Python, with positions as in JavaScript."""
    answers = [student.inference(texts, asked, **options) for texts, asked, options in calls]
    return [
        [in_units(text, entities) for text, entities in zip(texts, found, strict=True)]
        for (texts, _, _), found in zip(calls, answers, strict=True)
    ]


def first_difference(expected, found):
    """Return the first pair of answers that differ, for a short message; None if all agree."""
    assert len(expected) == len(found)
    pairs = zip(expected, found, strict=True)
    return next(((ours, theirs) for ours, theirs in pairs if ours != theirs), None)
