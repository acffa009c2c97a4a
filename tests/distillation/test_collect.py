"""Reading documents: text and annotated passages, those of earlier runs, warnings, refusals."""

import json
from pathlib import Path

import pytest

from distillation_world import (
    LABELS,
    all_of,
    count_splits,
    files_of,
    make_gold,
    make_texts,
    texts_of,
    write_texts,
)
from gliner_distill.corpus.documents import SPLITS
from gliner_distill.corpus.reader import write_passages
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError

pytestmark = pytest.mark.usefixtures("in_folder")


class TestText:
    def test_collect_uses_annotated_text_without_its_annotation(self, make_trained):
        passages = [Passage(tuple(text.split()), (Entity(0, 1, "x"),)) for text in make_texts(30)]
        write_passages("texts.json", passages)
        made, _ = make_trained(texts="texts.json")
        assert not any(passage.passage.entities for passage in all_of(made.labeled.text))

    def test_collect_warns_about_what_was_left_out(self, make_trained):
        Path("texts.txt").write_bytes(
            "\n".join(["", *make_texts(40), *make_texts(2)]).encode() + b"\ncaf\xe9\n"
        )
        made, _ = make_trained(skip_bad=True)
        blank, bad, place, repeated = made.warnings
        assert (blank[-2:], bad[-2:], repeated[-2:]) == (" 1", " 1", " 2")
        assert "record 43 (line 44)" in place

    def test_collect_warns_about_few_documents_when_run_again_too(self, make_trained):
        Path("pile").mkdir()
        write_texts([" . ".join(make_texts(600))], "pile/book.txt")
        warnings = [make_trained(texts="pile")[0].warnings for _ in range(2)]
        assert warnings[0] == warnings[1]
        files, warning = warnings[0]
        assert files == "pile: .txt files read: 1; files left out: 0"
        assert warning.startswith("pile: ")
        assert "fewer than 10 documents (1)" in warning

    def test_collect_refuses_too_little_text_and_writes_nothing(self, make_trained):
        write_texts(make_texts(10))
        with pytest.raises(CorpusError, match=r"texts\.txt: .*10 passages .* at least 20"):
            make_trained()
        assert not Path("out").exists()
        write_texts(make_texts(40))
        make_trained(labels={"person": ""})

    def test_collect_names_texts_of_a_list_by_their_argument(self, make_trained):
        with pytest.raises(CorpusError, match=r"^texts: .*10 passages"):
            make_trained(texts=make_texts(10))
        assert not Path("out").exists()


class TestMoreText:
    @pytest.mark.slow
    def test_collect_adds_new_documents_to_those_before(self, make_trained, texts):
        first, _ = make_trained()
        kept = files_of("out/work/text-0")
        write_texts([*make_texts(25, first=100), *make_texts(40)])
        second, teacher = make_trained()
        assert {" ".join(words) for words, _ in teacher.asked} == set(make_texts(25, first=100))
        assert files_of("out/work/text-0") == kept
        everything = all_of(second.labeled.text)
        assert texts_of(everything) == sorted([*make_texts(40), *make_texts(25, first=100)])
        for split in SPLITS:  # the student never learns from what it was tested on
            before, after = first.labeled.text[split], second.labeled.text[split]
            assert set(texts_of(before)) <= set(texts_of(after))
        assert make_trained()[1].asked == []

    def test_collect_adds_one_document_in_another_file(self, make_trained, texts):
        make_trained()
        write_texts(["mary saw the old bank of the rhine"], "more.txt")
        made, teacher = make_trained(texts="more.txt")
        assert len(teacher.asked) == 1
        assert "mary saw the old bank of the rhine" in texts_of(made.labeled.text["train"])

    @pytest.mark.slow
    def test_collect_adds_text_to_labels_in_another_order(self, make_trained, texts):
        make_trained(labels={"person": "", "company": "", "city": ""})
        write_texts(make_texts(60))
        made, _ = make_trained(labels={"city": "", "company": "", "person": ""})
        labels = {passage.labels for passage in made.labeled.text["train"]}
        assert labels == {("person", "company", "city")}
        [warning] = made.warnings
        assert "'company'" in warning

    @pytest.mark.slow
    def test_collect_adds_the_new_texts_of_a_list_or_a_generator(self, make_trained):
        make_trained(texts=make_texts(40))
        _, teacher = make_trained(texts=(text for text in make_texts(60)))
        assert {" ".join(words) for words, _ in teacher.asked} == set(make_texts(20, first=40))


def as_characters(passage):
    """Return a passage of words without inner punctuation as doccano exports it."""
    text = " ".join(passage.words)
    starts = [len(" ".join((*passage.words[:word], ""))) for word in range(len(passage.words))]
    spans = [
        [starts[e.start_word], starts[e.end_word - 1] + len(passage.words[e.end_word - 1]), e.label]
        for e in passage.entities
    ]
    return {"text": text, "label": spans}


class TestGold:
    @pytest.mark.slow
    def test_collect_reads_exports_and_warns_about_entities_that_do_not_fit(
        self, make_trained, texts
    ):
        write_passages("gold.json", make_gold(20))
        records = [as_characters(passage) for passage in make_gold(20)]
        start, end, label = records[0]["label"][0]
        records[0]["label"].append([start, end - 1, label])
        Path("gold.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        from_words, _ = make_trained("words", gold="gold.json")
        made, _ = make_trained("characters", gold="gold.jsonl")
        for split in SPLITS:
            ours, theirs = made.labeled.gold[split], from_words.labeled.gold[split]
            assert [passage.passage for passage in ours] == [p.passage for p in theirs]
        [warning] = [line for line in made.warnings if "record 1 (line 1)" in line]
        assert f"characters {start} to {end - 1}" in warning

    @pytest.mark.slow
    def test_collect_reads_gold_with_labels_in_any_case_and_no_others(self, make_trained, texts):
        write_passages("gold.json", make_gold(20))
        made, teacher = make_trained(gold="gold.json")
        gold = made.labeled.gold
        assert count_splits(gold) == {"train": 16, "dev": 2, "test": 2}
        assert {entity.label for p in all_of(gold) for entity in p.passage.entities} == set(LABELS)
        assert len(teacher.asked) == 60
        assert made.run.name == "run-1"

    @pytest.mark.slow
    def test_collect_reads_gold_of_a_list_as_that_of_a_file(self, make_trained, texts):
        write_passages("gold.json", make_gold(20))
        from_file, _ = make_trained("file", gold="gold.json")
        from_list, _ = make_trained("list", gold=make_gold(20))
        for split in SPLITS:
            ours, theirs = from_file.labeled.gold[split], from_list.labeled.gold[split]
            assert [passage.passage for passage in ours] == [p.passage for p in theirs]
        assert make_trained("list", gold=make_gold(20))[1].asked == []

    @pytest.mark.slow
    def test_collect_reads_gold_by_its_own_form_beside_a_column(self, make_trained):
        rows = "\n".join(make_texts(40))
        Path("texts.csv").write_text(f"body\n{rows}\n")
        write_passages("gold.json", make_gold(20))
        made, _ = make_trained(texts="texts.csv", column="body", gold="gold.json")
        assert len(all_of(made.labeled.gold)) == 20

    @pytest.mark.slow
    def test_collect_keeps_gold_documents_out_of_the_text(self, make_trained):
        write_passages("gold.json", make_gold(20, first=0))
        write_texts(make_texts(50))
        made, teacher = make_trained(gold="gold.json")
        assert texts_of(all_of(made.labeled.text)) == sorted(make_texts(30, first=20))
        assert len(teacher.asked) == 50

    @pytest.mark.slow
    def test_collect_warns_about_annotation_that_has_changed(self, make_trained, texts):
        gold = make_gold(20)
        write_passages("gold.json", gold)
        first, _ = make_trained(gold="gold.json")
        again, _ = make_trained(gold="gold.json")
        assert again.warnings == first.warnings
        write_passages("gold.json", [Passage(gold[0].words, (Entity(1, 2, "city"),)), *gold[1:]])
        corrected, _ = make_trained(gold="gold.json")
        changes = [warning for warning in corrected.warnings if "annotation of 1 " in warning]
        assert [change.partition(":")[0] for change in changes] == ["gold.json"]

    @pytest.mark.slow
    def test_collect_keeps_gold_when_it_is_not_named_again(self, make_trained, texts):
        write_passages("gold.json", make_gold(20, first=0))
        first, _ = make_trained(gold="gold.json")
        again, teacher = make_trained()
        assert teacher.asked == []
        assert again.run == first.run

    def test_collect_refuses_gold_without_an_entity_of_the_labels(self, make_trained, texts):
        write_passages("gold.json", make_gold(20, label=lambda label: label[:3].upper()))
        with pytest.raises(CorpusError, match=r"^gold\.json: ") as caught:
            make_trained(gold="gold.json")
        has, expected = str(caught.value).split("expected")
        assert "'cit', 'per', 'preposition', 'riv'" in has
        assert "'person', 'city', 'river'" in expected
        assert not Path("out").exists()

    @pytest.mark.slow
    def test_collect_warns_at_once_about_a_label_that_gold_lacks(self, make_trained, texts, caplog):
        write_passages("gold.json", make_gold(20))
        made, _ = make_trained(gold="gold.json", labels=LABELS | {"ship": ""})
        [warning] = [w for w in made.warnings if w.startswith("gold.json: no entity")]
        assert "annotated as 'ship', so" in warning
        assert warning in caplog.messages

    @pytest.mark.slow
    def test_collect_counts_the_entities_of_labels_that_are_not_asked_for(
        self, make_trained, texts
    ):
        gold = make_gold(20)
        write_passages("gold.json", gold)
        made, _ = make_trained(gold="gold.json")
        n_left_out = sum(e.label == "preposition" for p in gold for e in p.entities)
        [warning] = [w for w in made.warnings if "did not ask for" in w]
        assert warning.startswith("gold.json: ")
        assert warning.endswith(f": 'preposition' ({n_left_out})")
        assert n_left_out > 0

    @pytest.mark.slow
    def test_collect_names_a_misspelled_label_of_gold(self, make_trained, texts):
        spelled = {"person": "pesron"}
        write_passages("gold.json", make_gold(20, label=lambda label: spelled.get(label, label)))
        made, _ = make_trained(gold="gold.json")
        assert any("as 'person' (but the file has 'pesron'), so" in w for w in made.warnings)

    @pytest.mark.slow
    def test_collect_needs_no_other_text_beside_enough_gold(self, make_trained):
        write_passages("gold.json", make_gold(40, first=0))
        write_texts(make_texts(40))
        made, _ = make_trained(gold="gold.json")
        assert all_of(made.labeled.text) == []
        assert len(all_of(made.labeled.gold)) == 40
