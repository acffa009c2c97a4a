"""Labeling a corpus into a store: questions and answers, streaming, stops, kills and repairs.

Teachers look words up or take numbers from a checksum, so that a mix-up of passages would show.
Runs that are killed are processes of their own.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import weakref
import zlib
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.corpus.reader import CorpusFile, write_passages
from gliner_distill.corpus.statistics import scan_corpus
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError, StoreError, TeacherError
from gliner_distill.labeling import pipeline
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy, LabelSampler
from gliner_distill.store.integrity import find_faults
from gliner_distill.store.manifest import read_manifest, write_manifest
from gliner_distill.store.quantization import COMPACT, UNIFORM
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.store.subword_vectors import read_subword_vectors
from gliner_distill.store.writer import open_writer
from gliner_distill.teacher.ensemble import TeacherEnsemble
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.teacher.precision import PrecisionCheck

LEXICON = {"Paris": "city", "Mary": "person", "Rhine": "river", "Acme": "company", "Rex": "dog"}
POLICY = LabelPolicy(negatives=2, seed=5)
SHARD_PASSAGES = 6

label_in_shards = partial(label_corpus, limits=ShardLimits(passages=SHARD_PASSAGES))


def make_passage(*words, labels=()):
    entities = tuple(
        Entity(position, position + 1, LEXICON[word])
        for position, word in enumerate(words)
        if word in LEXICON
    )
    return Passage(words, entities, labels)


def make_corpus(n_passages=20):
    names = list(LEXICON)
    return [
        make_passage("The", names[place % 5], f"number{place}", names[place * 3 % 4], "left")
        for place in range(n_passages)
    ]


def choose_labels(corpus, policy=POLICY):
    """Return the labels that a policy asks of each passage of a corpus."""
    draw = LabelSampler(policy, scan_corpus(corpus).label_counts)
    return [draw.choose(position, passage) for position, passage in enumerate(corpus)]


def contents(folder):
    """Return the bytes of each shard."""
    return {path.name: path.read_bytes() for path in Path(folder, "data").glob("*.parquet")}


def words_of(passages):
    return [passage.words for passage in passages]


@pytest.fixture
def label(lexicon_teacher, tmp_path):
    """A function that labels the corpus; it returns the teacher, which knows what it was asked."""

    def run(
        corpus=None, folder=tmp_path / "store", *, policy=POLICY, fail_at_passage=None, **options
    ):
        teacher = options.pop("teacher", None)
        teacher = teacher or lexicon_teacher(LEXICON, fail_at_passage=fail_at_passage)
        corpus = make_corpus() if corpus is None else corpus
        label_in_shards(corpus, teacher, folder, policy=policy, **options)
        return teacher

    return run


@pytest.fixture
def whole(label, tmp_path):
    """A store of the corpus that was labeled without a break: do not change it."""
    label(folder=tmp_path / "whole")
    return tmp_path / "whole"


class RoundingTeacher:
    """A lexicon teacher that is faster in bf16, where its scores differ by a little."""

    def __init__(self, exact, error=1 / 256):
        self.name, self.fingerprint, self._exact, self._error = "rounding", "r" * 64, exact, error
        self.faster_precision, self.precision_check, self.precision = "bf16", None, "fp32"

    def set_precision(self, precision):
        self.precision = precision

    def score_passages(self, passages, labels):
        probs = self._exact.score_passages(passages, labels)
        error = 0 if self.precision == "fp32" else np.float32(self._error)
        return [part - error for part in probs]


class TestPrecision:
    @staticmethod
    def read(folder):
        store = SoftLabelStore(folder)
        return store.manifest.precision, [item.probs for item in store]

    def test_label_corpus_takes_bf16_for_a_whole_store_and_says_so(
        self, label, lexicon_teacher, tmp_path
    ):
        corpus = make_corpus(210)
        for folder, error in (("same", 1 / 1024), ("other", 1 / 16)):
            teacher = RoundingTeacher(lexicon_teacher(LEXICON), error)
            label(corpus, tmp_path / folder, teacher=teacher)
            assert teacher.precision == "fp32"
        label(corpus, tmp_path / "exact")
        precision, probs = self.read(tmp_path / "same")
        assert precision == "bf16"
        for item, same in zip(SoftLabelStore(tmp_path / "exact"), probs, strict=True):
            np.testing.assert_allclose(item.probs, same, atol=2 / 256)
        precision, probs = self.read(tmp_path / "other")
        assert precision == "fp32"
        assert all(map(np.array_equal, probs, self.read(tmp_path / "exact")[1]))

    @pytest.mark.parametrize("precision", ["bf16", "fp32"])
    def test_label_corpus_continues_with_the_precision_that_a_store_began_with(
        self, label, lexicon_teacher, tmp_path, precision
    ):
        checks = {"bf16": PrecisionCheck(200, 0.0, 1.0), "fp32": PrecisionCheck(200, 1.0, 0.0)}
        other = {"bf16": "fp32", "fp32": "bf16"}[precision]

        def teacher(check, **options):
            made = RoundingTeacher(lexicon_teacher(LEXICON, **options))
            made.precision_check = checks[check]
            return made

        label(folder=tmp_path / "whole", teacher=teacher(precision))
        with pytest.raises(RuntimeError, match="went away"):
            label(teacher=teacher(precision, fail_at_passage=13))
        label(teacher=teacher(other))
        assert contents(tmp_path / "store") == contents(tmp_path / "whole")
        assert read_manifest(tmp_path / "store").precision == precision
        # The shards tell the precision if the manifest is lost.
        (tmp_path / "store" / "manifest.json").unlink()
        (tmp_path / "store" / "data" / "shard-000001.parquet").unlink()
        label(teacher=teacher(other), repair=True)
        assert contents(tmp_path / "store") == contents(tmp_path / "whole")


class TestStore:
    @pytest.mark.parametrize("quantizer", [COMPACT, UNIFORM])
    def test_label_corpus_stores_the_answers_of_the_teacher(
        self, lexicon_teacher, tmp_path, quantizer
    ):
        corpus, teacher = make_corpus(), lexicon_teacher(LEXICON)
        store = label_in_shards(
            corpus, teacher, tmp_path / "store", policy=POLICY, quantizer=quantizer
        )
        read = list(store)
        assert [item.passage for item in read] == corpus
        assert [item.labels for item in read] == choose_labels(corpus)
        for item in read:
            assert decode_entities(item.probs, item.labels) == sorted(item.passage.entities)
            exact = lexicon_teacher(LEXICON).score_passages([item.passage.words], [item.labels])[0]
            np.testing.assert_array_equal(item.probs, quantizer.decode(quantizer.encode(exact)))
            if quantizer is UNIFORM:
                np.testing.assert_allclose(item.probs, exact, atol=1 / 512)
            assert item.individual_probs == ()
        assert [shard.n_passages for shard in store.manifest.shards] == [6, 6, 6, 2]
        assert store.manifest.quantization == quantizer.name
        assert store.manifest.teacher == "lexicon"
        assert store.manifest.n_words == 100
        assert store.manifest.seconds > 0
        assert find_faults(store.folder) == []

    def test_label_corpus_takes_any_teacher_in_plain_python(self, tmp_path):
        class Shouter:
            name = "shouter"
            fingerprint = "capitals"

            def score_passages(self, passages, labels):
                return [
                    np.array([[[word.isupper()] * 3] * len(asked) for word in words], float)
                    for words, asked in zip(passages, labels, strict=True)
                ]

        corpus = [Passage(("the", "NATO", "summit"))]
        store = label_in_shards(corpus, Shouter(), tmp_path, policy=LabelPolicy(fixed=("org",)))
        [item] = store
        assert decode_entities(item.probs, item.labels) == [Entity(1, 2, "org")]
        assert not (tmp_path / "tokenizer.json").exists()

    def test_label_corpus_ends_shards_at_the_limit_of_pairs(self, label, tmp_path):
        # 5 words with 4 labels are 20 pairs, but the third passage alone has more than a shard.
        corpus = make_corpus(8)
        corpus[2] = make_passage("Paris", *["word"] * 20)
        policy = LabelPolicy(fixed=("city", "person", "river", "dog"))
        label(corpus, policy=policy, limits=ShardLimits(SHARD_PASSAGES, pairs=50))
        shards = read_manifest(tmp_path / "store").shards
        assert [shard.n_passages for shard in shards] == [2, 1, 2, 2, 1]
        assert [shard.n_pairs for shard in shards] == [40, 84, 40, 40, 20]
        assert [shard.index for shard in shards] == [0, 1, 2, 3, 4]
        assert [item.passage for item in SoftLabelStore(tmp_path / "store")] == corpus

    def test_label_corpus_keeps_passages_without_labels(self, label, tmp_path):
        label([make_passage("nothing", "here"), make_passage("Paris")], policy=LabelPolicy())
        store = SoftLabelStore(tmp_path / "store")
        assert [item.probs.shape for item in store] == [(2, 0, 3), (1, 1, 3)]

    def test_label_corpus_asks_fixed_labels_of_plain_text(self, label, tmp_path):
        corpus = [Passage(("Paris", "by", "night")), Passage(("Rex", "barks"))]
        label(corpus, policy=LabelPolicy(fixed=("dog", "city")))
        store = SoftLabelStore(tmp_path / "store")
        found = [decode_entities(item.probs, item.labels) for item in store]
        assert found == [[Entity(0, 1, "city")], [Entity(0, 1, "dog")]]
        assert LabelPolicy(**store.manifest.label_policy).fixed == ("dog", "city")

    def test_label_corpus_asks_labels_of_a_pool_of_plain_text(self, label, tmp_path):
        policy = LabelPolicy(pool=("dog", "city", "river"), from_pool=2)
        label([Passage(("Paris", "by", "night"))] * 9, policy=policy)
        asked = [item.labels for item in SoftLabelStore(tmp_path / "store")]
        assert {len(set(labels)) for labels in asked} == {2}
        assert set(chain(*asked)) == {"dog", "city", "river"}

    def test_label_corpus_asks_descriptions_and_stores_labels(self, label, tmp_path):
        corpus = [make_passage("Paris", "met", "Mary")]
        policy = LabelPolicy(descriptions={"city": "a large town", "river": "is not asked"})
        teacher = label(corpus, policy=policy)
        assert teacher.asked == [(("Paris", "met", "Mary"), ("city: a large town", "person"))]
        [item] = SoftLabelStore(tmp_path / "store")
        assert item.labels == ("city", "person")
        # This teacher knows words of the label "person", but none of "city: a large town".
        assert decode_entities(item.probs, item.labels) == [Entity(2, 3, "person")]

    @pytest.mark.parametrize("corpus", [[], [Passage(("plain", "text"))] * 3])
    def test_label_corpus_refuses_a_corpus_without_labels(self, label, tmp_path, corpus):
        with pytest.raises(CorpusError, match=r"nothing to ask the teacher.*--labels FILE"):
            label(corpus)
        assert not (tmp_path / "store").exists()

    def test_label_corpus_reports_progress_in_words(self, label):
        progress = []
        for _ in range(2):
            label(progress=lambda stage, done, total: progress.append((stage, done, total)))
        assert progress == [("labeling", done, 100) for done in (0, 30, 60, 90, 100, 100)]


class TestSeveralTeachers:
    @pytest.fixture
    def two_lexicons(self, lexicon_teacher):
        first = lexicon_teacher(LEXICON, name="A", fingerprint="a" * 64)
        return first, lexicon_teacher({"Paris": "person"}, name="B", fingerprint="b" * 64)

    @pytest.mark.parametrize("keep_individual", [False, True])
    def test_label_corpus_keeps_the_mean_and_individual_answers_if_asked(
        self, label, two_lexicons, tmp_path, keep_individual
    ):
        label(
            teacher=TeacherEnsemble(two_lexicons),
            keep_individual=keep_individual,
            quantizer=UNIFORM,
        )
        store = SoftLabelStore(tmp_path / "store")
        assert store.manifest.teacher == "A + B"
        assert store.manifest.individual_teachers == (["A", "B"] if keep_individual else [])
        metadata = store.manifest.teacher_metadata["teachers"]
        assert [(teacher["name"], teacher["fingerprint"][:2]) for teacher in metadata] == [
            ("A", "aa"),
            ("B", "bb"),
        ]
        for item in store:
            each = [
                teacher.score_passages([item.words], [item.labels])[0] for teacher in two_lexicons
            ]
            np.testing.assert_allclose(item.probs, np.mean(each, axis=0), atol=1 / 512 + 1e-6)
            assert len(item.individual_probs) == (2 if keep_individual else 0)
            for kept, said in zip(item.individual_probs, each, strict=keep_individual):
                np.testing.assert_allclose(kept, said, atol=1 / 512)

    def test_label_corpus_asks_each_teacher_of_an_ensemble_once(self, label, two_lexicons):
        for teacher in two_lexicons:
            teacher.asked.clear()
        label(teacher=TeacherEnsemble(two_lexicons), keep_individual=True)
        for teacher in two_lexicons:
            assert [words for words, _ in teacher.asked] == words_of(make_corpus())

    def test_label_corpus_refuses_a_store_with_other_individual_teachers(self, label, two_lexicons):
        label(teacher=TeacherEnsemble(two_lexicons))
        with pytest.raises(StoreError, match=r"from 0 individual teachers, not 2;"):
            label(teacher=TeacherEnsemble(two_lexicons), keep_individual=True)


class Word(str):
    """A word whose life can be watched."""

    __slots__ = ("__weakref__",)


class WatchedCorpus:
    """Makes its passages anew each time, and watches how far ahead it is read and what is held.

    Attributes:
        n_labeled: Counted by the teacher.
        max_lead: Most passages that were read before the teacher had labeled them.
        max_held: Most passages that were alive at once.
    """

    def __init__(self, n_passages):
        self.n_passages = n_passages
        self.n_readings = self.n_labeled = self.max_lead = self.max_held = 0
        self._alive = weakref.WeakSet()

    def __iter__(self):
        self.n_readings += 1
        for position in range(self.n_passages):
            if self.n_readings > 1:
                self.max_lead = max(self.max_lead, position + 1 - self.n_labeled)
            word = Word(f"number{position}")
            self._alive.add(word)
            self.max_held = max(self.max_held, len(self._alive))
            yield Passage((word, "Paris"), (Entity(1, 2, "city"),))
            del word


class TestStreaming:
    def test_label_corpus_reads_twice_at_most_two_shards_ahead_and_holds_nothing(
        self, lexicon_teacher, tmp_path
    ):
        corpus = WatchedCorpus(20 * SHARD_PASSAGES)

        class SlowTeacher(lexicon_teacher):
            def score_passages(self, passages, labels):
                time.sleep(0.005)  # time for the reader to run away
                self.asked.clear()
                scores = super().score_passages(passages, labels)
                self.asked.clear()
                corpus.n_labeled += len(passages)
                return scores

        store = label_in_shards(corpus, SlowTeacher(LEXICON), tmp_path, policy=POLICY)
        assert len(store) == corpus.n_labeled == 20 * SHARD_PASSAGES
        assert corpus.n_readings == 2
        # One shard is scored, one is read, and its end shows in the passage behind it.
        assert SHARD_PASSAGES < corpus.max_lead <= 2 * SHARD_PASSAGES + 1
        assert corpus.max_held <= 4 * SHARD_PASSAGES

    def test_label_corpus_reads_a_corpus_file(self, label, whole, tmp_path):
        write_passages(tmp_path / "corpus.json", make_corpus())
        corpus = CorpusFile(tmp_path / "corpus.json")
        label(corpus)
        assert contents(tmp_path / "store") == contents(whole)

    def test_label_corpus_keeps_the_notes_of_a_corpus_file(self, label, tmp_path):
        path = tmp_path / "corpus.jsonl"
        path.write_text('{"text": ""}\n{"text": "Paris"}\n\n', encoding="utf-8")
        corpus = CorpusFile(path, skip_bad=True)
        label(corpus, policy=LabelPolicy(fixed=("city",)))
        assert "blank lines skipped: 1" in corpus.notes.lines()

    @pytest.mark.parametrize("once", [iter, lambda corpus: (passage for passage in corpus)])
    def test_label_corpus_refuses_an_iterator(self, label, tmp_path, once):
        with pytest.raises(TypeError, match=r"give a list or a CorpusFile, not an iterator"):
            label(once(make_corpus()))
        assert not (tmp_path / "store").exists()

    def test_label_corpus_uses_a_scan_that_was_made_before(self, label, whole, tmp_path):
        corpus = WatchedCorpus(8)
        scan = scan_corpus(corpus)
        assert (scan.n_passages, scan.n_words) == (8, 16)
        assert scan.label_counts == {"city": 8}
        label(corpus, scan=scan)
        assert corpus.n_readings == 2

    @pytest.mark.parametrize(
        "change",
        [
            lambda corpus: corpus[:-1],
            lambda corpus: [*corpus, corpus[0]],
            lambda corpus: corpus[::-1],
            lambda corpus: [*corpus[:-1], make_passage("Rex", "barks")],
        ],
    )
    def test_label_corpus_refuses_a_corpus_that_changes_between_readings(
        self, label, tmp_path, change
    ):
        class ChangingCorpus:
            def __init__(self):
                self._readings = [make_corpus(), change(make_corpus())]

            def __iter__(self):
                return iter(self._readings.pop(0))

        with pytest.raises(CorpusError, match=r"the corpus changed while it was labeled"):
            label(ChangingCorpus())
        with pytest.raises(StoreError, match=r"18 of 20 passages are labeled"):
            SoftLabelStore(tmp_path / "store")


class TestResuming:
    def test_label_corpus_resumes_after_an_error_with_equal_bytes(self, label, whole, tmp_path):
        with pytest.raises(RuntimeError, match="the machine went away"):
            label(fail_at_passage=15)
        assert read_manifest(tmp_path / "store").n_labeled == 12
        with pytest.raises(StoreError, match=r"12 of 20 passages are labeled; run the same label"):
            SoftLabelStore(tmp_path / "store")
        second = label()
        assert [words for words, _ in second.asked] == words_of(make_corpus()[12:])
        assert contents(tmp_path / "store") == contents(whole)
        assert read_manifest(tmp_path / "store").shards == read_manifest(whole).shards

    @pytest.mark.slow
    @pytest.mark.parametrize("missing", [[0], [1, 3], [0, 1, 2, 3]])
    def test_label_corpus_labels_only_the_missing_shards(self, label, whole, missing):
        # A cluster finishes shards in any order, so any of them may be missing.
        expected, manifest = contents(whole), read_manifest(whole)
        for shard in manifest.shards:
            if shard.index in missing:
                (whole / shard.file).unlink()
        manifest.shards = [shard for shard in manifest.shards if shard.index not in missing]
        write_manifest(whole, manifest)
        asked = label(folder=whole).asked
        corpus = make_corpus()
        assert [words for words, _ in asked] == words_of(
            passage for index in missing for passage in corpus[6 * index : 6 * index + 6]
        )
        assert contents(whole) == expected
        assert [shard.index for shard in read_manifest(whole).shards] == [0, 1, 2, 3]

    def test_label_corpus_keeps_no_path_of_a_teacher(self, lexicon_teacher, tmp_path):
        folders = [tmp_path / "private" / name for name in ("one", "two")]
        teachers = [lexicon_teacher(LEXICON, fingerprint=digit * 64) for digit in "12"]
        for folder, teacher in zip(folders, teachers, strict=True):
            folder.mkdir(parents=True)
            teacher.name = str(folder)
        store = label_in_shards(
            make_corpus(),
            TeacherEnsemble(teachers),
            tmp_path / "store",
            policy=POLICY,
            keep_individual=True,
        )
        assert store.manifest.teacher == "one + two"
        assert store.manifest.individual_teachers == ["one", "two"]
        files = [path for path in store.folder.rglob("*") if path.is_file()]
        assert not any(b"private" in path.read_bytes() for path in files)

    def test_label_corpus_continues_a_store_that_names_the_path_of_its_teacher(
        self, lexicon_teacher, tmp_path
    ):
        teacher = lexicon_teacher(LEXICON)
        teacher.name = str(tmp_path / "gliner")  # not a folder yet, so the path is kept

        def run(name):
            return label_in_shards(make_corpus(), teacher, tmp_path / name, policy=POLICY)

        earlier = contents(run("whole").folder)
        manifest = run("store").manifest
        manifest.shards.pop()
        write_manifest(tmp_path / "store", manifest)
        Path(teacher.name).mkdir()
        continued = run("store")
        assert continued.manifest.is_complete
        assert continued.manifest.teacher == teacher.name
        assert contents(continued.folder) == earlier
        assert find_faults(continued.folder) == []

    def test_label_corpus_asks_nothing_of_a_finished_store(self, label, lexicon_teacher):
        label()
        again = label(teacher=lexicon_teacher(LEXICON, name="the same, moved"))
        assert again.asked == []

    def test_label_corpus_resumes_after_a_full_disk(self, label, whole, tmp_path, monkeypatch):
        opened = Path.open

        def fill_up(path, *args, **options):
            if path.name.startswith("shard-000001"):
                raise OSError(errno.ENOSPC, "No space left on device")
            return opened(path, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", fill_up)
            with pytest.raises(StoreError, match=r"shard-000001\.parquet: cannot be written: No s"):
                label()
        assert read_manifest(tmp_path / "store").shards == read_manifest(whole).shards[:1]
        label()
        assert contents(tmp_path / "store") == contents(whole)

    def test_label_corpus_refuses_shards_cut_with_other_limits(self, label):
        label()
        with pytest.raises(StoreError, match=r"shard 0 holds 6 passages; expected 7"):
            label(limits=ShardLimits(passages=7))

    @pytest.mark.slow
    def test_label_corpus_resumes_with_a_gliner(self, tiny_gliner, tmp_path, monkeypatch):
        corpus = make_corpus(8)

        def run(folder):
            teacher = GLiNERTeacher(tiny_gliner)
            return label_in_shards(
                corpus, teacher, tmp_path / folder, policy=POLICY, quantizer=UNIFORM
            )

        whole = run("whole")
        score = GLiNERTeacher.score_passages
        with monkeypatch.context() as patch:
            patch.setattr(
                GLiNERTeacher,
                "score_passages",
                lambda self, words, labels: score(self, words, labels) if len(words) > 2 else 1 / 0,
            )
            with pytest.raises(ZeroDivisionError):
                run("resumed")
        assert read_manifest(tmp_path / "resumed").n_labeled == 6
        resumed = run("resumed")
        assert contents(resumed.folder) == contents(whole.folder)
        for item in whole:
            exact = score(GLiNERTeacher(tiny_gliner), [item.passage.words], [item.labels])
            np.testing.assert_allclose(item.probs, exact[0], atol=1 / 512 + 1e-5)


class TestFolders:
    @pytest.fixture
    def half_done(self, label, tmp_path):
        with pytest.raises(RuntimeError):
            label(fail_at_passage=9)
        return tmp_path / "store"

    @pytest.mark.usefixtures("half_done")
    def test_label_corpus_refuses_a_store_of_another_teacher(self, label, lexicon_teacher):
        other = lexicon_teacher(LEXICON, name="other", fingerprint="0" * 64)
        message = r"from teacher lexicon \(f{12}\), not other \(0{12}\)"
        with pytest.raises(StoreError, match=message):
            label(teacher=other)

    @pytest.mark.usefixtures("half_done")
    def test_label_corpus_refuses_a_store_of_another_corpus(self, label):
        message = r"from corpus \w{12} of 20 passages, not \w{12} of 19;"
        with pytest.raises(StoreError, match=message):
            label(make_corpus(19))

    @pytest.mark.usefixtures("half_done")
    @pytest.mark.parametrize(
        ("policy", "message"),
        [
            (LabelPolicy(negatives=2, seed=6), r"from label policy seed 5, not 6;"),
            (LabelPolicy(negatives=1, seed=5), r"from label policy negatives 2, not 1;"),
            (
                LabelPolicy(fixed=("city",)),
                r"from label policy negatives 2, not 0; label policy fixed \[\], not \[\"city\"\]; "
                r"label policy seed 5, not 0;",
            ),
            (
                LabelPolicy(negatives=2, seed=5, descriptions={"city": "a town"}),
                r"from label policy descriptions \{\}, not \{\"city\": \"a town\"\};",
            ),
        ],
    )
    def test_label_corpus_refuses_a_store_of_another_policy(self, label, policy, message):
        with pytest.raises(StoreError, match=message):
            label(policy=policy)

    @pytest.mark.usefixtures("half_done")
    def test_label_corpus_refuses_a_store_of_another_quantization(self, label):
        with pytest.raises(StoreError, match=r"from quantization compact, not uniform;"):
            label(quantizer=UNIFORM)

    @pytest.mark.parametrize("repair", [False, True])
    def test_label_corpus_names_every_difference_and_changes_nothing(
        self, label, lexicon_teacher, half_done, repair
    ):
        before = {path: path.read_bytes() for path in half_done.rglob("*") if path.is_file()}
        message = (
            r"from teacher .*; corpus .*; label policy .*; quantization .*; choose another --out"
        )
        other = lexicon_teacher(LEXICON, fingerprint="0" * 64)
        with pytest.raises(StoreError, match=message):
            label(
                make_corpus(19),
                teacher=other,
                policy=LabelPolicy(),
                quantizer=UNIFORM,
                repair=repair,
            )
        assert {path: path.read_bytes() for path in before} == before
        assert other.asked == []

    @pytest.mark.parametrize("repair", [False, True])
    def test_label_corpus_refuses_a_folder_with_other_files_and_leaves_it_alone(
        self, label, tmp_path, repair
    ):
        (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
        with pytest.raises(StoreError, match=r"is not empty"):
            label(folder=tmp_path, repair=repair)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    @pytest.mark.parametrize("parts", [["file"], ["file", "below"]])
    def test_label_corpus_names_a_folder_that_is_a_file(self, label, tmp_path, parts):
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(StoreError, match=rf"{parts[-1]}: cannot be written: "):
            label(folder=tmp_path.joinpath(*parts))

    def test_label_corpus_accepts_half_a_manifest_of_a_killed_run(self, label, tmp_path):
        (tmp_path / "manifest.json.0a1b2c3d.part").write_text("{", encoding="utf-8")
        label(folder=tmp_path)
        assert len(list(SoftLabelStore(tmp_path))) == 20
        assert not list(tmp_path.rglob("*.part"))

    def test_label_corpus_accepts_half_a_shard_of_a_killed_run(self, label, half_done, whole):
        (half_done / "data/shard-000001.parquet.0a1b2c3d.part").write_bytes(b"PAR1")
        (half_done / "data/shard-000001.parquet").write_bytes(b"written, but not yet listed")
        label()
        assert contents(half_done) == contents(whole)
        assert not list(half_done.rglob("*.part"))

    def test_label_corpus_names_a_broken_manifest(self, label, half_done):
        (half_done / "manifest.json").write_text("{", encoding="utf-8")
        with pytest.raises(StoreError, match=r"manifest\.json: cannot be read"):
            label()

    def test_label_corpus_writes_a_manifest_in_plain_json(self, half_done):
        raw = json.loads((half_done / "manifest.json").read_text(encoding="utf-8"))
        assert raw["format_version"] == 3
        assert raw["n_passages"] == 20
        assert raw["label_policy"] == POLICY.as_json()
        assert [shard["n_passages"] for shard in raw["shards"]] == [6]


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-9])


class TestRepair:
    def test_label_corpus_repairs_broken_shards_and_nothing_else(self, label, whole):
        expected, records = contents(whole), read_manifest(whole).shards
        flip_a_byte(whole / records[0].file)
        (whole / records[2].file).unlink()
        cut_off(whole / records[3].file)
        assert len(find_faults(whole)) == 3
        asked = label(folder=whole, repair=True).asked
        assert [words for words, _ in asked] == words_of(make_corpus()[:6] + make_corpus()[12:])
        assert contents(whole) == expected
        assert read_manifest(whole).shards == records
        assert find_faults(whole) == []

    @pytest.mark.parametrize("break_file", [cut_off, Path.unlink])
    def test_label_corpus_recommends_repair_for_a_broken_store(self, label, whole, break_file):
        break_file(whole / "data/shard-000001.parquet")
        with pytest.raises(StoreError, match=r"shard-000001\.parquet: .*same command with --rep"):
            label(folder=whole)

    def test_label_corpus_warns_about_each_file_it_repairs(self, label, whole, caplog):
        (whole / "data/shard-000001.parquet").unlink()
        label(folder=whole, repair=True)
        [message] = caplog.messages
        assert "shard-000001.parquet: is missing" in message

    @pytest.mark.parametrize("break_file", [Path.unlink, cut_off, flip_a_byte])
    def test_label_corpus_repairs_a_manifest_without_the_teacher(self, label, whole, break_file):
        expected, records = contents(whole), read_manifest(whole).shards
        break_file(whole / "manifest.json")
        assert label(folder=whole, repair=True).asked == []
        assert contents(whole) == expected
        assert read_manifest(whole).shards == records
        assert find_faults(whole) == []

    def test_label_corpus_repairs_a_manifest_and_one_shard(self, label, whole):
        expected = contents(whole)
        (whole / "manifest.json").unlink()
        flip_a_byte(whole / "data/shard-000001.parquet")
        asked = label(folder=whole, repair=True).asked
        assert [words for words, _ in asked] == words_of(make_corpus()[6:12])
        assert contents(whole) == expected

    def test_label_corpus_repair_leaves_a_whole_store_as_it_is(self, label, whole, caplog):
        expected = contents(whole)
        assert label(folder=whole, repair=True).asked == []
        assert contents(whole) == expected
        assert caplog.messages == []

    @pytest.mark.parametrize("name", ["tokenizer.json", "subword_vectors.safetensors"])
    @pytest.mark.parametrize("break_file", [Path.unlink, flip_a_byte])
    def test_label_corpus_repairs_either_file_of_subword_vectors(
        self, build_gliner, tmp_path, name, break_file
    ):
        def run(**options):
            teacher = GLiNERTeacher(build_gliner("UniEncoderSpan"))
            return label_in_shards(make_corpus(2), teacher, tmp_path, policy=POLICY, **options)

        run()
        before = (tmp_path / name).read_bytes()
        break_file(tmp_path / name)
        assert [fault.file for fault in find_faults(tmp_path)] == [name]
        run(repair=True)
        assert (tmp_path / name).read_bytes() == before
        assert find_faults(tmp_path) == []
        listed = {other.file for other in read_manifest(tmp_path).other_files}
        assert listed == {"tokenizer.json", "subword_vectors.safetensors"}


class TestSubwordVectors:
    def test_label_corpus_keeps_the_subword_vectors_of_the_first_teacher(
        self, build_gliner, lexicon_teacher, tmp_path
    ):
        first, second = (GLiNERTeacher(build_gliner("UniEncoderSpan", seed=n)) for n in (0, 1))
        vectors = {}
        for name, teacher in {
            "first": first,
            "second": second,
            "mean": TeacherEnsemble([first, second]),
            "lexicon": TeacherEnsemble([lexicon_teacher(LEXICON), first]),
        }.items():
            label_in_shards(make_corpus(2), teacher, tmp_path / name, policy=POLICY)
            vectors[name] = read_subword_vectors(tmp_path / name)
        assert (vectors["mean"].vectors == vectors["first"].vectors).all()
        assert not (vectors["mean"].vectors == vectors["second"].vectors).all()
        assert vectors["lexicon"] is None

    def test_label_corpus_leaves_subword_vectors_out_if_asked(self, build_gliner, tmp_path):
        teacher = GLiNERTeacher(build_gliner("UniEncoderSpan"))
        label_in_shards(
            make_corpus(2), teacher, tmp_path, policy=POLICY, keep_subword_vectors=False
        )
        assert read_subword_vectors(tmp_path) is None
        assert read_manifest(tmp_path).teacher_metadata["n_parameters"] > 0


class TestOddTeachers:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda probs: probs[:-1], r".*shape \(4, 3, 3\) .*'The .* shape \(5, 3, 3\)"),
            (lambda probs: probs[..., :2], r".*shape \(5, 3, 2\)"),
            (lambda probs: probs * 1.5, r".*every value in \[0, 1\]"),
            (lambda probs: probs - 0.1, r".*every value in \[0, 1\]"),
            (lambda probs: probs * np.nan, r".*every value in \[0, 1\]"),
        ],
    )
    def test_label_corpus_refuses_answers_that_are_not_probabilities(
        self, lexicon_teacher, label, tmp_path, change, reason
    ):
        class OddTeacher(lexicon_teacher):
            def score_passages(self, passages, labels):
                return [change(probs) for probs in super().score_passages(passages, labels)]

        corpus = [make_passage("The", "Paris", "of", "Mary", "left", labels=("dog",))]
        with pytest.raises(TeacherError, match=rf"^lexicon: {reason}"):
            label(corpus, teacher=OddTeacher(LEXICON), policy=LabelPolicy())
        # A store that holds nothing is removed, so that another teacher may be tried.
        assert not (tmp_path / "store" / "manifest.json").exists()

    def test_label_corpus_refuses_answers_for_too_few_passages(self, lexicon_teacher, label):
        class LazyTeacher(lexicon_teacher):
            def score_passages(self, passages, labels):
                return super().score_passages(passages, labels)[:-1]

        with pytest.raises(TeacherError, match=r"lexicon: returned 5 arrays for 6 passages"):
            label(teacher=LazyTeacher(LEXICON))


class ChecksumTeacher:
    """Takes its time, answers with numbers from a checksum, and notes each passage in a file."""

    name = "checksum"
    fingerprint = "c" * 64

    def __init__(self, log, seconds_a_passage):
        self._log, self._seconds = log, seconds_a_passage

    def score_passages(self, passages, labels):
        return [self._score(words, asked) for words, asked in zip(passages, labels, strict=True)]

    def _score(self, words, labels):
        with self._log.open("a", encoding="utf-8") as stream:
            stream.write(f"{' '.join(words)}\n")
        time.sleep(self._seconds)
        numbers = [
            zlib.crc32(f"{word}/{label}/{kind}".encode()) / 2**32
            for word in words
            for label in labels
            for kind in range(3)
        ]
        return np.array(numbers, dtype=np.float32).reshape(len(words), len(labels), 3)


def label_slowly(corpus, folder, log, seconds_a_passage, seconds_between_manifests):
    """Label as the killed processes do."""
    seconds = float(seconds_between_manifests)
    pipeline.open_writer = partial(open_writer, seconds_between_manifests=seconds)
    teacher = ChecksumTeacher(Path(log), float(seconds_a_passage))
    label_in_shards(CorpusFile(corpus), teacher, folder, policy=POLICY)


SCRIPT = "import sys; import test_pipeline; test_pipeline.label_slowly(*sys.argv[1:])"


def read_lines(path):
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A folder with a corpus and a store of it: do not change it."""
    folder = tmp_path_factory.mktemp("kill")
    write_passages(folder / "corpus.json", make_corpus(50))
    teacher = ChecksumTeacher(folder / "log", 0)
    corpus = CorpusFile(folder / "corpus.json")
    label_in_shards(corpus, teacher, folder / "store", policy=POLICY)
    return folder


class TestKill:
    """Processes that are killed while the teacher is in the middle of a shard."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("n_asked", "seconds_between_manifests"),
        # The last has not yet listed what it has written.
        [(15, 0), (40, 0), (27, 60)],
    )
    def test_label_corpus_resumes_after_a_kill(
        self, uninterrupted, tmp_path, n_asked, seconds_between_manifests
    ):
        corpus, store = uninterrupted / "corpus.json", tmp_path / "store"
        args = (corpus, store, tmp_path / "first", 0.02, seconds_between_manifests)
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *map(str, args)],
            cwd=Path(__file__).parent,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        first_shard = store / "data/shard-000000.parquet"
        while len(read_lines(tmp_path / "first")) < n_asked or not first_shard.exists():
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
        n_asked_in_all = len(read_lines(tmp_path / "first"))
        assert n_asked <= n_asked_in_all < 50

        assert find_faults(store) == []
        done = [shard.index for shard in read_manifest(store).shards]
        assert done == list(range(len(done)))
        n_scored = (n_asked_in_all - 1) // SHARD_PASSAGES
        # At the worst the last is not yet encoded and the one before not yet written.
        at_least, at_most = (0, 0) if seconds_between_manifests else (n_scored - 2, n_scored)
        assert at_least <= len(done) <= at_most

        teacher = ChecksumTeacher(tmp_path / "second", 0)
        finished = label_in_shards(CorpusFile(corpus), teacher, store, policy=POLICY)
        asked_without_a_kill = read_lines(uninterrupted / "log")
        assert read_lines(tmp_path / "second") == asked_without_a_kill[len(done) * SHARD_PASSAGES :]
        assert contents(store) == contents(uninterrupted / "store")
        assert not list(store.rglob("*.part"))
        assert [item.passage for item in finished] == make_corpus(50)
        assert finished.manifest.shards == read_manifest(uninterrupted / "store").shards
