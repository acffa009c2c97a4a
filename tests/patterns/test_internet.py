"""E-mail addresses, URLs, IP and MAC addresses: what counts, where it ends, and hostile text."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from found_spans import N_HOSTILE_CHARS, texts_of
from gliner_distill.patterns.internet import (
    find_emails,
    find_ip_addresses,
    find_ipv4_addresses,
    find_ipv6_addresses,
    find_mac_addresses,
    find_urls,
)

ALL = (find_emails, find_urls, find_ip_addresses, find_mac_addresses)
# With a million characters, each of these takes hours if an expression backtracks over more than a
# bounded length. The timeout of the test run stops it then.
HOSTILE = [
    *("a", "a.", "@", "a@", "a.a@", "a@b.", "b.", "b-", "1", "1.", ":", "0:", ":: ", "/", "a://"),
    *(
        "http://",
        "http://a(",
        ")",
        ".",
        "00:",
        "0000.",
        "www.",
        "_",
        "é",
        "\n",
        "\ud800",
        "a+",
        "'",
    ),
    *("a._-@:/1 ", "example.com/", "a@b.co ", "a" * 64 + "@", "a@" + "b" * 63 + "."),
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write to maria.lopez@example.com, please.", ["maria.lopez@example.com"]),
        (
            "<jo@x.org>;o'brien+tag@mail.example.co.uk",
            ["jo@x.org", "o'brien+tag@mail.example.co.uk"],
        ),
        ("mailto:a_b-c@sub.example.museum?x", ["a_b-c@sub.example.museum"]),
        ("'maria@example.com' (MARIA@EXAMPLE.COM)", ["maria@example.com", "MARIA@EXAMPLE.COM"]),
        ("jürgen@müller.de, иван@пример.рф", ["jürgen@müller.de", "иван@пример.рф"]),
        ("请联系maria@example.com谢谢", ["maria@example.com"]),
        ("Contact......jo@x.org....... 12", ["jo@x.org"]),
        ("maria@example.com.Please reply", ["maria@example.com"]),
        ("🙂maria@example.com🙂", ["maria@example.com"]),
        ("a@b.xn--p1ai", ["a@b.xn--p1ai"]),
        ("@maria, maria@localhost, maria@, a@b, 3 @ 4.50, x@1.2", []),
        ("maria @ example . com", []),
    ],
)
def test_find_emails_finds_whole_addresses(text, found):
    assert texts_of(find_emails, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("See www.example.com, example.com/path. Or", ["www.example.com", "example.com/path"]),
        (
            "(https://example.org/a_(b)); https://x.de/?",
            ["https://example.org/a_(b)", "https://x.de/"],
        ),
        (
            "[docs](https://example.org/a/b) <ftp://f.example>",
            ["https://example.org/a/b", "ftp://f.example"],
        ),
        ('href="http://localhost:8080/x?y=1&z=é#top"', ["http://localhost:8080/x?y=1&z=é#top"]),
        (
            "at example.com:8080/x, EXAMPLE.COM and müller.de!",
            ["example.com:8080/x", "EXAMPLE.COM", "müller.de"],
        ),
        ("https://user:pw@example.com/", ["https://user:pw@example.com/"]),
        ("http://203.0.113.7/x and http://[::1]:80/", ["http://203.0.113.7/x", "http://[::1]:80/"]),
        ("run.py and example.sh/install and www.run.py", ["example.sh/install", "www.run.py"]),
        ("maria@example.com, john.co@x.org", []),
        (
            "Home.It is. e.g. at 7.am p.m./a.m. user.name user.id U.S./UK end.Then 3.5/5 www. ://x",
            [],
        ),
        ("www.example, https:// and http://...", []),
    ],
)
def test_find_urls_finds_whole_urls_without_closing_punctuation(text, found):
    assert texts_of(find_urls, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("IP 203.0.113.7, 10.0.0.0/8 and 1.1.1.1:53.", ["203.0.113.7", "10.0.0.0", "1.1.1.1"]),
        ("10.0.0.1-10.0.0.5 is 10.0.0.9.", ["10.0.0.1", "10.0.0.5", "10.0.0.9"]),
        ("256.1.1.1 1.2.3 1.2.3.4.5 v1.2.3.4 1.2.3.4a 01.2.3.4", []),
        ("[::1]:80 fe80::1%eth0 2001:db8::/32", ["::1", "fe80::1", "2001:db8::"]),
        ("2001:db8:0:0:8:800:200C:417A: refused", ["2001:db8:0:0:8:800:200C:417A"]),
        ("::ffff:192.0.2.1 and ::ffff:192.0.2.1.", ["::ffff:192.0.2.1", "::ffff:192.0.2.1"]),
        ("12:30:45, std::cout, a::b, f :: Int, 0:0:0:0:0:0:0:0:0", []),
    ],
)
def test_find_ip_addresses_finds_valid_addresses_alone(text, found):
    assert texts_of(find_ip_addresses, text) == found


def test_find_ip_addresses_of_one_version_leaves_the_other_out():
    text = "203.0.113.7 and ::1"
    assert texts_of(find_ipv4_addresses, text) == ["203.0.113.7"]
    assert texts_of(find_ipv6_addresses, text) == ["::1"]


@given(st.ip_addresses())
def test_find_ip_addresses_finds_every_address_with_a_digit(address):
    shown = str(address)
    expected = [shown] if any(map(str.isdigit, shown)) else []
    assert texts_of(find_ip_addresses, f"from {shown}, port 80") == expected


@given(st.text("0123456789abcdef:. ", max_size=40))
def test_find_ip_addresses_yields_what_the_standard_library_accepts(text):
    for found in texts_of(find_ip_addresses, text):
        assert ipaddress.ip_address(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("00:1A:2b:3C:4d:5E. 00-1A-2b-3c-4d-5e", ["00:1A:2b:3C:4d:5E", "00-1A-2b-3c-4d-5e"]),
        ("001a.2b3c.4d5e, Mac 00:1A:2B:3C:4D:5E:", ["001a.2b3c.4d5e", "00:1A:2B:3C:4D:5E"]),
        ("00:1A:2B-3C:4D:5E 00:1A:2B:3C:4D 00:1A:2B:3C:4D:5E:6F 0000.1111.2222.3333", []),
        ("x00:1A:2B:3C:4D:5E 00:1A:2B:3C:4D:5G", []),
    ],
)
def test_find_mac_addresses_finds_six_bytes_with_one_mark_between_them(text, found):
    assert texts_of(find_mac_addresses, text) == found


@pytest.mark.slow
@pytest.mark.parametrize("part", HOSTILE, ids=ascii)
def test_patterns_read_a_hostile_text_of_a_million_characters(part):
    text = part * (N_HOSTILE_CHARS // len(part))
    for find in ALL:
        texts_of(find, text)


@given(st.text("aZ09é中.@:/-_()[]'\"+ \n\ud800🙂", max_size=60))
def test_patterns_find_ordered_spans_in_any_text(text):
    for find in ALL:
        for found in texts_of(find, text):
            assert found == found.strip()
            assert found
