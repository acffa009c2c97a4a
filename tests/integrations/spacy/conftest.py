"""Blank English pipelines with the component `gliner_distill` in them."""

import json

import pytest

TEXT = "Ada Lovelace lived in London."
LABELS = ["person", "city"]


@pytest.fixture(scope="session")
def spacy(needs):
    return needs("spacy")


@pytest.fixture(scope="session")
def make_nlp(spacy):
    """A function that returns a new pipeline for a test that changes it."""

    def make(**config):
        nlp = spacy.blank("en")
        nlp.add_pipe("gliner_distill", config={"labels": LABELS, "num_threads": 1} | config)
        return nlp

    return make


@pytest.fixture(scope="session")
def shared_nlp(make_nlp):
    """A function that returns one pipeline per config, which loads its student once: read only."""
    pipelines = {}

    def get(**config):
        key = json.dumps(config, sort_keys=True)
        if key not in pipelines:
            pipelines[key] = make_nlp(**config)
        return pipelines[key]

    return get


@pytest.fixture
def score_extension(spacy):
    """The class `Span`; the extension `score` is put back after the test."""
    from spacy.tokens import Span

    names = ("default", "method", "getter", "setter")
    before = Span.get_extension("score") if Span.has_extension("score") else None
    yield Span
    if Span.has_extension("score"):
        Span.remove_extension("score")
    if before is not None:
        given = {
            name: value for name, value in zip(names, before, strict=True) if value is not None
        }
        Span.set_extension("score", **(given or {"default": None}))
