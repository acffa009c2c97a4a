"""Documents of JSON values and of rows; the error of a bad one, so that it can be skipped."""

import io
from pathlib import Path

from gliner_distill.cli.tables.records import BadRecords, Document, list_documents, table_documents
from gliner_distill.corpus.records import RecordError


def kinds(pairs):
    return [(place, "bad" if isinstance(found, RecordError) else found) for place, found in pairs]


def test_list_documents_yields_the_error_of_a_bad_record_and_reads_on():
    stream = io.BufferedReader(io.BytesIO(b'["a", 7, {"text": "b", "x": NaN}, {"text": "c"}]'))
    found = kinds(list_documents(stream, name="a", text_field="text", max_chars=10))
    assert found == [
        ("record 1", Document("a", n_bytes=3)),
        ("record 2", "bad"),
        ("record 3", "bad"),
        ("record 4", Document("c", n_bytes=13)),
    ]


def test_table_documents_yields_the_error_of_a_bad_row_and_reads_on():
    Path("a.csv").write_bytes(b"id,text\n1,a\n2,caf\xe9\n3\n4,b\n")
    found = kinds(table_documents(Path("a.csv"), column="text", max_chars=10))
    assert found == [
        ("line 2", Document("a", {"id": "1"}, 4)),
        ("line 3", "bad"),
        ("line 4", "bad"),
        ("line 5", Document("b", {"id": "4"}, 4)),
    ]


def test_bad_records_lists_a_hundred_and_counts_all():
    bad = BadRecords()
    assert bad.lines() == []
    for number in range(1, 151):
        bad.n_records += 2
        bad.add(f"a.txt: line {number}: is broken")
    head, *listed, rest = bad.lines()
    assert "150" in head
    assert "300" in head
    assert len(listed) == 100
    assert "50" in rest
