"""The check digits of card numbers and IBANs."""


def passes_luhn(digits: str) -> bool:
    """Return whether the last digit of a number is its check digit by Luhn's algorithm.

    Args:
        digits: ASCII digits without separators; an empty string does not pass.

    >>> passes_luhn("4111111111111111"), passes_luhn("4111111111111112")
    (True, False)
    """
    values = [int(digit) for digit in reversed(digits)]
    doubled = (2 * value for value in values[1::2])
    # The sum of the digits of a number from 10 to 18 is the number minus 9.
    total = sum(values[::2]) + sum(value - 9 if value > 9 else value for value in doubled)
    return bool(digits) and total % 10 == 0


def passes_mod_97(iban: str) -> bool:
    """Return whether the check digits of an IBAN are right (ISO 13616, ISO 7064 MOD 97-10).

    Args:
        iban: ASCII letters and digits without separators, at least five; the letters may be of
            either case.

    >>> passes_mod_97("GB82WEST12345698765432"), passes_mod_97("GB83WEST12345698765432")
    (True, False)
    """
    # A letter counts as two digits: A is 10, Z is 35.
    numeric = "".join(str(int(character, 36)) for character in iban[4:] + iban[:4])
    return int(numeric) % 97 == 1
