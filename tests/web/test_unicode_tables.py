"""The Unicode tables of the JavaScript modules, against the functions that they come from."""

import random
import re
import sys
import unicodedata

import pytest

from gliner_distill.web.unicode_tables import TABLES_FILE, make_tables, version_of

N_COMPARED = 0x5000


def fields_of(module):
    return dict(re.findall(r'export const (\w+) = "([^"]*)";', module))


def spread(runs):
    """Return the values of runs for each character, as `spreadRuns` of JavaScript does."""
    numbers = [int(number, 36) for number in runs.split()]
    values = []
    for length, value in zip(numbers[::2], numbers[1::2], strict=True):
        values += [value] * length
    return values


@pytest.mark.slow
def test_properties_are_those_of_the_string_methods():
    if version_of(TABLES_FILE.read_text()) != unicodedata.unidata_version:
        pytest.skip("the tables have another version of Unicode than this Python")
    properties = spread(fields_of(TABLES_FILE.read_text(encoding="ascii"))["properties"])
    assert len(properties) == sys.maxunicode + 1
    codes = [*range(0x3000), *random.Random(0).sample(range(sys.maxunicode), 20_000)]
    for character in map(chr, codes):
        bits = properties[ord(character)]
        held = [bool(bits & (1 << place)) for place in range(6)]
        is_title = unicodedata.category(character) == "Lt"
        assert held == [
            character.isalnum(),
            character.isspace(),
            character.isupper(),
            character.islower(),
            is_title,
            character.isdigit(),
        ], hex(ord(character))


@pytest.mark.slow
def test_make_tables_returns_the_tables_of_the_repository():
    if version_of(TABLES_FILE.read_text()) != unicodedata.unidata_version:
        pytest.skip("the tables have another version of Unicode than this Python")
    made = fields_of(make_tables(N_COMPARED))
    for name, stored in fields_of(TABLES_FILE.read_text(encoding="ascii")).items():
        # The last run or entry may continue behind the characters that are compared.
        assert stored.startswith(made[name].rsplit(" ", 2)[0]), name
