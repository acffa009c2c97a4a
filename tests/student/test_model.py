"""The student: what may not change its scores, its size, and its files."""

import dataclasses
import json
from itertools import permutations

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from gliner_distill.errors import SettingsError, StudentError
from gliner_distill.runtime.config import CONFIG_FILE, TORCH_WEIGHTS_FILE, StudentConfig
from gliner_distill.runtime.locate import find_student
from gliner_distill.student.batch import make_batch
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.initialization import EMBEDDING_SPREAD, initialize_embeddings
from gliner_distill.student.model import Student, calibrate_student

PASSAGES = [
    (["mary", "saw", "Paris", "-", "unheard", "2"], ("person", "city")),
    (["Rhine"], ("river", "place name", "city", "company")),
    (["the", "bank", "of", "the", "old", "Thames", "in", "London", "left", "acme", "."], ("city",)),
    (["north", "of", "globex"], ("company", "person", "river")),
]


def score_batch(student, vocabulary, passages):
    """Return each passage's logits, cut to its own words and labels."""
    words = [vocabulary.encode_words(words) for words, _ in passages]
    batch = make_batch(words, [labels for _, labels in passages], vocabulary)
    with torch.inference_mode():
        logits = student.eval()(batch)
    return [
        logits[row, : len(words), : 1 + len(labels)].numpy()
        for row, (words, labels) in enumerate(passages)
    ]


@pytest.fixture(
    params=[(n_layers, both) for n_layers in (1, 2) for both in (True, False)],
    ids=lambda shape: f"{shape[0]} layers {'both ways' if shape[1] else 'one way'}",
)
def student(request, build_student):
    n_layers, bidirectional = request.param
    return build_student(n_layers=n_layers, bidirectional=bidirectional)


@pytest.fixture
def folder(tmp_path, build_student, small_vocabulary):
    save_student(tmp_path / "saved", build_student(), small_vocabulary, metadata={"teacher": "t"})
    return tmp_path / "saved"


class TestForward:
    def test_scores_a_passage_alone_as_in_a_padded_batch(self, student, small_vocabulary):
        together = score_batch(student, small_vocabulary, PASSAGES)
        for passage, scores in zip(PASSAGES, together, strict=True):
            (alone,) = score_batch(student, small_vocabulary, [passage])
            assert alone.shape == (len(passage[0]), 1 + len(passage[1]))
            np.testing.assert_allclose(scores, alone, rtol=0, atol=1e-6)

    def test_tells_words_and_passages_apart(self, student, small_vocabulary):
        # Or the test above would hold for a student that gives one score to everything.
        first, second = score_batch(
            student, small_vocabulary, [(words, ("city",)) for words, _ in PASSAGES[:2]]
        )
        assert len(np.unique(first[:, 1].round(5))) == len(first)
        assert second[0, 1] not in first[:, 1].round(5)

    def test_reads_the_words_behind_only_if_bidirectional(self, student, small_vocabulary):
        words = PASSAGES[0][0]
        passages = [(words, ("city",)), ([*words[:-1], "rhine"], ("city",))]
        first, second = score_batch(student, small_vocabulary, passages)
        assert np.allclose(first[0], second[0], atol=1e-7) != student.config.bidirectional

    def test_reads_the_words_before(self, student, small_vocabulary):
        words = PASSAGES[0][0]
        passages = [(words, ("city",)), (["rhine", *words[1:]], ("city",))]
        first, second = score_batch(student, small_vocabulary, passages)
        assert not np.allclose(first[-1], second[-1], atol=1e-7)

    def test_has_torchs_own_packed_lstm_in_it(self, student, small_vocabulary):
        config = student.config
        lstm = nn.LSTM(
            config.embedding_width,
            config.hidden_width,
            num_layers=config.n_layers,
            bidirectional=config.bidirectional,
        )
        for layer in range(config.n_layers):
            towers = [(student.forward_lstm[layer], "")]
            if config.bidirectional:
                towers.append((student.backward_lstm[layer], "_reverse"))
            for tower, suffix in towers:
                for name, values in tower.named_parameters():
                    own = getattr(lstm, name.replace("_l0", f"_l{layer}{suffix}"))
                    own.data.copy_(values.data)
        words = [small_vocabulary.encode_words(words) for words, _ in PASSAGES]
        batch = make_batch(words, [labels for _, labels in PASSAGES], small_vocabulary)
        with torch.inference_mode():
            embedded = torch.zeros(*batch["word_mask"].shape, config.embedding_width)
            rows = student.pieces(batch["piece_ids"], batch["word_starts"])
            embedded[batch["word_mask"]] = rows + student.shapes(batch["word_shapes"])
            packed = nn.utils.rnn.pack_padded_sequence(
                embedded, batch["n_words"], batch_first=True, enforce_sorted=False
            )
            states, _ = nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True)
            expected = student.word_tower(torch.cat([states, embedded], dim=-1))
            found = student.encode_words(student.pool_pieces(batch)[0], batch)
        mask = batch["word_mask"]
        torch.testing.assert_close(found[mask], expected[mask], rtol=0, atol=1e-6)

    def test_masks_the_labels_that_a_passage_was_not_asked(self, student, small_vocabulary):
        words = [small_vocabulary.encode_words(words) for words, _ in PASSAGES]
        batch = make_batch(words, [labels for _, labels in PASSAGES], small_vocabulary)
        with torch.inference_mode():
            logits = student(batch)
        assert logits.shape == (4, 11, 5)
        for row, (_, labels) in enumerate(PASSAGES):
            assert logits[row, :, : 1 + len(labels)].isfinite().all()
            assert logits[row, :, 1 + len(labels) :].eq(-torch.inf).all()


class TestLabels:
    def test_have_scores_that_do_not_depend_on_order_or_company(self, student, small_vocabulary):
        words = PASSAGES[2][0]
        orders = [("person", "city", "river"), ("river", "person", "city"), ("city",)]
        together = score_batch(student, small_vocabulary, [(words, labels) for labels in orders])
        for labels, scores in zip(orders, together, strict=True):
            for place, label in enumerate(labels, start=1):
                (alone,) = score_batch(student, small_vocabulary, [(words, (label,))])
                np.testing.assert_allclose(scores[:, place], alone[:, 1], rtol=0, atol=1e-6)
                np.testing.assert_allclose(scores[:, 0], alone[:, 0], rtol=0, atol=1e-6)

    def test_have_scores_of_their_own(self, student, small_vocabulary):
        (scores,) = score_batch(
            student, small_vocabulary, [(["Paris"], ("person", "city", "river"))]
        )
        assert len(np.unique(scores.round(6))) == 4

    def test_may_be_missing(self, student, small_vocabulary):
        (scores,) = score_batch(student, small_vocabulary, [(["Paris", "left"], ())])
        (expected,) = score_batch(student, small_vocabulary, [(["Paris", "left"], ("city",))])
        np.testing.assert_allclose(scores, expected[:, :1], rtol=0, atol=1e-6)


def score_boundaries(student, vocabulary, passages):
    """Return each passage's logits, shape `(words, labels, 3)`."""
    words = [vocabulary.encode_words(words) for words, _ in passages]
    batch = make_batch(words, [labels for _, labels in passages], vocabulary)
    with torch.inference_mode():
        logits = student(batch)
    assert logits.shape == (*batch["word_mask"].shape, batch["label_mask"].shape[1], 3)
    is_masked = ~batch["label_mask"][:, None, :, None].expand_as(logits)
    assert logits[is_masked].eq(-torch.inf).all()
    return [
        logits[row, : len(words), : len(labels)].numpy()
        for row, (words, labels) in enumerate(passages)
    ]


@pytest.fixture(params=[0, 12], ids=["one layer for labels", "two layers for labels"])
def label_hidden_width(request):
    return request.param


@pytest.fixture
def boundary_student(build_student, label_hidden_width):
    return build_student(head="boundary", label_hidden_width=label_hidden_width)


class TestBoundaryHead:
    score = staticmethod(score_boundaries)

    @pytest.mark.parametrize("n_layers", [1, 2])
    def test_scores_a_passage_alone_as_in_a_padded_batch(
        self, build_student, small_vocabulary, label_hidden_width, n_layers
    ):
        student = build_student(
            head="boundary", label_hidden_width=label_hidden_width, n_layers=n_layers
        )
        assert student.config.bidirectional
        together = self.score(student, small_vocabulary, PASSAGES)
        for passage, scores in zip(PASSAGES, together, strict=True):
            (alone,) = self.score(student, small_vocabulary, [passage])
            assert np.isfinite(scores).all()
            np.testing.assert_allclose(scores, alone, rtol=0, atol=1e-6)

    def test_has_scores_that_do_not_depend_on_the_order_of_labels(
        self, boundary_student, small_vocabulary
    ):
        words, labels = PASSAGES[0][0], ("city", "place name", "river", "person")
        orders = [tuple(order) for order in permutations(range(4))]
        batches = self.score(
            boundary_student,
            small_vocabulary,
            [(words, tuple(labels[place] for place in order)) for order in orders],
        )
        for order, scores in zip(orders, batches, strict=True):
            np.testing.assert_allclose(scores, batches[0][:, order], rtol=0, atol=1e-6)
            # Alone in its batch, too, where the labels' rows are in another order.
            asked = tuple(labels[place] for place in order)
            (alone,) = self.score(boundary_student, small_vocabulary, [(words, asked)])
            np.testing.assert_allclose(alone, batches[0][:, order], rtol=0, atol=1e-6)
        # Or the above would hold for labels that all have one score.
        assert len(np.unique(batches[0].round(5))) == batches[0].size

    def test_has_scores_that_do_not_depend_on_other_labels(
        self, boundary_student, small_vocabulary
    ):
        words = PASSAGES[2][0]
        orders = [("person", "city", "river"), ("river", "person", "city"), ("city",)]
        together = self.score(
            boundary_student, small_vocabulary, [(words, labels) for labels in orders]
        )
        for labels, scores in zip(orders, together, strict=True):
            for place, label in enumerate(labels):
                (alone,) = self.score(boundary_student, small_vocabulary, [(words, (label,))])
                np.testing.assert_allclose(scores[:, place], alone[:, 0], rtol=0, atol=1e-6)

    def test_is_each_kinds_dot_product_of_word_and_label(self, boundary_student, small_vocabulary):
        words, labels = PASSAGES[3]
        batch = make_batch([small_vocabulary.encode_words(words)], [labels], small_vocabulary)
        with torch.inference_mode():
            pooled_words, pooled_labels = boundary_student.pool_pieces(batch)
            word_vectors = boundary_student.encode_words(pooled_words, batch)[0]
            label_vectors = boundary_student.encode_labels(pooled_labels)
            found = boundary_student(batch)[0]
        expected = torch.einsum("wd,lkd->wlk", word_vectors, label_vectors)
        expected = expected / word_vectors.shape[-1] ** 0.5 + boundary_student.bias
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        assert len(np.unique(found.numpy().round(5))) == found.numel()

    def test_has_a_hidden_layer_for_labels_where_asked(self, build_student, small_vocabulary):
        student = build_student(head="boundary", label_hidden_width=12)
        pooled = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
        first, _, last = student.label_tower
        with torch.inference_mode():
            hidden = nn.functional.gelu(pooled @ first.weight.T + first.bias)
            expected = hidden @ last.weight.T + last.bias
            found = student.encode_labels(pooled)
        assert found.shape == (5, 3, 16)
        torch.testing.assert_close(found, expected.reshape(5, 3, 16), rtol=0, atol=1e-6)

    def test_comes_back_from_its_files(
        self, boundary_student, small_vocabulary, tmp_path, label_hidden_width
    ):
        save_student(tmp_path, boundary_student, small_vocabulary, metadata={})
        loaded, vocabulary = load_student(tmp_path)
        assert loaded.config == boundary_student.config
        assert loaded.config.head == "boundary"
        assert loaded.config.label_hidden_width == label_hidden_width
        assert loaded.n_parameters == boundary_student.n_parameters
        for one, other in zip(
            self.score(loaded, vocabulary, PASSAGES),
            self.score(boundary_student, small_vocabulary, PASSAGES),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)

    def test_another_head_is_refused(self, build_student):
        with pytest.raises(
            SettingsError, match=r"head must be one of softmax, boundary; got 'crf'"
        ):
            build_student(head="crf")


class TestCalibrateStudent:
    SHIFT, SCALE = (-1.25, 0.5, 2.0), 0.4

    def test_makes_logits_those_less_the_shift_times_the_scale(
        self, boundary_student, small_vocabulary
    ):
        before = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        calibrate_student(boundary_student, shift=self.SHIFT, scale=self.SCALE)
        after = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        for raw, calibrated in zip(before, after, strict=True):
            expected = self.SCALE * (raw - np.array(self.SHIFT, np.float32))
            np.testing.assert_allclose(calibrated, expected, rtol=0, atol=1e-6)

    def test_adds_up_when_done_twice(self, boundary_student, small_vocabulary):
        before = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        for shift, scale in (((1.0, 1.0, 1.0), 2.0), (self.SHIFT, self.SCALE)):
            calibrate_student(boundary_student, shift=shift, scale=scale)
        after = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        for raw, calibrated in zip(before, after, strict=True):
            expected = self.SCALE * (2 * (raw - 1) - np.array(self.SHIFT, np.float32))
            np.testing.assert_allclose(calibrated, expected, rtol=0, atol=1e-5)

    def test_without_shift_and_scale_changes_nothing(self, boundary_student, build_student):
        calibrate_student(boundary_student, shift=(0.0, 0.0, 0.0), scale=1.0)
        width = boundary_student.config.label_hidden_width
        as_built = build_student(head="boundary", label_hidden_width=width).state_dict()
        found = boundary_student.state_dict()
        assert all(torch.equal(found[name], values) for name, values in as_built.items())

    def test_stays_in_the_files(self, boundary_student, small_vocabulary, tmp_path):
        calibrate_student(boundary_student, shift=self.SHIFT, scale=self.SCALE)
        save_student(tmp_path, boundary_student, small_vocabulary, metadata={})
        loaded, _ = load_student(tmp_path)
        found = score_boundaries(loaded, small_vocabulary, PASSAGES)
        expected = score_boundaries(boundary_student, small_vocabulary, PASSAGES)
        assert all(map(np.array_equal, found, expected))

    def test_leaves_a_softmax_student_alone_with_an_error(self, build_student):
        student = build_student()
        with pytest.raises(StudentError, match="only a student with a boundary head"):
            calibrate_student(student, shift=self.SHIFT, scale=self.SCALE)
        as_built = build_student().state_dict()
        found = student.state_dict()
        assert all(torch.equal(found[name], values) for name, values in as_built.items())


class TestDropout:
    @pytest.fixture
    def batch(self, small_vocabulary):
        words, labels = PASSAGES[0]
        return make_batch([small_vocabulary.encode_words(words)], [labels], small_vocabulary)

    @pytest.mark.parametrize("kind", ["embedding_dropout_prob", "dropout_prob"])
    def test_changes_scores_in_training_and_not_in_use(self, build_student, batch, kind):
        student = build_student(**{kind: 0.5})
        assert torch.equal(student(batch), student(batch))
        student.train()
        assert not torch.equal(student(batch), student(batch))

    def test_is_of_words_and_labels_going_in_or_of_states(self, build_student, batch):
        words, labels = build_student().pool_pieces(batch)
        student = build_student(embedding_dropout_prob=1.0).train()
        assert torch.equal(student.encode_labels(labels)[0, 0], student.label_tower.bias)
        assert student._pad_words(words, batch["word_mask"]).eq(0).all()
        student = build_student(dropout_prob=1.0).train()
        expected = build_student().encode_labels(labels)
        torch.testing.assert_close(student.encode_labels(labels), expected)
        # Without the LSTM's states a word's vector is made of its own pieces and shape alone.
        embedded = words + student.shapes(batch["word_shapes"])
        embedded = student._pad_words(embedded, batch["word_mask"])
        states = embedded.new_zeros(*embedded.shape[:2], 16)
        expected = student.word_tower(torch.cat([states, embedded], dim=-1))
        torch.testing.assert_close(student.encode_words(words, batch), expected)


class TestSize:
    def test_is_counted_as_by_hand_with_two_layers_both_ways(self):
        student = Student(StudentConfig(10, embedding_width=3, hidden_width=5, n_layers=2))
        embeddings, shapes = 10 * 3, 8 * 3
        first_layer = 2 * (4 * 5 * (3 + 5) + 2 * 4 * 5)
        second_layer = 2 * (4 * 5 * (10 + 5) + 2 * 4 * 5)
        word_tower, label_tower, none = (10 + 3) * 10 + 10, 3 * 10 + 10, 10 + 1
        without = shapes + first_layer + second_layer + word_tower + label_tower + none
        assert student.n_parameters == embeddings + without == 1_325
        assert student.n_parameters_without_embeddings == without

    def test_is_counted_as_by_hand_with_one_layer_one_way(self):
        student = Student(StudentConfig(10, embedding_width=3, hidden_width=5, bidirectional=False))
        by_hand = 30 + 24 + (4 * 5 * 8 + 40) + (8 * 5 + 5) + (3 * 5 + 5) + 6
        assert student.n_parameters == by_hand == 325

    def test_is_counted_as_by_hand_with_two_layers_for_labels(self):
        shape = StudentConfig(10, embedding_width=3, hidden_width=5, bidirectional=False)
        shape = dataclasses.replace(shape, head="boundary", label_hidden_width=7)
        label_tower = (3 * 7 + 7) + (7 * 15 + 15)
        by_hand = 30 + 24 + (4 * 5 * 8 + 40) + (8 * 5 + 5) + label_tower + 3
        assert Student(shape).n_parameters == by_hand == 450

    def test_of_more_than_6_million_is_refused_with_the_numbers(self):
        others = Student(StudentConfig(1)).n_parameters_without_embeddings
        message = rf"{6_400_000 + others:,} parameters \(6,400,000 of them .* at most 6,000,000"
        with pytest.raises(SettingsError, match=message):
            Student(StudentConfig(50_000))

    def test_of_6_million_sharp_is_allowed_and_of_one_more_refused(self):
        others = Student(
            StudentConfig(1, embedding_width=1, hidden_width=1)
        ).n_parameters_without_embeddings
        shape = StudentConfig(6_000_000 - others, embedding_width=1, hidden_width=1)
        assert Student(shape).n_parameters == 6_000_000
        with pytest.raises(SettingsError, match="6,000,001 parameters"):
            Student(dataclasses.replace(shape, n_pieces=shape.n_pieces + 1))


class TestFiles:
    def test_give_a_student_back_with_the_same_logits(self, tmp_path, student, small_vocabulary):
        save_student(tmp_path, student, small_vocabulary, metadata={})
        loaded, vocabulary = load_student(tmp_path)
        assert loaded.config == student.config
        assert not loaded.training
        assert vocabulary.to_json() == small_vocabulary.to_json()
        saved = score_batch(student, small_vocabulary, PASSAGES)
        for found, expected in zip(score_batch(loaded, vocabulary, PASSAGES), saved, strict=True):
            np.testing.assert_array_equal(found, expected)

    def test_are_json_and_safetensors_alone(self, folder):
        assert sorted(path.name for path in folder.iterdir()) == [
            "student.safetensors",
            "student_config.json",
            "tokenizer.json",
            "words.onnx",
        ]

    def test_keep_facts(self, folder):
        config = json.loads((folder / CONFIG_FILE).read_text())
        assert config["teacher"] == "t"
        assert config["architecture"]["hidden_width"] == 8

    def test_are_replaced_by_another_student(self, folder, build_student, small_vocabulary):
        save_student(folder, build_student(seed=1), small_vocabulary, metadata={})
        loaded, _ = load_student(folder)
        assert torch.equal(loaded.none.weight, build_student(seed=1).none.weight)
        assert not torch.equal(loaded.none.weight, build_student(seed=0).none.weight)

    def test_that_cannot_be_written_are_named(self, tmp_path, build_student, small_vocabulary):
        (tmp_path / "file").write_text("")
        with pytest.raises(StudentError, match=r"file.inner: cannot be written: Not a directory"):
            save_student(
                tmp_path / "file" / "inner", build_student(), small_vocabulary, metadata={}
            )

    def test_are_found_in_a_folder_or_in_its_student_folder(self, folder, tmp_path):
        assert find_student(folder) == folder
        folder.rename(tmp_path / "student")
        assert find_student(str(tmp_path)) == tmp_path / "student"
        assert find_student(tmp_path / "elsewhere") is None


class TestLoadErrors:
    def change(self, folder, **fields):
        path = folder / CONFIG_FILE
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    def refuse(self, folder, message):
        with pytest.raises(StudentError, match=message):
            load_student(folder)

    def test_name_a_missing_folder(self, tmp_path):
        self.refuse(tmp_path / "none", r"none: .* student_config\.json")

    @pytest.mark.parametrize("name", [CONFIG_FILE, TORCH_WEIGHTS_FILE, "tokenizer.json"])
    def test_name_a_missing_file(self, folder, name):
        (folder / name).unlink()
        self.refuse(folder, name)

    @pytest.mark.parametrize("content", [b"", b'{"format_version": 1, ', b"\xff\xfe"])
    def test_name_a_broken_config(self, folder, content):
        (folder / CONFIG_FILE).write_bytes(content)
        self.refuse(folder, r"student_config\.json: cannot be read")

    @pytest.mark.parametrize("content", ["[]", "3", "null", "{}"])
    def test_name_a_config_of_something_else(self, folder, content):
        (folder / CONFIG_FILE).write_text(content)
        self.refuse(folder, r"student_config\.json: .* None; .* 2")

    def test_name_another_format_version(self, folder):
        self.change(folder, format_version=1)
        self.refuse(folder, r"student_config\.json: .* 1; .* 2")

    @pytest.mark.parametrize(
        "shape", [{"n_pieces": 9, "n_heads": 4}, {"hidden_width": 8}, [9], None]
    )
    def test_name_a_shape_with_an_unknown_or_missing_field(self, folder, shape):
        self.change(folder, architecture=shape)
        self.refuse(folder, r"student_config\.json: field 'architecture' ")

    @pytest.mark.parametrize(
        "shape",
        [
            {"n_pieces": "many"},
            {"n_pieces": 9, "dropout_prob": 2.0},
            {"n_pieces": 9, "hidden_width": 0},
            {"n_pieces": 6_000_001, "embedding_width": 1, "hidden_width": 1},
        ],
    )
    def test_name_a_shape_that_no_student_has(self, folder, shape):
        self.change(folder, architecture=shape)
        self.refuse(folder, r"student_config\.json: field 'architecture'")

    def test_name_weights_of_another_shape(self, folder, small_vocabulary):
        self.change(folder, architecture={"n_pieces": len(small_vocabulary), "hidden_width": 9})
        self.refuse(folder, r"student\.safetensors: cannot be loaded: ")

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
    def test_name_weights_that_are_cut(self, folder, share):
        content = (folder / TORCH_WEIGHTS_FILE).read_bytes()
        (folder / TORCH_WEIGHTS_FILE).write_bytes(content[: int(share * len(content))])
        self.refuse(folder, r"student\.safetensors: cannot be loaded: ")

    def test_name_weights_that_lack_a_tensor(self, folder):
        tensors = safetensors.torch.load_file(folder / TORCH_WEIGHTS_FILE)
        del tensors["none.bias"]
        safetensors.torch.save_file(tensors, folder / TORCH_WEIGHTS_FILE)
        self.refuse(folder, r"student\.safetensors: cannot be loaded: ")

    def test_name_a_tokenizer_of_another_student(self, folder):
        path = folder / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        tokenizer["model"]["vocab"]["onemore"] = len(tokenizer["model"]["vocab"])
        path.write_text(json.dumps(tokenizer))
        self.refuse(folder, r"tokenizer\.json has 91 pieces.* 90")


class TestMakeBatch:
    def test_has_one_row_a_distinct_label(self, small_vocabulary):
        words = [small_vocabulary.encode_words(words) for words, _ in PASSAGES]
        batch = make_batch(words, [labels for _, labels in PASSAGES], small_vocabulary)
        assert len(batch["label_starts"]) == 5
        assert batch["label_index"].tolist() == [
            [0, 1, 0, 0],
            [2, 3, 1, 4],
            [1, 0, 0, 0],
            [4, 0, 2, 0],
        ]
        assert batch["label_mask"].sum(1).tolist() == [2, 4, 1, 3]
        assert batch["word_mask"].sum(1).tolist() == batch["n_words"].tolist() == [6, 1, 11, 3]

    def test_lays_pieces_and_shapes_without_padding(self, small_vocabulary):
        words = [small_vocabulary.encode_words(words) for words, _ in PASSAGES]
        batch = make_batch(words, [("city",)] * 4, small_vocabulary)
        everything = small_vocabulary.encode_words(
            [word for words, _ in PASSAGES for word in words]
        )
        assert batch["piece_ids"].tolist() == everything.piece_ids.tolist()
        assert batch["word_starts"].tolist() == everything.word_starts.tolist()
        assert batch["word_shapes"].tolist() == everything.word_shapes.tolist()


class TestStartEmbeddings:
    def test_takes_the_first_columns_at_the_given_spread(self, build_student, small_vocabulary):
        student = build_student()
        draw = np.random.default_rng(0)
        vectors = draw.standard_normal((len(small_vocabulary), 11)).astype(np.float32)
        initialize_embeddings(student, vectors)
        found = student.pieces.weight.detach().numpy()
        assert found.std(ddof=1) == pytest.approx(EMBEDDING_SPREAD, abs=1e-6)
        np.testing.assert_allclose(found / found[0, 0], vectors[:, :8] / vectors[0, 0], rtol=1e-4)

    @pytest.mark.parametrize("off", [(1, 0), (-1, 0), (0, -1)])
    def test_refuses_other_rows_and_too_few_columns(self, build_student, small_vocabulary, off):
        student = build_student()
        shape = (len(small_vocabulary) + off[0], 8 + off[1])
        before = student.pieces.weight.clone()
        with pytest.raises(StudentError, match=rf"shape \({shape[0]}, {shape[1]}\); .* \(90, 8\)"):
            initialize_embeddings(student, np.ones(shape, np.float32))
        assert torch.equal(student.pieces.weight, before)


class TestFeatures:
    """Word and label vectors projected to a teacher's width, in training alone."""

    @pytest.fixture
    def batch(self, small_vocabulary):
        words = [small_vocabulary.encode_words(words) for words, _ in PASSAGES]
        return make_batch(words, [labels for _, labels in PASSAGES], small_vocabulary)

    @pytest.fixture(params=["softmax", "boundary"])
    def matching(self, request, build_student):
        """A student that is 16 wide, with one or three vectors a label, and features 5 wide."""
        return build_student(head=request.param, feature_width=5)

    def test_leave_the_logits_as_they_are(self, matching, build_student, batch):
        with torch.inference_mode():
            logits, *_ = matching(batch, with_features=True)
            plain = build_student(head=matching.config.head)
            assert torch.equal(logits, matching(batch))
            assert torch.equal(logits, plain(batch))  # drawn from the same seed

    def test_are_the_projected_vectors(self, matching, batch):
        with torch.no_grad():
            _, words, labels = matching(batch, with_features=True)
            pooled_words, pooled_labels = matching.pool_pieces(batch)
            word_vectors = matching.encode_words(pooled_words, batch)
            label_vectors = matching.label_tower(pooled_labels)
        assert words.shape == (4, 11, 5)
        assert labels.shape == (4, 4, 5)
        projection = matching.word_projection
        expected = word_vectors @ projection.weight.T + projection.bias
        torch.testing.assert_close(words, expected, rtol=0, atol=1e-5)
        projection = matching.label_projection
        expected = label_vectors @ projection.weight.T + projection.bias
        for row, (_, asked) in enumerate(PASSAGES):
            known = batch["label_index"][row, : len(asked)]
            torch.testing.assert_close(
                labels[row, : len(asked)], expected[known], rtol=0, atol=1e-5
            )

    def test_may_be_of_no_labels(self, matching, small_vocabulary):
        words = [small_vocabulary.encode_words(["Paris", "left"])]
        _, words, labels = matching(make_batch(words, [()], small_vocabulary), with_features=True)
        assert words.shape == (1, 2, 5)
        assert labels.shape == (1, 0, 5)

    def test_do_not_count(self, matching, build_student):
        plain = build_student(head=matching.config.head)
        assert matching.n_parameters == plain.n_parameters
        assert matching.n_parameters_without_embeddings == plain.n_parameters_without_embeddings
        assert sum(values.numel() for values in matching.parameters()) > plain.n_parameters

    def test_do_not_count_towards_the_limit(self):
        narrow = {"embedding_width": 1, "hidden_width": 1}
        others = Student(StudentConfig(1, **narrow)).n_parameters_without_embeddings
        shape = StudentConfig(6_000_000 - others, **narrow, feature_width=768)
        assert Student(shape).n_parameters == 6_000_000

    def test_are_not_saved(self, matching, small_vocabulary, batch, tmp_path):
        save_student(tmp_path, matching, small_vocabulary, metadata={})
        assert (
            json.loads((tmp_path / CONFIG_FILE).read_text())["architecture"]["feature_width"] == 0
        )
        saved = safetensors.torch.load_file(tmp_path / TORCH_WEIGHTS_FILE)
        projections = {
            f"{name}_projection.{part}" for name in ("word", "label") for part in ("weight", "bias")
        }
        assert saved.keys() == matching.state_dict().keys() - projections
        loaded, _ = load_student(tmp_path)
        assert loaded.config == dataclasses.replace(matching.config, feature_width=0)
        with torch.inference_mode():
            assert torch.equal(loaded(batch), matching(batch))
        assert matching.config.feature_width == 5
