"""IBANs and card numbers: forms, schemes, numbers that only look like them, and hostile text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from found_spans import N_HOSTILE_CHARS, texts_of
from gliner_distill.patterns.checks import passes_luhn, passes_mod_97
from gliner_distill.patterns.payment import find_card_numbers, find_ibans

HOSTILE = ["1", "1 ", "1-", "1234 ", "4111 ", "DE89", "DE89 ", "DE89-", "A", "AA00", " ", "\u00a0"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DE89 3704 0044 0532 0130 00 BIC COBADEFF", ["DE89 3704 0044 0532 0130 00"]),
        ("GB82WEST12345698765432,GB82-WEST-1234-5698-7654-32", 2),
        ("iban de89370400440532013000.", ["de89370400440532013000"]),
        ("IBAN:NO93 8601 1117 947 and 12", ["NO93 8601 1117 947"]),
        ("NL91ABNA\u00a00417\u00a01643\u00a000", 1),
        ("MT84MALT011000012345MTLCAST001S", 1),
        ("DE89 3704 0044 0532 0130 01 GB83WEST12345698765432", []),  # wrong check digits
        ("DE89  3704 0044 0532 0130 00", []),  # two spaces
        ("DE893704004405320130001 XDE89370400440532013000", []),  # longer numbers
        ("ZZ89370400440532013000 DE89", []),  # no such country, and too short
    ],
)
def test_find_ibans_finds_valid_numbers_of_the_right_length(text, found):
    ibans = texts_of(find_ibans, text)
    assert (len(ibans) if isinstance(found, int) else ibans) == found


@given(st.text("0123456789", min_size=18, max_size=18), st.integers(2, 98))
def test_find_ibans_accepts_exactly_what_passes_the_check(account, check):
    iban = f"DE{check:02d}{account}"
    assert texts_of(find_ibans, f"to {iban}.") == ([iban] if passes_mod_97(iban) else [])


@pytest.mark.parametrize(
    "number",
    [
        *("4111111111111111", "4222222222222", "5555555555554444", "2223003122003222"),
        *("378282246310005", "30569309025904", "6011111111111117", "3530111333300000"),
        *("6200000000000005", "6759649826438453", "4111 1111 1111 1111", "4111-1111-1111-1111"),
        *("3782 822463 10005", "3056 930902 5904", "4111\u00a01111\u00a01111\u00a01111"),
    ],
)
def test_find_card_numbers_finds_the_test_numbers_of_each_scheme(number):
    assert texts_of(find_card_numbers, f"Card: {number}.") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # wrong check digit
        "490154203237518",  # an IMEI, which passes Luhn's check
        "9780306406157",  # an ISBN
        "1700000000000",  # a time in milliseconds
        "0.4111111111111111 4111111111111111.5 +4111111111111111 x4111111111111111",
        "4111 1111-1111 1111 4111  1111 1111 1111 41 11 11 11 11 11 11 11",
        "41111111111111111111111111",
        "DE89 3704 0044 0532 0130 00",
    ],
)
def test_find_card_numbers_refuses_other_long_numbers(text):
    assert texts_of(find_card_numbers, text) == []


def test_find_card_numbers_stops_before_a_date_and_a_security_code():
    text = "pay 12 4111 1111 1111 1111 12/26 and 5555 5555 5555 4444 123"
    assert texts_of(find_card_numbers, text) == ["4111 1111 1111 1111", "5555 5555 5555 4444"]


def test_find_card_numbers_leaves_the_groups_of_an_iban_alone():
    # The last four groups would pass as a card.
    iban = next(
        shown
        for account in range(10_000)
        for check in range(2, 99)
        if passes_mod_97(plain := f"PL{check:02d}{account:08d}4111111111111111")
        and (shown := " ".join(plain[at : at + 4] for at in range(0, 28, 4)))
    )
    assert passes_luhn("4111111111111111")
    assert texts_of(find_ibans, iban) == [iban]
    assert texts_of(find_card_numbers, iban) == []


@given(st.text("0123456789", min_size=15, max_size=15))
def test_find_card_numbers_accepts_exactly_what_passes_luhn(digits):
    number = f"4{digits}"
    assert texts_of(find_card_numbers, number) == ([number] if passes_luhn(number) else [])


@pytest.mark.slow
@pytest.mark.parametrize("part", HOSTILE, ids=ascii)
def test_patterns_read_a_hostile_text_of_a_million_characters(part):
    text = part * (N_HOSTILE_CHARS // len(part))
    texts_of(find_ibans, text)
    texts_of(find_card_numbers, text)
