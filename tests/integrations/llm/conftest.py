"""A stand-in endpoint, and the environment variables that lead to it."""

import pytest

import stand_in_endpoint
from distillation_world import LEXICON


@pytest.fixture(autouse=True)
def _openai(needs):
    needs("openai")


@pytest.fixture
def endpoint(monkeypatch):
    """A stand-in endpoint that knows the lexicon; see `stand_in_endpoint`."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with stand_in_endpoint.serve(LEXICON) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        monkeypatch.setenv("OPENAI_API_KEY", stand_in_endpoint.KEY)
        yield served


@pytest.fixture
def open_teacher(endpoint):
    """A function that opens the stand-in model as a teacher, with settings."""
    from gliner_distill.teacher.llm.settings import LLMSettings
    from gliner_distill.teacher.llm.teacher import open_llm_teacher

    def make(model=stand_in_endpoint.MODEL, **settings):
        return open_llm_teacher(model, LLMSettings(**settings))

    return make
