"""Find IBANs and card numbers in text.

A number is found only if its check digits are right and its length belongs to its country or card
scheme. Both may be written in groups, with single spaces or hyphens between them.
"""

import re
from collections.abc import Iterator

from gliner_distill.patterns.checks import passes_luhn, passes_mod_97
from gliner_distill.patterns.spans import CharSpan, SpanSet

# A space, a no-break space, a narrow no-break space, a no-break hyphen or a hyphen.
_SEPARATORS = " \u00a0\u202f\u2011-"
_DROP_SEPARATORS = dict.fromkeys(map(ord, _SEPARATORS))

# Countries with the lengths of their IBANs, as in the register of SWIFT.
_IBANS = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18
    DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23
    IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27
    MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19
    SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
"""
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}
_IBAN_START = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})[0-9]{2}")

# The first digits and the lengths of card schemes. Without them, Luhn's check alone would accept
# one in ten long numbers, and every IMEI.
_SCHEMES = tuple(
    (re.compile(first_digits), lengths)
    for first_digits, lengths in (
        ("4", (13, 16, 19)),  # Visa
        ("5[1-5]|22[2-9]|2[3-6]|27[01]|2720", (16,)),  # Mastercard
        ("220[0-4]", (16, 17, 18, 19)),  # Mir
        ("3[47]", (15,)),  # American Express
        ("30[0-5]|3095|3[689]", (14, 16, 17, 18, 19)),  # Diners Club
        ("35(?:2[89]|[3-8])", (16, 17, 18, 19)),  # JCB
        ("50|5[6-9]|6|8[12]", (16, 17, 18, 19)),  # Maestro, Discover, UnionPay, RuPay
        ("9792", (16,)),  # Troy
    )
)
# All forms below have two groups like these; most texts have none, and this search is the fastest.
_MAYBE_CARD = re.compile(rf"[0-9]{{4}}[{_SEPARATORS}]?[0-9]{{4}}")
# Forms in which people write card numbers, the likelier ones first: a security code of three digits
# may follow four groups of four.
_CARD_FORMS = tuple(
    # The digits of a longer number, of a decimal fraction or of a phone number are not a card.
    re.compile(rf"(?<![A-Za-z0-9+])(?<![0-9][.,])(?={form}(?![A-Za-z0-9])(?![.,][0-9]))")
    for form in (
        r"(?P<number>[0-9]{13,19}+)",
        rf"(?P<number>[0-9]{{4}}(?P<mark>[{_SEPARATORS}])(?:[0-9]{{4}}(?P=mark)){{2}}[0-9]{{4}})",
        rf"(?P<number>[0-9]{{4}}(?P<mark>[{_SEPARATORS}])[0-9]{{6}}(?P=mark)[0-9]{{4,5}})",
        rf"(?P<number>[0-9]{{4}}(?P<mark>[{_SEPARATORS}])(?:[0-9]{{4}}(?P=mark)){{3}}[0-9]{{3}})",
    )
)


def find_ibans(text: str) -> Iterator[CharSpan]:
    """Yield the positions of the IBANs in a text, in order.

    >>> text = "Pay DE89 3704 0044 0532 0130 00, please."
    >>> [text[start:end] for start, end in find_ibans(text)]
    ['DE89 3704 0044 0532 0130 00']
    """
    last_end = 0
    for match in _IBAN_START.finditer(text):
        length = _IBAN_LENGTHS.get(match[1].upper())
        end = _end_of_iban(text, match.start(), length) if length is not None else None
        if end is not None and match.start() >= last_end:
            yield match.start(), end
            last_end = end


def find_card_numbers(text: str) -> Iterator[CharSpan]:
    """Yield the positions of the numbers of payment cards in a text, in order.

    >>> text = "card 4111 1111 1111 1111, 12/26"
    >>> [text[start:end] for start, end in find_card_numbers(text)]
    ['4111 1111 1111 1111']
    """
    if not _MAYBE_CARD.search(text):
        return
    # The groups of an IBAN may look like those of a card.
    taken = SpanSet(find_ibans(text))
    found = []
    for form in _CARD_FORMS:
        for match in form.finditer(text):
            span = match.span("number")
            if not taken.overlapping(*span) and _is_card_number(match["number"]):
                taken.add(span)
                found.append(span)
    yield from sorted(found)


def _end_of_iban(text: str, start: int, length: int) -> int | None:
    """Return where an IBAN of a length ends that begins at `start`, or None if there is none."""
    kept, end = "", start
    while len(kept) < length:
        character = text[end : end + 1]
        if character.isascii() and character.isalnum():
            kept += character
        elif character == "" or character not in _SEPARATORS or text[end - 1] in _SEPARATORS:
            return None
        end += 1
    following = text[end : end + 1]
    is_whole = not (following.isascii() and following.isalnum())
    # Ordinary words after two letters and two digits would pass the check once in 97 times.
    has_digits = 2 * sum(map(str.isdigit, kept)) >= length
    has_one_case = kept in (kept.upper(), kept.lower())
    return end if is_whole and has_digits and has_one_case and passes_mod_97(kept) else None


def _is_card_number(number: str) -> bool:
    digits = number.translate(_DROP_SEPARATORS)
    has_scheme = any(
        len(digits) in lengths and first_digits.match(digits) for first_digits, lengths in _SCHEMES
    )
    return has_scheme and passes_luhn(digits)
