"""The student model: what may not change its scores, dropout, size, and features."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from gliner_distill.errors import SettingsError
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.student.batch import make_batch
from gliner_distill.student.model import Student

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


def encode_labels(student, pieces, batch):
    """Return the vectors of the labels of a batch, from the vectors of their pieces."""
    return student.label_vectors(student.read_labels(pieces, batch.label_starts))


@pytest.fixture(
    params=[(n_layers, both) for n_layers in (1, 2) for both in (True, False)],
    ids=lambda shape: f"{shape[0]} layers {'both ways' if shape[1] else 'one way'}",
)
def student(request, build_student):
    n_layers, bidirectional = request.param
    return build_student(n_layers=n_layers, bidirectional=bidirectional)


class TestForward:
    def test_student_scores_a_passage_alone_as_in_a_padded_batch(self, student, small_vocabulary):
        together = score_batch(student, small_vocabulary, PASSAGES)
        for passage, scores in zip(PASSAGES, together, strict=True):
            (alone,) = score_batch(student, small_vocabulary, [passage])
            assert alone.shape == (len(passage[0]), 1 + len(passage[1]))
            np.testing.assert_allclose(scores, alone, rtol=0, atol=1e-6)

    def test_student_tells_words_and_passages_apart(self, student, small_vocabulary):
        # Or the test above would hold for a student that gives one score to everything.
        first, second = score_batch(
            student, small_vocabulary, [(words, ("city",)) for words, _ in PASSAGES[:2]]
        )
        assert len(np.unique(first[:, 1].round(5))) == len(first)
        assert second[0, 1] not in first[:, 1].round(5)

    def test_student_reads_the_words_behind_only_if_bidirectional(self, student, small_vocabulary):
        words = PASSAGES[0][0]
        passages = [(words, ("city",)), ([*words[:-1], "rhine"], ("city",))]
        first, second = score_batch(student, small_vocabulary, passages)
        assert np.allclose(first[0], second[0], atol=1e-7) != student.config.bidirectional

    def test_student_reads_the_words_before(self, student, small_vocabulary):
        words = PASSAGES[0][0]
        passages = [(words, ("city",)), (["rhine", *words[1:]], ("city",))]
        first, second = score_batch(student, small_vocabulary, passages)
        assert not np.allclose(first[-1], second[-1], atol=1e-7)

    def test_encode_words_equals_the_packed_lstm_of_torch(self, student, small_vocabulary):
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
            embedded = torch.zeros(*batch.word_mask.shape, config.embedding_width)
            rows = student.pieces(batch.piece_ids, batch.word_starts)
            embedded[batch.word_mask] = rows + student.shapes(batch.word_shapes)
            packed = nn.utils.rnn.pack_padded_sequence(
                embedded, batch.n_words, batch_first=True, enforce_sorted=False
            )
            states, _ = nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True)
            expected = student.word_tower(torch.cat([states, embedded], dim=-1))
            found = student.encode_words(student.look_up(batch)[0], batch)
        mask = batch.word_mask
        torch.testing.assert_close(found[mask], expected[mask], rtol=0, atol=1e-6)

    def test_student_masks_the_labels_that_a_passage_was_not_asked(self, student, small_vocabulary):
        words = [small_vocabulary.encode_words(words) for words, _ in PASSAGES]
        batch = make_batch(words, [labels for _, labels in PASSAGES], small_vocabulary)
        with torch.inference_mode():
            logits = student(batch)
        assert logits.shape == (4, 11, 5)
        for row, (_, labels) in enumerate(PASSAGES):
            assert logits[row, :, : 1 + len(labels)].isfinite().all()
            assert logits[row, :, 1 + len(labels) :].eq(-torch.inf).all()


class TestLabels:
    def test_student_scores_a_label_whatever_the_order_or_the_other_labels(
        self, student, small_vocabulary
    ):
        words = PASSAGES[2][0]
        orders = [("person", "city", "river"), ("river", "person", "city"), ("city",)]
        together = score_batch(student, small_vocabulary, [(words, labels) for labels in orders])
        for labels, scores in zip(orders, together, strict=True):
            for place, label in enumerate(labels, start=1):
                (alone,) = score_batch(student, small_vocabulary, [(words, (label,))])
                np.testing.assert_allclose(scores[:, place], alone[:, 1], rtol=0, atol=1e-6)
                np.testing.assert_allclose(scores[:, 0], alone[:, 0], rtol=0, atol=1e-6)

    def test_student_scores_labels_apart(self, student, small_vocabulary):
        (scores,) = score_batch(
            student, small_vocabulary, [(["Paris"], ("person", "city", "river"))]
        )
        assert len(np.unique(scores.round(6))) == 4

    def test_student_takes_a_passage_without_labels(self, student, small_vocabulary):
        (scores,) = score_batch(student, small_vocabulary, [(["Paris", "left"], ())])
        (expected,) = score_batch(student, small_vocabulary, [(["Paris", "left"], ("city",))])
        np.testing.assert_allclose(scores, expected[:, :1], rtol=0, atol=1e-6)


class TestLabelSide:
    """Students that read the pieces of a label in order, and that compare labels."""

    LABELS = ("person", "place name", "x", "city", "a label of many more pieces than the others")

    @pytest.fixture
    def batch(self, small_vocabulary):
        return make_batch([small_vocabulary.encode_words(["x"])], [self.LABELS], small_vocabulary)

    def test_read_labels_equals_the_packed_lstm_of_torch(self, build_comparer, batch):
        student = build_comparer(label_lstm_width=5)
        lstm = nn.LSTM(8, 5, bidirectional=True)
        for tower, suffix in (
            (student.label_forward_lstm, ""),
            (student.label_backward_lstm, "_reverse"),
        ):
            for name, values in tower.named_parameters():
                getattr(lstm, f"{name}{suffix}").data.copy_(values.data)
        starts = [*batch.label_starts.tolist(), len(batch.label_piece_ids)]
        lengths = torch.tensor(starts).diff()
        assert len(set(lengths.tolist())) == 3
        with torch.inference_mode():
            pieces = student.look_up(batch)[1]
            runs = pieces.split(lengths.tolist())
            packed = nn.utils.rnn.pack_sequence(runs, enforce_sorted=False)
            states = torch.cat(tuple(lstm(packed)[1][0]), dim=-1)
            means = torch.stack([run.mean(0) for run in runs])
            first, activation, _ = student.label_tower
            expected = activation(first(torch.cat([means, states], dim=-1)))
            found = student.read_labels(pieces, batch.label_starts)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)

    def test_student_reads_a_label_alone_as_beside_longer_ones(
        self, build_comparer, small_vocabulary
    ):
        student = build_comparer()
        words = ["mary", "left", "Paris"]
        batches = [
            make_batch([small_vocabulary.encode_words(words)], [labels], small_vocabulary)
            for labels in (self.LABELS, *((label,) for label in self.LABELS))
        ]
        with torch.inference_mode():
            together, *alone = (student(batch)[0] for batch in batches)
        for place, logits in enumerate(alone):
            torch.testing.assert_close(logits[:, 0], together[:, place], rtol=0, atol=1e-5)

    def test_student_needs_a_hidden_layer_for_the_comparison(self, build_student):
        with pytest.raises(SettingsError, match="label_hidden_width"):
            build_student(relation_width=2)

    def test_n_parameters_is_right_for_the_label_side(self, build_comparer, build_student):
        student = build_comparer()
        plain = build_student(head="boundary", label_hidden_width=12)
        lstms = 2 * (4 * 5 * (8 + 5) + 2 * 4 * 5)
        from_states, kind = 12 * 2 * 5, (12 + 1) * 7
        added = lstms + from_states + kind
        assert student.n_parameters == plain.n_parameters + added


class TestDropout:
    @pytest.fixture
    def batch(self, small_vocabulary):
        words, labels = PASSAGES[0]
        return make_batch([small_vocabulary.encode_words(words)], [labels], small_vocabulary)

    @pytest.mark.parametrize("kind", ["embedding_dropout_prob", "dropout_prob"])
    def test_student_drops_out_in_training_alone(self, build_student, batch, kind):
        student = build_student(**{kind: 0.5})
        assert torch.equal(student(batch), student(batch))
        student.train()
        assert not torch.equal(student(batch), student(batch))

    def test_student_drops_out_input_vectors_or_states(self, build_student, batch):
        words, pieces = build_student().look_up(batch)
        student = build_student(embedding_dropout_prob=1.0).train()
        assert torch.equal(encode_labels(student, pieces, batch)[0, 0], student.label_tower.bias)
        assert student.pad_words(words, batch.word_mask).eq(0).all()
        student = build_student(dropout_prob=1.0).train()
        expected = encode_labels(build_student(), pieces, batch)
        torch.testing.assert_close(encode_labels(student, pieces, batch), expected)
        # Without the LSTM's states a word's vector is made of its own pieces and shape alone.
        embedded = words + student.shapes(batch.word_shapes)
        embedded = student.pad_words(embedded, batch.word_mask)
        states = embedded.new_zeros(*embedded.shape[:2], 16)
        expected = student.word_tower(torch.cat([states, embedded], dim=-1))
        torch.testing.assert_close(student.encode_words(words, batch), expected)


class TestSize:
    def test_n_parameters_is_right_for_two_layers_both_ways(self):
        student = Student(StudentConfig(10, embedding_width=3, hidden_width=5, n_layers=2))
        embeddings, shapes = 10 * 3, 8 * 3
        first_layer = 2 * (4 * 5 * (3 + 5) + 2 * 4 * 5)
        second_layer = 2 * (4 * 5 * (10 + 5) + 2 * 4 * 5)
        word_tower, label_tower, none = (10 + 3) * 10 + 10, 3 * 10 + 10, 10 + 1
        without = shapes + first_layer + second_layer + word_tower + label_tower + none
        assert student.n_parameters == embeddings + without == 1_325
        assert student.n_parameters_without_embeddings == without

    def test_n_parameters_is_right_for_one_layer_one_way(self):
        student = Student(StudentConfig(10, embedding_width=3, hidden_width=5, bidirectional=False))
        by_hand = 30 + 24 + (4 * 5 * 8 + 40) + (8 * 5 + 5) + (3 * 5 + 5) + 6
        assert student.n_parameters == by_hand == 325

    def test_n_parameters_is_right_for_two_label_layers(self):
        shape = StudentConfig(10, embedding_width=3, hidden_width=5, bidirectional=False)
        shape = dataclasses.replace(shape, head="boundary", label_hidden_width=7)
        label_tower = (3 * 7 + 7) + (7 * 15 + 15)
        by_hand = 30 + 24 + (4 * 5 * 8 + 40) + (8 * 5 + 5) + label_tower + 3
        assert Student(shape).n_parameters == by_hand == 450

    def test_student_refuses_more_than_6_million_parameters(self):
        others = Student(StudentConfig(1)).n_parameters_without_embeddings
        message = rf"{6_400_000 + others:,} parameters \(6,400,000 of them .* at most 6,000,000"
        with pytest.raises(SettingsError, match=message):
            Student(StudentConfig(50_000))

    def test_student_allows_exactly_6_million_parameters(self):
        others = Student(
            StudentConfig(1, embedding_width=1, hidden_width=1)
        ).n_parameters_without_embeddings
        shape = StudentConfig(6_000_000 - others, embedding_width=1, hidden_width=1)
        assert Student(shape).n_parameters == 6_000_000
        with pytest.raises(SettingsError, match="6,000,001 parameters"):
            Student(dataclasses.replace(shape, n_pieces=shape.n_pieces + 1))


class TestFeatures:
    """Word and label vectors projected to a teacher's width, in training alone."""

    @pytest.fixture
    def batch(self, small_vocabulary):
        words = [small_vocabulary.encode_words(words) for words, _ in PASSAGES]
        return make_batch(words, [labels for _, labels in PASSAGES], small_vocabulary)

    @pytest.fixture(params=["softmax", "boundary"])
    def matching(self, request, build_student):
        """A student that is 16 wide, with one or three vectors per label, and features 5 wide."""
        return build_student(head=request.param, feature_width=5)

    def test_features_leave_the_logits_alone(self, matching, build_student, batch):
        with torch.inference_mode():
            logits, *_ = matching(batch, with_features=True)
            plain = build_student(head=matching.config.head)
            assert torch.equal(logits, matching(batch))
            assert torch.equal(logits, plain(batch))  # drawn from the same seed

    def test_features_are_the_projected_vectors(self, matching, batch):
        with torch.no_grad():
            _, words, labels = matching(batch, with_features=True)
            pooled_words, pieces = matching.look_up(batch)
            word_vectors = matching.encode_words(pooled_words, batch)
            label_vectors = encode_labels(matching, pieces, batch).flatten(1)
        assert words.shape == (4, 11, 5)
        assert labels.shape == (4, 4, 5)
        projection = matching.word_projection
        expected = word_vectors @ projection.weight.T + projection.bias
        torch.testing.assert_close(words, expected, rtol=0, atol=1e-5)
        projection = matching.label_projection
        expected = label_vectors @ projection.weight.T + projection.bias
        for row, (_, asked) in enumerate(PASSAGES):
            known = batch.label_index[row, : len(asked)]
            torch.testing.assert_close(
                labels[row, : len(asked)], expected[known], rtol=0, atol=1e-5
            )

    def test_features_may_be_of_no_labels(self, matching, small_vocabulary):
        words = [small_vocabulary.encode_words(["Paris", "left"])]
        _, words, labels = matching(make_batch(words, [()], small_vocabulary), with_features=True)
        assert words.shape == (1, 2, 5)
        assert labels.shape == (1, 0, 5)

    def test_projections_do_not_count_as_parameters(self, matching, build_student):
        plain = build_student(head=matching.config.head)
        assert matching.n_parameters == plain.n_parameters
        assert matching.n_parameters_without_embeddings == plain.n_parameters_without_embeddings
        assert sum(values.numel() for values in matching.parameters()) > plain.n_parameters

    def test_projections_do_not_count_toward_the_limit(self):
        narrow = {"embedding_width": 1, "hidden_width": 1}
        others = Student(StudentConfig(1, **narrow)).n_parameters_without_embeddings
        shape = StudentConfig(6_000_000 - others, **narrow, feature_width=768)
        assert Student(shape).n_parameters == 6_000_000
