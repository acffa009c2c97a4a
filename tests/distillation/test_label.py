"""Asking the teacher, once, and warnings about labels."""

from pathlib import Path

import numpy as np
import pytest

from distillation_world import (
    LEXICON,
    all_of,
    make_gold,
    make_texts,
    texts_of,
    write_texts,
)
from gliner_distill.corpus.reader import write_passages
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation import teachers
from gliner_distill.distillation.label import (
    best_span_probs,
    warn_about_synonyms,
    warn_about_unseen_labels,
)
from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import CorpusError, DistillError, SettingsError, StoreError

LABELS = ("person", "city", "river")


class TestLabel:
    def test_label_asks_the_teacher_about_all_passages(self, make_trained, texts):
        made, teacher = make_trained()
        assert len(teacher.asked) == 40
        everything = all_of(made.labeled.text)
        assert texts_of(everything) == sorted(make_texts(40))
        for passage in everything:
            assert passage.labels == LABELS
            found = decode_entities(passage.probs, LABELS)
            assert {(entity.start_word, entity.label) for entity in found} == {
                (place, LEXICON[word])
                for place, word in enumerate(passage.passage.words)
                if word in LEXICON
            }

    def test_label_tells_the_teacher_alone_of_descriptions(self, make_trained, texts):
        made, teacher = make_trained(labels={"person": "a human", "city": ""})
        assert {labels for _, labels in teacher.asked} == {("person: a human", "city")}
        labels = {passage.labels for passage in made.labeled.text["train"]}
        assert labels == {("person", "city")}

    @pytest.mark.slow
    def test_label_counts_text_that_is_annotated_later_as_annotated(self, make_trained, texts):
        make_trained()
        write_passages("gold.json", make_gold(20, first=0))
        made, _ = make_trained(gold="gold.json")
        assert texts_of(all_of(made.labeled.text)) == sorted(make_texts(20, first=20))
        assert len(all_of(made.labeled.gold)) == 20

    @pytest.mark.slow
    def test_label_makes_a_store_that_was_removed_again(self, make_trained, texts):
        import shutil

        write_passages("gold.json", make_gold(20))
        make_trained(gold="gold.json")
        shutil.rmtree("out/work/gold-0/labels-test")
        _, teacher = make_trained(gold="gold.json")
        assert len(teacher.asked) == 2

    @pytest.mark.parametrize("is_labeled", [True, False])
    @pytest.mark.parametrize("content", ["", "[]\n", None])
    def test_label_refuses_passages_that_were_changed(
        self, make_trained, texts, content, is_labeled
    ):
        import shutil

        make_trained()
        path = Path("out/work/text-0/test.json")
        path.unlink()
        if content is not None:
            path.write_text(content)
        if not is_labeled:
            shutil.rmtree("out/work/text-0/labels-test")
        said = "changed since its 4 passages" if content is not None else "No such file"
        with pytest.raises(CorpusError, match=rf"^{path}: .*{said}"):
            make_trained()

    def test_label_refuses_a_store_of_other_passages(self, make_trained, texts):
        import shutil

        make_trained()
        store = Path("out/work/text-0/labels-test")
        shutil.rmtree(store)
        shutil.copytree("out/work/text-0/labels-train", store)
        with pytest.raises(StoreError, match=rf"^{store}: has 32 passages, but .*test\.json has 4"):
            make_trained()

    def test_label_refuses_the_work_of_another_teacher_of_the_same_name(
        self, make_trained, texts, lexicon_teacher, monkeypatch
    ):
        loaded = lexicon_teacher(LEXICON, name="a/model")
        monkeypatch.setattr(teachers, "open_teacher", lambda name: loaded)
        make_trained(teacher="a/model")
        other = lexicon_teacher(LEXICON, name="a/model", fingerprint="a" * 64)
        with pytest.raises(SettingsError, match=r"a different teacher .* called 'a/model'"):
            make_trained(teacher=other)
        make_trained(teacher=loaded)

    def test_label_names_a_broken_store(self, make_trained, texts):
        make_trained()
        path = Path("out/work/text-0/labels-train/manifest.json")
        path.write_text("{")
        with pytest.raises(DistillError, match=r"labels-train/manifest\.json"):
            make_trained()

    def test_label_warns_about_labels(self, make_trained, texts):
        made, _ = make_trained(labels={"person": "", "company": "", "firm": ""})
        same, company, firm = made.warnings
        assert "'company' and 'firm'" in same
        assert "no 'company'" in company
        assert "its best score is 0.01" in company
        assert "no 'firm'" in firm

    @pytest.mark.slow
    def test_label_does_not_warn_about_a_label_that_is_annotated(self, make_trained, texts):
        write_passages("gold.json", make_gold(20))
        labels = {"person": "", "city": "", "river": "", "preposition": ""}
        made, _ = make_trained(gold="gold.json", labels=labels)
        assert not any("finds no" in warning for warning in made.warnings)


class TestSynonyms:
    def test_warn_about_synonyms_names_both_labels(self):
        [warning] = warn_about_synonyms(["company", "city", "firm"])
        assert warning.startswith("labels 'company' and 'firm' mean the same")
        assert warn_about_synonyms(["person", "city"]) == []


class TestUnseenLabels:
    def test_warn_about_unseen_labels_gives_the_best_score(self):
        low = np.full((4, 2, 3), 0.1, np.float32)
        low[2, 1] = (0.5, 0.4, 0.6)
        high = np.full((2, 2, 3), 0.1, np.float32)
        high[1, 0] = 0.9
        passages = [LabeledPassage(Passage(("w",) * len(p)), ("a", "b"), p) for p in (low, high)]
        [warning] = warn_about_unseen_labels(passages, ["a", "b"])
        assert warning.startswith("the teacher finds no 'b' in the training text (its best score")
        assert "0.40" in warning

    def test_warn_about_unseen_labels_knows_entities_of_several_words(self):
        probs = np.zeros((3, 1, 3), np.float32)
        probs[0, 0] = (0.9, 0.0, 0.8)
        probs[1, 0] = (0.0, 0.0, 0.7)
        probs[2, 0] = (0.0, 0.9, 0.8)
        passage = LabeledPassage(Passage(("a", "b", "c")), ("law",), probs)
        assert warn_about_unseen_labels([passage], ["law"]) == []

    def test_best_span_probs_equals_the_best_of_all_spans(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            probs = rng.random((9, 2, 3)).astype(np.float32)
            best = [
                max(
                    min(label[start, 0], label[end, 1], label[start : end + 1, 2].min())
                    for start in range(9)
                    for end in range(start, 9)
                )
                for label in (probs[:, 0], probs[:, 1])
            ]
            assert best_span_probs(probs).tolist() == best

    def test_best_span_probs_of_no_word_is_zero(self):
        assert best_span_probs(np.zeros((0, 2, 3), np.float32)).tolist() == [0, 0]


@pytest.mark.slow
def test_label_asks_about_new_texts_only(make_trained, texts):
    make_trained()
    write_texts(make_texts(45))
    _, teacher = make_trained()
    assert len(teacher.asked) == 5
