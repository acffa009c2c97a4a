"""A student's files without torch: what comes back, and that broken ones are told by their name."""

import json
import shutil
from dataclasses import replace
from itertools import chain

import numpy as np
import onnx
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from gliner_distill.errors import StudentError
from gliner_distill.runtime.bundle import (
    GRAPH_FILE,
    TABLES_FILE,
    read_bundle,
    weight_shapes,
    write_bundle,
)
from gliner_distill.runtime.config import CONFIG_FILE
from gliner_distill.runtime.embeddings import PIECE_SCALES, PIECES
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, train_vocabulary
from gliner_distill.student.export import make_bundle, quantize_graph, quantize_weights
from gliner_distill.student.files import save_student

FILES = (CONFIG_FILE, GRAPH_FILE, TABLES_FILE, TOKENIZER_FILE)


@pytest.fixture(scope="module", params=["boundary", "softmax"])
def head(request):
    return request.param


@pytest.fixture(scope="module")
def bundle(head, build_finder, small_vocabulary):
    return make_bundle(build_finder(head=head, label_hidden_width=6), small_vocabulary)


@pytest.fixture
def folder(tmp_path, bundle):
    write_bundle(tmp_path / "bundle", bundle)
    return tmp_path / "bundle"


def load(folder):
    return StudentNER(read_bundle(folder), num_threads=1)


def change_config(folder, change):
    path = folder / CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config), encoding="utf-8")


def change_tables(folder, change):
    tables = safetensors.torch.load_file(folder / TABLES_FILE)
    change(tables)
    safetensors.torch.save_file(tables, folder / TABLES_FILE)


class TestRoundTrip:
    def test_gives_all_back(self, tmp_path, bundle):
        thresholds = {"city": 0.3, "東京": 0.7, "half \ud800 a pair": 0.5}
        metadata = {"teacher": "großer Lehrer", "epochs": 3}
        given = replace(bundle, threshold=0.45, label_thresholds=thresholds, metadata=metadata)
        write_bundle(tmp_path / "new" / "folder", given)
        assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == set(FILES)
        read = read_bundle(tmp_path / "new" / "folder")
        for name in ("config", "graph", "precision", "threshold", "label_thresholds", "facts"):
            assert getattr(read, name) == getattr(given, name)
        assert read.vocabulary.to_json() == given.vocabulary.to_json()
        assert read.tables.keys() == given.tables.keys()
        for name, table in given.tables.items():
            assert read.tables[name].dtype == table.dtype
            np.testing.assert_array_equal(read.tables[name], table)

    def test_gives_eight_bits_back(self, tmp_path, bundle):
        given = quantize_weights(quantize_graph(bundle))
        write_bundle(tmp_path, given)
        read = read_bundle(tmp_path)
        assert read.precision == "int8"
        assert read.tables[PIECES].dtype == np.int8
        np.testing.assert_array_equal(read.tables[PIECE_SCALES], given.tables[PIECE_SCALES])
        assert load(tmp_path).precision == "int8"

    def test_gives_answers_back(self, folder, bundle, draw_words):
        text = " ".join(chain.from_iterable(draw_words(0, 5)))
        expected = StudentNER(bundle, num_threads=1).predict_entities(text, ["city", "person"])
        assert expected
        assert load(folder).predict_entities(text, ["city", "person"]) == expected

    def test_reads_the_weights_of_torch_where_there_are_no_tables(
        self, tmp_path, head, build_finder, small_vocabulary, bundle
    ):
        student = build_finder(head=head, label_hidden_width=6)
        save_student(tmp_path, student, small_vocabulary, metadata={})
        (tmp_path / GRAPH_FILE).write_bytes(bundle.graph)
        read = read_bundle(tmp_path)
        assert read.tables.keys() == weight_shapes(bundle.config).keys()
        for name, table in bundle.tables.items():
            np.testing.assert_array_equal(read.tables[name], table)
        assert read.threshold == 0.5

    def test_leaves_no_temporary_files_and_replaces_what_is_there(self, folder, bundle):
        write_bundle(folder, replace(bundle, threshold=0.25))
        assert {path.name for path in folder.iterdir()} == set(FILES)
        assert read_bundle(folder).threshold == 0.25

    def test_fails_by_name_where_it_cannot_be_written(self, tmp_path, bundle):
        (tmp_path / "file").touch()
        with pytest.raises(StudentError, match="file: cannot be written"):
            write_bundle(tmp_path / "file", bundle)


class TestBrokenFiles:
    @pytest.mark.parametrize("name", FILES)
    def test_missing_file_is_named(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(StudentError, match=name):
            load(folder)

    @pytest.mark.parametrize("name", FILES)
    def test_folder_in_place_of_a_file_is_named(self, folder, name):
        (folder / name).unlink()
        (folder / name).mkdir()
        with pytest.raises(StudentError, match=name):
            load(folder)

    @pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
    @pytest.mark.parametrize("name", FILES)
    def test_truncated_file_is_named(self, folder, name, share):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(StudentError, match=name):
            load(folder)

    @pytest.mark.parametrize("name", FILES)
    def test_oversized_file_is_named(self, folder, name):
        with (folder / name).open("wb") as stream:
            stream.truncate(64_000_001)
        with pytest.raises(StudentError, match=name):
            load(folder)

    def test_graph_is_not_read_when_it_is_too_large_for_a_student(self, folder):
        with (folder / GRAPH_FILE).open("wb") as stream:
            stream.truncate(2**40)
        with pytest.raises(StudentError, match=f"{GRAPH_FILE}: has more than 64,000,000 bytes"):
            read_bundle(folder)

    @pytest.mark.parametrize("name", [CONFIG_FILE, TABLES_FILE, TOKENIZER_FILE])
    def test_changed_bytes_give_no_other_error(self, folder, name):
        content = (folder / name).read_bytes()
        draws = np.random.default_rng(0)
        n_refused = 0
        for _ in range(40):
            changed = bytearray(content)
            for place in draws.integers(0, min(len(content), 1000), 2).tolist():
                changed[place] = int(draws.integers(256))
            (folder / name).write_bytes(bytes(changed))
            try:
                load(folder)
            except StudentError:
                n_refused += 1
        assert n_refused > 10


class TestTables:
    def test_of_another_shape_are_told(self, folder):
        change_tables(folder, lambda tables: tables.update({PIECES: torch.zeros(5, 8)}))
        with pytest.raises(
            StudentError, match=rf"{TABLES_FILE}: {PIECES} should .*; found \(5, 8\)"
        ):
            load(folder)

    def test_that_lack_one_are_told(self, folder):
        change_tables(folder, lambda tables: tables.pop("label_tower.2.bias"))
        with pytest.raises(
            StudentError, match=f"{TABLES_FILE}: label_tower.2.bias should .*; found nothing"
        ):
            load(folder)

    @pytest.mark.parametrize(
        "dtype",
        [torch.int64, torch.int8, torch.bool, torch.bfloat16, torch.float8_e4m3fn],
        ids=str,
    )
    @pytest.mark.parametrize("name", [PIECES, "label_tower.0.weight"])
    def test_of_another_type_are_told(self, folder, name, dtype):
        change_tables(folder, lambda tables: tables.update({name: tables[name].to(dtype)}))
        with pytest.raises(StudentError, match=TABLES_FILE):
            load(folder)

    def test_in_eight_bits_need_as_many_scales_as_pieces(self, tmp_path, bundle):
        write_bundle(tmp_path, quantize_weights(bundle))
        change_tables(tmp_path, lambda tables: tables.update({PIECE_SCALES: torch.ones(3, 1)}))
        with pytest.raises(StudentError, match=f"{TABLES_FILE}: {PIECE_SCALES} should have"):
            load(tmp_path)

    def test_with_scales_need_pieces_in_eight_bits(self, folder, small_vocabulary):
        scales = torch.ones(len(small_vocabulary), 1)
        change_tables(folder, lambda tables: tables.update({PIECE_SCALES: scales}))
        with pytest.raises(StudentError, match=f"{TABLES_FILE}: {PIECES} holds float"):
            load(folder)

    def test_may_hold_what_no_one_asks_for(self, folder):
        change_tables(folder, lambda tables: tables.update({"more": torch.zeros(3)}))
        assert "more" not in read_bundle(folder).tables


class TestGraph:
    def test_that_takes_something_else_is_told(self, folder):
        value = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["pixels"], ["scores"])],
            "other",
            [value("pixels", onnx.TensorProto.FLOAT, ["batch"])],
            [value("scores", onnx.TensorProto.FLOAT, ["batch"])],
        )
        opset = [onnx.helper.make_opsetid("", 17)]
        model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
        (folder / GRAPH_FILE).write_bytes(model.SerializeToString())
        with pytest.raises(
            StudentError, match=rf"{GRAPH_FILE} is not a student's: it takes \['pixels'\]"
        ):
            load(folder)

    @pytest.mark.parametrize(
        "shape", [{"embedding_width": 6}, {"hidden_width": 4}, {"bidirectional": False}], ids=str
    )
    def test_of_a_student_of_another_shape_is_told(
        self, folder, head, shape, build_student, small_vocabulary
    ):
        other = make_bundle(build_student(head=head, **shape), small_vocabulary)
        (folder / GRAPH_FILE).write_bytes(other.graph)
        with pytest.raises(StudentError, match=f"{GRAPH_FILE} does not fit the student: "):
            load(folder)

    def test_that_takes_other_types_is_told(self, folder, bundle):
        model = onnx.load_from_string(bundle.graph)
        for value in model.graph.input:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        (folder / GRAPH_FILE).write_bytes(model.SerializeToString())
        with pytest.raises(StudentError, match=GRAPH_FILE):
            load(folder)


class TestTokenizer:
    def test_of_another_size_is_told(self, folder):
        other = train_vocabulary(["other", "words"], n_pieces=20)
        (folder / TOKENIZER_FILE).write_text(other.to_json(), encoding="utf-8")
        with pytest.raises(
            StudentError, match=f"{TOKENIZER_FILE} has .* they do not belong together"
        ):
            load(folder)

    def test_that_is_no_text_is_told(self, folder):
        (folder / TOKENIZER_FILE).write_bytes(b"\xff\xfe")
        with pytest.raises(StudentError, match=TOKENIZER_FILE):
            load(folder)


class TestConfig:
    @pytest.mark.parametrize(
        "content", ["[]", "null", "3", '"text"', "{}", "", "{", "[" * 100_000], ids=str
    )
    def test_that_is_no_configuration_is_told(self, folder, content):
        (folder / CONFIG_FILE).write_text(content, encoding="utf-8")
        with pytest.raises(StudentError, match=CONFIG_FILE):
            load(folder)

    @pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
    def test_of_another_version_is_told(self, folder, version):
        change_config(folder, lambda config: config.update(format_version=version))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: format version .* reads 1"):
            load(folder)

    @pytest.mark.parametrize(
        "change",
        [
            {"head": "other"},
            {"head": 3},
            {"n_pieces": -1},
            {"n_pieces": "90"},
            {"hidden_width": 8.0},
            {"bidirectional": 1},
            {"unheard": 1},
        ],
        ids=str,
    )
    def test_of_no_student_is_told(self, folder, change):
        change_config(folder, lambda config: config["student"].update(change))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: field 'student'"):
            load(folder)

    @pytest.mark.parametrize(
        "change", [{"hidden_width": 9}, {"embedding_width": 10**12}, {"n_pieces": 0}], ids=str
    )
    def test_of_another_student_is_told(self, folder, change):
        change_config(folder, lambda config: config["student"].update(change))
        with pytest.raises(StudentError, match=r"should have shape|do not belong together"):
            load(folder)

    @pytest.mark.parametrize("threshold", [0, 1, 1.5, -0.1, "0.5", None, True, [0.5], float("nan")])
    def test_thresholds_out_of_range_are_told(self, folder, threshold):
        change_config(folder, lambda config: config["runtime"].update(threshold=threshold))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: a threshold is "):
            load(folder)
        of_label = {"threshold": 0.5, "label_thresholds": {"city": threshold}}
        change_config(folder, lambda config: config.update(runtime=of_label))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: a threshold is "):
            load(folder)

    @pytest.mark.parametrize("runtime", [[], "int8", None, {"label_thresholds": [0.5]}], ids=str)
    def test_runtime_of_another_form_is_told(self, folder, runtime):
        change_config(folder, lambda config: config.update(runtime=runtime))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: field '"):
            load(folder)

    def test_is_of_single_precision_and_its_own_threshold_without_runtime(self, folder):
        change_config(folder, lambda config: config.pop("runtime"))
        change_config(folder, lambda config: config["student"].update(threshold=0.4))
        read = read_bundle(folder)
        assert (read.precision, read.threshold, read.label_thresholds) == ("fp32", 0.4, {})


def test_bundle_works_where_it_is_moved_to(folder, tmp_path, draw_words):
    text = " ".join(chain.from_iterable(draw_words(0, 5)))
    expected = load(folder).predict_entities(text, ["city", "person"])
    shutil.move(folder, tmp_path / "moved here")
    assert load(tmp_path / "moved here").predict_entities(text, ["city", "person"]) == expected
