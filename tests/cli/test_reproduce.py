"""`gliner-distill reproduce`: what is refused before anything is trained."""

from command_line import assert_fails


def test_reproduce_refuses_a_corpus_without_a_teacher(run_cli):
    assert_fails(run_cli("reproduce", "--data", "corpus.json"), "--teacher")


def test_reproduce_refuses_more_passages_than_the_sample_has(run_cli):
    assert_fails(run_cli("reproduce", "--train", 100_000), "100000")
