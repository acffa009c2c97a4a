"""A small file of each format of docs/formats.md, from the same six annotated texts."""

import csv
import io
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gliner_distill.entities import word_bounds

# Each text with its entities by words: the first word, the one after the last, the label.
TEXTS: Sequence[tuple[str, Sequence[tuple[int, int, str]]]] = (
    ("Mary saw London.", [(0, 1, "person"), (2, 3, "city")]),
    ("Ann left the old bank of the Rhine", [(0, 1, "person"), (7, 8, "river")]),
    ("Zoë built 東京 😀, well-known since 1990", [(0, 1, "person"), (2, 3, "city")]),
    ('Acme and Globex: "big" #1', [(0, 1, "company"), (2, 3, "company")]),
    ("nothing new in the north", []),
    ("John's river Thames", [(0, 1, "person"), (3, 5, "river")]),
)


def write_corpora(folder: Path) -> None:
    """Write a folder for each format, with the corpus in it."""
    contents = _json_corpora() | _tables() | _columns()
    contents["text.txt"] = "".join(f"{text}\n" for text, _ in TEXTS)
    contents["notes.txt"] = "Ada Lovelace left.\n[ ] buy milk\n{}\n- and: this\tline\n"
    for name, content in contents.items():
        _write(folder / name, name, content)
    for number, (text, _) in enumerate(TEXTS):
        stem = folder / "brat" / f"doc{number}"
        _write(stem.parent, f"doc{number}.txt", text)
        lines = [
            f"T{place}\t{region['label']} {region['start']} {region['end']}\t{region['text']}\n"
            for place, region in enumerate(_regions(number), 1)
        ]
        _write(stem.parent, f"doc{number}.ann", "".join(lines) + "#1\tNote T1\tas it is\n")
    for name, content in (
        ("a.txt", "Ada left.\n\nShe saw 東京."),
        ("B.TXT", "Bob\r\n"),
        ("c.md", ""),
    ):
        _write(folder / "documents", name, content)
    _write_parquets(folder)
    if find_spec("spacy"):
        _write_docbin(folder / "docbin.spacy")


def _write(folder: Path, name: str, content: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode())


def _words(number: int) -> list[str]:
    text = TEXTS[number][0]
    return [text[start:end] for start, end in word_bounds(text)]


def _regions(number: int) -> list[dict[str, Any]]:
    text, entities = TEXTS[number]
    spans = word_bounds(text)
    found = []
    for first, last, label in entities:
        start, end = spans[first][0], spans[last - 1][1]
        found.append({"start": start, "end": end, "text": text[start:end], "label": label})
    return found


def _json_corpora() -> dict[str, str]:
    numbers = range(len(TEXTS))
    records: dict[str, list[dict[str, Any]]] = {
        "gliner.json": [
            {
                "tokenized_text": _words(number),
                "ner": [[first, last - 1, label] for first, last, label in TEXTS[number][1]],
                "ner_labels": ["person", "city"],
            }
            for number in numbers
        ],
        "answers.jsonl": [
            {"text": TEXTS[number][0], "entities": _regions(number)} for number in numbers
        ],
        "doccano.jsonl": [
            {
                "id": number,
                "text": TEXTS[number][0],
                "label": [[r["start"], r["end"], r["label"]] for r in _regions(number)],
            }
            for number in numbers
        ],
        "prodigy.jsonl": [
            {
                "text": TEXTS[number][0],
                "tokens": [],
                "spans": [
                    {"start": r["start"], "end": r["end"], "label": r["label"]}
                    for r in _regions(number)
                ],
                "answer": "accept",
            }
            for number in numbers
        ],
        "presidio.json": [
            {
                "full_text": TEXTS[number][0],
                "spans": [
                    {
                        "entity_type": r["label"],
                        "entity_value": r["text"],
                        "start_position": r["start"],
                        "end_position": r["end"],
                    }
                    for r in _regions(number)
                ],
            }
            for number in numbers
        ],
        "gliner2.jsonl": [
            {
                "input": TEXTS[number][0],
                "output": {"entities": {r["label"]: [r["text"]] for r in _regions(number)}},
            }
            for number in numbers
        ],
        "label_studio.json": [_label_studio(number) for number in numbers],
        "label_studio_min.json": [
            {
                "id": number,
                "text": TEXTS[number][0],
                "label": [
                    {**{k: r[k] for k in ("start", "end", "text")}, "labels": [r["label"]]}
                    for r in _regions(number)
                ],
            }
            for number in numbers
        ],
    }
    return {
        name: "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in items)
        if name.endswith("l")
        else json.dumps(items, indent=1)
        for name, items in records.items()
    }


def _label_studio(number: int) -> dict[str, Any]:
    results = [
        {
            "id": str(place),
            "type": "labels",
            "from_name": "label",
            "to_name": "text",
            "value": {**{k: r[k] for k in ("start", "end", "text")}, "labels": [r["label"]]},
        }
        for place, r in enumerate(_regions(number))
    ]
    annotation = {"id": number, "was_cancelled": False, "result": results}
    return {"id": number, "data": {"text": TEXTS[number][0]}, "annotations": [annotation]}


def _tables() -> dict[str, str]:
    text = io.StringIO()
    csv.writer(text).writerows([("id", "text"), *((n, t) for n, (t, _) in enumerate(TEXTS))])
    words = io.StringIO()
    rows = [
        (f"Sentence: {number + 1}" if place == 0 else "", word, "NN", tag)
        for number in range(len(TEXTS))
        for place, (word, tag) in enumerate(_tagged(number))
    ]
    csv.writer(words).writerows([("Sentence #", "Word", "POS", "Tag"), *rows])
    tabs = "".join(f"{n}\t{t.replace(chr(34), '')}\n" for n, (t, _) in enumerate(TEXTS))
    return {
        "table.csv": text.getvalue(),
        "words.csv": words.getvalue(),
        "table.tsv": f"id\ttext\n{tabs}",
    }


def _tagged(number: int) -> list[tuple[str, str]]:
    tags = ["O"] * len(_words(number))
    for first, last, label in TEXTS[number][1]:
        tags[first:last] = [f"B-{label}", *[f"I-{label}"] * (last - first - 1)]
    return list(zip(_words(number), tags, strict=True))


def _columns() -> dict[str, str]:
    sentences = [_tagged(number) for number in range(len(TEXTS))]
    return {
        "columns.conll": "\n\n".join(
            "\n".join(f"{word} NN {tag}" for word, tag in sentence) for sentence in sentences
        )
        + "\n",
        "numbered.conll": "\n\n".join(
            "\n".join(f"{n}\t{word}\tNN\t{tag}" for n, (word, tag) in enumerate(sentence, 1))
            for sentence in sentences
        )
        + "\n",
    }


def _write_parquets(folder: Path) -> None:
    words = [
        {
            "words": _words(number),
            "entities": [
                {"start": first, "end": last, "label": label}
                for first, last, label in TEXTS[number][1]
            ],
        }
        for number in range(len(TEXTS))
    ]
    texts = [{"text": text, "entities": _regions(number)} for number, (text, _) in enumerate(TEXTS)]
    for name, rows in (("words.parquet", words), ("texts.parquet", texts)):
        (folder / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), folder / name / name)


def _write_docbin(folder: Path) -> None:
    import spacy

    docs = []
    for number, (text, _) in enumerate(TEXTS):
        doc = spacy.blank("en")(text)
        spans = [doc.char_span(r["start"], r["end"], r["label"]) for r in _regions(number)]
        doc.ents = [span for span in spans if span is not None]
        docs.append(doc)
    folder.mkdir()
    spacy.tokens.DocBin(docs=docs).to_disk(folder / "docbin.spacy")
