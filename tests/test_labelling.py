"""Labelling a corpus with a teacher that looks words up."""

import json
from collections import Counter

import numpy as np
import pytest

from gliner_distill import labelling
from gliner_distill.entities import Entity, Passage, decode_entities
from gliner_distill.errors import CorpusError, SettingsError, StoreError, TeacherError
from gliner_distill.labelling import LabelPolicy, label_corpus, read_labels
from gliner_distill.soft_labels import read_manifest
from gliner_distill.teacher import GLiNERTeacher

LEXICON = {"Paris": "city", "Mary": "person", "Rhine": "river", "Acme": "company", "Rex": "dog"}
POLICY = LabelPolicy(negatives=2, seed=5)


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


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(labelling, "SHARD_PASSAGES", 6)


class TestLabelPolicy:
    def test_asks_own_labels_first_then_others_each_once(self):
        for seed in range(5):
            corpus = make_corpus()
            for passage, asked in zip(
                corpus, LabelPolicy(negatives=2, seed=seed).choose(corpus), strict=True
            ):
                own = passage.own_labels
                assert asked[: len(own)] == own
                negatives = asked[len(own) :]
                assert len(negatives) == len(set(negatives)) == 2
                assert not set(negatives) & set(own)
                assert set(negatives) <= set(LEXICON.values())

    def test_asks_own_labels_alone_without_negatives(self):
        corpus = [make_passage("Paris", labels=("dog", "city")), make_passage("nothing")]
        assert LabelPolicy().choose(corpus) == [("city", "dog"), ()]

    def test_asks_all_others_where_there_are_fewer(self):
        corpus = make_corpus()
        for asked in LabelPolicy(negatives=99).choose(corpus):
            assert sorted(asked) == sorted(LEXICON.values())

    def test_depends_on_the_seed_and_the_position_alone(self):
        corpus = make_corpus()
        first = LabelPolicy(negatives=2, seed=1).choose(corpus)
        assert LabelPolicy(negatives=2, seed=1).choose(corpus) == first
        assert LabelPolicy(negatives=2, seed=2).choose(corpus) != first
        assert LabelPolicy(negatives=2, seed=1).choose(corpus[::-1])[::-1] != first

    def test_draws_frequent_labels_more_often(self):
        # Weights are square roots of the passages of a label: 100 : 1 makes 10 : 1.
        corpus = [make_passage("Mary")] * 100 + [make_passage("Rhine")]
        corpus += [make_passage("nothing")] * 2000
        drawn = Counter(asked[-1] for asked in LabelPolicy(negatives=1).choose(corpus)[101:])
        assert drawn["person"] / drawn.total() == pytest.approx(10 / 11, abs=0.03)

    def test_asks_a_fixed_list_of_every_passage(self):
        policy = LabelPolicy(fixed=("dog", "city"))
        assert policy.choose(make_corpus(3)) == [("dog", "city")] * 3

    def test_refuses_what_makes_no_sense(self):
        with pytest.raises(SettingsError, match=r"0 or more; got -1"):
            LabelPolicy(negatives=-1)
        with pytest.raises(SettingsError, match=r"no room for negatives"):
            LabelPolicy(negatives=1, fixed=("city",))


class TestReadLabels:
    def read(self, tmp_path, content):
        path = tmp_path / "labels.txt"
        path.write_bytes(content)
        return read_labels(path)

    def test_cleans_them_and_skips_blank_lines(self, tmp_path):
        content = "\nPerson \r\n\n  work_of  art\n名前".encode()
        assert self.read(tmp_path, content) == ("person", "work of art", "名前")

    def test_knows_a_byte_order_mark(self, tmp_path):
        assert self.read(tmp_path, b"\xef\xbb\xbfcity\nriver\n") == ("city", "river")

    def test_names_a_duplicate_and_both_lines(self, tmp_path):
        with pytest.raises(
            CorpusError, match=r"labels\.txt: line 4: label 'city' stands on line 1"
        ):
            self.read(tmp_path, b"city\n\nriver\nCity\n")

    @pytest.mark.parametrize("content", [b"", b"\n \n\t\n"])
    def test_names_a_blank_file(self, tmp_path, content):
        with pytest.raises(CorpusError, match=r"labels\.txt: no label in it; expected one a line"):
            self.read(tmp_path, content)

    @pytest.mark.parametrize("content", ["city\n".encode("utf-16"), b"caf\xe9\n"])
    def test_names_another_encoding(self, tmp_path, content):
        with pytest.raises(CorpusError, match=r"labels\.txt: cannot be read as UTF-8"):
            self.read(tmp_path, content)

    def test_names_a_missing_file(self, tmp_path):
        with pytest.raises(CorpusError, match=r"nowhere: cannot be read"):
            read_labels(tmp_path / "nowhere")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


class TestLabelCorpus:
    def test_stores_what_the_teacher_says(self, lexicon_teacher, tmp_path):
        corpus, teacher = make_corpus(), lexicon_teacher(LEXICON)
        store = label_corpus(corpus, teacher, tmp_path / "store", policy=POLICY)
        read = list(store)
        assert [item.passage for item in read] == corpus
        assert [item.labels for item in read] == POLICY.choose(corpus)
        for item in read:
            found = decode_entities(item.probs, item.labels)
            assert found == sorted(item.passage.entities)
            exact = lexicon_teacher(LEXICON).score_passages([item.passage.words], [item.labels])
            np.testing.assert_allclose(item.probs, exact[0], atol=1 / 512)
        assert [shard.n_passages for shard in store.manifest.shards] == [6, 6, 6, 2]
        assert store.manifest.teacher == "lexicon"
        assert store.manifest.seconds > 0

    def test_reports_progress_in_words(self, lexicon_teacher, tmp_path):
        progress = []
        corpus = make_corpus()
        for _ in range(2):
            label_corpus(
                corpus,
                lexicon_teacher(LEXICON),
                tmp_path,
                policy=POLICY,
                on_progress=progress.append,
            )
        assert progress == [0, 30, 30, 30, 10, 100]

    def test_goes_on_where_a_run_died(self, lexicon_teacher, tmp_path):
        corpus = make_corpus()
        label_corpus(corpus, lexicon_teacher(LEXICON), tmp_path / "whole", policy=POLICY)
        dying = lexicon_teacher(LEXICON, fail_at_passage=9)
        with pytest.raises(RuntimeError, match="the machine went away"):
            label_corpus(corpus, dying, tmp_path / "resumed", policy=POLICY)
        assert read_manifest(tmp_path / "resumed").n_labelled == 6
        second = lexicon_teacher(LEXICON)
        store = label_corpus(corpus, second, tmp_path / "resumed", policy=POLICY)
        assert [words for words, _ in second.asked] == [passage.words for passage in corpus[6:]]
        assert [item.passage for item in store] == corpus
        assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")
        expected = read_manifest(tmp_path / "whole")
        assert read_manifest(tmp_path / "resumed").shards == expected.shards

    def test_does_not_ask_again_what_is_finished(self, lexicon_teacher, tmp_path):
        corpus = make_corpus()
        label_corpus(corpus, lexicon_teacher(LEXICON), tmp_path, policy=POLICY)
        again = lexicon_teacher(LEXICON, name="the same, moved")
        assert len(label_corpus(corpus, again, tmp_path, policy=POLICY)) == 20
        assert again.asked == []

    def test_keeps_passages_without_labels(self, lexicon_teacher, tmp_path):
        corpus = [make_passage("nothing", "here"), make_passage("Paris")]
        store = label_corpus(corpus, lexicon_teacher(LEXICON), tmp_path, policy=LabelPolicy())
        assert [item.probs.shape for item in store] == [(2, 0, 3), (1, 1, 3)]

    def test_asks_a_fixed_list_of_plain_text(self, lexicon_teacher, tmp_path):
        corpus = [Passage(("Paris", "by", "night")), Passage(("Rex", "barks"))]
        policy = LabelPolicy(fixed=("dog", "city"))
        store = label_corpus(corpus, lexicon_teacher(LEXICON), tmp_path, policy=policy)
        found = [decode_entities(item.probs, item.labels) for item in store]
        assert found == [[Entity(0, 1, "city")], [Entity(0, 1, "dog")]]
        assert read_manifest(tmp_path).label_policy == {
            "negatives": 0,
            "fixed": ["dog", "city"],
            "seed": 0,
        }

    @pytest.mark.parametrize("corpus", [[], [Passage(("plain", "text"))] * 3])
    def test_refuses_a_corpus_without_labels(self, lexicon_teacher, tmp_path, corpus):
        with pytest.raises(CorpusError, match=r"nothing to ask the teacher.*--labels FILE"):
            label_corpus(corpus, lexicon_teacher({}), tmp_path / "store", policy=POLICY)
        assert not (tmp_path / "store").exists()

    def test_goes_on_with_a_gliner_too(self, tiny_gliner, tmp_path, monkeypatch):
        corpus = make_corpus(8)
        whole = label_corpus(corpus, GLiNERTeacher(tiny_gliner), tmp_path / "whole", policy=POLICY)
        dying = GLiNERTeacher(tiny_gliner)
        write_shard = labelling.write_shard
        with monkeypatch.context() as patch:
            patch.setattr(
                labelling,
                "write_shard",
                lambda folder, index, part: (
                    write_shard(folder, index, part) if not index else 1 / 0
                ),
            )
            with pytest.raises(ZeroDivisionError):
                label_corpus(corpus, dying, tmp_path / "resumed", policy=POLICY)
        resumed = label_corpus(
            corpus, GLiNERTeacher(tiny_gliner), tmp_path / "resumed", policy=POLICY
        )
        assert contents(resumed.folder) == contents(whole.folder)
        for item in whole:
            exact = GLiNERTeacher(tiny_gliner).score_passages([item.passage.words], [item.labels])
            np.testing.assert_allclose(item.probs, exact[0], atol=1 / 512 + 1e-5)


class TestFolders:
    @pytest.fixture
    def half_done(self, lexicon_teacher, tmp_path):
        dying = lexicon_teacher(LEXICON, fail_at_passage=9)
        with pytest.raises(RuntimeError):
            label_corpus(make_corpus(), dying, tmp_path, policy=POLICY)
        return tmp_path

    def test_another_teacher_is_refused(self, lexicon_teacher, half_done):
        other = lexicon_teacher(LEXICON, name="other", fingerprint="0" * 64)
        with pytest.raises(
            StoreError, match=r"from teacher lexicon \(f{12}\), not other \(0{12}\)"
        ):
            label_corpus(make_corpus(), other, half_done, policy=POLICY)

    def test_another_corpus_is_refused(self, lexicon_teacher, half_done):
        message = r"from corpus \w{12} of 20 passages, not \w{12} of 19;"
        with pytest.raises(StoreError, match=message):
            label_corpus(make_corpus(19), lexicon_teacher(LEXICON), half_done, policy=POLICY)

    def test_another_policy_is_refused(self, lexicon_teacher, half_done):
        policy = LabelPolicy(negatives=2, seed=6)
        with pytest.raises(StoreError, match=r"label policy .*'seed': 5.*, not .*'seed': 6"):
            label_corpus(make_corpus(), lexicon_teacher(LEXICON), half_done, policy=policy)

    def test_all_that_differs_is_named(self, lexicon_teacher, half_done):
        other = lexicon_teacher(LEXICON, fingerprint="0" * 64)
        with pytest.raises(StoreError, match=r"teacher .*; corpus .*; label policy .*--out"):
            label_corpus(make_corpus(19), other, half_done, policy=LabelPolicy())

    def test_a_foreign_folder_is_refused_and_left_alone(self, lexicon_teacher, tmp_path):
        (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
        with pytest.raises(StoreError, match=r"is not empty and holds no soft-label store"):
            label_corpus(make_corpus(), lexicon_teacher(LEXICON), tmp_path, policy=POLICY)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    @pytest.mark.parametrize("parts", [["store"], ["store", "below"]])
    def test_a_folder_that_is_a_file_is_named(self, lexicon_teacher, tmp_path, parts):
        (tmp_path / "store").write_text("x", encoding="utf-8")
        with pytest.raises(StoreError, match=rf"{parts[-1]}: cannot be written: "):
            label_corpus(
                make_corpus(), lexicon_teacher(LEXICON), tmp_path.joinpath(*parts), policy=POLICY
            )

    def test_half_a_manifest_of_a_killed_run_does_not_block(self, lexicon_teacher, tmp_path):
        (tmp_path / "manifest.json.part").write_text("{", encoding="utf-8")
        store = label_corpus(make_corpus(), lexicon_teacher(LEXICON), tmp_path, policy=POLICY)
        assert len(list(store)) == 20
        assert not list(tmp_path.glob("*.part"))

    def test_half_a_shard_of_a_killed_run_does_not_block(self, lexicon_teacher, half_done):
        (half_done / "shard-00001.parquet.part").write_bytes(b"PAR1")
        (half_done / "shard-00001.parquet").write_bytes(b"written, but not in the manifest yet")
        store = label_corpus(make_corpus(), lexicon_teacher(LEXICON), half_done, policy=POLICY)
        assert len(list(store)) == 20
        assert not list(half_done.glob("*.part"))

    def test_a_broken_manifest_is_named(self, lexicon_teacher, half_done):
        (half_done / "manifest.json").write_text("{", encoding="utf-8")
        with pytest.raises(StoreError, match=r"manifest\.json: cannot be read"):
            label_corpus(make_corpus(), lexicon_teacher(LEXICON), half_done, policy=POLICY)

    def test_the_manifest_is_plain_json(self, half_done):
        raw = json.loads((half_done / "manifest.json").read_text(encoding="utf-8"))
        assert raw["format_version"] == 1
        assert raw["n_passages"] == 20
        assert [shard["n_passages"] for shard in raw["shards"]] == [6]


class TestOddTeachers:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda probs: probs[:-1], r"shape \(4, 3, 3\); expected \(5, 3, 3\)"),
            (lambda probs: probs[..., :2], r"shape \(5, 3, 2\)"),
            (lambda probs: probs * 1.5, r"every number in \[0, 1\]"),
            (lambda probs: probs - 0.1, r"every number in \[0, 1\]"),
            (lambda probs: probs * np.nan, r"every number in \[0, 1\]"),
        ],
    )
    def test_an_answer_that_is_no_probabilities_is_named(
        self, lexicon_teacher, tmp_path, change, reason
    ):
        class OddTeacher(lexicon_teacher):
            def score_passages(self, passages, labels):
                return [change(probs) for probs in super().score_passages(passages, labels)]

        corpus = [make_passage("The", "Paris", "of", "Mary", "left", labels=("dog",))]
        with pytest.raises(TeacherError, match=rf"lexicon: answered the passage 'The.*{reason}"):
            label_corpus(corpus, OddTeacher(LEXICON), tmp_path, policy=LabelPolicy())
        assert read_manifest(tmp_path).shards == []
