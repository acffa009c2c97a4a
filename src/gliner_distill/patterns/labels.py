"""The labels for which a pattern exists, in the wordings that people use."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, Literal

from gliner_distill.labels import clean_label
from gliner_distill.patterns.internet import (
    find_emails,
    find_ip_addresses,
    find_ipv4_addresses,
    find_ipv6_addresses,
    find_mac_addresses,
    find_urls,
)
from gliner_distill.patterns.payment import find_card_numbers, find_ibans
from gliner_distill.patterns.spans import CharSpan

# Every call looks its labels up again, and may have thousands of them.
_CACHED_LABELS = 16_384

PatternKind = Literal["email", "url", "ip", "ipv4", "ipv6", "mac", "iban", "card"]

FINDERS: Final[dict[PatternKind, Callable[[str], Iterable[CharSpan]]]] = {
    "email": find_emails,
    "url": find_urls,
    "ip": find_ip_addresses,
    "ipv4": find_ipv4_addresses,
    "ipv6": find_ipv6_addresses,
    "mac": find_mac_addresses,
    "iban": find_ibans,
    "card": find_card_numbers,
}
"""The function that yields the positions of each kind in a text, in order and without overlaps."""

# Labels that ask for one role alone ("sender email", "booking link") are left to the model, because
# a pattern does not know who an address belongs to.
_WORDINGS: Final[dict[PatternKind, str]] = {
    "email": "email, email address, electronic mail address, mail address, email id, email contact",
    "url": "url, uri, link, hyperlink, web link, weblink, website, web site, website address, "
    "website url, website link, web address, web url, internet address, url address",
    "ip": "ip, ip address, ip number, internet protocol address, ip addr",
    "ipv4": "ipv4, ipv4 address, ip v4 address, ip version 4 address",
    "ipv6": "ipv6, ipv6 address, ip v6 address, ip version 6 address",
    "mac": "mac address, mac addr, hardware address, ethernet address, "
    "media access control address",
    "iban": "iban, iban number, iban code, international bank account number, bank account, "
    "bank account number",
    "card": "card number, credit card, credit card number, debit card, debit card number, "
    "payment card number, bank card number, credit or debit card number, credit debit card, "
    "credit card no, card no, cc number, full card number",
}


def structured_labels(prompts: Iterable[tuple[str, str]]) -> dict[str, PatternKind]:
    """Return the labels for which there are patterns, with the kind of pattern of each.

    Args:
        prompts: The labels with their descriptions. Where a label is not the name of a structured
            type, its description may be.
    """
    kinds = {label: pattern_for(label) or pattern_for(prompt) for label, prompt in prompts}
    return {label: kind for label, kind in kinds.items() if kind is not None}


@lru_cache(_CACHED_LABELS)
def pattern_for(label: str) -> PatternKind | None:
    """Return the kind of pattern that finds what a label names, or None if there is none.

    Beside the spelling (see `clean_label`), hyphens, dots and the plural make no difference.

    >>> pattern_for("E-mail addresses"), pattern_for("IP_ADDRESS"), pattern_for("person")
    ('email', 'ip', None)
    """
    return _KIND_OF.get(_normal_form(label))


def _normal_form(label: str) -> str:
    plain = clean_label(label).replace("e-mail", "email").replace("e mail", "email")
    words = "".join(char if char.isalnum() else " " for char in plain).split()
    if words and words[-1].endswith("sses"):
        words[-1] = words[-1].removesuffix("es")
    elif words and not words[-1].endswith("ss"):
        words[-1] = words[-1].removesuffix("s")
    return " ".join(words)


def _wordings() -> Iterator[tuple[str, PatternKind]]:
    for kind, wordings in _WORDINGS.items():
        for wording in wordings.split(", "):
            yield _normal_form(wording), kind


_KIND_OF: Final = dict(_wordings())
