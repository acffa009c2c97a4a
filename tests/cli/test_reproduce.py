"""`gliner-distill reproduce`: what is refused before anything is trained."""

from pathlib import Path

import pytest

from command_line import assert_fails
from gliner_distill.files import exclusive_lock

pytest.importorskip("pyarrow")  # `reproduce` imports it before it looks at its options


def test_reproduce_refuses_a_corpus_without_a_teacher(run_cli):
    assert_fails(run_cli("reproduce", "--data", "corpus.json"), "--teacher")


def test_reproduce_refuses_more_passages_than_the_sample_has(run_cli):
    assert_fails(run_cli("reproduce", "--train", 100_000), "100000")


@pytest.mark.parametrize("options", [(), ("--best",)])
def test_reproduce_names_a_bad_record_and_no_option_that_it_lacks(run_cli, options):
    Path("texts").mkdir()
    Path("texts/a.jsonl").write_text('{"text": "Ada left"}\n{"words": []}\n', encoding="utf-8")
    data = "texts" if options else "texts/a.jsonl"
    finished = run_cli("reproduce", *options, "--data", data, "--teacher", "gliner")
    assert_fails(finished, "texts/a.jsonl: record 2 (line 2)", "correct it")
    assert "--skip-bad" not in finished.err


def test_reproduce_refuses_a_folder_in_which_another_process_works(run_cli):
    with exclusive_lock(Path("out/.lock"), busy="busy"):
        finished = run_cli("reproduce", "--train", 4, "--test", 2, "--out", "out")
    assert_fails(finished, "out: another process works in it", "--out")
    assert [path.name for path in Path("out").iterdir()] == [".lock"]
