"""`GLiNERTeacher` against GLiNER itself, on tiny random models of every architecture."""

import json
import random
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import END, INSIDE, START
from gliner_distill.errors import MissingExtraError, TeacherError
from gliner_distill.teacher.gliner import GLiNERTeacher, fingerprint_model, span_to_word_probs
from gliner_distill.windows import Window, plan_windows

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
    return {(one.start_word, one.end_word, one.label): one.score for one in entities}


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
    def test_alone_and_in_a_padded_batch(self, tiny_gliner):
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

    @pytest.mark.parametrize("architecture", ["UniEncoderToken", "BiEncoderToken"])
    def test_token_level_models_are_matched_where_entities_crowd(self, build_gliner, architecture):
        passages, labels = random_passages()
        for seed in range(3):
            model = build_gliner(architecture, seed=seed)
            scores = GLiNERTeacher(model).score_passages(passages, labels)
            threshold = float(np.median(np.concatenate([probs.ravel() for probs in scores])))
            for words, asked, probs in zip(passages, labels, scores, strict=True):
                expected = gliner_entities(model, words, asked, threshold)
                assert_same_entities(decoded(probs, asked, threshold), expected)

    @pytest.mark.parametrize("architecture", ["UniEncoderSpan", "BiEncoderSpan"])
    def test_span_models_are_nearly_matched_where_entities_crowd(self, build_gliner, architecture):
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

    def test_of_an_encoder_without_a_length_limit(self, build_gliner):
        model = build_gliner("UniEncoderSpan", relative=True, max_pieces=None)
        teacher = GLiNERTeacher(model)
        words, labels = random_words(36), LABELS[:3]
        probs = teacher.score_passages([words], [labels])[0]
        threshold = threshold_for(4, probs, labels)
        expected = gliner_entities(model, words, labels, threshold)
        assert expected
        assert_same_entities(decoded(probs, labels, threshold), expected)

    @pytest.mark.skipif(
        not (REAL_TEACHER / "model.safetensors").is_file(),
        reason="the stand-in teacher is not part of the repository",
    )
    def test_of_a_real_checkpoint(self):
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


class TestPlanWindows:
    @given(
        st.lists(st.integers(1, 9), min_size=1, max_size=120),
        st.integers(1, 60),
        st.integers(1, 50),
    )
    def test_keeps_each_word_once_within_the_limits(self, word_pieces, max_pieces, max_words):
        windows = plan_windows(np.array(word_pieces), max_pieces=max_pieces, max_words=max_words)
        kept = [word for one in windows for word in range(one.keep_start, one.keep_end)]
        assert kept == list(range(len(word_pieces)))
        for window in windows:
            assert window.start <= window.keep_start <= window.keep_end <= window.end
            n_words = window.end - window.start
            assert 1 <= n_words <= max_words
            assert n_words == 1 or sum(word_pieces[window.start : window.end]) <= max_pieces

    def test_is_one_window_where_the_passage_fits(self):
        windows = plan_windows(np.ones(40, dtype=np.int64), max_pieces=40, max_words=40)
        assert windows == [Window(start=0, end=40, keep_start=0, keep_end=40)]

    def test_overlaps_by_32_words_and_cuts_in_their_middle(self):
        first, second = plan_windows(np.ones(300, dtype=np.int64), max_pieces=999, max_words=200)
        assert first == Window(start=0, end=200, keep_start=0, keep_end=184)
        assert second == Window(start=168, end=300, keep_start=184, keep_end=300)

    def test_gives_a_word_beyond_the_limit_a_window_of_its_own(self):
        windows = plan_windows(np.array([1, 1, 99, 1, 1]), max_pieces=10, max_words=9)
        assert [(one.keep_start, one.keep_end) for one in windows] == [(0, 2), (2, 3), (3, 5)]


class TestLongInput:
    @pytest.mark.parametrize("n_words", [41, 130, 10_000])
    def test_every_word_of_a_long_passage_has_scores(self, tiny_gliner, n_words):
        scores = GLiNERTeacher(tiny_gliner).score_passages([random_words(n_words)], [LABELS[:2]])
        assert scores[0].shape == (n_words, 2, 3)
        assert scores[0].dtype == np.float32
        assert ((scores[0] > 0) & (scores[0] <= 1)).all()

    def test_words_take_their_scores_from_the_window_that_keeps_them(self, tiny_gliner):
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
    def test_the_tokenizer_cuts_nothing_off(self, tiny_gliner, word, monkeypatch):
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

    def test_a_word_without_pieces_does_not_shift_the_others(self, tiny_gliner):
        # GLiNER numbers the words that have pieces, so its own answer is off by one from there on.
        teacher = GLiNERTeacher(tiny_gliner)
        words = ["mary", "\u200b", "saw", "paris", ""]
        known = ["mary", "[UNK]", "saw", "paris", "[UNK]"]
        found, expected = teacher.score_passages([words, known], [LABELS[:2]] * 2)
        np.testing.assert_allclose(found, expected, atol=1e-6)


class TestShapes:
    def test_a_passage_of_one_word(self, tiny_gliner):
        scores = GLiNERTeacher(tiny_gliner).score_passages([["paris"]], [["city"]])
        assert scores[0].shape == (1, 1, 3)
        assert (scores[0] > 0).all()

    def test_no_words_and_no_labels(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        scores = teacher.score_passages([["paris", "saw"], [], ["mary"]], [[], ["city"], ["city"]])
        assert [probs.shape for probs in scores] == [(2, 0, 3), (0, 1, 3), (1, 1, 3)]
        assert teacher.score_passages([], []) == []

    def test_order_is_that_of_the_input_whatever_the_batches(self, tiny_gliner):
        passages, labels = random_passages()
        passages.append(random_words(90))
        labels.append(LABELS[:2])
        one_by_one = GLiNERTeacher(tiny_gliner, batch_pieces=1).score_passages(passages, labels)
        at_once = GLiNERTeacher(tiny_gliner, batch_pieces=10**6).score_passages(passages, labels)
        for words, asked, first, second in zip(passages, labels, one_by_one, at_once, strict=True):
            assert first.shape == (len(words), len(asked), 3)
            np.testing.assert_allclose(first, second, atol=1e-5)

    def test_more_labels_than_the_model_takes_go_in_groups(self, tiny_gliner):
        teacher = GLiNERTeacher(tiny_gliner)
        words = random_words(12)
        labels = [f"{label} {letter}" for letter in "abc" for label in LABELS][:13]
        scores = teacher.score_passages([words], [labels])[0]
        for first in (0, 5, 10):
            group = labels[first : first + 5]
            alone = teacher.score_passages([words], [group])[0]
            np.testing.assert_allclose(scores[:, first : first + 5], alone, atol=1e-5)

    def test_labels_that_fill_the_prompt_go_in_groups_too(self, build_gliner):
        teacher = GLiNERTeacher(build_gliner("UniEncoderSpan"))
        words, labels = random_words(12), [letter * 30 for letter in "abc"]  # 30 pieces each
        scores = teacher.score_passages([words], [labels])[0]
        for position, label in enumerate(labels):
            alone = teacher.score_passages([words], [[label]])[0]
            np.testing.assert_allclose(scores[:, [position]], alone, atol=1e-5)


class TestStreams:
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

    def test_scores_do_not_depend_on_their_number_nor_on_the_batches(self, tiny_gliner):
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

    def test_leave_the_number_of_threads_as_it_was(self, tiny_gliner, monkeypatch):
        teacher = GLiNERTeacher(tiny_gliner, batch_pieces=50)
        passages, labels = random_passages()
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            teacher.score_passages(passages, labels)
            assert torch.get_num_threads() == n_threads
            teacher.score_passages([], [])
            assert torch.get_num_threads() == n_threads
        monkeypatch.setattr(teacher, "_score_requests", lambda requests: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            teacher.score_passages(passages, labels)
        assert torch.get_num_threads() == 3

    def test_compute_on_one_core_each(self, tiny_gliner, monkeypatch):
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

    def test_meet_the_tokenizer_one_at_a_time(self, tiny_gliner, monkeypatch):
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

    def test_give_the_same_scores_again_and_again(self, tiny_gliner):
        passages, labels = self.many_passages()
        expected = GLiNERTeacher(tiny_gliner).score_passages(passages, labels)
        torch.set_num_threads(4)
        teacher = GLiNERTeacher(tiny_gliner, batch_pieces=200)
        for _ in range(3):
            scores = teacher.score_passages(passages, labels)
            for found, probs in zip(scores, expected, strict=True):
                np.testing.assert_allclose(found, probs, atol=1e-5)

    def test_stop_at_the_first_error(self, tiny_gliner, monkeypatch):
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
        assert not [one for one in threading.enumerate() if one.name.startswith("teacher")]


class TestRefusals:
    def test_duplicate_labels(self, tiny_gliner):
        with pytest.raises(TeacherError, match=r"must differ.*\['city', 'city'\]"):
            GLiNERTeacher(tiny_gliner).score_passages([["paris"]], [["city", "city"]])

    def test_a_label_beyond_the_window(self, tiny_gliner):
        with pytest.raises(TeacherError, match=r"'xxx.*has 500 subword pieces; tiny takes at most"):
            GLiNERTeacher(tiny_gliner, name="tiny").score_passages(
                [["paris"]], [["city", ("x" * 50 + " ") * 10]]
            )

    def test_a_label_of_nothing_the_tokenizer_knows(self, tiny_gliner):
        with pytest.raises(TeacherError, match=r"'\\u200b' holds no character"):
            GLiNERTeacher(tiny_gliner).score_passages([["paris"]], [["\u200b"]])

    def test_an_architecture_that_does_not_score_labels(self):
        class UniEncoderSpanRelexGLiNER:
            pass

        with pytest.raises(TeacherError, match="UniEncoderSpanRelexGLiNER cannot teach"):
            GLiNERTeacher(UniEncoderSpanRelexGLiNER())

    def test_labels_that_are_fixed_in_the_weights(self, build_gliner):
        model = build_gliner("UniEncoderSpan", precomputed_prompts_mode=True)
        with pytest.raises(TeacherError, match="precomputed_prompts_mode"):
            GLiNERTeacher(model)


@pytest.fixture
def span_folder(build_gliner, tmp_path):
    folder = tmp_path / "gliner"
    build_gliner("UniEncoderSpan").save_pretrained(folder, safe_serialization=True)
    return folder


class TestFromPretrained:
    def test_gives_the_same_teacher_as_before_it_was_saved(self, tiny_gliner, tmp_path):
        tiny_gliner.save_pretrained(tmp_path, safe_serialization=True)
        loaded, original = GLiNERTeacher.from_pretrained(tmp_path), GLiNERTeacher(tiny_gliner)
        assert loaded.name == str(tmp_path)
        assert loaded.fingerprint == original.fingerprint
        passages, labels = random_passages()
        for first, second in zip(
            loaded.score_passages(passages, labels),
            original.score_passages(passages, labels),
            strict=True,
        ):
            np.testing.assert_array_equal(first, second)

    def test_names_a_folder_that_is_missing(self, tmp_path):
        with pytest.raises(TeacherError, match=r"nowhere: no such folder"):
            GLiNERTeacher.from_pretrained(tmp_path / "nowhere")

    def test_names_a_folder_that_holds_no_gliner(self, tmp_path):
        with pytest.raises(TeacherError, match=r"gliner_config\.json is missing"):
            GLiNERTeacher.from_pretrained(tmp_path)

    def test_names_a_folder_without_weights(self, span_folder):
        (span_folder / "model.safetensors").unlink()
        with pytest.raises(TeacherError, match=r"model\.safetensors is missing"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_says_how_to_convert_a_pickle(self, span_folder):
        weights = load_file(span_folder / "model.safetensors")
        torch.save(weights, span_folder / "pytorch_model.bin")
        (span_folder / "model.safetensors").unlink()
        with pytest.raises(TeacherError, match=r"pickle.*save_pretrained\(NEW_FOLDER"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_what_it_says_about_pickles_works(self, span_folder, tmp_path):
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
    def test_names_broken_weights(self, span_folder, content):
        path = span_folder / "model.safetensors"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
        with pytest.raises(TeacherError, match=r"gliner: this GLiNER does not load: .+"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_names_a_weight_that_is_missing(self, span_folder):
        path = span_folder / "model.safetensors"
        weights = load_file(path)
        lost = sorted(weights)[-1]
        del weights[lost]
        save_file(weights, path)
        with pytest.raises(TeacherError, match=rf"lacks 1 of the weights.*{lost}"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_names_a_config_that_does_not_fit_the_weights(self, span_folder):
        path = span_folder / "gliner_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["hidden_size"] = 48
        path.write_text(json.dumps(config), encoding="utf-8")
        with pytest.raises(TeacherError, match=r"does not load"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_names_a_broken_config(self, span_folder):
        (span_folder / "gliner_config.json").write_text("{", encoding="utf-8")
        with pytest.raises(TeacherError, match=r"does not load"):
            GLiNERTeacher.from_pretrained(span_folder)

    def test_says_what_to_do_where_an_encoders_file_is_missing(self, build_gliner, tmp_path):
        build_gliner("BiEncoderSpan").save_pretrained(tmp_path, safe_serialization=True)
        shutil.rmtree(tmp_path / "labels_tokenizer")
        with pytest.raises(TeacherError, match=r"does not load.*save_pretrained"):
            GLiNERTeacher.from_pretrained(tmp_path)

    def test_names_the_extra_that_is_missing(self, span_folder, monkeypatch):
        monkeypatch.setitem(sys.modules, "gliner", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'gliner-distill\[train\]'"):
            GLiNERTeacher.from_pretrained(span_folder)


class TestFingerprint:
    def test_changes_with_one_weight(self, build_gliner):
        model = build_gliner("BiEncoderToken")
        before = fingerprint_model(model)
        assert fingerprint_model(build_gliner("BiEncoderToken")) == before
        with torch.no_grad():
            next(model.model.parameters()).view(-1)[0] += 1e-3
        assert fingerprint_model(model) != before

    def test_changes_with_a_setting_that_changes_scores(self, build_gliner):
        model = build_gliner("UniEncoderToken")
        before = fingerprint_model(model)
        model.config.max_types += 1
        assert fingerprint_model(model) != before
