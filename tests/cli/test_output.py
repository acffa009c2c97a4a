"""What `predict` writes, and which model a name stands for."""

import csv
import io
import json

import pytest

from gliner_distill.cli.input import Document
from gliner_distill.cli.output import ColoredText, CsvRows, JsonLines, make_form
from gliner_distill.errors import CorpusError, StudentError
from gliner_distill.evaluation.models import PredictOptions, StudentFinder, find_model
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER


def found(start, end, label, text, score=0.123456):
    return {"start": start, "end": end, "text": text[start:end], "label": label, "score": score}


class TestFindModel:
    def test_knows_students_and_gliners(self, tmp_path):
        assert find_model(None).folder == bundled_student_path()
        assert find_model(str(bundled_student_path())).is_student
        (tmp_path / "gliner_config.json").touch()
        model = find_model(str(tmp_path))
        assert (model.folder, model.is_student) == (tmp_path, False)
        (tmp_path / "student").mkdir()
        (tmp_path / "student" / "student_config.json").touch()
        model = find_model(str(tmp_path))
        assert (model.folder, model.is_student) == (tmp_path / "student", True)

    def test_takes_a_hub_id_of_either(self, tmp_path, monkeypatch):
        monkeypatch.setattr("gliner_distill.cli.output.download_model", lambda name: tmp_path)
        with pytest.raises(StudentError, match=r"^me/model: neither a student"):
            find_model("me/model")
        (tmp_path / "gliner_config.json").touch()
        assert not find_model("me/model").is_student
        (tmp_path / "student_config.json").touch()
        assert find_model("me/model").is_student

    def test_refuses_what_is_neither(self, tmp_path):
        with pytest.raises(StudentError, match=r"neither a student .* nor a GLiNER"):
            find_model(str(tmp_path))
        with pytest.raises(StudentError, match="no such folder; expected the folder of a student"):
            find_model(str(tmp_path / "none"))


class TestStudentFinder:
    def test_reads_descriptions_in_place_of_labels(self):
        student = StudentNER.from_pretrained(num_threads=1)
        text = "Marie Curie was born in Warsaw."
        plain = StudentFinder(student, PredictOptions({"person": ""})).find([text])
        told = StudentFinder(student, PredictOptions({"who": "person"})).find([text])
        assert [[one | {"label": "person"} for one in of_text] for of_text in told] == plain

    def test_passes_its_options_on(self):
        student = StudentNER.from_pretrained(num_threads=1)
        text = "Marie Curie was born in Warsaw."
        question = PredictOptions({"city": "", "town": ""}, 0.1, flat_ner=False, multi_label=True)
        labels = ["city", "town"]
        expected = student.inference([text], labels, False, 0.1, True)
        assert StudentFinder(student, question).find([text]) == expected
        assert {one["label"] for one in expected[0]} == {"city", "town"}


class TestJsonLines:
    def test_are_one_line_a_document(self):
        text = "in\nParís"
        line = JsonLines().answer(0, Document(text, {"id": 1}), [found(3, 8, "city", text)])
        assert line.decode() == (
            '{"text": "in\\nParís", "entities": [{"start": 3, "end": 8, "text": "París", '
            '"label": "city", "score": 0.1235}], "id": 1}\n'
        )

    def test_replace_fields_of_their_own_names(self):
        document = Document("a", {"entities": "old", "text": "other"})
        assert json.loads(JsonLines().answer(0, document, [])) == {"text": "a", "entities": []}

    def test_of_half_a_surrogate_pair_are_ascii(self):
        line = JsonLines().answer(0, Document("é\ud800"), [])
        assert line == b'{"text": "\\u00e9\\ud800", "entities": []}\n'
        assert JsonLines().answer(0, Document("é", {"\udfff": 1}), []).isascii()

    def test_refuse_fields_nested_too_deep(self):
        nested = []
        for _ in range(100_000):
            nested = [nested]
        with pytest.raises(CorpusError, match="document 5: its fields are nested too deep"):
            JsonLines().answer(5, Document("a", {"b": nested}), [])


class TestCsvRows:
    def test_come_back_from_the_csv_module(self):
        text = 'a "b",c\nd\re \ud800'
        spans = [found(0, 3, "x", text), found(2, len(text), 'y,"z', text)]
        rows = CsvRows()
        written = (
            rows.head() + rows.answer(0, Document(""), []) + rows.answer(3, Document(text), spans)
        )
        read = list(csv.reader(io.StringIO(written.decode(), newline="")))
        assert read == [
            ["document", "start", "end", "text", "label", "score"],
            ["3", "0", "3", 'a "', "x", "0.1235"],
            ["3", "2", "13", '"b",c\nd\re \\ud800', 'y,"z', "0.1235"],
        ]
        assert b"\r\n" not in written


class TestColoredText:
    @pytest.fixture(autouse=True)
    def a_terminal(self, monkeypatch):
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.delenv("COLORTERM", raising=False)

    def test_puts_labels_behind_entities_that_may_nest(self):
        text = "at New York University today"
        spans = [found(3, 22, "school", text), found(3, 11, "city", text)]
        shown = ColoredText(["city", "school"]).answer(0, Document(text), spans).decode()
        plain = "at New York (city) University (school) today\n"
        for code in ("\x1b[0m", "\x1b[2m", "\x1b[1;36m", "\x1b[1;32m"):
            assert code in shown
            shown = shown.replace(code, "")
        assert shown == plain

    def test_of_no_entity_is_the_text(self):
        form = make_form("color", ["a"])
        assert form.answer(0, Document("[bold]plain[/] :smile: " * 30), []).decode() == (
            "[bold]plain[/] :smile: " * 30 + "\n"
        )
        assert form.answer(0, Document(""), []) == b"\n"

    def test_shows_control_characters_by_symbols(self):
        text = "".join(map(chr, [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)]))
        shown = make_form("color", ["a"]).answer(0, Document(text), []).decode()
        assert len(shown) == len(text) + 1
        assert not any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in shown[:-1])
        assert shown.startswith("\u2400\u2401")
