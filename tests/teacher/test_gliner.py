"""`GLiNERTeacher` against GLiNER itself, on tiny random models of every architecture."""

import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import END, INSIDE, START
from gliner_distill.errors import TeacherError
from gliner_distill.teacher import gliner as gliner_module
from gliner_distill.teacher.gliner import GLiNERTeacher, span_to_word_probs
from gliner_distill.teacher.precision import AdjustableTeacher
from gliner_distill.windows import plan_windows

WORDS = [
    *("the", "of", "in", "and", "paris", "london", "rhine", "thames", "acme", "globex", "mary"),
    *("john", "ann", "saw", "left", "built", "old", "new", "big", "bank", "north", "south", "on"),
    *("to", "from", "-", ",", "42", "geneva-based", "x"),
]
LABELS = ["person", "city", "river", "company", "place name"]
REAL_TEACHER = Path(__file__).resolve().parents[3] / "shared" / "teacher"


def random_words(n_words, seed=0):
    return random.Random(f"{n_words}/{seed}").choices(WORDS, k=n_words)


def random_passages():
    """Return passages of 1 to 36 words and the labels of each, which differ in set and order."""
    draw = random.Random(3)
    lengths = (7, 36, 12, 1, 25, 30, 18, 9, 33, 21, 14, 27, 5, 35, 16, 23)
    passages = [random_words(n_words, seed=n_words) for n_words in lengths]
    return passages, [draw.sample(LABELS, draw.randint(1, 5)) for _ in passages]


def gliner_entities(model, words, labels, threshold):
    """Return what GLiNER itself finds: `{(start_word, end_word, label): score}`."""
    starts = np.cumsum([0] + [len(word) + 1 for word in words])
    found = model.inference(
        " ".join(words), labels, threshold=threshold, flat_ner=True, multi_label=False
    )[0]
    return {
        (
            int(np.searchsorted(starts, entity["start"])),
            int(np.searchsorted(starts, entity["end"] + 1)),
            entity["label"],
        ): entity["score"]
        for entity in found
    }


def decoded(probs, labels, threshold):
    entities = decode_entities(probs, labels, threshold=threshold)
    return {(row.start_word, row.end_word, row.label): row.score for row in entities}


def threshold_for(n_entities, probs, labels):
    """Return the highest of some thresholds, all away from every score, that lets so many pass."""
    values = np.unique(probs)
    for share in np.arange(0.99, 0, -0.01):
        place = max(int(len(values) * share), 1)
        threshold = float(values[place - 1 : place + 1].mean())
        if len(decoded(probs, labels, threshold)) >= n_entities:
            return threshold
    raise AssertionError("the model's scores are not spread enough")


def assert_same_entities(found, expected):
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-5)


class TestScoresStandForGLiNERsEntities:
    @pytest.mark.slow
    def test_score_passages_gives_gliners_entities_alone_and_in_a_padded_batch(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        passages, labels = random_passages()
        batched = teacher.score_passages(passages, labels)
        n_entities = 0
        for words, asked, in_batch in zip(passages, labels, batched, strict=True):
            threshold = threshold_for(min(2, (len(words) + 3) // 4), in_batch, asked)
            expected = gliner_entities(tiny_gliner, words, asked, threshold)
            alone = teacher.score_passages([words], [asked])[0]
            assert_same_entities(decoded(alone, asked, threshold), expected)
            assert_same_entities(decoded(in_batch, asked, threshold), expected)
            np.testing.assert_allclose(in_batch, alone, atol=1e-5)
            n_entities += len(expected)
        assert n_entities >= 25

    @pytest.mark.slow
    @pytest.mark.parametrize("architecture", ["UniEncoderToken", "BiEncoderToken"])
    def test_score_passages_matches_crowded_entities_of_token_models(
        self, build_gliner, architecture
    ):
        passages, labels = random_passages()
        for seed in range(3):
            model = build_gliner(architecture, seed=seed)
            scores = GLiNERTeacher(model).score_passages(passages, labels)
            threshold = float(np.median(np.concatenate([probs.ravel() for probs in scores])))
            for words, asked, probs in zip(passages, labels, scores, strict=True):
                expected = gliner_entities(model, words, asked, threshold)
                assert_same_entities(decoded(probs, asked, threshold), expected)

    @pytest.mark.slow
    @pytest.mark.parametrize("architecture", ["UniEncoderSpan", "BiEncoderSpan"])
    def test_score_passages_nearly_matches_crowded_entities_of_span_models(
        self, build_gliner, architecture
    ):
        # Maxima over spans forget which start belongs to which end: see `decode_entities`.
        passages, labels = random_passages()
        n_different = n_entities = 0
        for seed in range(4):
            model = build_gliner(architecture, seed=seed)
            scores = GLiNERTeacher(model).score_passages(passages, labels)
            for words, asked, probs in zip(passages, labels, scores, strict=True):
                threshold = threshold_for(min(3, (len(words) + 3) // 4), probs, asked)
                expected = gliner_entities(model, words, asked, threshold).keys()
                n_different += len(expected ^ decoded(probs, asked, threshold).keys())
                n_entities += len(expected)
        assert n_entities > 100
        assert n_different <= 0.1 * n_entities

    def test_score_passages_works_with_an_encoder_without_a_length_limit(self, build_gliner):
        model = build_gliner("UniEncoderSpan", relative=True, max_pieces=None)
        teacher = GLiNERTeacher(model)
        words, labels = random_words(36), LABELS[:3]
        probs = teacher.score_passages([words], [labels])[0]
        threshold = threshold_for(4, probs, labels)
        expected = gliner_entities(model, words, labels, threshold)
        assert expected
        assert_same_entities(decoded(probs, labels, threshold), expected)

    @pytest.mark.slow
    @pytest.mark.skipif(
        not (REAL_TEACHER / "model.safetensors").is_file(),
        reason="the stand-in teacher is not part of the repository",
    )
    def test_score_passages_gives_gliners_entities_with_a_real_checkpoint(self):
        teacher = GLiNERTeacher.from_pretrained(REAL_TEACHER)
        passages = list(read_passages(sample_path("test")))[:25]
        known = sorted({label for passage in passages for label in passage.own_labels})
        draw = random.Random(0)
        words = [list(passage.words) for passage in passages]
        labels = [
            list(dict.fromkeys([*passage.own_labels, *draw.sample(known, 5)]))
            for passage in passages
        ]
        scores = teacher.score_passages(words, labels)
        n_entities = 0
        for words_i, labels_i, probs in zip(words, labels, scores, strict=True):
            expected = gliner_entities(teacher.model, words_i, labels_i, 0.5)
            assert_same_entities(decoded(probs, labels_i, 0.5), expected)
            n_entities += len(expected)
        assert n_entities > 100


@st.composite
def span_tensors(draw):
    n_words = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    n_widths, n_labels = draw(st.integers(1, 7)), draw(st.integers(1, 2))
    torch.manual_seed(draw(st.integers(0, 10_000)))
    return torch.rand(len(n_words), max(n_words), n_widths, n_labels), n_words


@pytest.mark.slow
@given(span_tensors())
def test_span_to_word_probs_equals_a_loop_over_all_spans(world):
    span_probs, n_words = world
    expected = torch.zeros(*span_probs.shape[:2], span_probs.shape[3], 3)
    for passage, length in enumerate(n_words):
        for first in range(length):
            for width in range(span_probs.shape[2]):
                last = first + width
                if last >= length:
                    continue
                prob = span_probs[passage, first, width]
                for kind, reached in (
                    (START, [first]),
                    (END, [last]),
                    (INSIDE, range(first, last + 1)),
                ):
                    for word in reached:
                        row = expected[passage, word, :, kind]
                        expected[passage, word, :, kind] = torch.maximum(row, prob)
    words = span_to_word_probs(span_probs.clone(), torch.tensor(n_words))
    torch.testing.assert_close(words, expected, rtol=0, atol=0)


class TestLongInput:
    @pytest.mark.slow
    @pytest.mark.parametrize("n_words", [41, 130, 2_000])
    def test_score_passages_scores_every_word_of_a_long_passage(self, tiny_gliner, n_words):
        scores = GLiNERTeacher(tiny_gliner).score_passages([random_words(n_words)], [LABELS[:2]])
        assert scores[0].shape == (n_words, 2, 3)
        assert scores[0].dtype == np.float32
        assert ((scores[0] > 0) & (scores[0] <= 1)).all()

    def test_score_passages_takes_each_score_from_the_window_that_keeps_the_word(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        words = [word for word in random_words(120) if word in ("the", "paris", "saw", "on")] * 5
        words = (words * 3)[:100]  # a piece each, so that words alone set the limit
        whole = teacher.score_passages([words], [LABELS[:2]])[0]
        windows = plan_windows(np.ones(100, dtype=np.int64), max_pieces=999, max_words=40)
        assert len(windows) > 2
        for window in windows:
            alone = teacher.score_passages([words[window.start : window.end]], [LABELS[:2]])[0]
            kept = slice(window.keep_start - window.start, window.keep_end - window.start)
            expected = alone[kept]
            np.testing.assert_allclose(
                whole[window.keep_start : window.keep_end], expected, atol=1e-5
            )

    @pytest.mark.parametrize("word", ["x" * 5000, "geneva-based", "7" * 30])
    def test_score_passages_lets_the_tokenizer_cut_nothing_off(
        self, tiny_gliner, word, monkeypatch
    ):
        seen = []
        run_batch = tiny_gliner.run_batch
        monkeypatch.setattr(
            tiny_gliner, "run_batch", lambda batch: (seen.append(batch), run_batch(batch))[1]
        )
        passages = [[*random_words(n_words), word, "paris", word] * 3 for n_words in (1, 11, 39)]
        labels = [LABELS, LABELS[:1], [*LABELS[:2], "a label of several more pieces"]]
        scores = GLiNERTeacher(tiny_gliner).score_passages(passages, labels)
        assert all((probs > 0).all() for probs in scores)
        for batch in seen:
            n_words = [len(words) for words in batch["tokens"]]
            assert batch["input_ids"].shape[1] <= 128
            assert batch["words_mask"].amax(1).tolist() == n_words

    def test_score_passages_is_not_shifted_by_a_word_without_pieces(self, tiny_gliner):
        # GLiNER numbers the words that have pieces, so its own answer is off by one from there on.
        teacher = GLiNERTeacher(tiny_gliner)
        words = ["mary", "\u200b", "saw", "paris", ""]
        known = ["mary", "[UNK]", "saw", "paris", "[UNK]"]
        found, expected = teacher.score_passages([words, known], [LABELS[:2]] * 2)
        np.testing.assert_allclose(found, expected, atol=1e-6)


class TestShapes:
    def test_score_passages_takes_a_passage_of_one_word(self, tiny_gliner):
        scores = GLiNERTeacher(tiny_gliner).score_passages([["paris"]], [["city"]])
        assert scores[0].shape == (1, 1, 3)
        assert (scores[0] > 0).all()

    def test_score_passages_takes_passages_without_words_or_labels(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        scores = teacher.score_passages([["paris", "saw"], [], ["mary"]], [[], ["city"], ["city"]])
        assert [probs.shape for probs in scores] == [(2, 0, 3), (0, 1, 3), (1, 1, 3)]
        assert teacher.score_passages([], []) == []

    def test_score_passages_keeps_the_order_of_the_input(self, tiny_gliner):
        passages, labels = random_passages()
        passages.append(random_words(90))
        labels.append(LABELS[:2])
        one_by_one = GLiNERTeacher(tiny_gliner, batch_pieces=1).score_passages(passages, labels)
        at_once = GLiNERTeacher(tiny_gliner, batch_pieces=10**6).score_passages(passages, labels)
        for words, asked, first, second in zip(passages, labels, one_by_one, at_once, strict=True):
            assert first.shape == (len(words), len(asked), 3)
            np.testing.assert_allclose(first, second, atol=1e-5)

    def test_score_passages_splits_many_labels_into_groups(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        words = random_words(12)
        labels = [f"{label} {letter}" for letter in "abc" for label in LABELS][:13]
        scores = teacher.score_passages([words], [labels])[0]
        for first in (0, 5, 10):
            group = labels[first : first + 5]
            alone = teacher.score_passages([words], [group])[0]
            np.testing.assert_allclose(scores[:, first : first + 5], alone, atol=1e-5)

    def test_score_passages_splits_long_labels_into_groups(self, build_gliner):
        teacher = GLiNERTeacher(build_gliner("UniEncoderSpan"))
        words, labels = random_words(12), [letter * 30 for letter in "abc"]  # 30 pieces each
        scores = teacher.score_passages([words], [labels])[0]
        for position, label in enumerate(labels):
            alone = teacher.score_passages([words], [[label]])[0]
            np.testing.assert_allclose(scores[:, [position]], alone, atol=1e-5)


class TestThreads:
    """Several batches at a time, each in a thread that computes on one core."""

    @pytest.fixture(autouse=True)
    def one_thread_afterwards(self):
        before = torch.get_num_threads()
        yield
        torch.set_num_threads(before)

    @staticmethod
    def many_passages():
        """Return passages and labels for a hundred batches or so, of all sizes."""
        passages, labels = random_passages()
        draw = random.Random(5)
        order = [draw.randrange(len(passages)) for _ in range(96)]
        return [passages[place] for place in order], [labels[place] for place in order]

    @pytest.mark.slow
    def test_scores_do_not_depend_on_threads_or_batches(self, tiny_gliner):
        passages, labels = random_passages()
        passages.append(random_words(90))
        labels.append(LABELS[:2])
        torch.set_num_threads(1)
        expected = GLiNERTeacher(tiny_gliner).score_passages(passages, labels)
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            for batch_pieces in (1, 100, None, 10**6):
                teacher = GLiNERTeacher(tiny_gliner, batch_pieces=batch_pieces)
                scores = teacher.score_passages(passages, labels)
                for found, probs in zip(scores, expected, strict=True):
                    np.testing.assert_allclose(found, probs, atol=1e-5)

    def test_score_passages_restores_the_number_of_threads(self, tiny_gliner, monkeypatch):
        teacher = GLiNERTeacher(tiny_gliner, batch_pieces=50)
        passages, labels = random_passages()
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            teacher.score_passages(passages, labels)
            assert torch.get_num_threads() == n_threads
            teacher.score_passages([], [])
            assert torch.get_num_threads() == n_threads
        monkeypatch.setattr(tiny_gliner, "run_batch", lambda batch: 1 / 0)
        with pytest.raises(TeacherError, match="ZeroDivisionError"):
            teacher.score_passages(passages, labels)
        assert torch.get_num_threads() == 3

    @pytest.mark.slow
    def test_score_passages_computes_on_one_core_per_thread(self, tiny_gliner, monkeypatch):
        torch.set_num_threads(3)
        teacher, seen = GLiNERTeacher(tiny_gliner, batch_pieces=50), set()
        run_batch = tiny_gliner.run_batch

        def watch(batch):
            seen.add((threading.current_thread().name, torch.get_num_threads()))
            return run_batch(batch)

        monkeypatch.setattr(tiny_gliner, "run_batch", watch)
        teacher.score_passages(*self.many_passages())
        assert {n_threads for _, n_threads in seen} == {1}
        assert 1 <= len(seen) <= 3
        assert all(name.startswith("teacher") for name, _ in seen)

    @pytest.mark.slow
    def test_score_passages_calls_the_tokenizer_from_one_thread_at_a_time(
        self, tiny_gliner, monkeypatch
    ):
        # A tokenizer whose padding one thread sets while another one's text goes through fails.
        torch.set_num_threads(3)
        collate, at_work, crowds = tiny_gliner.collate_batch, [], []

        def watch(*args):
            at_work.append(threading.current_thread())
            time.sleep(0.001)
            crowds.append(len(at_work))
            batch = collate(*args)
            at_work.pop()
            return batch

        monkeypatch.setattr(tiny_gliner, "collate_batch", watch)
        GLiNERTeacher(tiny_gliner, batch_pieces=1).score_passages(*self.many_passages())
        assert len(crowds) > 90
        assert set(crowds) == {1}

    @pytest.mark.slow
    def test_score_passages_gives_the_same_scores_each_time(self, tiny_gliner):
        passages, labels = self.many_passages()
        expected = GLiNERTeacher(tiny_gliner).score_passages(passages, labels)
        torch.set_num_threads(4)
        teacher = GLiNERTeacher(tiny_gliner, batch_pieces=200)
        for _ in range(3):
            scores = teacher.score_passages(passages, labels)
            for found, probs in zip(scores, expected, strict=True):
                np.testing.assert_allclose(found, probs, atol=1e-5)

    def test_score_passages_stops_at_the_first_error(self, tiny_gliner, monkeypatch):
        torch.set_num_threads(2)
        teacher, seen = GLiNERTeacher(tiny_gliner, batch_pieces=1), []

        def fail(batch):
            seen.append(batch)
            raise RuntimeError("out of memory")

        monkeypatch.setattr(tiny_gliner, "run_batch", fail)
        passages, labels = self.many_passages()
        with pytest.raises(RuntimeError, match="out of memory"):
            teacher.score_passages(passages, labels)
        assert len(seen) <= 4
        assert not [
            thread.name for thread in threading.enumerate() if thread.name.startswith("teacher")
        ]


class TestRefusals:
    def test_score_passages_refuses_duplicate_labels(self, tiny_gliner):
        with pytest.raises(TeacherError, match=r"must differ.*\['city', 'city'\]"):
            GLiNERTeacher(tiny_gliner).score_passages([["paris"]], [["city", "city"]])

    def test_score_passages_refuses_a_label_beyond_the_window(self, tiny_gliner):
        with pytest.raises(TeacherError, match=r"'xxx.*has 500 subword pieces; tiny takes at most"):
            GLiNERTeacher(tiny_gliner, name="tiny").score_passages(
                [["paris"]], [["city", ("x" * 50 + " ") * 10]]
            )

    def test_score_passages_refuses_a_label_without_known_characters(self, tiny_gliner):
        with pytest.raises(TeacherError, match=r"'\\u200b' holds no character"):
            GLiNERTeacher(tiny_gliner).score_passages([["paris"]], [["\u200b"]])

    def test_gliner_teacher_refuses_an_architecture_that_does_not_score_labels(self):
        class UniEncoderSpanRelexGLiNER:
            pass

        with pytest.raises(TeacherError, match="UniEncoderSpanRelexGLiNER cannot teach"):
            GLiNERTeacher(UniEncoderSpanRelexGLiNER())

    def test_gliner_teacher_refuses_labels_that_are_fixed_in_the_weights(self, build_gliner):
        model = build_gliner("UniEncoderSpan", precomputed_prompts_mode=True)
        with pytest.raises(TeacherError, match="precomputed_prompts_mode"):
            GLiNERTeacher(model)


@pytest.mark.parametrize("change", ["pad_token", "n_pieces"])
def test_score_passages_says_that_the_files_of_a_gliner_do_not_fit(build_gliner, change):
    model = build_gliner("UniEncoderSpan")
    if change == "pad_token":
        model.data_processor.transformer_tokenizer.pad_token = None
    else:  # a tokenizer with more pieces than the encoder has vectors
        model.data_processor.transformer_tokenizer.add_tokens([f"<{n}>" for n in range(999)])
    teacher = GLiNERTeacher(model, name="mine")
    with pytest.raises(TeacherError, match=r"mine: .*(padding token|index out of range)"):
        teacher.score_passages([["in", "<998>"]], [["city"]])


class TestPrecision:
    def test_set_precision_scores_nearly_the_same_in_bf16_and_exactly_the_same_again(
        self, tiny_gliner
    ):
        teacher = GLiNERTeacher(tiny_gliner)
        fingerprint = teacher.fingerprint
        exact = teacher.score_passages([WORDS[:9], WORDS[:4]], [LABELS, LABELS])
        teacher.set_precision("bf16")
        rounded = teacher.score_passages([WORDS[:9], WORDS[:4]], [LABELS, LABELS])
        for ours, theirs in zip(rounded, exact, strict=True):
            assert ours.dtype == np.float32
            assert 0 < np.abs(ours - theirs).max() < 0.3
        teacher.set_precision("fp32")
        again = teacher.score_passages([WORDS[:9], WORDS[:4]], [LABELS, LABELS])
        assert all(map(np.array_equal, again, exact))
        assert teacher.fingerprint == fingerprint

    @pytest.mark.parametrize(("has_bf16", "expected"), [(True, "bf16"), (False, None)])
    def test_faster_precision_needs_a_processor_with_bf16(
        self, tiny_gliner, monkeypatch, has_bf16, expected
    ):
        teacher = GLiNERTeacher(tiny_gliner)
        assert isinstance(teacher, AdjustableTeacher)
        monkeypatch.setattr(gliner_module, "has_bf16_instructions", lambda: has_bf16)
        assert teacher.faster_precision == expected
