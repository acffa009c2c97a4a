"""`gliner-distill label`: stores, interruptions, repairs, and the labels that are asked."""

import signal
import subprocess
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import typer

from command_line import assert_fails, make_passages, start_process, write_corpus
from gliner_distill.cli.main import app
from gliner_distill.labeling import pipeline as labeling
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.store.manifest import read_manifest
from gliner_distill.store.quantization import QUANTIZERS
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.teacher import gliner as teacher

label_in_small_shards = partial(label_corpus, limits=ShardLimits(passages=4))

# Labels in shards of 4 passages; at the third it says so and waits for a line.
WAITING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from functools import partial

from gliner_distill.labeling import jobs, pipeline
from gliner_distill.teacher.gliner import GLiNERTeacher

pipeline.label_corpus = partial(pipeline.label_corpus, limits=jobs.ShardLimits(passages=4))
score = GLiNERTeacher.score_passages
shards = iter(range(9))

def score_and_wait(self, passages, labels):
    if next(shards) == 2:
        print("third shard", flush=True)
        sys.stdin.readline()
    return score(self, passages, labels)

GLiNERTeacher.score_passages = score_and_wait
from gliner_distill.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def other_gliner_folder(build_gliner, tmp_path_factory):
    """A folder with another tiny random GLiNER: do not change it."""
    folder = tmp_path_factory.mktemp("other") / "gliner"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = build_gliner("UniEncoderSpan", seed=1)
        other.save_pretrained(str(folder), safe_serialization=True)
    return folder


def read_shards(folder):
    return {path.name: path.read_bytes() for path in Path(folder, "data").iterdir()}


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ("a --ray", "local"),
        ("a --ray --workers 4", "local"),
        ("--ray --negatives 2 a", "local"),
        ("--ray -- a", "local"),
        ("a --ray auto", "auto"),
        ("a --ray head:6379 --workers 4", "head:6379"),
        ("a --ray=auto", "auto"),
        ("ray", None),
        ("a", None),
    ],
)
def test_ray_without_an_address_stands_for_this_machine(options, address):
    command = typer.main.get_command(app).commands["label"]
    args = ["--teacher", "t", "--out", "o", *options.split()]
    with command.make_context("label", args) as context:
        assert context.params["ray"] == address


def test_label_names_the_record_with_wrong_keys(run_cli):
    Path("keys.json").write_text('[{"words": ["a"]}]', encoding="utf-8")
    assert_fails(
        run_cli("label", "keys.json", "--teacher", "t", "--out", "s"),
        "keys.json",
        "record 1",
        "tokenized_text",
        "'words'",
        "--skip-bad",
    )


def test_label_refuses_a_bad_file_of_labels(run_cli):
    write_corpus("corpus.json", make_passages(2))
    args = ("label", "corpus.json", "--teacher", "t", "--out", "store", "--labels")
    Path("twice.txt").write_text("person\ncity\nPerson\n", encoding="utf-8")
    assert_fails(
        run_cli(*args, "twice.txt"),
        "twice.txt",
        "line 3",
        "'person'",
        "line 1",
    )
    Path("blank.txt").write_text("\n\n", encoding="utf-8")
    assert_fails(run_cli(*args, "blank.txt"), "blank.txt")
    Path("labels.txt").write_text("person\n", encoding="utf-8")
    assert_fails(
        run_cli(*args, "labels.txt", "--negatives", 3),
        "--labels and --negatives cannot be combined",
        code=2,
    )
    assert_fails(
        run_cli(*args, "labels.txt", "--pool", "labels.txt"),
        "--labels and --pool cannot be combined",
        code=2,
    )
    finished = run_cli(*args, "none.txt")
    assert_fails(finished, "none.txt", "does not exist")


def test_label_refuses_a_teacher_without_weights(run_cli, gliner_folder):
    write_corpus("corpus.json", make_passages(2))
    Path("bare").mkdir()
    args = ("label", "corpus.json", "--teacher", "bare", "--out", "store")
    assert_fails(run_cli(*args), "bare", "gliner_config.json")
    config = (gliner_folder / "gliner_config.json").read_bytes()
    Path("bare/gliner_config.json").write_bytes(config)
    assert_fails(run_cli(*args), "bare", "model.safetensors")
    assert not Path("store").exists()


@pytest.mark.slow
def test_label_writes_a_store_that_resumes_after_an_interrupt(run_cli, gliner_folder, monkeypatch):
    corpus = write_corpus("my corpus.json", make_passages(10))
    args = ("label", corpus, "--teacher", gliner_folder, "--negatives", 1, "--out")
    monkeypatch.setattr(labeling, "label_corpus", label_in_small_shards)
    whole = run_cli(*args, "whole")
    assert whole.code == 0
    assert whole.err == "labeling: 70 of 70 words\n"
    assert whole.out.startswith("whole: 10 passages, 70 words, ")

    score = teacher.GLiNERTeacher.score_passages
    calls = []

    def stop_at_the_third_shard(self, passages, labels):
        calls.append(len(passages))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(self, passages, labels)

    with monkeypatch.context() as patch:
        patch.setattr(teacher.GLiNERTeacher, "score_passages", stop_at_the_third_shard)
        assert_fails(
            run_cli(*args, "half"),
            "stopped",
            "half",
            "finished shards",
        )
    lines = run_cli("inspect", "half").out.splitlines()
    assert "passages           8 of 10" in lines
    assert "unfinished" in lines[-1]
    assert_fails(
        run_cli("train", "half", "--out", "run"),
        "half",
        "8 of 10 passages",
    )
    assert run_cli(*args, "half").code == 0
    halves, wholes = (read_manifest(Path(name)).shards for name in ("half", "whole"))
    assert halves == wholes
    assert "passages           10 of 10" in run_cli("inspect", "half").out


@pytest.mark.slow
def test_label_in_another_process_keeps_its_folder_and_continues_after_ctrl_c(
    run_cli, gliner_folder, monkeypatch
):
    """The other process waits in its third shard: first this one is refused, then comes Ctrl-C."""
    corpus = write_corpus("corpus.json", make_passages(12))
    args = ("label", corpus, "--teacher", gliner_folder, "--out")
    process = start_process(WAITING, *args, "half", stdin=subprocess.PIPE)
    assert process.stdout.readline() == "third shard\n"
    monkeypatch.setattr(labeling, "label_corpus", label_in_small_shards)
    for options in ([], ["--repair"]):
        refused = run_cli(*args, "half", *options)
        assert_fails(refused, "half", "another process", "--out")
        assert refused.err.count("\n") == 1
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith("gliner-distill: stopped; half ")
    assert err.count("\n") == 1
    assert read_manifest(Path("half")).n_labeled == 8
    finished = run_cli(*args, "half")
    assert finished.code == 0
    assert finished.err == "labeling: 84 of 84 words\n"
    assert run_cli(*args, "whole").code == 0
    assert read_shards("half") == read_shards("whole")
    assert read_manifest(Path("half")).shards == read_manifest(Path("whole")).shards
    assert run_cli("inspect", "half", "--verify").code == 0


def test_label_refuses_a_folder_of_other_soft_labels(run_cli, gliner_folder):
    args = ("--teacher", gliner_folder, "--out", "store")
    one = write_corpus("one.json", make_passages(1))
    assert run_cli("label", one, *args).code == 0
    finished = run_cli("label", write_corpus("two.json", make_passages(2)), *args)
    assert_fails(finished, "store", "corpus", "--out")


def test_label_asks_plain_text_for_a_list_of_labels(run_cli, gliner_folder):
    Path("notes.txt").write_text("Mary saw Paris.\nAcme left.\n", encoding="utf-8")
    Path("labels.txt").write_text("person\n\ncity\n", encoding="utf-8")
    args = ("label", "notes.txt", "--labels", "labels.txt", "--teacher", gliner_folder)
    finished = run_cli(*args, "--out", "store")
    assert finished.code == 0
    assert "store: 2 passages, 7 words, 14 word-label pairs" in finished.out
    assert "without entities" not in finished.err  # plain texts have none


@pytest.mark.slow
def test_label_asks_for_labels_of_a_pool_and_the_passages_own(run_cli, gliner_folder):
    corpus = write_corpus("corpus.json", make_passages(10))
    pool = ("river", "big bank", "place", "name", "drug", "ship", "star", "tree", "song")
    Path("pool.txt").write_text("\n".join(pool), encoding="utf-8")
    args = ("label", corpus, "--teacher", gliner_folder, "--pool", "pool.txt", "--out")
    for options, wanted in ((["--from-pool", 3], 3), ([], 8)):
        assert run_cli(*args, f"store{wanted}", *options).code == 0
        for item in SoftLabelStore(f"store{wanted}"):
            own = item.passage.own_labels
            assert item.labels[: len(own)] == own
            assert set(item.labels[len(own) :]) <= set(pool)
            assert len(set(item.labels)) == len(own) + wanted
    assert run_cli(*args, "both", "--negatives", 1, "--from-pool", 2).code == 0
    for item in SoftLabelStore("both"):
        own = item.passage.own_labels
        assert item.labels[len(own)] in {"city", "person", "company"} - set(own)
        assert len(item.labels) == len(own) + 3


def test_label_tells_the_teacher_descriptions_of_labels(run_cli, gliner_folder, monkeypatch):
    prompts, score = set(), teacher.GLiNERTeacher.score_passages

    def watch(self, passages, labels):
        prompts.update(*labels)
        return score(self, passages, labels)

    monkeypatch.setattr(teacher.GLiNERTeacher, "score_passages", watch)
    corpus = write_corpus("corpus.json", make_passages(5))
    described = "City: a large town\nperson: a man\n"
    Path("described.txt").write_text(described, encoding="utf-8")
    # The pool has a description of its own for the person, and none for the city.
    Path("pool.txt").write_text("city\nperson: a woman\nriver: it flows\n", encoding="utf-8")
    Path("labels.txt").write_text("company: makes things\ncity\n", encoding="utf-8")
    args = ("label", corpus, "--teacher", gliner_folder, "--descriptions", "described.txt")
    for name, options, expected in (
        ("own", [], {"city: a large town", "person: a man", "company"}),
        (
            "pool",
            ["--pool", "pool.txt"],
            {"city: a large town", "person: a woman", "river: it flows", "company"},
        ),
        (
            "fixed",
            ["--labels", "labels.txt"],
            {"company: makes things", "city: a large town"},
        ),
    ):
        prompts.clear()
        assert run_cli(*args, "--out", name, *options).code == 0
        assert prompts == expected
        asked = {label for item in SoftLabelStore(name) for label in item.labels}
        assert asked == {prompt.partition(":")[0] for prompt in prompts}


@pytest.mark.slow
def test_label_draws_other_labels_with_another_seed(run_cli, gliner_folder):
    corpus = write_corpus("corpus.json", make_passages(10))
    args = ("label", corpus, "--teacher", gliner_folder, "--negatives", 1)
    drawn = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert run_cli(*args, "--out", name, "--seed", seed).code == 0
        drawn.append([item.labels for item in SoftLabelStore(name)])
    assert drawn[0] == drawn[1] != drawn[2]


def test_label_stores_probabilities_by_either_quantization(run_cli, gliner_folder):
    corpus = write_corpus("corpus.json", make_passages(3))
    args = ("label", corpus, "--teacher", gliner_folder, "--out")
    assert run_cli(*args, "compact").code == 0
    assert run_cli(*args, "uniform", "--quantization", "uniform").code == 0
    gliner = teacher.GLiNERTeacher.from_pretrained(gliner_folder)
    for name, code in QUANTIZERS.items():
        store = SoftLabelStore(name)
        assert store.manifest.quantization == name
        for item in store:
            [exact] = gliner.score_passages([item.passage.words], [item.labels])
            tolerance = 0.04 if name == "compact" else 1 / 512 + 1e-5
            np.testing.assert_allclose(item.probs, exact, atol=tolerance)
            assert set(item.probs.ravel()) <= set(code.decode(np.arange(len(code.values))))


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--keep-individual"]])
def test_label_stores_the_mean_of_several_teachers(
    run_cli, gliner_folder, other_gliner_folder, options
):
    corpus = write_corpus("corpus.json", make_passages(4))
    args = ("label", corpus, "--teacher", gliner_folder, "--teacher", other_gliner_folder)
    finished = run_cli(*args, "--out", "store", "--quantization", "uniform", *options)
    assert finished.code == 0
    store = SoftLabelStore("store")
    names = [folder.name for folder in (gliner_folder, other_gliner_folder)]
    assert store.manifest.teacher == " + ".join(names)
    assert store.manifest.individual_teachers == (names if options else [])
    gliners = [
        teacher.GLiNERTeacher.from_pretrained(folder)
        for folder in (gliner_folder, other_gliner_folder)
    ]
    for item in store:
        words, labels = [item.passage.words], [item.labels]
        each = [gliner.score_passages(words, labels)[0] for gliner in gliners]
        np.testing.assert_allclose(item.probs, np.mean(each, axis=0), atol=1 / 512 + 1e-5)
        assert len(item.individual_probs) == len(store.manifest.individual_teachers)
        for kept, said in zip(item.individual_probs, each, strict=bool(options)):
            np.testing.assert_allclose(kept, said, atol=1 / 512 + 1e-5)


def test_label_refuses_the_same_teacher_twice(run_cli, gliner_folder):
    corpus = write_corpus("corpus.json", make_passages(4))
    args = ("label", corpus, "--teacher", gliner_folder, "--teacher", gliner_folder)
    finished = run_cli(*args, "--out", "store")
    assert_fails(finished, gliner_folder, "same teacher")
    assert not Path("store").exists()


@pytest.mark.slow
def test_label_repairs_what_is_broken_and_verify_names_it(run_cli, gliner_folder, monkeypatch):
    monkeypatch.setattr(labeling, "label_corpus", label_in_small_shards)
    corpus = write_corpus("corpus.json", make_passages(14))
    args = ("label", corpus, "--teacher", gliner_folder, "--out", "store")
    assert run_cli(*args).code == 0
    expected = read_shards("store")
    whole = run_cli("inspect", "store", "--verify")
    assert (whole.code, whole.err) == (0, "")
    assert whole.out == "store: whole: 4 shards, 14 passages\n"

    Path("store/data/shard-000001.parquet").unlink()
    flipped = bytearray(expected["shard-000002.parquet"])
    flipped[len(flipped) // 2] ^= 1
    Path("store/data/shard-000002.parquet").write_bytes(flipped)
    broken = run_cli("inspect", "store", "--verify")
    missing, changed = broken.out.splitlines()
    assert missing.startswith("data/shard-000001.parquet: ")
    assert "missing" in missing
    assert changed.startswith("data/shard-000002.parquet: ")
    assert "SHA-256" in changed
    assert_fails(
        broken,
        "store",
        "2 of its files",
        "--repair",
    )
    assert_fails(
        run_cli(*args),
        "store/data/shard-000001.parquet",
        "missing",
        "--repair",
    )
    asked, score = [], teacher.GLiNERTeacher.score_passages

    def watch(self, passages, labels):
        asked.extend(passages)
        return score(self, passages, labels)

    monkeypatch.setattr(teacher.GLiNERTeacher, "score_passages", watch)
    assert run_cli(*args, "--repair").code == 0
    assert asked == [passage.words for passage in make_passages(14)[4:12]]
    assert read_shards("store") == expected
    assert run_cli("inspect", "store", "--verify").out == whole.out

    Path("store/manifest.json").unlink()
    asked.clear()
    assert run_cli(*args, "--repair").code == 0
    assert asked == []
    assert run_cli("inspect", "store", "--verify").out == whole.out
