"""Loading GLiNERs from folders: what is refused, and fingerprints."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gliner_distill.errors import MissingExtraError, TeacherError
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.loading import fingerprint_model


@pytest.fixture
def span_folder(build_gliner, tmp_path):
    folder = tmp_path / "gliner"
    build_gliner("UniEncoderSpan").save_pretrained(folder, safe_serialization=True)
    return folder


def edit(path, **fields):
    content = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(content), encoding="utf-8")


class TestFromPretrained:
    @pytest.mark.slow
    def test_from_pretrained_loads_the_teacher_that_was_saved(self, tiny_gliner, tmp_path):
        tiny_gliner.save_pretrained(tmp_path, safe_serialization=True)
        loaded, original = GLiNERTeacher.from_pretrained(tmp_path), GLiNERTeacher(tiny_gliner)
        assert loaded.name == str(tmp_path)
        assert loaded.fingerprint == original.fingerprint
        passages = [["mary", "saw", "the", "old", "bank"], ["paris"], ["rhine"] * 30]
        labels = [["person", "city"], ["city", "river"], ["place name"]]
        for first, second in zip(
            loaded.score_passages(passages, labels),
            original.score_passages(passages, labels),
            strict=True,
        ):
            np.testing.assert_array_equal(first, second)

    def test_from_pretrained_names_a_missing_folder(self, tmp_path):
        with pytest.raises(TeacherError, match=r"nowhere: this folder does not exist"):
            GLiNERTeacher.from_pretrained(tmp_path / "nowhere")

    def test_from_pretrained_names_a_folder_without_a_gliner(self, tmp_path):
        with pytest.raises(TeacherError, match=r"gliner_config\.json is missing"):
            GLiNERTeacher.from_pretrained(tmp_path)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["max_len", "max_types", "max_width"])
    @pytest.mark.parametrize("value", [0, -1, "5", None, 2.5, True, 10**9])
    def test_from_pretrained_names_a_size_that_is_not_one(self, span_folder, name, value):
        edit(span_folder / "gliner_config.json", **{name: value})
        with pytest.raises(TeacherError, match=rf"{name} in gliner_config\.json is "):
            GLiNERTeacher.from_pretrained(span_folder)

    @pytest.mark.parametrize("value", ["12", [[]], 0, -1, float("nan")])
    def test_from_pretrained_names_a_limit_of_pieces_that_is_not_one(self, span_folder, value):
        edit(span_folder / "tokenizer_config.json", model_max_length=value)
        with pytest.raises(TeacherError, match=r"model_max_length in tokenizer_config\.json"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_from_pretrained_names_a_folder_without_weights(self, span_folder):
        (span_folder / "model.safetensors").unlink()
        with pytest.raises(TeacherError, match=r"model\.safetensors is missing"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_from_pretrained_says_how_to_convert_a_pickle(self, span_folder):
        weights = load_file(span_folder / "model.safetensors")
        torch.save(weights, span_folder / "pytorch_model.bin")
        (span_folder / "model.safetensors").unlink()
        with pytest.raises(TeacherError, match=r"pickle.*save_pretrained\(NEW_FOLDER"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_recommended_conversion_of_a_pickle_works(self, span_folder, tmp_path):
        from gliner import GLiNER

        weights = load_file(span_folder / "model.safetensors")
        torch.save(weights, span_folder / "pytorch_model.bin")
        expected = GLiNERTeacher.from_pretrained(span_folder).fingerprint
        (span_folder / "model.safetensors").unlink()
        GLiNER.from_pretrained(str(span_folder), local_files_only=True).save_pretrained(
            tmp_path / "new", safe_serialization=True
        )
        assert GLiNERTeacher.from_pretrained(tmp_path / "new").fingerprint == expected

    @pytest.mark.parametrize("content", [b"", b"not weights at all", "half"])
    def test_from_pretrained_names_broken_weights(self, span_folder, content):
        path = span_folder / "model.safetensors"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
        with pytest.raises(TeacherError, match=r"gliner: this GLiNER does not load: .+"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_from_pretrained_names_a_missing_weight(self, span_folder):
        path = span_folder / "model.safetensors"
        weights = load_file(path)
        lost = sorted(weights)[-1]
        del weights[lost]
        save_file(weights, path)
        with pytest.raises(TeacherError, match=rf"lacks 1 of the weights.*{lost}"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_from_pretrained_names_a_config_that_does_not_fit_the_weights(self, span_folder):
        path = span_folder / "gliner_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["hidden_size"] = 48
        path.write_text(json.dumps(config), encoding="utf-8")
        with pytest.raises(TeacherError, match=r"does not load"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_from_pretrained_names_a_broken_config(self, span_folder):
        (span_folder / "gliner_config.json").write_text("{", encoding="utf-8")
        with pytest.raises(TeacherError, match=r"gliner: gliner_config\.json: .*JSON"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_from_pretrained_says_what_to_do_about_a_missing_file_of_an_encoder(
        self, build_gliner, tmp_path
    ):
        build_gliner("BiEncoderSpan").save_pretrained(tmp_path, safe_serialization=True)
        shutil.rmtree(tmp_path / "labels_tokenizer")
        with pytest.raises(TeacherError, match=r"does not load.*save_pretrained"):
            GLiNERTeacher.from_pretrained(tmp_path)

    def test_from_pretrained_names_the_missing_extra(self, span_folder, monkeypatch):
        monkeypatch.setitem(sys.modules, "gliner", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'gliner-distill\[train\]'"):
            GLiNERTeacher.from_pretrained(span_folder)


class TestFingerprint:
    def test_fingerprint_model_changes_with_one_weight(self, build_gliner):
        model = build_gliner("BiEncoderToken")
        before = fingerprint_model(model)
        assert fingerprint_model(build_gliner("BiEncoderToken")) == before
        with torch.no_grad():
            next(model.model.parameters()).view(-1)[0] += 1e-3
        assert fingerprint_model(model) != before

    def test_fingerprint_model_changes_with_a_setting_that_changes_scores(self, build_gliner):
        model = build_gliner("UniEncoderToken")
        before = fingerprint_model(model)
        model.config.max_types += 1
        assert fingerprint_model(model) != before
