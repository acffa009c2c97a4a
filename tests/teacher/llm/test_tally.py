"""The sums over the answers of a language model."""

from collections import Counter

import pytest

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.llm.answers import REFUSED
from gliner_distill.teacher.llm.grounding import AMBIGUOUS, NOT_FOUND
from gliner_distill.teacher.llm.tally import Outcome, Tally

GOOD = Outcome(spans={(0, 1, 0): 1.0}, n_entities=3, counts=Counter({NOT_FOUND: 1, AMBIGUOUS: 1}))
REFUSAL = Outcome(invalid=Counter({REFUSED: 3}))


def tally_of(n_good, n_failed):
    tally = Tally()
    for outcome in [GOOD] * n_good + [REFUSAL] * n_failed:
        tally.add(outcome)
    return tally


def test_tally_describes_what_was_dropped_and_what_failed():
    text = tally_of(18, 2).describe()
    for fact in ("20 passages", "54 entities", f"18 {NOT_FOUND}", "6 refusals", "2 passages"):
        assert fact in text
    assert tally_of(0, 0).describe() == "0 passages with 0 entities in the answers"


@pytest.mark.parametrize(
    ("n_good", "n_failed", "is_last"), [(0, 5, False), (40, 5, False), (0, 1, True)]
)
def test_tally_stops_a_model_that_mostly_fails(n_good, n_failed, is_last):
    with pytest.raises(TeacherError, match=rf"llm:m: {n_failed} of {n_good + n_failed} .*refusals"):
        tally_of(n_good, n_failed).check("llm:m", is_last=is_last)


@pytest.mark.parametrize(
    ("n_good", "n_failed", "is_last"), [(0, 4, False), (46, 5, True), (1, 4, True), (0, 0, True)]
)
def test_tally_bears_a_few_failures(n_good, n_failed, is_last):
    tally_of(n_good, n_failed).check("llm:m", is_last=is_last)
