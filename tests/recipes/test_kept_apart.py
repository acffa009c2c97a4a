"""Passages are kept apart with their near copies, and sentences with their templates."""

import doctest
import importlib
import json
from itertools import chain, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
)


@pytest.fixture(scope="module")
def kept_apart():
    """The recipe as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        yield importlib.import_module("kept_apart")


def row_of(text, **labels):
    """Return a row whose words at some positions have labels: `w3="email"`."""
    ner = [[int(at[1:]), int(at[1:]), label] for at, label in labels.items()]
    return {"tokenized_text": text.split(), "ner": ner}


def personal_row(number, text=""):
    words = text or " ".join(f"t{number}w{place}" for place in range(12))
    return row_of(words, w0="phone number", w1="email")


PLAIN = [row_of("Fog in Bergen all day", w2="city"), row_of("fog all day , may clear")]
NOT_PLAIN = [
    row_of("Fog , says Oda in Bergen", w3="nurse", w5="city"),
    row_of("Oda river fog"),  # a word of a person's name
    row_of("Fog at the quay", w3="quay"),  # not in the thesaurus
    row_of("Fog hid BT 4411", w2="plate number"),
    row_of("Fog photos on www . example . org"),
    row_of("Fog case 20240117 closed"),
]


@pytest.fixture
def data(tmp_path):
    """A data folder: 40 personal passages, copies of some of them, and others."""
    (tmp_path / "open").mkdir()
    (tmp_path / "corpora").mkdir()
    more = [personal_row(number) for number in range(40)]
    copies = [row_of(f"Copy : {' '.join(row['tokenized_text'])}", w0="title") for row in more]
    others = [
        row_of(" ".join(f"o{number}w{place}" for place in range(12)), w0="ship")
        for number in range(9)
    ]
    thesaurus = {"city": ["place"], "nurse": ["profession", "person"], "plate number": []}
    entries = [{"label": label, "broader": broader} for label, broader in thesaurus.items()]
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    (tmp_path / "open" / "labels.jsonl").write_text(lines)
    (tmp_path / "open" / "more.json").write_text(json.dumps([*more, *PLAIN, *NOT_PLAIN]))
    (tmp_path / "open" / "focus.json").write_text(json.dumps([*others, *copies]))
    sentences = [
        row_of(f"Dear {name} , {kind} {kind}s , {kind}ing", w1="person")
        for kind in "abcdefghijklmnopqrst"
        for name in ("Ann", "Bo", "Cy")
    ]
    lines = "".join(json.dumps(row) + "\n" for row in sentences)
    (tmp_path / "corpora" / "presidio_pii.jsonl").write_text(lines)
    return tmp_path


def test_personal_rows_keep_a_tenth_apart_with_the_copies(kept_apart, data):
    kept = kept_apart.personal_rows(data)
    kept["more.json"] = {number for number in kept["more.json"] if number < 40}
    kept["focus.json"] = {number for number in kept["focus.json"] if number >= 9}
    assert len(kept["more.json"]) == 4
    # Nine passages of the second file come before the copies, which have the order of the first.
    assert kept["focus.json"] == {9 + number for number in kept["more.json"]}


def test_impersonal_rows_have_no_names_and_no_numbers(kept_apart, data):
    expected = {40, 41}
    assert {row for row in kept_apart.impersonal_rows(data)["more.json"] if row >= 40} == expected
    assert {row for row in kept_apart.personal_rows(data)["more.json"] if row >= 40} == expected


@pytest.mark.parametrize(
    ("label", "expected"), [("person", True), ("nurse", True), ("city", False), ("new", False)]
)
def test_names_person_follows_broader_labels(kept_apart, label, expected):
    broader = {"nurse": ["profession"], "profession": ["nurse", "person"], "city": ["place"]}
    assert kept_apart.names_person(label, broader) is expected


def test_main_writes_the_rows_that_are_kept_apart(kept_apart, data, tmp_path, monkeypatch):
    out = tmp_path / "new" / "apart"
    monkeypatch.setattr("sys.argv", ["kept_apart.py", str(data), str(out)])
    kept_apart.main()
    written = json.loads((out / "personal.json").read_text())
    rows = {(f"{place}.json", int(row)) for place, row in (r["row"].split(":") for r in written)}
    kept = kept_apart.personal_rows(data)
    assert rows == {(name, row) for name, numbers in kept.items() for row in numbers}
    assert len((out / "presidio.jsonl").read_text().splitlines()) == 12


def test_personal_rows_depend_on_the_seed_alone(kept_apart, data):
    chosen = [kept_apart.personal_rows(data, seed=seed) for seed in (1, 1, 2, 3, 4)]
    assert chosen[0] == chosen[1]
    assert any(other != chosen[0] for other in chosen[2:])


def test_presidio_rows_keep_a_fifth_of_whole_templates_apart(kept_apart, data):
    rows = kept_apart.presidio_rows(data)
    assert len(rows) == 12
    assert rows == {3 * (row // 3) + place for row in rows for place in range(3)}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["Phone Number", "e-mail address"], True),
        (["iban", "date of birth"], True),
        (["phone number", "mobile number", "telephone"], False),  # one kind in three wordings
        (["microphone", "graphics card", "birthplace", "form of address"], False),
        ([], False),
    ],
)
def test_is_personal_needs_two_kinds(kept_apart, labels, expected):
    row = {"tokenized_text": ["w"], "ner": [[0, 0, label] for label in labels]}
    assert kept_apart.is_personal(row) is expected


def test_grams_ignore_case_and_punctuation(kept_apart):
    runs = [list(kept_apart.grams(text.split(), 3)) for text in ("A b , c D", "a B C . d")]
    assert runs[0] == runs[1] == [("a", "b", "c"), ("b", "c", "d")]


def test_grams_of_a_short_text_are_the_whole_text(kept_apart):
    assert list(kept_apart.grams(["One", "two"], 8)) == [("one", "two")]


@given(st.lists(st.lists(st.integers(0, 12).map(lambda key: (str(key),)), max_size=3), max_size=9))
def test_linked_agrees_with_spreading_over_shared_keys(kept_apart, keys):
    groups = kept_apart.linked(keys)
    assert sorted(chain.from_iterable(groups)) == list(range(len(keys)))
    for first, second in pairwise(groups):
        own = set(chain.from_iterable(keys[item] for item in first))
        assert own.isdisjoint(chain.from_iterable(keys[item] for item in second))
    for group in groups:
        reached, keys_seen = {group[0]}, set(keys[group[0]])
        for _ in group:
            reached |= {item for item in group if keys_seen.intersection(keys[item])}
            keys_seen |= set(chain.from_iterable(keys[item] for item in reached))
        assert reached == set(group)


def test_choose_never_takes_more_than_the_share(kept_apart):
    groups = [[0, 1, 2, 3, 4, 5], [6], [7], [8], [9], [10]]
    chosen = kept_apart.choose(groups, set(range(10)), 0.3, seed=0)
    assert chosen < {6, 7, 8, 9}
    assert len(chosen) == 3


def test_the_examples_in_the_recipe_hold(kept_apart):
    assert doctest.testmod(kept_apart) == doctest.TestResults(failed=0, attempted=3)
