"""Check digits: published numbers, and every single changed digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.patterns.checks import passes_luhn, passes_mod_97


@pytest.mark.parametrize(
    "digits", ["79927398713", "4111111111111111", "378282246310005", "6011111111111117", "0"]
)
def test_passes_luhn_accepts_published_numbers(digits):
    assert passes_luhn(digits)


def test_passes_luhn_refuses_no_digits():
    assert not passes_luhn("")


@given(st.text("0123456789", min_size=1, max_size=30), st.data())
def test_passes_luhn_accepts_one_check_digit_and_sees_every_changed_digit(digits, data):
    (valid,) = [digits + check for check in "0123456789" if passes_luhn(digits + check)]
    place = data.draw(st.integers(0, len(digits)))
    for other in set("0123456789") - {valid[place]}:
        assert not passes_luhn(valid[:place] + other + valid[place + 1 :])


@pytest.mark.parametrize(
    "iban",
    [
        *("GB82WEST12345698765432", "DE89370400440532013000", "FR1420041010050500013M02606"),
        *("NO9386011117947", "MT84MALT011000012345MTLCAST001S", "gb82west12345698765432"),
    ],
)
def test_passes_mod_97_accepts_published_ibans_and_sees_every_changed_digit(iban):
    assert passes_mod_97(iban)
    for place, character in enumerate(iban):
        if character.isdigit():
            other = str((int(character) + 1) % 10)
            assert not passes_mod_97(iban[:place] + other + iban[place + 1 :])
