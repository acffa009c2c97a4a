r"""Teach with a spaCy pipeline.

In this folder:

    gliner-distill label letters.txt --labels labels.txt --teacher python:spacy_pipeline:teacher \
      --out answers

The pipeline here is blank apart from an entity ruler, so that it needs no download. For another
one, such as `spacy.load("en_core_web_sm")`, change `make_pipeline` and `LABELS`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence

import spacy

from gliner_distill import SpanTeacher
from gliner_distill.teacher.spans import Span

PATTERNS = [
    {"label": "GPE", "pattern": "London"},
    {"label": "GPE", "pattern": [{"LOWER": "new"}, {"LOWER": "york"}]},
    {"label": "MONEY", "pattern": [{"TEXT": "£"}, {"LIKE_NUM": True}]},
]

# The labels that you ask for, and those of the pipeline.
LABELS = {"place": "GPE", "city": "GPE", "price": "MONEY"}


def make_pipeline() -> spacy.language.Language:
    """Return the pipeline; any other with entities works as well."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(PATTERNS)
    return nlp


NLP = make_pipeline()


def find_spans(texts: Sequence[str]) -> Iterator[list[Span]]:
    """Yield the entities of each text."""
    for doc in NLP.pipe(texts):
        yield [(entity.start_char, entity.end_char, entity.label_) for entity in doc.ents]


# What may change the entities: the versions, and the patterns.
VERSION = json.dumps([spacy.__version__, NLP.meta["name"], NLP.meta["version"], PATTERNS])

teacher = SpanTeacher(
    find_spans, LABELS, name="spacy", version=hashlib.sha256(VERSION.encode()).hexdigest()
)
