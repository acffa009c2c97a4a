"""`GLiNER2Teacher` against the package gliner2 itself, on small models of both architectures."""

import json
import random
import sys

import numpy as np
import pytest

from gliner_distill.decoding import decode_entities
from gliner_distill.errors import MissingExtraError, TeacherError
from gliner_distill.teacher.opening import open_teacher

ARCHITECTURES = ("span", "boundary")
WORDS = [
    *("the", "of", "in", "and", "paris", "london", "rhine", "thames", "acme", "globex", "mary"),
    *("john", "saw", "left", "built", "old", "new", "big", "bank", "-", ",", "42", "x", "Zürich"),
]
LABELS = ["person", "city", "river", "company", "place name"]


def load(folder):
    from gliner_distill.teacher.gliner2 import GLiNER2Teacher

    return GLiNER2Teacher.from_pretrained(folder)


def own_model(folder):
    from gliner2 import AutoExtractor

    return AutoExtractor.from_pretrained(str(folder))


def own_entities(model, words, labels, threshold=0.5):
    """Return what the package itself finds: `{(start_word, end_word, label): score}`.

    The package ends a text with a full stop; spans that reach into it are left out.
    """
    starts = np.cumsum([0] + [len(word) + 1 for word in words])
    found = model.extract_entities(
        " ".join(words), labels, threshold=threshold, include_confidence=True, include_spans=True
    )["entities"]
    return {
        (
            int(np.searchsorted(starts, entity["start"])),
            int(np.searchsorted(starts, entity["end"] + 1)),
            label,
        ): entity["confidence"]
        for label, entities in found.items()
        for entity in entities
        if entity["end"] < starts[-1]
    }


def decoded(probs, labels, threshold=0.5):
    """Return the entities of each label by itself, since gliner2 lets those of two overlap."""
    return {
        (entity.start_word, entity.end_word, label): entity.score
        for column, label in enumerate(labels)
        for entity in decode_entities(probs[:, [column]], [label], threshold=threshold)
    }


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_score_passages_gives_the_packages_entities_of_a_taught_model(taught_gliner2, architecture):
    folder, draw = taught_gliner2(architecture), random.Random(1)
    passages = [
        draw.choices(["the", "saw", "left", "in", "mary", "john", "paris", "london"], k=n)
        for n in range(1, 13)
    ]
    labels = [["person", "city"] if n % 2 else ["city", "person"] for n in range(len(passages))]
    scores, model = load(folder).score_passages(passages, labels), own_model(folder)
    n_entities = 0
    for words, asked, probs in zip(passages, labels, scores, strict=True):
        expected = own_entities(model, words, asked)
        assert decoded(probs, asked) == pytest.approx(expected, abs=1e-5)
        n_entities += len(expected)
    assert n_entities >= 20


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_score_passages_gives_the_packages_entities_of_random_models(
    build_gliner2, save_gliner2, architecture
):
    draw, n_entities = random.Random(2), 0
    for seed in range(4):
        folder = save_gliner2(build_gliner2(architecture, seed=seed, scale=3.0))
        passages = [draw.choices(WORDS, k=n) for n in (1, 3, 8, 15, 20)]
        labels = [draw.sample(LABELS, draw.randint(1, 4)) for _ in passages]
        scores, model = load(folder).score_passages(passages, labels), own_model(folder)
        for words, asked, probs in zip(passages, labels, scores, strict=True):
            expected = own_entities(model, words, asked)
            assert decoded(probs, asked) == pytest.approx(expected, abs=1e-5)
            n_entities += len(expected)
    assert n_entities > 40


@pytest.mark.slow
def test_score_passages_gives_the_entities_of_a_model_with_a_shared_pool(
    build_gliner2, save_gliner2
):
    folder = save_gliner2(build_gliner2("boundary", candidate_pool="shared", scale=3.0))
    words, labels = random.Random(4).choices(WORDS, k=12), LABELS[:3]
    probs = load(folder).score_passages([words], [labels])[0]
    expected = own_entities(own_model(folder), words, labels)
    assert decoded(probs, labels) == pytest.approx(expected, abs=1e-5)
    assert expected


@pytest.fixture
def folders(build_gliner2, save_gliner2):
    """The folder of a random GLiNER2 of each architecture."""
    return {name: save_gliner2(build_gliner2(name, scale=3.0)) for name in ARCHITECTURES}


@pytest.mark.slow
class TestScorePassages:
    def test_a_description_reaches_the_model_as_the_packages_own(self, folders):
        words = random.Random(5).choices(WORDS, k=12)
        for folder in folders.values():
            teacher = load(folder)
            asked = ["city: a big place", "person"]
            probs = teacher.score_passages([words], [asked])[0]
            plain = teacher.score_passages([words], [["city", "person"]])[0]
            assert not np.allclose(probs, plain, atol=1e-3)
            model = own_model(folder)
            schema = model.create_schema().entities({"city": "a big place", "person": {}})
            answer = model.extract(" ".join(words), schema, include_spans=True)["entities"]
            expected = {label: len(found) for label, found in answer.items()}
            found = (
                decode_entities(probs[:, [0]], ["city"]),
                decode_entities(probs[:, [1]], ["person"]),
            )
            n_beyond = sum(
                span["end"] > len(" ".join(words)) for spans in answer.values() for span in spans
            )
            assert sum(map(len, found)) == sum(expected.values()) - n_beyond

    def test_labels_that_differ_in_their_description_alone_are_both_asked(self, folders):
        asked = ["city: big", "city: small"]
        for folder in folders.values():
            probs = load(folder).score_passages([WORDS[:9]], [asked])[0]
            assert probs.shape == (9, 2, 3)
            assert not np.allclose(probs[:, 0], probs[:, 1])

    def test_long_passages_and_many_labels_are_asked_in_parts(self, folders):
        draw = random.Random(6)
        passages = [draw.choices(WORDS, k=300), ["paris"], [], ["x"] * 40]
        labels = [[f"label {n}" for n in range(30)], ["city"], ["city"], []]
        for folder in folders.values():
            scores = load(folder).score_passages(passages, labels)
            shapes = [
                (len(words), len(asked), 3) for words, asked in zip(passages, labels, strict=True)
            ]
            assert [probs.shape for probs in scores] == shapes
            assert scores[0].any(axis=(1, 2)).mean() > 0.5
            assert scores[0].any(axis=(0, 2)).all()

    def test_words_that_the_tokenizer_drops_keep_their_place(self, folders):
        for folder in folders.values():
            teacher = load(folder)
            words = ["paris", "\u200b", "saw", "a\x1fb", "y" * 300]
            probs = teacher.score_passages([words], [["city"]])[0]
            plain = ["paris", "[UNK]", "saw", "a b", "y" * 100]
            np.testing.assert_allclose(
                probs, teacher.score_passages([plain], [["city"]])[0], atol=1e-5
            )

    def test_answers_do_not_depend_on_the_batch(self, folders):
        draw = random.Random(7)
        passages = [draw.choices(WORDS, k=n) for n in (3, 9, 14)]
        for folder in folders.values():
            teacher = load(folder)
            together = teacher.score_passages(passages, [["city", "person"]] * 3)
            for words, probs in zip(passages, together, strict=True):
                alone = teacher.score_passages([words], [["city", "person"]])[0]
                np.testing.assert_allclose(probs, alone, atol=1e-4)

    @pytest.mark.parametrize(
        ("asked", "part"),
        [
            (["city", "city"], "differ"),
            (["city [E] of"], r"\[E\]"),
            (["\u200b"], "no character"),
            (["x y " * 60], "shorten"),
            (["city: " + "x " * 300], "shorten"),
        ],
    )
    def test_labels_that_cannot_be_asked_are_refused(self, folders, asked, part):
        with pytest.raises(TeacherError, match=part):
            load(folders["span"]).score_passages([["paris"]], [asked])


@pytest.mark.slow
class TestLoading:
    def test_open_teacher_knows_both_architectures_by_their_files(self, folders):
        for folder in folders.values():
            teacher = open_teacher(str(folder))
            assert type(teacher).__name__ == "GLiNER2Teacher"
            assert teacher.name == str(folder)
            assert teacher.fingerprint == load(folder).fingerprint
            assert teacher.metadata["n_parameters"] > 10_000
            vectors = teacher.subword_vectors(["paris"])
            assert len(vectors.vectors) == len(vectors.vocabulary) > 50
        assert len({load(folder).fingerprint for folder in folders.values()}) == 2

    def test_fingerprint_changes_with_a_weight_and_a_setting(self, build_gliner2, save_gliner2):
        first = load(save_gliner2(build_gliner2("span"))).fingerprint
        assert load(save_gliner2(build_gliner2("span"))).fingerprint == first
        other_weight = save_gliner2(build_gliner2("span", seed=1))
        other_setting = save_gliner2(build_gliner2("span"))
        edit(other_setting / "config.json", token_pooling="mean")
        found = {load(folder).fingerprint for folder in (other_weight, other_setting)}
        assert len({first, *found}) == 3

    def test_a_pickle_is_refused_with_the_way_to_convert_it(self, folders):
        import torch
        from safetensors.torch import load_file

        folder = folders["span"]
        path = folder / "model.safetensors"
        torch.save(load_file(path), folder / "pytorch_model.bin")
        path.unlink()
        with pytest.raises(TeacherError, match=r"pickle.*AutoExtractor.*save_pretrained"):
            open_teacher(str(folder))

    @pytest.mark.parametrize(
        "file", ["config.json", "encoder_config/config.json", "tokenizer_config.json"]
    )
    def test_settings_that_run_code_are_refused(self, folders, file):
        edit(folders["span"] / file, auto_map={"AutoModel": "evil.Evil"})
        with pytest.raises(TeacherError, match=rf"{file}: field 'auto_map' asks to run"):
            open_teacher(str(folders["span"]))

    def test_an_encoder_that_transformers_lacks_is_refused(self, folders):
        edit(folders["span"] / "encoder_config/config.json", model_type="new-impl")
        with pytest.raises(TeacherError, match=r"model_type' is 'new-impl'.*transformers"):
            open_teacher(str(folders["span"]))

    @pytest.mark.parametrize(
        ("file", "fields"),
        [
            ("encoder_config/config.json", {"hidden_size": 10**6}),
            ("encoder_config/config.json", {"vocab_size": 10**9}),
            ("encoder_config/config.json", {"num_hidden_layers": 10**6}),
            ("config.json", {"boundary_head": {"boundary_dim": 10**9}}),
        ],
    )
    def test_settings_that_ask_for_more_than_the_weights_are_refused(self, folders, file, fields):
        edit(folders["boundary"] / file, **fields)
        with pytest.raises(TeacherError, match="much larger model than"):
            open_teacher(str(folders["boundary"]))

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("model.safetensors", b"not weights"),
            ("config.json", b'{"model_type": "extractor", "architecture": "other"}'),
            ("encoder_config/config.json", b'{"model_type": "bert", "hidden_size": 48}'),
            ("tokenizer.json", b"{}"),
        ],
    )
    def test_broken_files_are_named_in_one_line(self, folders, name, content):
        (folders["span"] / name).write_bytes(content)
        with pytest.raises(TeacherError, match=r"does not load|much larger") as caught:
            open_teacher(str(folders["span"]))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("value", [-5, "many", 1.5])
    def test_a_length_that_is_not_a_number_of_words_is_refused(self, folders, value):
        edit(folders["span"] / "config.json", max_len=value)
        with pytest.raises(TeacherError, match=r"max_len|does not load"):
            open_teacher(str(folders["span"]))

    def test_a_missing_encoder_is_named(self, folders):
        (folders["span"] / "encoder_config/config.json").unlink()
        with pytest.raises(TeacherError, match=r"encoder_config/config\.json is missing"):
            open_teacher(str(folders["span"]))

    def test_the_missing_extra_is_named(self, folders, monkeypatch):
        monkeypatch.setitem(sys.modules, "gliner2", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'gliner-distill\[gliner2\]'"):
            open_teacher(str(folders["span"]))


def edit(path, **fields):
    content = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.slow
def test_label_keeps_the_answers_of_a_gliner2(taught_gliner2, tmp_path, run_cli):
    from gliner_distill.store.store import SoftLabelStore

    notes = tmp_path / "notes.txt"
    notes.write_text("mary left london\nthe saw john in paris\n", encoding="utf-8")
    labels = tmp_path / "labels.txt"
    labels.write_text("city\nperson\n", encoding="utf-8")
    folder = taught_gliner2("boundary")
    ended = run_cli(
        "label", notes, "--labels", labels, "--teacher", folder, "--out", tmp_path / "store"
    )
    assert ended.code == 0, ended.err
    # Neither gliner2 nor transformers says anything.
    assert [line.partition(":")[0] for line in ended.err.splitlines()] == ["labeling"]
    found = {
        (entity.label, " ".join(item.words[entity.start_word : entity.end_word]))
        for item in SoftLabelStore(tmp_path / "store")
        for entity in decode_entities(item.probs, item.labels)
    }
    assert found == {("person", "mary"), ("city", "london"), ("person", "john"), ("city", "paris")}
