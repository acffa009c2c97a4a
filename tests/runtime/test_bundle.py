"""The files of a student: round trips, cut-off writes, and errors that name the broken file."""

import json
import os
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from gliner_distill.errors import StudentError
from gliner_distill.runtime.bundle import (
    EXPORT_FILES,
    pack_bundle,
    quantize_weights,
    read_bundle,
    read_score_map,
    unpack_bundle,
    write_bundle,
)
from gliner_distill.runtime.config import (
    CONFIG_FILE,
    RUNTIME_WEIGHTS_FILE,
    TORCH_WEIGHTS_FILE,
)
from gliner_distill.runtime.embeddings import PIECE_SCALES, PIECES
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.runtime.vocabulary import TOKENIZER_FILE, train_vocabulary
from gliner_distill.runtime.weights import weight_shapes
from gliner_distill.student.bundling import make_bundle
from gliner_distill.student.files import save_student
from student_folders import change_config, sign, write_signed, write_version_3

SCORE_MAP = ScoreMap((-2.0, 0.0, 1.0), (-1.0, 0.0, 3.0))


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


def refuse_to_write(opened):
    def open_full(path, mode="r", *args, **options):
        if "w" in mode:
            raise OSError(28, "No space left on device")
        return opened(path, mode, *args, **options)

    return open_full


def load(folder):
    return StudentNER(read_bundle(folder), num_threads=1)


def change_weights(folder, change):
    weights = safetensors.torch.load_file(folder / RUNTIME_WEIGHTS_FILE)
    change(weights)
    safetensors.torch.save_file(weights, folder / RUNTIME_WEIGHTS_FILE)
    sign(folder)


def assert_same_weights(found, expected):
    assert found.weights.keys() == expected.weights.keys()
    for name, values in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], values)


class TestRoundTrip:
    def test_write_bundle_and_read_bundle_keep_everything(self, tmp_path, bundle):
        thresholds = {"city": 0.3, "東京": 0.7, "half \ud800 a pair": 0.5}
        metadata = {"teacher": "großer Lehrer", "epochs": 3}
        given = replace(bundle, threshold=0.45, label_thresholds=thresholds, metadata=metadata)
        write_bundle(tmp_path / "new" / "folder", given)
        assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == set(EXPORT_FILES)
        read = read_bundle(tmp_path / "new" / "folder")
        for name in ("config", "precision", "threshold", "label_thresholds", "metadata"):
            assert getattr(read, name) == getattr(given, name)
        assert read.vocabulary.to_json() == given.vocabulary.to_json()
        assert read.weights.keys() == given.weights.keys()
        for name, table in given.weights.items():
            assert read.weights[name].dtype == table.dtype
            np.testing.assert_array_equal(read.weights[name], table)

    def test_write_bundle_and_read_bundle_keep_the_map_of_scores(
        self, tmp_path, build_finder, small_vocabulary
    ):
        plain = make_bundle(build_finder(head="boundary"), small_vocabulary)
        write_bundle(tmp_path / "plain", plain)
        assert read_bundle(tmp_path / "plain").score_map is None
        assert "score_map" not in (tmp_path / "plain" / CONFIG_FILE).read_text(encoding="utf-8")
        write_bundle(tmp_path / "mapped", replace(plain, score_map=SCORE_MAP))
        assert read_bundle(tmp_path / "mapped").score_map == SCORE_MAP
        assert read_score_map(tmp_path / "mapped") == SCORE_MAP

    @pytest.mark.parametrize("has_lstm", [True, False])
    def test_weight_shapes_are_those_of_torch(self, has_lstm, build_comparer, small_vocabulary):
        student = build_comparer(label_lstm_width=5 if has_lstm else 0)
        state = student.state_dict()
        shapes = weight_shapes(student.config)
        assert shapes == {name: tuple(state[name].shape) for name in shapes}
        assert state.keys() == shapes.keys()

    @pytest.mark.parametrize("in_8_bits", [True, False])
    def test_write_bundle_and_read_bundle_keep_the_label_side(
        self, in_8_bits, tmp_path, build_comparer, small_vocabulary
    ):
        bundle = make_bundle(build_comparer(), small_vocabulary)
        bundle = quantize_weights(bundle) if in_8_bits else bundle
        write_bundle(tmp_path, bundle)
        read = read_bundle(tmp_path)
        assert read.config == bundle.config
        assert read.weights["label_kind.weight"].dtype == (np.float16 if in_8_bits else np.float32)
        assert read.weights["label_kind.bias"].dtype == np.float32
        for name, table in bundle.weights.items():
            np.testing.assert_array_equal(read.weights[name], table)

    def test_write_bundle_and_read_bundle_keep_8_bits(self, tmp_path, bundle):
        given = quantize_weights(bundle)
        write_bundle(tmp_path, given)
        read = read_bundle(tmp_path)
        assert read.precision == "int8"
        assert read.weights[PIECES].dtype == np.int8
        np.testing.assert_array_equal(read.weights[PIECE_SCALES], given.weights[PIECE_SCALES])
        assert load(tmp_path).precision == "int8"

    def test_read_bundle_gives_the_same_answers(self, folder, bundle, draw_words):
        text = " ".join(chain.from_iterable(draw_words(0, 5)))
        expected = StudentNER(bundle, num_threads=1).predict_entities(text, ["city", "person"])
        assert expected
        assert load(folder).predict_entities(text, ["city", "person"]) == expected

    def test_read_bundle_reads_the_weights_of_torch(
        self, tmp_path, head, build_finder, small_vocabulary, bundle
    ):
        student = build_finder(head=head, label_hidden_width=6)
        save_student(tmp_path, student, small_vocabulary, metadata={})
        read = read_bundle(tmp_path)
        assert read.weights.keys() == weight_shapes(bundle.config).keys()
        for name, table in bundle.weights.items():
            np.testing.assert_array_equal(read.weights[name], table)
        assert read.threshold == 0.5

    def test_write_bundle_replaces_a_bundle_and_leaves_no_temporary_files(self, folder, bundle):
        write_bundle(folder, replace(bundle, threshold=0.25))
        assert {path.name for path in folder.iterdir()} == set(EXPORT_FILES)
        assert read_bundle(folder).threshold == 0.25

    def test_write_bundle_names_a_folder_that_cannot_be_written(self, tmp_path, bundle):
        (tmp_path / "file").touch()
        with pytest.raises(StudentError, match="file: cannot be written"):
            write_bundle(tmp_path / "file", bundle)


class TestCrashSafety:
    """A write that is cut off leaves the earlier student, or a folder that is refused."""

    @pytest.fixture
    def other(self, build_finder, head, small_vocabulary):
        return make_bundle(build_finder(head=head, label_hidden_width=6, seed=1), small_vocabulary)

    @pytest.mark.parametrize("name", [*EXPORT_FILES, TORCH_WEIGHTS_FILE])
    def test_write_bundle_leaves_the_earlier_bundle_when_the_disk_is_full(
        self, tmp_path, bundle, other, name, monkeypatch
    ):
        has_torch = name == TORCH_WEIGHTS_FILE
        weights = bundle.weights if has_torch else None
        write_bundle(tmp_path, bundle, torch_weights=weights)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        opened = Path.open

        def open_full(path, *args, **options):
            if path.name.startswith(name) and path.name != name:
                raise OSError(28, "No space left on device")
            return opened(path, *args, **options)

        monkeypatch.setattr(Path, "open", open_full)
        with pytest.raises(StudentError, match="No space left on device"):
            write_bundle(tmp_path, other, torch_weights=other.weights if has_torch else None)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    @pytest.mark.parametrize("n_renamed", range(4))
    def test_write_bundle_leaves_one_whole_student_wherever_it_is_killed(
        self, folder, bundle, other, n_renamed, monkeypatch
    ):
        renamed, left = Path.replace, iter(range(n_renamed))

        def replace_some(path, target):
            if next(left, None) is None:
                raise KeyboardInterrupt  # as when the process is killed
            return renamed(path, target)

        monkeypatch.setattr(Path, "replace", replace_some)
        with nullcontext() if n_renamed == 3 else pytest.raises(KeyboardInterrupt):
            write_bundle(folder, other)
        monkeypatch.undo()
        assert_same_weights(read_bundle(folder), other if n_renamed else bundle)
        # A kill before the first rename of the next write leaves the same student.
        monkeypatch.setattr(Path, "open", refuse_to_write(Path.open))
        with pytest.raises(StudentError, match="No space left on device"):
            write_bundle(folder, bundle)
        monkeypatch.undo()
        assert_same_weights(read_bundle(folder), other if n_renamed else bundle)
        write_bundle(folder, bundle)
        assert_same_weights(read_bundle(folder), bundle)
        assert {path.name for path in folder.iterdir()} == set(EXPORT_FILES)

    def test_write_bundle_keeps_other_files_of_the_folder(self, folder, other):
        (folder / "notes.txt").write_text("mine")
        write_bundle(folder, other)
        assert (folder / "notes.txt").read_text() == "mine"

    def test_write_bundle_with_torch_weights_replaces_an_export(self, folder, other):
        write_bundle(folder, other, torch_weights=other.weights)
        assert not (folder / RUNTIME_WEIGHTS_FILE).exists()
        np.testing.assert_array_equal(read_bundle(folder).weights[PIECES], other.weights[PIECES])


class TestBrokenFiles:
    @pytest.mark.parametrize("name", EXPORT_FILES)
    def test_read_bundle_names_a_missing_file(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(StudentError, match=name):
            load(folder)

    @pytest.mark.parametrize("name", EXPORT_FILES)
    def test_read_bundle_names_a_folder_in_place_of_a_file(self, folder, name):
        (folder / name).unlink()
        (folder / name).mkdir()
        with pytest.raises(StudentError, match=name):
            load(folder)

    @pytest.mark.parametrize("is_signed", [True, False])
    @pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
    @pytest.mark.parametrize("name", EXPORT_FILES)
    def test_read_bundle_names_a_truncated_file(self, folder, name, share, is_signed):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])
        if is_signed and name != CONFIG_FILE:
            sign(folder)
        with pytest.raises(StudentError, match=name):
            load(folder)

    @pytest.mark.parametrize("name", EXPORT_FILES)
    def test_read_bundle_names_an_oversized_file(self, folder, name):
        with (folder / name).open("wb") as stream:
            stream.truncate(64_000_001)
        with pytest.raises(StudentError, match=name):
            load(folder)

    @pytest.mark.parametrize("name", [CONFIG_FILE, RUNTIME_WEIGHTS_FILE, TOKENIZER_FILE])
    def test_read_bundle_raises_only_student_errors_for_changed_bytes(self, folder, name):
        content = (folder / name).read_bytes()
        draws = np.random.default_rng(0)
        n_refused = 0
        for _ in range(40):
            changed = bytearray(content)
            for place in draws.integers(0, min(len(content), 1000), 2).tolist():
                changed[place] = int(draws.integers(256))
            (folder / name).write_bytes(bytes(changed))
            if name != CONFIG_FILE:
                sign(folder)
            try:
                load(folder)
            except StudentError:
                n_refused += 1
        assert n_refused > 10


class TestChecksums:
    @pytest.mark.parametrize("name", EXPORT_FILES)
    def test_read_bundle_refuses_every_flipped_bit(self, folder, name):
        content = (folder / name).read_bytes()
        draws = np.random.default_rng(0)
        for place in draws.integers(0, len(content), 30).tolist():
            changed = bytearray(content)
            changed[place] ^= 1 << int(draws.integers(8))
            (folder / name).write_bytes(bytes(changed))
            # Where a checksum was hit, the message names its file and the configuration.
            with pytest.raises(StudentError, match=f"{name}|{CONFIG_FILE}"):
                read_bundle(folder)

    def test_read_bundle_names_the_checksum_of_a_changed_file(self, folder):
        content = bytearray((folder / RUNTIME_WEIGHTS_FILE).read_bytes())
        content[-1] ^= 1
        (folder / RUNTIME_WEIGHTS_FILE).write_bytes(bytes(content))
        with pytest.raises(StudentError, match=f"{RUNTIME_WEIGHTS_FILE}.* SHA-256 .*{CONFIG_FILE}"):
            read_bundle(folder)

    def test_read_bundle_refuses_a_threshold_that_was_changed(self, folder):
        content = (folder / CONFIG_FILE).read_text(encoding="utf-8")
        (folder / CONFIG_FILE).write_text(content.replace('"threshold": 0.5', '"threshold": 0.4'))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: .* SHA-256"):
            read_bundle(folder)

    @pytest.mark.parametrize("value", [None, [], {}, {"weights.safetensors": 3}], ids=str)
    def test_read_bundle_refuses_checksums_of_another_form(self, folder, value):
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        (folder / CONFIG_FILE).write_text(json.dumps(config | {"sha256": value}))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: .*sha256"):
            read_bundle(folder)

    def test_write_bundle_leaves_no_weights_of_torch_beside_another_student(self, tmp_path, bundle):
        write_bundle(tmp_path, bundle, torch_weights=bundle.weights)
        write_bundle(tmp_path, bundle)
        config = json.loads((tmp_path / CONFIG_FILE).read_text(encoding="utf-8"))
        assert config["sha256"].keys() == set(EXPORT_FILES)

    @pytest.mark.parametrize("name", EXPORT_FILES)
    def test_read_bundle_refuses_pipes_and_devices_at_once(self, folder, name):
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(StudentError, match=f"{name}.* regular file"):
            read_bundle(folder)
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
        with pytest.raises(StudentError, match=f"{name}.* regular file"):
            read_bundle(folder)


class TestWeights:
    def test_read_bundle_refuses_weights_of_another_shape(self, folder):
        change_weights(folder, lambda weights: weights.update({PIECES: torch.zeros(5, 8)}))
        with pytest.raises(StudentError, match=rf"{RUNTIME_WEIGHTS_FILE}: {PIECES} .*\(5, 8\)"):
            load(folder)

    def test_read_bundle_refuses_weights_that_lack_one(self, folder):
        change_weights(folder, lambda weights: weights.pop("label_tower.2.bias"))
        with pytest.raises(StudentError, match=f"{RUNTIME_WEIGHTS_FILE}: label_tower.2.bias"):
            load(folder)

    @pytest.mark.parametrize(
        "dtype",
        [torch.int64, torch.int8, torch.bool, torch.bfloat16, torch.float8_e4m3fn],
        ids=str,
    )
    @pytest.mark.parametrize("name", [PIECES, "label_tower.0.weight"])
    def test_read_bundle_refuses_weights_of_another_type(self, folder, name, dtype):
        change_weights(folder, lambda weights: weights.update({name: weights[name].to(dtype)}))
        with pytest.raises(StudentError, match=RUNTIME_WEIGHTS_FILE):
            load(folder)

    def test_read_bundle_needs_one_scale_per_piece_in_8_bits(self, tmp_path, bundle):
        write_bundle(tmp_path, quantize_weights(bundle))
        change_weights(tmp_path, lambda weights: weights.update({PIECE_SCALES: torch.ones(3, 1)}))
        with pytest.raises(
            StudentError, match=rf"{RUNTIME_WEIGHTS_FILE}: {PIECE_SCALES} .*\(3, 1\)"
        ):
            load(tmp_path)

    def test_read_bundle_refuses_scales_without_pieces_in_8_bits(self, folder, small_vocabulary):
        scales = torch.ones(len(small_vocabulary), 1)
        change_weights(folder, lambda weights: weights.update({PIECE_SCALES: scales}))
        with pytest.raises(StudentError, match=f"{RUNTIME_WEIGHTS_FILE}: {PIECES} .*float"):
            load(folder)

    def test_read_bundle_ignores_other_weights(self, folder):
        change_weights(folder, lambda weights: weights.update({"more": torch.zeros(3)}))
        assert "more" not in read_bundle(folder).weights

    @pytest.mark.parametrize(
        "name", ["label_forward_lstm.weight_hh_l0", "label_kind.weight", "label_kind.bias"]
    )
    def test_read_bundle_refuses_a_label_side_of_another_shape(
        self, tmp_path, name, build_comparer, small_vocabulary
    ):
        write_bundle(tmp_path, make_bundle(build_comparer(), small_vocabulary))
        change_weights(tmp_path, lambda weights: weights.update({name: torch.zeros(2, 2)}))
        with pytest.raises(StudentError, match=rf"{RUNTIME_WEIGHTS_FILE}: {name} .*\(2, 2\)"):
            load(tmp_path)
        change_weights(tmp_path, lambda weights: weights.pop(name))
        with pytest.raises(StudentError, match=rf"{RUNTIME_WEIGHTS_FILE}: {name} is missing"):
            load(tmp_path)


class TestTokenizer:
    def test_read_bundle_refuses_a_tokenizer_of_another_size(self, folder):
        other = train_vocabulary(["other", "words"], n_pieces=20)
        write_signed(folder, TOKENIZER_FILE, other.to_json().encode())
        with pytest.raises(StudentError, match=f"{TOKENIZER_FILE} .*{CONFIG_FILE}"):
            load(folder)

    def test_read_bundle_refuses_a_tokenizer_that_is_not_text(self, folder):
        write_signed(folder, TOKENIZER_FILE, b"\xff\xfe")
        with pytest.raises(StudentError, match=TOKENIZER_FILE):
            load(folder)


class TestConfig:
    def test_read_bundle_refuses_a_map_of_scores_of_a_softmax_head(self, folder, head):
        def add_map(config):
            config["runtime"]["score_map"] = SCORE_MAP.as_json()

        change_config(folder, add_map)
        if head == "boundary":
            assert read_bundle(folder).score_map == SCORE_MAP
            return
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}.*score_map.*softmax head"):
            load(folder)

    def test_read_bundle_refuses_a_comparison_without_a_hidden_layer(self, folder):
        change = {"relation_width": 3, "label_hidden_width": 0}
        change_config(folder, lambda config: config["architecture"].update(change))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}.*label_hidden_width is 0"):
            load(folder)

    @pytest.mark.parametrize(
        "content", ["[]", "null", "3", '"text"', "{}", "", "{", "[" * 100_000], ids=str
    )
    def test_read_bundle_refuses_a_file_that_is_not_a_configuration(self, folder, content):
        (folder / CONFIG_FILE).write_text(content, encoding="utf-8")
        with pytest.raises(StudentError, match=CONFIG_FILE):
            load(folder)

    def test_read_bundle_names_both_files_that_may_hold_the_weights(self, folder):
        change_config(folder, lambda config: config["sha256"].pop(RUNTIME_WEIGHTS_FILE))
        with pytest.raises(StudentError, match=RUNTIME_WEIGHTS_FILE) as caught:
            load(folder)
        assert TORCH_WEIGHTS_FILE in str(caught.value)
        assert str(folder) in str(caught.value)

    @pytest.mark.parametrize("version", [0, 1, 5, "3", None, [3], True, 3.0])
    def test_read_bundle_refuses_another_format_version(self, folder, version):
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        (folder / CONFIG_FILE).write_text(json.dumps(config | {"format_version": version}))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: .* 2 to 4"):
            load(folder)

    def test_read_bundle_refuses_an_export_with_its_lstm_in_a_graph(self, folder):
        change_weights(folder, lambda weights: weights.pop("word_tower.weight"))
        write_version_3(folder)
        with pytest.raises(StudentError, match=f"^{re.escape(str(folder))}: ") as caught:
            load(folder)
        for fact in ("earlier release", "words.onnx", "training run", "gliner-distill export"):
            assert fact in str(caught.value)
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        (folder / CONFIG_FILE).write_text(json.dumps(config | {"format_version": 2}))
        with pytest.raises(StudentError, match=r"words\.onnx.*gliner-distill export"):
            load(folder)

    def test_unpack_bundle_refuses_a_student_with_its_lstm_in_a_graph(self, folder):
        write_version_3(folder)
        packed = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(StudentError, match=r"words\.onnx.*gliner-distill export"):
            unpack_bundle(packed)

    def test_read_bundle_reads_the_weights_of_torch_of_version_3(
        self, tmp_path, head, build_finder, small_vocabulary
    ):
        save_student(tmp_path, build_finder(head=head), small_vocabulary)
        expected = read_bundle(tmp_path)
        write_version_3(tmp_path)
        assert_same_weights(read_bundle(tmp_path), expected)
        write_bundle(tmp_path / "new", read_bundle(tmp_path))
        assert_same_weights(read_bundle(tmp_path / "new"), expected)

    def test_write_bundle_removes_the_graph_of_an_earlier_export(self, folder, bundle):
        write_version_3(folder)
        write_bundle(folder, bundle)
        assert {path.name for path in folder.iterdir()} == set(EXPORT_FILES)

    def test_read_bundle_warns_of_a_student_without_checksums(self, folder, bundle, caplog):
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        config["format_version"] = 2
        del config["sha256"]
        (folder / CONFIG_FILE).write_text(json.dumps(config))
        assert_same_weights(read_bundle(folder), bundle)
        [record] = caplog.records
        assert record.levelname == "WARNING"
        assert str(folder) in record.getMessage()
        assert "gliner-distill export" in record.getMessage()
        write_bundle(folder, read_bundle(folder))
        caplog.clear()
        read_bundle(folder)
        assert not caplog.records

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
    def test_read_bundle_refuses_an_impossible_architecture(self, folder, change):
        change_config(folder, lambda config: config["architecture"].update(change))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: field 'architecture'"):
            load(folder)

    @pytest.mark.parametrize(
        "change", [{"hidden_width": 9}, {"embedding_width": 10**12}, {"n_pieces": 0}], ids=str
    )
    def test_read_bundle_refuses_the_architecture_of_another_student(self, folder, change):
        change_config(folder, lambda config: config["architecture"].update(change))
        with pytest.raises(StudentError, match=r"expected shape|; expected \(|pieces|6,000,000"):
            load(folder)

    @pytest.mark.parametrize("threshold", [0, 1, 1.5, -0.1, "0.5", None, True, [0.5], float("nan")])
    def test_read_bundle_refuses_thresholds_out_of_range(self, folder, threshold):
        change_config(folder, lambda config: config["runtime"].update(threshold=threshold))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: threshold is "):
            load(folder)
        of_label = {"threshold": 0.5, "label_thresholds": {"city": threshold}}
        change_config(folder, lambda config: config.update(runtime=of_label))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: threshold of 'city' is "):
            load(folder)

    @pytest.mark.parametrize("runtime", [[], "int8", None, {"label_thresholds": [0.5]}], ids=str)
    def test_read_bundle_refuses_a_runtime_field_of_another_form(self, folder, runtime):
        change_config(folder, lambda config: config.update(runtime=runtime))
        with pytest.raises(StudentError, match=f"{CONFIG_FILE}: field '"):
            load(folder)

    def test_read_bundle_without_a_runtime_field_has_single_precision(self, folder):
        change_config(folder, lambda config: config.pop("runtime"))
        change_config(folder, lambda config: config["architecture"].update(threshold=0.4))
        read = read_bundle(folder)
        assert (read.precision, read.threshold, read.label_thresholds) == ("fp32", 0.4, {})


def test_read_bundle_works_after_a_move(folder, tmp_path, draw_words):
    text = " ".join(chain.from_iterable(draw_words(0, 5)))
    expected = load(folder).predict_entities(text, ["city", "person"])
    shutil.move(folder, tmp_path / "moved here")
    assert load(tmp_path / "moved here").predict_entities(text, ["city", "person"]) == expected


def test_unpack_bundle_gives_the_student_that_was_packed(bundle, folder):
    files = pack_bundle(bundle)
    assert files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert pack_bundle(unpack_bundle(files)) == files


@pytest.mark.parametrize(
    ("version", "advice"), [(99, "so upgrade"), (1, "make the student again with"), (True, "again")]
)
def test_unpack_bundle_refuses_the_format_of_another_release(bundle, version, advice):
    files = pack_bundle(bundle)
    config = json.loads(files[CONFIG_FILE]) | {"format_version": version}
    with pytest.raises(StudentError, match=f"format version is {version}.*{advice}"):
        unpack_bundle(files | {CONFIG_FILE: json.dumps(config).encode()})
