r"""Teach dates, e-mail addresses and IBANs by rules, which are right where a model guesses.

In this folder:

    gliner-distill label letters.txt --labels labels.txt --teacher python:structured:teacher \
      --out answers

Beside a model, it decides what it knows and leaves the rest to the model (see docs/teachers.md):

    gliner-distill distill letters.txt --labels labels.txt --teacher PATH/TO/GLINER \
      --teacher python:structured:teacher --gold annotated.jsonl --out my-student
"""

import re
from collections.abc import Iterator, Sequence

from gliner_distill import SpanTeacher
from gliner_distill.patterns.internet import find_emails
from gliner_distill.patterns.payment import find_ibans
from gliner_distill.teacher.spans import Span

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
DATE = re.compile(
    rf"\b(?:\d{{1,2}} (?:{MONTHS})(?: \d{{4}})?|(?:{MONTHS}) \d{{1,2}}(?:, \d{{4}})?"
    r"|\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4})\b"
)


def find_spans(texts: Sequence[str]) -> Iterator[list[Span]]:
    """Yield the dates, e-mail addresses and IBANs of each text."""
    for text in texts:
        spans: list[Span] = [(*match.span(), "date") for match in DATE.finditer(text)]
        spans += [(start, end, "email") for start, end in find_emails(text)]
        spans += [(start, end, "iban") for start, end in find_ibans(text)]
        yield spans


# Several labels of a user may mean the same finder.
LABELS = {"date": "date", "email": "email", "e-mail address": "email", "iban": "iban"}

teacher = SpanTeacher(find_spans, LABELS, name="structured", version=DATE.pattern)
