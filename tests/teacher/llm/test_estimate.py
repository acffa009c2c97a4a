"""The estimate before the first request."""

import pytest

from gliner_distill.teacher.llm.estimate import Estimate
from gliner_distill.teacher.llm.kept_answers import KeptAnswers
from gliner_distill.teacher.llm.questions import Question
from gliner_distill.teacher.llm.settings import LLMSettings, Prices

QUESTION = Question(("word",) * 100, ("person",))
URL = "https://example.org/v1"


def describe(settings, kept=None, **more):
    estimate = Estimate(settings)
    for _ in range(10):
        estimate.add(QUESTION, is_kept=False)
    estimate.add(QUESTION, is_kept=True)
    return estimate.describe(URL, False, kept or KeptAnswers())


def test_estimate_counts_characters_until_tokens_are_known():
    n_chars = sum(len(message["content"]) for message in QUESTION.messages())
    text = describe(LLMSettings(n_answers=2))
    for fact in (
        f"text of 10 passages is sent to {URL}, a server outside of this machine",
        f"{10 * n_chars / 4:,.0f} tokens to read",
        f"{10 * 2 * 1.5 * 499 / 4:,.0f} to write",
        "1 more are answered already",
        "--price-per-million",
    ):
        assert fact in text


def test_estimate_uses_the_tokens_of_kept_answers():
    kept = KeptAnswers()
    kept.add("a", [[]], (300, 40))
    kept.add("b", [[]], (500, 60))
    text = describe(LLMSettings(prices=Prices(1000.0, 2000.0)), kept)
    assert "4,000 tokens to read and 500 to write" in text
    assert "cost about 5.00" in text


@pytest.mark.parametrize("is_checked", [True, False])
def test_estimate_mentions_checks(is_checked):
    assert ("to check it" in describe(LLMSettings(check=is_checked))) == is_checked
