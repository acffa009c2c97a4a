"""`gliner-distill inspect`: corpora, stores, and what is wrong with them."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from command_line import LEXICON, assert_fails, make_passages, write_corpus
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy

label_in_small_shards = partial(label_corpus, limits=ShardLimits(passages=4))


def test_inspect_refuses_an_empty_file(run_cli):
    Path("empty.json").touch()
    assert_fails(run_cli("inspect", "empty.json"), "empty.json", "empty", "passages")


@pytest.mark.parametrize("options", [(), ("--verify",)])
def test_inspect_names_all_that_a_missing_source_could_be(run_cli, options):
    facts = ("nowhere: this file or folder does not exist", "store", "corpus", "owner/name")
    assert_fails(run_cli("inspect", "nowhere", *options), *facts)


def test_inspect_names_the_record_where_json_is_cut_off(run_cli):
    text = Path(write_corpus("whole.json", make_passages(3))).read_text(encoding="utf-8")
    Path("cut.json").write_text(text[:-20], encoding="utf-8")
    assert_fails(
        run_cli("inspect", "cut.json"),
        "cut.json",
        "record 3",
        "cut off",
    )


def test_inspect_leaves_bad_records_out_on_demand(run_cli):
    passages = Path(write_corpus("two.json", make_passages(2))).read_text(encoding="utf-8")
    Path("some.json").write_text(f'[{{"words": []}}, {passages[1:]}', encoding="utf-8")
    finished = run_cli("inspect", "some.json", "--skip-bad")
    assert finished.code == 0
    assert finished.out.startswith("passages: 2 ")
    assert "1" in finished.out.partition("bad records")[2]


def test_inspect_describes_a_corpus_and_a_store(run_cli, world):
    corpus = run_cli("inspect", write_corpus("corpus.json", make_passages(3)))
    assert corpus.code == 0
    assert corpus.out.startswith("passages: 3 ")
    store = run_cli("inspect", world / "store")
    assert store.code == 0
    assert "passages           20 of 20" in store.out.splitlines()
    assert "teacher            lexicon (ffffffffffff)" in store.out.splitlines()


def test_inspect_describes_a_folder_of_brat_files(run_cli):
    Path("ada.txt").write_text("Ada left")
    Path("ada.ann").write_text("T1\tperson 0 3\tAda\n")
    finished = run_cli("inspect", ".")
    assert finished.code == 0
    assert "most frequent labels: person (1)" in finished.out


def test_inspect_says_why_a_file_without_passages_was_left_out(run_cli):
    task = {"text": "Ada left", "spans": [], "answer": "reject"}
    Path("tasks.jsonl").write_text(json.dumps(task) + "\n")
    assert_fails(run_cli("inspect", "tasks.jsonl"), "tasks.jsonl", "no passage", "'reject'", "1")


def test_inspect_verifies_a_store_that_is_not_finished(run_cli, lexicon_teacher):
    dying = lexicon_teacher(LEXICON, fail_at_passage=9)
    with pytest.raises(RuntimeError):
        label_in_small_shards(make_passages(14), dying, "half", policy=LabelPolicy())
    finished = run_cli("inspect", "half", "--verify")
    assert finished.code == 0
    assert finished.out == "half: whole: 2 shards, 8 passages of 14, unfinished\n"


def test_inspect_verify_does_not_advise_to_repair_a_store_of_another_format(run_cli, world):
    shutil.copytree(world / "store", "old")
    manifest = Path("old/manifest.json")
    manifest.write_text(manifest.read_text().replace('"format_version": 3', '"format_version": 2'))
    finished = run_cli("inspect", "old", "--verify")
    assert_fails(finished, "old", "manifest.json", "format version 2")
    assert "--repair" not in finished.err


def test_inspect_verify_refuses_everything_but_stores(run_cli):
    Path("empty").mkdir()
    for source in ("empty", write_corpus("corpus.json", make_passages(2))):
        assert_fails(run_cli("inspect", source, "--verify"), source, "store")
