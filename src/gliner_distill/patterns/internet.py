"""Find e-mail addresses, URLs, IP addresses and MAC addresses in text.

No regular expression here backtracks over more than a bounded number of characters, so the time
grows with the length of the text alone, whatever it holds.
"""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from gliner_distill.patterns.domains import AMBIGUOUS_DOMAINS, TOP_LEVEL_DOMAINS
from gliner_distill.patterns.spans import CharSpan

# Letters of names in e-mail addresses and hosts: Latin, Greek and Cyrillic. Chinese and Japanese
# are left out, because they write no space before an address.
_LETTERS = r"A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u052f"
_NAME = rf"[{_LETTERS}0-9]"
_HOST_LABEL = rf"{_NAME}(?:[{_LETTERS}0-9_-]{{0,61}}{_NAME})?"

# A dot may not follow a dot, so that the dots of a table of contents do not belong to an address.
_EMAIL = re.compile(
    rf"(?<!{_NAME})(?:{_NAME}|_)(?:[{_LETTERS}0-9_%+'-]|\.(?!\.)){{0,63}}+@"
    rf"(?:{_HOST_LABEL}\.){{1,8}}(?:xn--[A-Za-z0-9-]{{2,59}}|[{_LETTERS}]{{2,24}})(?!{_NAME})"
)

_URL_REST = r"""[^\s<>"“”«»`{}|\\^]"""
_WITH_SCHEME = re.compile(
    rf"(?<![A-Za-z0-9+-])[A-Za-z][A-Za-z0-9+-]{{1,15}}+://(?=[^\W_]|\[){_URL_REST}++"
)
_WITHOUT_SCHEME = re.compile(
    rf"(?<![{_LETTERS}0-9_@.-])(?P<host>{_NAME}[{_LETTERS}0-9_-]*+(?:\.[{_LETTERS}0-9_-]++)++)"
    rf"(?!@)(?::[0-9]{{1,5}}(?![0-9]))?(?P<rest>[/?\#]{_URL_REST}*+)?"
)
_LABEL = re.compile(_HOST_LABEL)
_CLOSING = {")": "(", "]": "["}
_TRAILING = frozenset("-.,;:!?'’‘*_~…、。，；：！？）】」』")

_IPV4 = re.compile(
    r"(?<![A-Za-z0-9])(?<![A-Za-z0-9][.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![A-Za-z0-9_])(?!\.[0-9])"
)
_IPV6 = re.compile(
    r"(?<![A-Za-z0-9:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,39}"
    r"(?:(?<=:)[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?![A-Za-z0-9_])(?!\.[0-9])"
)
_DIGIT = re.compile("[0-9]")
_MAC = re.compile(
    r"(?<![A-Za-z0-9])(?<![0-9A-Fa-f][:.-])"
    r"(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?!\1[0-9A-Fa-f])"
    r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?!\.[0-9A-Fa-f]))(?![A-Za-z0-9_])"
)


def find_emails(text: str) -> Iterator[CharSpan]:
    """Yield the positions of the e-mail addresses in a text, in order.

    >>> text = "Ask <maria.lopez@example.com>."
    >>> [text[start:end] for start, end in find_emails(text)]
    ['maria.lopez@example.com']
    """
    # Most texts have no at sign, and looking for it first takes nearly no time.
    if "@" in text:
        yield from (_without_next_sentence(match) for match in _EMAIL.finditer(text))


def find_urls(text: str) -> Iterator[CharSpan]:
    """Yield the positions of the URLs in a text, in order.

    A URL has a scheme (`https://`), begins with `www.`, or is a host of a known top-level domain,
    with or without a path. Where the domain is also the suffix of files or a common word (`run.py`,
    `7.am`), only a host with a path counts. Punctuation that closes the sentence does not belong to
    the URL, nor does a bracket that opens before it.

    >>> text = "See www.example.com, (example.org/a_(b)) and notes.py."
    >>> [text[start:end] for start, end in find_urls(text)]
    ['www.example.com', 'example.org/a_(b)']
    """
    taken_until = 0
    with_scheme = [match.span() for match in _WITH_SCHEME.finditer(text)] if "://" in text else []
    without = (match.span() for match in _WITHOUT_SCHEME.finditer(text) if _is_url(match))
    for start, end in sorted([*with_scheme, *without]):
        trimmed = _trim_url(text, start, end)
        if start >= taken_until and trimmed > start:
            yield start, trimmed
            taken_until = end


def find_ipv4_addresses(text: str) -> Iterator[CharSpan]:
    """Yield the positions of the IPv4 addresses in a text, without port and prefix length.

    >>> list(find_ipv4_addresses("from 203.0.113.7:8080, not 300.1.1.1 or v1.2.3.4"))
    [(5, 16)]
    """
    for match in _IPV4.finditer(text):
        try:
            IPv4Address(match[0])
        except AddressValueError:
            continue
        yield match.span()


def find_ipv6_addresses(text: str) -> Iterator[CharSpan]:
    """Yield the positions of the IPv6 addresses in a text, without zone and prefix length.

    >>> list(find_ipv6_addresses("fe80::1 and 12:30:45 and std::cout"))
    [(0, 7)]
    """
    for match in _IPV6.finditer(text):
        # A colon may close a clause, as in "::1: refused".
        is_open = match[0].endswith(":") and not match[0].endswith("::")
        address = match[0][:-1] if is_open else match[0]
        try:
            IPv6Address(address)
        except AddressValueError:
            continue
        if _DIGIT.search(address):  # `::` and `a::b` stand in programs, too
            yield match.start(), match.start() + len(address)


def find_ip_addresses(text: str) -> Iterator[CharSpan]:
    """Yield the positions of the IPv4 and IPv6 addresses in a text, in order."""
    ipv6 = list(find_ipv6_addresses(text))
    # An IPv6 address may end with an IPv4 address.
    ends = {end for _, end in ipv6}
    ipv4 = (span for span in find_ipv4_addresses(text) if span[1] not in ends)
    yield from sorted([*ipv6, *ipv4])


def find_mac_addresses(text: str) -> Iterator[CharSpan]:
    """Yield the positions of the MAC addresses in a text, in order.

    >>> list(find_mac_addresses("00:1A:2b:3c:4d:5e, 001a.2b3c.4d5e"))
    [(0, 17), (19, 33)]
    """
    yield from (match.span() for match in _MAC.finditer(text))


def _without_next_sentence(match: re.Match[str]) -> CharSpan:
    """Return the position of an e-mail address without a word behind a full stop, as in `.Please`.

    Only one word can stand there, because a space follows it.
    """
    start, end = match.span()
    rest, _, last = match[0].rpartition(".")
    domain = rest.rpartition("@")[2]
    is_word = last.istitle() and domain.islower() and "." in domain
    return start, start + len(rest) if is_word else end


def _is_url(match: re.Match[str]) -> bool:
    """Return whether a host without a scheme is one, and not a file or two sentences."""
    host = match["host"].rstrip("_-")  # `_trim_url` drops them
    *labels, domain = host.split(".")
    if not labels or not domain.isalpha() or not all(map(_LABEL.fullmatch, labels)):
        return False
    # "Home.It" is the end of a sentence and the start of the next one.
    if not domain.islower() and not host.isupper():
        return False
    domain = domain.lower()
    if labels[0].lower() == "www":
        return len(labels) > 1 and len(domain) > 1
    if domain in AMBIGUOUS_DOMAINS:
        return match["rest"] is not None and match["rest"].startswith("/")
    return domain in TOP_LEVEL_DOMAINS


def _trim_url(text: str, start: int, end: int) -> int:
    """Return where a URL ends without the punctuation of the sentence around it."""
    n_open = {opening: text.count(opening, start, end) for opening in _CLOSING.values()}
    n_closed = {closing: text.count(closing, start, end) for closing in _CLOSING}
    while end > start:
        last = text[end - 1]
        is_unopened = last in _CLOSING and n_closed[last] > n_open[_CLOSING[last]]
        if last not in _TRAILING and not is_unopened:
            break
        if is_unopened:
            n_closed[last] -= 1
        end -= 1
    return end
