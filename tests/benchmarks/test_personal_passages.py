"""The test set of personal data is what its description says."""

import doctest
import json
import re
from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)

EXAMPLE_NETWORKS = [
    ip_network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
EXAMPLE_HOST = re.compile(r"(.+\.)?(example\.(com|net|org)|example|test|invalid)", re.IGNORECASE)
# The first digits of the numbers that payment services publish for tests.
TEST_CARDS = re.compile("4000|4012|4111|4242|2223|5105|5200|5555|6011|3530|3056|3714|3782")
# Numbers that no one is given, so that films and manuals can show them.
FICTIONAL_PHONES = re.compile(
    r"1?([2-9]\d\d)?55501\d\d"  # North America
    r"|(44|0)(1632960|2079460|2896496|2920180|191498|7700900|3069990|808157)\d{3,4}"  # Britain
    r"|(44|0)1(1[345678]|[23456]1)4960\d{3}"
    r"|(33|0)(19900|26191|35301|46571|53649|63998)\d{4}"  # France
    r"|(49|0)(3023125|6990009|4066969|2214710|8999998|17604069)\d{3}|(49|0)17139200\d\d"  # Germany
    r"|(46|0)(313900[67]|406280[4]|8465004|9803192|701740[56])\d\d\d?"  # Sweden
    r"|(353|0)2091\d{5}"  # Ireland
    r"|(61|0)([2378](5550|7010)\d{4}|491570\d{3})|1800975\d{3}"  # Australia
    r"|3655\d{6}"  # Hungary
)
IBAN_LENGTHS = {
    **{"AE": 23, "AT": 20, "BA": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22},
    **{"DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GE": 22, "GR": 27, "HR": 21},
    **{"HU": 28, "IE": 22, "IS": 26, "IT": 27, "KW": 30, "LI": 21, "LT": 20, "LU": 20, "LV": 21},
    **{"MC": 27, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24},
    **{"RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26},
}


@pytest.fixture(scope="module")
def module(benchmarks):
    return benchmarks("personal_passages")


@pytest.fixture(scope="module")
def test_set(module):
    return module.read_test_set()


@pytest.fixture(scope="module")
def texts(test_set):
    """A function that returns the texts of a type in some parts of the test set."""

    def texts(label, *parts):
        return [
            passage.text[start:end]
            for passage in test_set
            if passage.part in parts
            for start, end, own in passage.spans
            if own == label
        ]

    return texts


def digits_of(text):
    return re.sub(r"\D", "", text)


def has_luhn_digit(digits):
    doubled = [sum(map(int, str(2 * int(digit)))) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[::-2]))) % 10 == 0


def has_mod_97_digits(iban):
    rearranged = iban[4:] + iban[:4]
    return int("".join(str(int(char, 36)) for char in rearranged)) % 97 == 1


def test_every_type_has_at_least_100_entities(module, test_set):
    counts = Counter(label for passage in test_set for _, _, label in passage.spans)
    assert set(counts) == set(module.TYPES)
    assert min(counts.values()) >= 100


def test_every_type_has_at_least_100_entities_that_were_written_for_the_test(module, texts):
    assert min(len(texts(label, "written")) for label in module.TYPES) >= 100


def test_entities_are_in_order_and_do_not_overlap(test_set):
    for passage in test_set:
        ends = [0]
        for start, end, _ in passage.spans:
            assert ends[-1] <= start < end <= len(passage.text), passage.kind
            ends.append(end)


def test_entities_begin_and_end_with_whole_words(test_set):
    from gliner_distill.entities import word_bounds

    cut = []
    for passage in test_set:
        starts, ends = (set(side) for side in zip(*word_bounds(passage.text), strict=True))
        for start, end, _ in passage.spans:
            text = passage.text[start:end]
            assert text == text.strip()
            if start not in starts or end not in ends:
                cut.append(text)
    assert cut == []


def test_passages_are_long_and_varied_enough(test_set):
    written = [passage for passage in test_set if passage.part == "written"]
    assert 150 <= len(written) <= 300
    assert all(15 <= passage.n_words <= 200 for passage in written)
    assert len({passage.kind for passage in written}) >= 100
    assert len({passage.text for passage in test_set}) == len(test_set)


def test_ten_thousand_words_have_no_personal_data(module, test_set):
    plain = [passage for passage in test_set if passage.part == "none"]
    assert sum(passage.n_words for passage in plain) >= 10_000
    assert not any(passage.spans for passage in plain)
    assert not any(re.search(r"@|https?:|www\.", passage.text) for passage in plain)


def test_card_numbers_have_the_right_check_digit(texts):
    numbers = texts("card number", "written", "open")
    lengths = {"34": 15, "37": 15, "30": 14, "67": 16}
    for number in map(digits_of, numbers):
        assert has_luhn_digit(number), number
        assert len(number) == lengths.get(number[:2], 16), number


def test_ibans_have_the_right_check_digits_and_length(texts):
    for iban in texts("iban", "written", "open"):
        plain = re.sub(r"\W", "", iban).upper()
        assert has_mod_97_digits(plain), iban
        assert len(plain) == IBAN_LENGTHS[plain[:2]], iban


def test_ibans_come_from_many_countries(texts):
    assert len({iban[:2].upper() for iban in texts("iban", "written")}) >= 30


def test_written_ip_addresses_are_reserved_for_documentation(texts):
    addresses = list(map(ip_address, texts("ip address", "written")))
    for address in addresses:
        assert any(address in network for network in EXAMPLE_NETWORKS), address
    assert {address.version for address in addresses} == {4, 6}


def test_written_hosts_are_reserved_for_examples(texts):
    hosts = [address.rpartition("@")[2] for address in texts("email address", "written")]
    for url in texts("url", "written"):
        host = urlsplit(url if "://" in url else f"http://{url}").hostname
        assert host is not None, url
        hosts.append(host)
    for host in hosts:
        assert EXAMPLE_HOST.fullmatch(host), host


def test_written_phone_numbers_are_reserved_for_fiction(texts):
    for number in texts("phone number", "written"):
        assert FICTIONAL_PHONES.fullmatch(digits_of(number)), number


def test_written_card_numbers_are_test_numbers(texts):
    for number in texts("card number", "written"):
        assert TEST_CARDS.match(digits_of(number)), number


def test_written_passages_have_look_alikes(test_set):
    """Dates, versions and long numbers that do not count stand in passages with such types."""
    patterns = {
        "ip address": r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
        "card number": r"\b\d{4} ?\d{4} ?\d{4} ?\d{4}\b",
        "date of birth": r"\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d{4}-\d\d-\d\d\b",
    }
    for label, pattern in patterns.items():
        look_alikes = [
            match[0]
            for passage in test_set
            if passage.part == "written"
            for match in re.finditer(pattern, passage.text)
            if not any(
                start < match.end() and match.start() < end for start, end, _ in passage.spans
            )
        ]
        assert len(look_alikes) >= 8, label


def test_read_presidio_keeps_the_types_that_are_ours(module, tmp_path):
    address, home = ("192", ".", "0", ".", "2", ".", "7"), ("(", "home", ")")
    rows = [
        {"tokenized_text": ["Hello"], "ner": []},
        {
            "tokenized_text": [*("Dr", ".", "Ann", "Lee", "'", "s", "IP", "is"), *address, *home],
            "ner": [[0, 1, "personal title"], [2, 3, "person"], [8, 14, "IP address"]],
        },
    ]
    path = tmp_path / "presidio_pii.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, passage = module.read_presidio(path)
    assert passage.text == "Dr. Ann Lee's IP is 192.0.2.7 (home)"
    found = [(passage.text[start:end], label) for start, end, label in passage.spans]
    assert found == [("Ann Lee", "person"), ("192.0.2.7", "ip address")]


def test_the_examples_in_the_module_hold(module):
    assert doctest.testmod(module).failed == 0
