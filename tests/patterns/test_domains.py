"""The tables of top-level domains."""

from gliner_distill.patterns.domains import AMBIGUOUS_DOMAINS, TOP_LEVEL_DOMAINS


def test_domains_are_lower_case_letters_and_stand_in_one_table():
    assert not AMBIGUOUS_DOMAINS & TOP_LEVEL_DOMAINS
    for domain in AMBIGUOUS_DOMAINS | TOP_LEVEL_DOMAINS:
        assert domain.isalpha()
        assert domain.islower()
        assert len(domain) > 1
