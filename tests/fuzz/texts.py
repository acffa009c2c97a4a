"""Random texts, labels and options for a student, and what must hold for its answers."""

from random import Random
from typing import Any

# First and last code points: letters of many scripts, marks that combine, emojis, planes without
# letters, private ones, controls, and lone surrogates.
_RANGES = (
    *((0x20, 0x7E), (0x61, 0x7A), (0x30, 0x39), (0x00, 0x1F), (0x7F, 0xA0), (0xC0, 0x24F)),
    *((0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0xDFF), (0x1100, 0x11FF)),
    *((0x2000, 0x206F), (0x3040, 0x30FF), (0x4E00, 0x4FFF), (0xAC00, 0xAFFF), (0xD800, 0xDFFF)),
    *((0xE000, 0xE0FF), (0xFE00, 0xFE0F), (0xFFF0, 0xFFFF), (0x1F300, 0x1F9FF)),
    *((0x20000, 0x200FF), (0xE0000, 0xE01EF), (0x10FF00, 0x10FFFF), (0x0, 0x10FFFF)),
)
_PIECES = (
    *("mary", "London", "the", "Rhine", "a@b.com", "x.y@sub.example.org", "https://a.org/b?c=(d)"),
    *("www.example.com/", "192.168.0.1", "fe80::1%eth0", "00:1B:44:11:3A:B7", "GB82WEST12345698"),
    *("GB82 WEST 1234 5698 7654 32", "4111 1111 1111 1111", "4111-1111-1111-1111", "1990-01-01"),
    *("[PERSON_1]", "[LITERAL_1]", "[PERSON]", "'", '"', "-", "_", "--", "...", ".", "@", "://"),
    *("\r\n", "\n", "\t", "\0", "\u2028", "\u00a0", "\u200b", "\u200d", "\u0301", "\ufeff", "İ"),
    *("ß", "ǅ", "ﬁ", "\ud83d", "\ude00", "👨‍👩‍👧", "🇩🇪", "e\u0301" * 3, "١٢٣", "½", "ⅷ"),
)
_LABELS = ("person", "city", "email address", "phone number", "credit card number", "IBAN", "URL")


def draw_question(rng: Random) -> dict[str, Any]:
    """Return texts, labels and options, as values that JSON can hold."""
    return {
        "texts": [_draw_text(rng) for _ in range(rng.choice((1, 2, 5, 9)))],
        "labels": _draw_labels(rng),
        "options": {
            "flat_ner": rng.random() < 0.7,
            "multi_label": rng.random() < 0.3,
            "threshold": rng.choice((0.5, 0.5, 0.3, 0.1, 0.99)),
            "return_class_probs": rng.random() < 0.2,
            "on_long": rng.choice(("window", "truncate")),
            "patterns": rng.random() < 0.8,
        },
    }


def check_answers(student: Any, question: dict[str, Any]) -> None:
    """Ask the question, and check the positions, labels and scores of the answers."""
    from gliner_distill.redaction.placeholders import restore

    texts, labels, options = question["texts"], question["labels"], question["options"]
    answers = student.inference(texts, labels, **options)
    assert len(answers) == len(texts)
    for text, entities in zip(texts, answers, strict=True):
        _check_entities(text, entities, labels, options)
        redaction = student.redact(text, labels, "mapping", threshold=options["threshold"])
        assert restore(redaction.text, redaction.mapping) == text
    if student.precision == "fp32":  # in 8 bits, the texts of a batch share their scales
        _check_company(student, question)


def _check_company(student: Any, question: dict[str, Any]) -> None:
    """Check that a text has the same answers alone as in a list, but for the last digits."""
    texts, labels = question["texts"], question["labels"]
    # Without competition, a score that is rounded otherwise changes no other entity.
    options = question["options"] | {"flat_ner": False, "multi_label": True}
    for text, entities in zip(texts, student.inference(texts, labels, **options), strict=True):
        [among, alone] = (
            {(found["start"], found["end"], found["label"]): found["score"] for found in answer}
            for answer in (entities, student.predict_entities(text, labels, **options))
        )
        for place in among.keys() | alone.keys():
            scores = [answer.get(place, options["threshold"]) for answer in (among, alone)]
            assert abs(scores[0] - scores[1]) < 1e-5, f"{place} has the scores {scores}"


def _check_entities(text: str, entities: list[dict[str, Any]], labels: Any, options: Any) -> None:
    ends = [0]
    for entity in entities:
        start, end = entity["start"], entity["end"]
        assert 0 <= start < end <= len(text)
        assert text[start:end] == entity["text"]
        assert entity["label"] in labels
        assert options["threshold"] <= entity["score"] <= 1 or entity.get("source") == "pattern"
        if options["flat_ner"] and not options["multi_label"]:
            assert start >= ends[-1], f"{entity} overlaps another entity"
        ends.append(end)


def _draw_text(rng: Random) -> str:
    n_parts = rng.choice((0, 1, 3, 12, 40, 80))
    return rng.choice(("", " ", " ", "\n")).join(_draw_part(rng) for _ in range(n_parts))


def _draw_part(rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(_PIECES)
    first, last = rng.choice(_RANGES)
    n_chars = rng.choice((1, 1, 2, 5, 20))
    part = "".join(chr(rng.randint(first, last)) for _ in range(n_chars))
    return part * (rng.choice((30, 30_000 // len(part))) if rng.random() < 0.002 else 1)


def _draw_labels(rng: Random) -> Any:
    labels = [
        rng.choice(_LABELS) if rng.random() < 0.8 else _draw_part(rng)
        for _ in range(rng.choice((1, 2, 4, 7)))
    ]
    if rng.random() < 0.1:
        return {label: _draw_part(rng) or "x" for label in labels}
    return labels if rng.random() < 0.95 else rng.choice(([], "", [""], [" "], ["a", "A"]))
