"""A student's folder: it comes back as it was, and what is broken is named."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.torch
import torch

from gliner_distill.errors import StudentError
from gliner_distill.runtime.config import CONFIG_FILE, TORCH_WEIGHTS_FILE
from gliner_distill.runtime.locate import find_student
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.student.files import load_student, save_student, weights_size_bytes
from gliner_distill.student.predictor import StudentPredictor
from student_folders import change_config, sign, write_signed

WORDS = [["mary", "saw", "Paris", "-", "unheard", "2"], ["Rhine"], ["north", "of", "globex"]]
LABELS = ("person", "city", "river", "place name")


def compute_logits(student, vocabulary):
    return StudentPredictor(student, vocabulary).logits(WORDS, [LABELS] * len(WORDS))


@pytest.fixture(params=["softmax", "boundary"])
def student(request, build_student):
    return build_student(head=request.param, n_layers=2, label_hidden_width=6)


@pytest.fixture
def folder(tmp_path, build_student, small_vocabulary):
    save_student(tmp_path / "saved", build_student(), small_vocabulary, metadata={"teacher": "t"})
    return tmp_path / "saved"


class TestFiles:
    def test_load_student_restores_the_same_logits(self, tmp_path, student, small_vocabulary):
        save_student(tmp_path, student, small_vocabulary, metadata={})
        loaded, vocabulary = load_student(tmp_path)
        assert loaded.config == student.config
        assert not loaded.training
        assert vocabulary.to_json() == small_vocabulary.to_json()
        expected = compute_logits(student, small_vocabulary)
        for logits, exact in zip(compute_logits(loaded, vocabulary), expected, strict=True):
            np.testing.assert_array_equal(logits, exact)

    def test_save_student_writes_weights_config_tokenizer_and_graph(self, folder):
        assert sorted(path.name for path in folder.iterdir()) == [
            "student.safetensors",
            "student_config.json",
            "tokenizer.json",
        ]

    def test_save_student_keeps_metadata(self, folder):
        config = json.loads((folder / CONFIG_FILE).read_text())
        assert config["teacher"] == "t"
        assert config["architecture"]["hidden_width"] == 8

    def test_save_student_replaces_another_student(self, folder, build_student, small_vocabulary):
        save_student(folder, build_student(seed=1), small_vocabulary, metadata={})
        loaded, _ = load_student(folder)
        assert torch.equal(loaded.none.weight, build_student(seed=1).none.weight)
        assert not torch.equal(loaded.none.weight, build_student(seed=0).none.weight)

    def test_save_student_names_a_folder_that_cannot_be_written(
        self, tmp_path, build_student, small_vocabulary
    ):
        (tmp_path / "file").write_text("")
        with pytest.raises(StudentError, match=r"file.inner: cannot be written: Not a directory"):
            save_student(
                tmp_path / "file" / "inner", build_student(), small_vocabulary, metadata={}
            )

    def test_find_student_looks_in_a_folder_and_its_student_folder(self, folder, tmp_path):
        assert find_student(folder) == folder
        folder.rename(tmp_path / "student")
        assert find_student(str(tmp_path)) == tmp_path / "student"
        assert find_student(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("half", [False, True])
def test_save_student_writes_a_folder_that_the_runtime_reads_without_torch(
    student, small_vocabulary, tmp_path, half
):
    save_student(tmp_path, student, small_vocabulary, half=half)
    loaded, vocabulary = load_student(tmp_path)
    runtime = StudentNER.from_pretrained(tmp_path, num_threads=1)
    expected = compute_logits(loaded, vocabulary)
    for logits, exact in zip(runtime.word_logits(WORDS, LABELS), expected, strict=True):
        np.testing.assert_allclose(logits, exact, rtol=0, atol=1e-4)
    weights = safetensors.torch.load_file(tmp_path / TORCH_WEIGHTS_FILE)
    assert {value.dtype for value in weights.values()} == {torch.half if half else torch.float32}


def test_weights_size_bytes_leaves_the_graph_out(folder):
    names = ("student.safetensors", "student_config.json", "tokenizer.json")
    assert weights_size_bytes(folder) == sum((folder / name).stat().st_size for name in names)


@pytest.mark.parametrize("head", ["softmax", "boundary"])
def test_save_student_leaves_projections_out(head, build_student, small_vocabulary, tmp_path):
    matching = build_student(head=head, feature_width=5)
    save_student(tmp_path, matching, small_vocabulary)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    assert config["architecture"]["feature_width"] == 0
    saved = safetensors.torch.load_file(tmp_path / TORCH_WEIGHTS_FILE)
    projections = {
        f"{name}_projection.{part}" for name in ("word", "label") for part in ("weight", "bias")
    }
    assert saved.keys() == matching.state_dict().keys() - projections
    loaded, vocabulary = load_student(tmp_path)
    assert loaded.config == dataclasses.replace(matching.config, feature_width=0)
    expected = compute_logits(matching, small_vocabulary)
    assert all(map(np.array_equal, compute_logits(loaded, vocabulary), expected))
    assert matching.config.feature_width == 5


class TestLoadStudentErrors:
    def change(self, folder, **fields):
        change_config(folder, lambda config: config.update(fields))

    def refuse(self, folder, message):
        with pytest.raises(StudentError, match=message):
            load_student(folder)

    def test_load_student_names_a_missing_folder(self, tmp_path):
        self.refuse(tmp_path / "none", r"none: student_config\.json")

    @pytest.mark.parametrize("name", [CONFIG_FILE, TORCH_WEIGHTS_FILE, "tokenizer.json"])
    def test_load_student_names_a_missing_file(self, folder, name):
        (folder / name).unlink()
        self.refuse(folder, name)

    @pytest.mark.parametrize("content", [b"", b'{"format_version": 1, ', b"\xff\xfe"])
    def test_load_student_names_a_broken_config(self, folder, content):
        (folder / CONFIG_FILE).write_bytes(content)
        self.refuse(folder, r"student_config\.json: cannot be read")

    @pytest.mark.parametrize("content", ["[]", "3", "null", "{}"])
    def test_load_student_refuses_the_config_of_something_else(self, folder, content):
        (folder / CONFIG_FILE).write_text(content)
        self.refuse(folder, r"student_config\.json: .* None; .* 2 to 4")

    def test_load_student_refuses_a_configuration_of_any_depth(self, folder):
        path = folder / "student_config.json"
        whole = path.read_text(encoding="utf-8").rstrip().removesuffix("}")
        # Python can read some depths of JSON that it cannot write.
        for depth in range(800, 1_000, 2):
            path.write_text(f'{whole}, "notes": {"[" * depth}{"]" * depth}}}', encoding="utf-8")
            self.refuse(folder, r"student_config\.json: ")

    def test_load_student_names_another_format_version(self, folder):
        config = json.loads((folder / CONFIG_FILE).read_text())
        (folder / CONFIG_FILE).write_text(json.dumps(config | {"format_version": 1}))
        self.refuse(folder, r"student_config\.json: .* 1; .* 2 to 4")

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "shape", [{"n_pieces": 9, "n_heads": 4}, {"hidden_width": 8}, [9], None]
    )
    def test_load_student_refuses_unknown_or_missing_architecture_fields(self, folder, shape):
        self.change(folder, architecture=shape)
        self.refuse(folder, r"student_config\.json: field 'architecture' ")

    @pytest.mark.parametrize(
        "shape",
        [
            {"n_pieces": "many"},
            {"n_pieces": 9, "dropout_prob": 2.0},
            {"n_pieces": 9, "hidden_width": 0},
            {"n_pieces": 6_000_001, "embedding_width": 1, "hidden_width": 1},
            {"n_pieces": 1_000_000_000},
            {"n_pieces": 9, "embedding_width": 1, "hidden_width": 1, "n_layers": 1_000_000},
            {"n_pieces": 9, "embedding_width": 1, "hidden_width": 1, "n_layers": 300_000},
            {"n_pieces": 9, "n_layers": 10**4000},
            {"n_pieces": 9, "dropout_prob": float("nan")},
        ],
    )
    def test_load_student_refuses_an_impossible_architecture(self, folder, shape):
        self.change(folder, architecture=shape)
        self.refuse(folder, r"student_config\.json: field 'architecture'")

    def test_load_student_refuses_weights_of_another_shape(self, folder, small_vocabulary):
        self.change(folder, architecture={"n_pieces": len(small_vocabulary), "hidden_width": 9})
        self.refuse(folder, r"student\.safetensors: cannot be loaded: ")

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
    def test_load_student_refuses_weights_that_are_cut_off(self, folder, share):
        content = (folder / TORCH_WEIGHTS_FILE).read_bytes()
        write_signed(folder, TORCH_WEIGHTS_FILE, content[: int(share * len(content))])
        self.refuse(folder, r"student\.safetensors: cannot be loaded: ")

    def test_load_student_refuses_weights_that_lack_a_tensor(self, folder):
        tensors = safetensors.torch.load_file(folder / TORCH_WEIGHTS_FILE)
        del tensors["none.bias"]
        safetensors.torch.save_file(tensors, folder / TORCH_WEIGHTS_FILE)
        sign(folder)
        self.refuse(folder, r"student\.safetensors: cannot be loaded: ")

    @pytest.mark.parametrize("name", [TORCH_WEIGHTS_FILE, "tokenizer.json"])
    def test_load_student_refuses_a_flipped_bit(self, folder, name):
        content = bytearray((folder / name).read_bytes())
        content[-9] ^= 1
        (folder / name).write_bytes(bytes(content))
        self.refuse(folder, f"{name}: .* SHA-256")

    def test_load_student_refuses_the_tokenizer_of_another_student(self, folder):
        path = folder / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        tokenizer["model"]["vocab"]["onemore"] = len(tokenizer["model"]["vocab"])
        write_signed(folder, "tokenizer.json", json.dumps(tokenizer).encode())
        self.refuse(folder, r"tokenizer\.json has 91 pieces.* 90")
