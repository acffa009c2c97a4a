"""The command line as its users meet it: help, output, files, errors, Ctrl-C.

Most tests run `main` in this process; what needs a process of its own (signals, pipes, settings of
the hub) says so.
"""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import typer

from gliner_distill.cli.main import _complete_ray, app
from gliner_distill.cli.options import MANUAL_ENDS
from gliner_distill.corpus.reader import write_passages
from gliner_distill.entities import Entity, Passage
from gliner_distill.labeling import pipeline as labeling
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.progress import StageProgress
from gliner_distill.store.manifest import read_manifest
from gliner_distill.store.quantization import QUANTIZERS
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.teacher import gliner as teacher
from gliner_distill.training.checkpoint import read_checkpoint
from gliner_distill.training.settings import TrainingSettings

LEXICON = {"paris": "city", "london": "city", "mary": "person", "john": "person", "acme": "company"}
COMMANDS = (
    *("reproduce", "label", "train", "evaluate", "predict", "export", "distill", "bench"),
    "inspect",
)
SMALL = ("--hidden-width", 8, "--batch-size", 4)


def make_passages(n_passages=20):
    verbs = ("saw", "left", "built", "on", "the")
    names = list(LEXICON)
    passages = []
    for place in range(n_passages):
        words = ("in", names[place % 5], verbs[place % 3], "the", names[place * 2 % 5], verbs[3])
        entities = [
            Entity(index, index + 1, LEXICON[word])
            for index, word in enumerate(words)
            if word in LEXICON
        ]
        passages.append(Passage((*words, str(place)), tuple(entities)))
    return passages


@pytest.fixture(scope="module")
def world(tmp_path_factory, lexicon_teacher):
    """A folder with a store and a run folder of a student that learnt it: do not change them."""
    from gliner_distill.runtime.config import StudentConfig
    from gliner_distill.training.train import train_on_store

    folder = tmp_path_factory.mktemp("world")
    passages = make_passages()
    label_corpus(passages, lexicon_teacher(LEXICON), folder / "store", policy=LabelPolicy(2))
    train_on_store(
        folder / "store",
        folder / "run",
        TrainingSettings(epochs=20, batch_size=4),
        make_config=lambda n_pieces: StudentConfig(n_pieces, embedding_width=16, hidden_width=16),
        progress=lambda *metadata: None,
    )
    return folder


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path, monkeypatch):
    """Relative paths, as in the messages below, without this machine's folders."""
    monkeypatch.chdir(tmp_path)


def write_corpus(name, passages):
    write_passages(name, passages)
    return name


label_in_small_shards = partial(label_corpus, limits=ShardLimits(passages=4))


def assert_fails(finished, message, *, code=1):
    """Check the exit code, and that the last line on standard error is the whole complaint."""
    *notes, last = finished.err.splitlines()
    assert finished.code == code
    assert last == f"gliner-distill: {message}"
    assert not any(word in note for note in notes for word in ("Traceback", "gliner-distill"))


def start_process(script, *args, **options):
    """Start Python on a script with one thread; standard output and error are kept."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | options.pop("env", {}),
        text=True,
        **options,
    )


MAIN = "from gliner_distill.cli.main import main; main()"


LABEL = ("label", "corpus.json", "--teacher", "model", "--out", "store")


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_is_a_manual_page_of_80_columns(self, run_cli, monkeypatch, command):
        monkeypatch.setenv("COLUMNS", "80")
        page = run_cli(command, "--help")
        assert page.code == 0
        assert page.err == ""
        assert max(map(len, page.out.splitlines())) <= 80
        assert page.out.startswith(f"Usage: gliner-distill {command} [OPTIONS]")
        for part in ("Options:\n", "Prints ", "Writes ", "Exit codes:\n", "Examples:\n"):
            assert part in page.out
        assert f"\n    gliner-distill {command} " in page.out or command == "reproduce"

    def test_says_defaults_and_keeps_line_breaks(self, run_cli):
        page = run_cli("train", "-h").out
        default = f"default: {TrainingSettings().alpha}; 0<=x<=1]"
        assert default in " ".join(page.split())
        assert (
            "    gliner-distill train soft_labels/train --dev soft_labels/dev \\\n"
            "      --out runs/distilled\n" in page
        )

    @pytest.mark.parametrize("name", COMMANDS)
    def test_examples_are_valid(self, name):
        command = typer.main.get_command(app).commands[name]
        examples = MANUAL_ENDS[name].partition("Examples:\n")[2].replace("\\\n", " ")
        for line in examples.splitlines():
            line = next(part for part in line.split("|") if "gliner-distill" in part)
            words = shlex.split(line.split(">")[0].split("<")[0])
            assert words[:2] == ["gliner-distill", name]
            command.make_context(name, _complete_ray(words[1:])[1:]).close()

    def test_overview_is_printed_without_a_command(self, run_cli):
        finished = run_cli()
        assert finished.code == 2
        assert finished.err == run_cli("--help").out
        assert [name for name in COMMANDS if f"\n  {name} " in finished.err] == list(COMMANDS)
        assert "..." not in finished.err.partition("Commands:")[2]

    def test_version(self, run_cli):
        import gliner_distill

        assert run_cli("--version").out == f"{gliner_distill.__version__}\n"


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("args", "part"),
        [
            (["learn"], "No such command 'learn'"),
            (["train", "store", "--out", "run", "--alfa", "1"], "No such option: --alfa"),
            (["train", "store", "--out", "run", "--alpha", "2"], "'--alpha'"),
            (["train", "store", "--out", "run", "--epochs", "0"], "'--epochs'"),
            (["train", "store", "--out", "run", "--epochs", "many"], "'--epochs'"),
            (["train", "store", "--out", "run", "--seed", "-1"], "'--seed'"),
            (["train", "store", "--out", "run", "--hidden-width", "99999"], "'--hidden-width'"),
            (["train", "store", "--out", "run", "--feature-weight", "-1"], "'--feature-weight'"),
            (
                ["train", "store", "--out", "run", "--feature-weight", "1"],
                "--feature-weight matches a teacher; give it with --teacher MODEL",
            ),
            (
                ["train", "store", "--out", "run", "--teacher", "model"],
                "--teacher is for --feature-weight; give it as well",
            ),
            (["train", "--out", "run"], "Missing argument 'STORE'"),
            (["train", "store"], "Missing option '--out'"),
            (["label", "corpus.json", "--out", "store"], "Missing option '--teacher'"),
            ([*LABEL, "--negatives", "-1"], "'--negatives'"),
            ([*LABEL, "--quantization", "zip"], "'zip' is not one of 'compact', 'uniform'"),
            ([*LABEL, "--pool", "a", "--from-pool", "0"], "'--from-pool'"),
            ([*LABEL, "--from-pool", "2"], "--from-pool draws from a pool; give it with --pool"),
            ([*LABEL, "--workers", "2"], "--workers and --gpus-per-worker are for --ray; give it"),
            ([*LABEL, "--gpus-per-worker", "0.5"], "are for --ray; give it as well"),
            (
                [*LABEL, "--keep-individual"],
                "--keep-individual is for several teachers; give --teacher again",
            ),
            ([*LABEL, "--ray", "--workers", "0"], "'--workers'"),
            ([*LABEL, "--ray", "auto", "--gpus-per-worker", "-1"], "'--gpus-per-worker'"),
            (["evaluate", "run"], "Missing argument 'CORPUS'"),
            (["evaluate", "run", "corpus.json", "--threshold", "1.5"], "'--threshold'"),
            (["predict", "some text"], "give --label LABEL or --labels FILE"),
            (["predict", "text", "-l", "x", "--output", "xml"], "'xml' is not one of 'jsonl'"),
            (["predict", "text", "-l", "x", "--input", "xml"], "'xml' is not one of 'auto'"),
            (["predict", "text", "-l", "x", "--threads", "0"], "'--threads'"),
            (["predict", "text", "-l", "x", "--threshold", "2"], "'--threshold'"),
            (["export", "run"], "Missing option '--out'"),
            (["export", "run", "--out", "x", "--precision", "int4"], "'int4' is not one of 'fp32'"),
            (["predict", "some text", "-l", " "], "'-l': a label must not be empty"),
            (["predict", "caf\udce9", "-l", "x"], "'INPUT': this is not UTF-8"),
            (["predict", "text", "-l", "caf\udce9"], "'-l': this is not UTF-8"),
            (["reproduce", "--train", "0"], "'--train'"),
            (["inspect", "one", "two"], "unexpected extra argument"),
        ],
    )
    def test_is_one_line_and_exit_code_2(self, run_cli, args, part):
        finished = run_cli(*args)
        assert finished.code == 2
        assert finished.out == ""
        assert part in finished.err
        assert finished.err.startswith("gliner-distill: ")
        assert finished.err.endswith(" (see --help)\n")
        assert finished.err.count("\n") == 1


class TestBareRay:
    """`--ray` without an address stands for a cluster on this machine."""

    @pytest.mark.parametrize(
        ("given", "completed"),
        [
            ("label a --ray", "label a --ray local"),
            ("label a --ray --workers 4", "label a --ray local --workers 4"),
            ("label --ray --teacher b a", "label --ray local --teacher b a"),
            ("label --ray -h", "label --ray local -h"),
            ("label --ray -- a", "label --ray local -- a"),
            ("label a --ray auto", "label a --ray auto"),
            ("label a --ray ray://head:10001 --workers 4", None),
            ("label a --ray=auto", None),
            ("label a --out ray", None),
            ("predict text --label --ray", None),
            ("", None),
            ("--help", None),
        ],
    )
    def test_is_completed(self, given, completed):
        expected = (given if completed is None else completed).split()
        assert _complete_ray(given.split()) == expected


class TestBadCorpus:
    def test_missing_file(self, run_cli):
        message = (
            "none.json: no such file; expected the path of a corpus file, "
            "or a hub data set's owner/name"
        )
        assert_fails(run_cli("inspect", "none.json"), message)
        assert_fails(run_cli("label", "none.json", "--teacher", "t", "--out", "s"), message)
        assert_fails(run_cli("evaluate", "run", "none.json"), message)

    def test_folder_and_file_without_a_store(self, run_cli, world):
        Path("empty").mkdir()
        message = "no manifest.json in it, so this is no soft-label store"
        assert_fails(run_cli("inspect", "empty"), f"empty: {message}")
        assert_fails(run_cli("train", "empty", "--out", "run"), f"empty: {message}")
        write_corpus("corpus.json", make_passages(2))
        assert_fails(run_cli("train", "corpus.json", "--out", "run"), f"corpus.json: {message}")

    def test_empty_file(self, run_cli):
        Path("empty.json").touch()
        assert_fails(
            run_cli("inspect", "empty.json"), "empty.json: the file is empty; expected passages"
        )

    def test_json_that_is_cut_off(self, run_cli):
        text = Path(write_corpus("whole.json", make_passages(3))).read_text(encoding="utf-8")
        Path("cut.json").write_text(text[:-20], encoding="utf-8")
        assert_fails(
            run_cli("inspect", "cut.json"),
            "cut.json: record 3: the file is cut off within this record; nothing behind this "
            "point can be read, so get or write the file again",
        )

    def test_wrong_keys(self, run_cli):
        Path("keys.json").write_text('[{"words": ["a"]}]', encoding="utf-8")
        assert_fails(
            run_cli("label", "keys.json", "--teacher", "t", "--out", "s"),
            "keys.json: record 1: the key \"tokenized_text\" is missing (the record has 'words'); "
            'expected "tokenized_text" and "ner", or "text"; correct it, or leave bad records out '
            "with --skip-bad",
        )

    def test_bad_records_can_be_left_out(self, run_cli):
        passages = Path(write_corpus("two.json", make_passages(2))).read_text(encoding="utf-8")
        Path("some.json").write_text(f'[{{"words": []}}, {passages[1:]}', encoding="utf-8")
        finished = run_cli("inspect", "some.json", "--skip-bad")
        assert finished.code == 0
        assert finished.out.startswith("passages: 2 ")
        assert "1" in finished.out.partition("bad records")[2]

    def test_without_an_entity(self, run_cli, world, gliner_folder):
        write_corpus("plain.json", [Passage(("nothing", "here"))] * 2)
        assert_fails(
            run_cli("label", "plain.json", "--teacher", gliner_folder, "--out", "store"),
            "no passage has an entity or a label, so there is nothing to ask the teacher; "
            "give the labels to ask: --labels FILE",
        )
        assert_fails(
            run_cli("evaluate", world / "run", "plain.json"),
            "plain.json: no passage has a gold entity, so there is nothing to measure against",
        )

    def test_file_of_labels(self, run_cli):
        write_corpus("corpus.json", make_passages(2))
        args = ("label", "corpus.json", "--teacher", "t", "--out", "store", "--labels")
        Path("twice.txt").write_text("person\ncity\nPerson\n", encoding="utf-8")
        assert_fails(
            run_cli(*args, "twice.txt"),
            "twice.txt: line 3: label 'person' stands on line 1 already",
        )
        Path("blank.txt").write_text("\n\n", encoding="utf-8")
        assert_fails(run_cli(*args, "blank.txt"), "blank.txt: no label in it; expected one a line")
        Path("labels.txt").write_text("person\n", encoding="utf-8")
        assert_fails(
            run_cli(*args, "labels.txt", "--negatives", 3),
            "a fixed label list leaves no room for negatives or a pool: give one of them",
        )
        assert_fails(
            run_cli(*args, "labels.txt", "--pool", "labels.txt"),
            "a fixed label list leaves no room for negatives or a pool: give one of them",
        )
        finished = run_cli(*args, "none.txt")
        assert finished.code == 1
        assert finished.err.startswith("gliner-distill: none.txt: cannot be read as UTF-8 text: ")


class TestBadModel:
    def test_teacher_without_weights(self, run_cli, gliner_folder):
        write_corpus("corpus.json", make_passages(2))
        Path("bare").mkdir()
        args = ("label", "corpus.json", "--teacher", "bare", "--out", "store")
        assert_fails(
            run_cli(*args), "bare: no gliner_config.json in it, so this is no GLiNER model"
        )
        config = (gliner_folder / "gliner_config.json").read_bytes()
        Path("bare/gliner_config.json").write_bytes(config)
        assert_fails(run_cli(*args), "bare: no weights in it: expected model.safetensors")
        assert not Path("store").exists()

    def test_folder_that_is_neither(self, run_cli):
        Path("neither").mkdir()
        message = (
            "neither: neither a student (no student_config.json in it or in its folder student) "
            "nor a GLiNER (no gliner_config.json in it)"
        )
        write_corpus("corpus.json", make_passages(2))
        assert_fails(run_cli("predict", "-m", "neither", "text", "-l", "city"), message)
        assert_fails(run_cli("evaluate", "neither", "corpus.json"), message)

    def test_no_folder(self, run_cli):
        expected = (
            "expected the folder of a student, of a run or of a GLiNER, or the hub id of one "
            "(owner/name)"
        )
        args = ("text", "-l", "city")
        assert_fails(run_cli("predict", "-m", "none", *args), f"none: no such folder; {expected}")
        Path("file").touch()
        assert_fails(run_cli("predict", "-m", "file", *args), f"file: this is a file; {expected}")

    def test_without_network_says_what_to_do_offline(self, tmp_path):
        """In a process of its own: the hub's settings are read when it is imported."""
        write_corpus("corpus.json", make_passages(2))
        script = """
import contextlib, io, json, sys
from gliner_distill.cli.main import main
ends = []
for args in json.loads(sys.argv[1]):
    sys.argv = ["gliner-distill", *args]
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            main()
        except SystemExit as end:
            ends.append([end.code, errors.getvalue()])
print(json.dumps(ends))
"""
        cases = [
            ["inspect", "me/passages"],
            ["predict", "-m", "me/model", "text", "-l", "city"],
            ["label", "corpus.json", "--teacher", "me/model", "--out", "store"],
        ]
        nowhere = {"HF_HOME": str(tmp_path / "hub"), "HF_ENDPOINT": "http://127.0.0.1:9"}
        # The second one needs torch and gliner, which take their time.
        for env, chosen in ((nowhere, cases[:1]), (nowhere | {"HF_HUB_OFFLINE": "1"}, cases)):
            out, err = start_process(script, json.dumps(chosen), env=env).communicate(timeout=120)
            assert err == ""
            ends = json.loads(out)
            assert [code for code, _ in ends] == [1] * len(chosen)
            for _, message in ends:
                assert message.count("\n") == 1
                assert "give a local path, or run once with network" in message
                assert "HF_HUB_OFFLINE" in message
            assert "as a hub data set: data set me/passages " in ends[0][1]
            is_offline = "HF_HUB_OFFLINE" in env
            assert is_offline != ("http://127.0.0.1:9" in ends[0][1])
        assert "no such folder of a student or a GLiNER, and as a hub id: model" in ends[1][1]


class TestUnwritable:
    def test_folder_below_a_file(self, run_cli, world, gliner_folder):
        Path("file").touch()
        corpus = write_corpus("corpus.json", make_passages(2))
        message = "file/out: cannot be written: Not a directory"
        args = ("--teacher", gliner_folder, "--out", "file/out")
        assert_fails(run_cli("label", corpus, *args), message)
        assert_fails(run_cli("train", world / "store", "--out", "file/out", *SMALL), message)
        assert_fails(
            run_cli("evaluate", world / "run", corpus, "--json", "none/x.json"),
            "none/x.json: cannot be written: no folder none",
        )

    def test_full_disk(self, run_cli, world, gliner_folder, monkeypatch):
        def fail(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("gliner_distill.files.os.fsync", fail)
        corpus = write_corpus("corpus.json", make_passages(2))
        reason = "cannot be written: No space left on device"
        assert_fails(
            run_cli("label", corpus, "--teacher", gliner_folder, "--out", "store"),
            f"store/manifest.json: {reason}",
        )
        assert_fails(run_cli("train", world / "store", "--out", "run", *SMALL), f"run: {reason}")
        assert_fails(
            run_cli("evaluate", world / "run", corpus, "--json", "x.json"), f"x.json: {reason}"
        )
        assert [path for path in Path().rglob("*.part") if path.is_file()] == []

    def test_disk_that_is_full_at_the_first_checkpoint(self, run_cli, world, monkeypatch):
        def fail(path, content):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("gliner_distill.training.checkpoint.replace_file", fail)
        assert_fails(
            run_cli("train", world / "store", "--out", "run", "--epochs", 1, *SMALL),
            "run/checkpoint.safetensors: cannot be written: No space left on device",
        )

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_full_standard_output(self):
        """In a process of its own, for Python's last flush of standard output."""
        write_corpus("corpus.json", make_passages(2))
        with Path("/dev/full").open("w", encoding="utf-8") as full:
            process = start_process(MAIN, "inspect", "corpus.json", stdout=full)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert err == "gliner-distill: No space left on device\n"


@pytest.fixture(scope="module")
def other_gliner_folder(build_gliner, tmp_path_factory):
    """A folder with another tiny random GLiNER: do not change it."""
    folder = tmp_path_factory.mktemp("other") / "gliner"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = build_gliner("UniEncoderSpan", seed=1)
        other.save_pretrained(str(folder), safe_serialization=True)
    return folder


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


def read_shards(folder):
    return {path.name: path.read_bytes() for path in Path(folder, "data").iterdir()}


class TestLabel:
    def test_writes_a_store_that_resumes_after_ctrl_c(self, run_cli, gliner_folder, monkeypatch):
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
                "stopped; half keeps the finished shards; the same command goes on from there",
            )
        lines = run_cli("inspect", "half").out.splitlines()
        assert "passages           8 of 10" in lines
        assert lines[-1] == "unfinished: run the same label command again to finish it"
        assert_fails(
            run_cli("train", "half", "--out", "run"),
            "half: 8 of 10 passages are labeled; run the same label command again to finish it",
        )
        assert run_cli(*args, "half").code == 0
        halves, wholes = (read_manifest(Path(name)).shards for name in ("half", "whole"))
        assert halves == wholes
        assert "passages           10 of 10" in run_cli("inspect", "half").out

    def test_goes_on_after_ctrl_c(self, run_cli, gliner_folder, monkeypatch):
        """In a process of its own, which waits for the signal in its third shard."""
        corpus = write_corpus("corpus.json", make_passages(12))
        args = ("label", corpus, "--teacher", gliner_folder, "--out")
        process = start_process(WAITING, *args, "half", stdin=subprocess.PIPE)
        assert process.stdout.readline() == "third shard\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert out == ""
        assert err == (
            "gliner-distill: stopped; half keeps the finished shards; the same command goes on "
            "from there\n"
        )
        assert read_manifest(Path("half")).n_labeled == 8
        monkeypatch.setattr(labeling, "label_corpus", label_in_small_shards)
        finished = run_cli(*args, "half")
        assert finished.code == 0
        assert finished.err == "labeling: 84 of 84 words\n"
        assert run_cli(*args, "whole").code == 0
        assert read_shards("half") == read_shards("whole")
        assert read_manifest(Path("half")).shards == read_manifest(Path("whole")).shards

    def test_refuses_a_folder_that_another_process_labels_into(
        self, run_cli, gliner_folder, monkeypatch
    ):
        """The other process waits in its third shard until this one was refused."""
        corpus = write_corpus("corpus.json", make_passages(12))
        args = ("label", corpus, "--teacher", gliner_folder, "--out")
        process = start_process(WAITING, *args, "store", stdin=subprocess.PIPE)
        assert process.stdout.readline() == "third shard\n"
        monkeypatch.setattr(labeling, "label_corpus", label_in_small_shards)
        for options in ([], ["--repair"]):
            finished = run_cli(*args, "store", *options)
            assert_fails(
                finished,
                "store: another process is labeling into it; wait for it, or choose another --out",
            )
            assert finished.err.count("\n") == 1
        out, err = process.communicate("\n", timeout=60)
        assert process.returncode == 0
        assert out.startswith("store: 12 passages, 84 words, ")
        assert err == "labeling: 84 of 84 words\n"
        assert run_cli(*args, "whole").code == 0
        assert read_shards("store") == read_shards("whole")
        assert run_cli("inspect", "store", "--verify").code == 0

    def test_refuses_a_folder_of_other_soft_labels(self, run_cli, gliner_folder):
        args = ("--teacher", gliner_folder, "--out", "store")
        one = write_corpus("one.json", make_passages(1))
        assert run_cli("label", one, *args).code == 0
        finished = run_cli("label", write_corpus("two.json", make_passages(2)), *args)
        assert finished.code == 1
        assert finished.err.startswith("gliner-distill: store: holds soft labels from corpus ")
        assert finished.err.endswith("; choose another --out or remove the folder\n")

    def test_asks_a_list_of_labels_of_plain_text(self, run_cli, gliner_folder):
        Path("notes.txt").write_text("Mary saw Paris.\nAcme left.\n", encoding="utf-8")
        Path("labels.txt").write_text("person\n\ncity\n", encoding="utf-8")
        args = ("label", "notes.txt", "--labels", "labels.txt", "--teacher", gliner_folder)
        finished = run_cli(*args, "--out", "store")
        assert finished.code == 0
        assert "store: 2 passages, 7 words, 14 word-label pairs" in finished.out

    def test_asks_labels_of_a_pool_beside_the_passages_own(self, run_cli, gliner_folder):
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

    def test_tells_the_teacher_descriptions_of_labels(self, run_cli, gliner_folder, monkeypatch):
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

    def test_draws_other_labels_with_another_seed(self, run_cli, gliner_folder):
        corpus = write_corpus("corpus.json", make_passages(10))
        args = ("label", corpus, "--teacher", gliner_folder, "--negatives", 1)
        drawn = []
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            assert run_cli(*args, "--out", name, "--seed", seed).code == 0
            drawn.append([item.labels for item in SoftLabelStore(name)])
        assert drawn[0] == drawn[1] != drawn[2]

    def test_keeps_probabilities_by_either_code(self, run_cli, gliner_folder):
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
                away = 0.04 if name == "compact" else 1 / 512 + 1e-5
                np.testing.assert_allclose(item.probs, exact, atol=away)
                assert set(item.probs.ravel()) <= set(code.decode(np.arange(len(code.values))))

    @pytest.mark.parametrize("options", [[], ["--keep-individual"]])
    def test_keeps_the_mean_of_several_teachers(
        self, run_cli, gliner_folder, other_gliner_folder, options
    ):
        corpus = write_corpus("corpus.json", make_passages(4))
        args = ("label", corpus, "--teacher", gliner_folder, "--teacher", other_gliner_folder)
        finished = run_cli(*args, "--out", "store", "--quantization", "uniform", *options)
        assert finished.code == 0
        store = SoftLabelStore("store")
        assert store.manifest.teacher == f"{gliner_folder} + {other_gliner_folder}"
        assert len(store.manifest.individual_teachers) == (2 if options else 0)
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

    def test_refuses_the_same_teacher_twice(self, run_cli, gliner_folder):
        corpus = write_corpus("corpus.json", make_passages(4))
        args = ("label", corpus, "--teacher", gliner_folder, "--teacher", gliner_folder)
        finished = run_cli(*args, "--out", "store")
        assert finished.code == 1
        assert " are the same teacher " in finished.err
        assert not Path("store").exists()

    def test_repairs_what_is_broken_and_verify_names_it(self, run_cli, gliner_folder, monkeypatch):
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
        assert broken.out == (
            "data/shard-000001.parquet: is missing\n"
            "data/shard-000002.parquet: is not what was written: same length, but its SHA-256 "
            "differs\n"
        )
        assert_fails(
            broken,
            "store: 2 of its files are not as they should be; `label` with the same arguments and "
            "--repair labels again what is broken",
        )
        assert_fails(
            run_cli(*args),
            "store/data/shard-000001.parquet: is missing; run the same command with --repair",
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


class TestTrain:
    def test_writes_a_run_folder_and_refuses_it_without_resume(self, run_cli, world):
        args = ("train", world / "store", "--out", "run", "--epochs", 2, *SMALL)
        first = run_cli(*args)
        assert first.code == 0
        assert first.out.startswith("run/student: ")
        assert first.err.splitlines()[-1].startswith("training: 280 of 280 words, epoch 2/2, loss ")
        names = {path.name for path in Path("run").iterdir()}
        assert names == {
            *("student", "metrics.jsonl", "config.json", "environment.json", "tensorboard"),
            "checkpoint.safetensors",
        }
        assert_fails(run_cli(*args), "run: holds a run already; --resume goes on with it")
        assert run_cli(*args, "--resume").code == 0

    def test_refusing_other_settings_leaves_the_run_as_it_was(self, run_cli, world):
        args = ("train", world / "store", "--out", "run", *SMALL)
        assert run_cli(*args, "--epochs", 1).code == 0
        before = Path("run/config.json").read_bytes()
        message = "its checkpoint is of a run with other settings or data; choose another --out"
        for other in (["--epochs", 2], ["--epochs", 1, "--dev", world / "store"]):
            assert_fails(run_cli(*args, *other, "--resume"), f"run: {message}")
            assert Path("run/config.json").read_bytes() == before

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--temperature", 0], "temperature must be above 0; got 0.0"),
            (["--embedding-lr-factor", "inf"], "embedding_lr_factor must be 0 or more; got inf"),
            (["--learning-rate", 0], "learning_rate must be above 0; got 0.0"),
            (["--device", "moon"], "device must be cpu or gpu; got moon"),
            (
                ["--learning-rate", 1e30, "--epochs", 3],
                "the loss became nan in epoch 1; try a lower --learning-rate than 1e+30",
            ),
        ],
    )
    def test_refuses_bad_settings(self, run_cli, world, options, message):
        assert_fails(run_cli("train", world / "store", "--out", "run", *SMALL, *options), message)

    def test_matches_a_gliners_features(self, run_cli, world, gliner_folder):
        args = ("train", world / "store", "--epochs", 1, "--head", "boundary", *SMALL, "--out")
        matching = ("--feature-weight", 0.5, "--teacher", gliner_folder)
        plain, matched = run_cli(*args, "plain"), run_cli(*args, "matched", *matching)
        assert matched.code == 0
        assert matched.out == plain.out.replace("plain", "matched")  # the same parameters
        config = json.loads(Path("matched/config.json").read_text())
        assert config["training"]["feature_weight"] == 0.5
        assert config["architecture"]["feature_width"] == 32
        assert config["matched_teacher"] == teacher.fingerprint_model(
            teacher.GLiNERTeacher.from_pretrained(gliner_folder).model
        )
        weights = "student/student.safetensors"
        assert Path("plain", weights).read_bytes() != Path("matched", weights).read_bytes()
        assert run_cli("predict", "-m", "matched", "mary left", "-l", "person").code == 0

    def test_names_a_teacher_that_is_no_gliner(self, run_cli, world):
        Path("model").mkdir()
        matching = ("--feature-weight", 1, "--teacher", "model")
        message = "model: no gliner_config.json in it, so this is no GLiNER model"
        assert_fails(run_cli("train", world / "store", "--out", "run", *matching), message)
        assert not Path("run").exists()

    def test_refuses_a_student_of_too_many_parameters(self, run_cli, world):
        finished = run_cli("train", world / "store", "--out", "run", "--hidden-width", 1000)
        assert finished.code == 1
        assert "at most 6,000,000 are allowed" in finished.err
        assert not Path("run").exists()

    def test_goes_on_after_ctrl_c(self, run_cli, world):
        """In a process of its own, which waits for the signal after its second checkpoint."""
        script = """
import signal, time
from gliner_distill import training

signal.signal(signal.SIGINT, signal.default_int_handler)
write = training.write_checkpoint

def write_and_wait(path, checkpoint):
    write(path, checkpoint)
    if checkpoint.epoch == 2:
        print("two epochs", flush=True)
        time.sleep(120)

training.write_checkpoint = write_and_wait
from gliner_distill.cli.main import main
main()
"""
        args = ("train", world / "store", "--out", "run", "--epochs", 4, *SMALL)
        process = start_process(script, *args)
        assert process.stdout.readline() == "two epochs\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert err == (
            "gliner-distill: stopped; run keeps the finished epochs; "
            "the same command with --resume goes on\n"
        )
        assert read_checkpoint(Path("run/checkpoint.safetensors")).epoch == 2
        assert run_cli(*args, "--resume").code == 0
        uninterrupted = [*args]
        uninterrupted[3] = "other"
        assert run_cli(*uninterrupted).code == 0
        weights = "student/student.safetensors"
        assert Path("run", weights).read_bytes() == Path("other", weights).read_bytes()


class TestEvaluate:
    def test_reads_student_run_and_gliner_folders(self, run_cli, world, gliner_folder):
        corpus = write_corpus("some passages.json", make_passages(3))
        pages = {}
        for model in (world / "run", world / "run" / "student", gliner_folder):
            finished = run_cli("evaluate", model, corpus, "--json", "figures.json")
            assert finished.code == 0
            assert finished.err == ""
            figures = json.loads(Path("figures.json").read_text(encoding="utf-8"))
            assert figures["n_passages"] == 3
            assert figures["n_words"] == 21
            assert figures["n_entities"] == 6
            assert set(figures["span_by_label_vs_gold"]) == {"city", "person", "company"}
            shown = dict(line.split(maxsplit=1) for line in finished.out.splitlines())
            assert set(figures) - set(shown) == {"span_by_label_vs_gold"}
            assert float(shown["span_f1_vs_gold"]) == round(figures["span_f1_vs_gold"], 4)
            pages[model] = figures
        student = pages[world / "run"]
        assert student["span_f1_vs_gold"] > 0.9
        assert student["span_f1_vs_gold"] == pages[world / "run" / "student"]["span_f1_vs_gold"]

    def test_asks_a_list_of_labels(self, run_cli, world):
        corpus = write_corpus("corpus.json", make_passages(10))
        Path("labels.txt").write_text("city\n", encoding="utf-8")
        args = ("evaluate", world / "run", corpus, "--labels", "labels.txt", "--json", "f.json")
        assert run_cli(*args).code == 0
        figures = json.loads(Path("f.json").read_text(encoding="utf-8"))
        assert set(figures["span_by_label_vs_gold"]) == {"city"}


class TestPredict:
    def predict(self, run_cli, world, *args, **options):
        labels = ("-l", "person", "-l", "City")
        finished = run_cli("predict", "-m", world / "run", *args, *labels, **options)
        assert finished.code == 0
        assert finished.err == ""
        documents = [json.loads(line) for line in finished.out.splitlines()]
        for document in documents:
            for one in document["entities"]:
                assert document["text"][one["start"] : one["end"]] == one["text"]
                assert one["label"] in ("person", "city")
                assert 0.5 < one["score"] <= 1
        return documents

    def test_finds_entities_in_a_text(self, run_cli, world):
        (document,) = self.predict(run_cli, world, "in  mary saw the paris on 7")
        assert document["text"] == "in  mary saw the paris on 7"
        found = [(one["start"], one["end"], one["label"]) for one in document["entities"]]
        assert found == [(4, 8, "person"), (17, 22, "city")]

    def test_reads_a_file_or_standard_input_line_by_line(self, run_cli, world):
        content = "\ufeffin mary saw the paris on 7\n\nno one\r\nin john".encode()
        Path("my notes.txt").write_bytes(content)
        documents = self.predict(run_cli, world, "my notes.txt")
        texts = ["in mary saw the paris on 7", "", "no one", "in john"]
        assert [document["text"] for document in documents] == texts
        assert documents[1]["entities"] == []
        assert self.predict(run_cli, world, "-", stdin=content) == documents
        assert self.predict(run_cli, world, stdin=content) == documents

    def test_prints_nothing_for_an_empty_file(self, run_cli, world):
        Path("empty.txt").touch()
        assert self.predict(run_cli, world, "empty.txt") == []
        assert self.predict(run_cli, world, "-") == []

    def test_reads_10000_words_at_once(self, run_cli, world):
        text = "in mary saw the paris on 7 . " * 1250
        (document,) = self.predict(run_cli, world, text)
        assert document["text"] == text
        assert max(one["end"] for one in document["entities"]) > len(text) - 30

    def test_of_a_gliner(self, run_cli, gliner_folder):
        finished = run_cli("predict", "-m", gliner_folder, "mary saw paris " * 40, "-l", "city")
        assert finished.code == 0
        assert json.loads(finished.out)["text"] == "mary saw paris " * 40

    def test_says_what_is_wrong_with_a_file(self, run_cli, world):
        Path("latin.txt").write_bytes(b"caf\xe9\n")
        Path("folder").mkdir()
        cases = {
            "latin.txt": "latin.txt: line 1: byte 0xe9 at position 4 of the line is not UTF-8",
            "-": "standard input: line 1: byte 0xe9 at position 4 of the line is not UTF-8",
            "none.txt": "none.txt: no such file; if it is the text itself, give it on standard "
            "input",
            "folder": "folder: this is a folder, not a file of documents; a model is given with "
            "--model",
        }
        for text, message in cases.items():
            args = ("predict", "--model", world / "run", text, "-l", "city")
            assert_fails(run_cli(*args, stdin=b"caf\xe9\n"), message)

    def test_reads_several_files_and_counts_documents_over_all(self, run_cli, world):
        Path("one.txt").write_text("in paris\nthe\n", encoding="utf-8")
        Path("two.jsonl").write_text(
            '"mary left"\n\n{"text": "in \\"london\\"", "id": 7}\n', encoding="utf-8"
        )
        args = (
            "predict",
            "-m",
            world / "run",
            "one.txt",
            "two.jsonl",
            "-l",
            "person",
            "-l",
            "city",
        )
        rows = [line.split(",") for line in run_cli(*args, "--output", "csv").out.splitlines()]
        assert rows[0] == ["document", "start", "end", "text", "label", "score"]
        assert [row[:5] for row in rows[1:]] == [
            ["0", "3", "8", "paris", "city"],
            ["2", "0", "4", "mary", "person"],
            ["4", "4", "10", "london", "city"],
        ]
        documents = [json.loads(line) for line in run_cli(*args).out.splitlines()]
        assert [document["text"] for document in documents] == [
            *("in paris", "the", "mary left", "", 'in "london"')
        ]
        assert [document.get("id") for document in documents] == [None, None, None, None, 7]
        assert [list(document) for document in documents][-1] == ["text", "entities", "id"]
        assert_fails(
            run_cli(*args, "none"),
            "none: no such file; where several inputs are given, each must be a file",
        )

    def test_answers_what_stands_before_a_bad_line(self, run_cli, world):
        args = ("predict", "-m", world / "run", "-", "-l", "city", "--input", "jsonl")
        finished = run_cli(*args, "--field", "body", stdin=b'{"body": "in paris"}\n{"text": "x"}\n')
        assert_fails(
            finished,
            "standard input: line 2: there is no field 'body' (fields: 'text'); name the text's "
            "with --field",
        )
        assert json.loads(finished.out)["text"] == "in paris"

    def test_colors_text_and_lets_nothing_steer_the_terminal(self, run_cli, world, monkeypatch):
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        args = ("predict", "-m", world / "run", "in \x1b[31m paris\tand mary", "--output", "color")
        labels = ("-l", "person", "-l", "city")
        assert run_cli(*args, *labels).out == (
            "in \u241b[31m \x1b[1;32mparis\x1b[0m\x1b[2m (city)\x1b[0m   and "
            "\x1b[1;36mmary\x1b[0m\x1b[2m (person)\x1b[0m\n"
        )
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[1mparis\x1b[0m" in run_cli(*args, *labels).out

    @pytest.mark.parametrize("form", ["jsonl", "csv", "color"])
    def test_writes_half_of_a_surrogate_pair_by_ascii(self, run_cli, world, form):
        line = b'"in \\ud800 paris"\n"in london"\n'
        args = ("predict", "-m", world / "run", "-l", "city", "--input", "jsonl", "--output", form)
        finished = run_cli(*args, stdin=line)
        assert (finished.code, finished.err) == (0, "")
        assert "london" in finished.out
        assert ("\\ud800" in finished.out) == (form != "csv")

    def test_reads_labels_and_their_descriptions_from_a_file(self, run_cli, world):
        Path("labels.txt").write_text("place: city\n\nPerson\n", encoding="utf-8")
        args = ("predict", "-m", world / "run", "in mary saw the paris on 7", "--labels")
        (found,) = map(json.loads, run_cli(*args, "labels.txt").out.splitlines())
        assert [(one["text"], one["label"]) for one in found["entities"]] == [
            ("mary", "person"),
            ("paris", "place"),
        ]
        assert run_cli(*args, "labels.txt", "-l", "company").code == 0
        assert_fails(
            run_cli(*args, "none.txt"),
            "none.txt: cannot be read as UTF-8 text: [Errno 2] No such file or directory: "
            "'none.txt'",
        )

    def test_threshold_is_what_a_score_must_exceed(self, run_cli, world):
        args = ("predict", "-m", world / "run", "in paris", "-l", "city")
        [[one]] = [json.loads(run_cli(*args).out)["entities"]]
        for threshold, n_found in ((one["score"] - 0.001, 1), (one["score"] + 0.001, 0)):
            found = json.loads(run_cli(*args, "--threshold", threshold, "--threads", 1).out)
            assert len(found["entities"]) == n_found

    def test_of_a_gliner_has_the_same_options(self, run_cli, gliner_folder):
        Path("labels.txt").write_text("place: a town\nperson\n", encoding="utf-8")
        line = b'{"body": "mary saw \\ud800 paris", "id": 1}\n'
        args = ("predict", "-m", gliner_folder, "--labels", "labels.txt", "--input", "jsonl")
        options = ("--field", "body", "--threshold", 0, "--nested", "--multi-label", "--threads", 1)
        finished = run_cli(*args, *options, stdin=line)
        assert finished.code == 0
        answer = json.loads(finished.out)
        assert (answer["text"], answer["id"]) == ("mary saw \ud800 paris", 1)
        spans = [(one["start"], one["end"]) for one in answer["entities"]]
        assert len(set(spans)) < len(spans)  # several labels
        assert {one["label"] for one in answer["entities"]} == {"place", "person"}
        flat = json.loads(run_cli(*args, *options[:4], stdin=line).out)["entities"]
        assert 0 < len(flat) < len(spans)

    def test_answers_a_slow_writer_line_by_line(self, world):
        """In processes of their own: each answer is read before the next line is written."""
        args = ("predict", "--model", world / "run", "-l", "city")
        process = start_process(MAIN, *args, stdin=subprocess.PIPE)
        for text in ("in paris", "", "in london"):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")

    def test_ends_with_a_line_after_ctrl_c(self, world):
        """In a process of its own, which waits for a line that does not come."""
        script = f"import signal; signal.signal(2, signal.default_int_handler); {MAIN}"
        args = ("predict", "--model", world / "run", "-l", "city")
        process = start_process(script, *args, stdin=subprocess.PIPE)
        process.stdin.write("in paris\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith("}\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (1, "")
        assert err == "gliner-distill: stopped; what was printed is whole\n"

    def test_prints_whole_lines_when_ctrl_c_comes_while_it_prints(self, world):
        """In a process of its own, whose answer is longer than a pipe holds."""
        script = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from gliner_distill import cli_terminal

write = cli_terminal._print_bytes

def write_and_say(lines):
    if lines:
        signal.raise_signal(signal.SIGINT)
    write(lines)

cli_terminal._print_bytes = write_and_say
{MAIN}"""
        text = "in paris " * 20_000
        process = start_process(
            script, "predict", "-m", world / "run", "-l", "city", stdin=subprocess.PIPE
        )
        out, err = process.communicate(f"{text}\n", timeout=60)
        assert process.returncode == 1
        assert json.loads(out)["text"] == text
        assert err == "gliner-distill: stopped; what was printed is whole\n"

    def test_is_quiet_when_its_reader_leaves(self, world):
        """In processes of their own, joined by a pipe."""
        args = ("predict", "--model", world / "run", "-", "-l", "city")
        process = start_process(MAIN, *args, stdin=subprocess.PIPE)
        process.stdin.write("in paris\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == "in paris"
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.write("in paris\n" * 2000)
            process.stdin.close()
        process.stdin = None
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(timeout=60) == 141

    def test_shows_how_far_it_is_on_a_terminal_alone(self, world):
        """In a process of its own, whose standard error is a terminal."""
        Path("notes.txt").write_text("in paris\n" * 3, encoding="utf-8")
        args = ("predict", "-m", world / "run", "notes.txt", "-l", "city")
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        with process:
            assert process.stdout.read().count(b"\n") == 3
        shown = b""
        with suppress(OSError):  # how a terminal ends
            while part := os.read(ours, 65_536):
                shown += part
        os.close(ours)
        assert process.returncode == 0
        assert b"27/27 bytes" in shown
        assert b"3 documents" in shown

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
    def test_holds_little_of_a_long_input(self, world):
        """In a process of its own, which may take far less memory than its input has bytes."""
        script = f"""
import resource, sys
from gliner_distill import prediction

class Nobody:
    max_documents = 512
    def find(self, texts):
        return [[] for _ in texts]

prediction.StudentFinder = lambda *args: Nobody()
from gliner_distill import runtime
runtime.StudentNER.from_pretrained()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, resource.RLIM_INFINITY))
{MAIN}"""
        process = start_process(
            script, "predict", "-l", "city", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        block = ("word " * 2000 + "\n") * 100
        for _ in range(300):
            process.stdin.write(block)
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")


class TestExport:
    def test_writes_a_student_that_predict_and_evaluate_take(self, run_cli, world):
        corpus = write_corpus("corpus.json", make_passages(10))
        answers = {}
        for precision in ("fp32", "int8"):
            args = ("export", world / "run", "--check", corpus, "--precision", precision)
            finished = run_cli(*args, "--out", precision)
            assert (finished.code, finished.err) == (0, "")
            names = {path.name for path in Path(precision).iterdir()}
            assert names == {
                *("words.onnx", "weights.safetensors", "student_config.json", "tokenizer.json")
            }
            n_bytes = sum(path.stat().st_size for path in Path(precision).iterdir())
            assert finished.out.startswith(f"{precision}: {n_bytes:,} bytes, {precision}; on 10 ")
            assert finished.out.count("\n") == 1
            asked = ("in mary saw the paris on 7", "-l", "person", "-l", "city")
            found = json.loads(run_cli("predict", "-m", precision, *asked).out)["entities"]
            answers[precision] = [(one["text"], one["label"]) for one in found]
            figures = run_cli("evaluate", precision, corpus)
            assert figures.code == 0
            shown = dict(line.split(maxsplit=1) for line in figures.out.splitlines())
            assert float(shown["span_f1_vs_gold"]) > 0.9
        assert answers["fp32"] == answers["int8"] == [("mary", "person"), ("paris", "city")]

    def test_says_what_is_wrong(self, run_cli, world):
        corpus = write_corpus("corpus.json", make_passages(4))
        args = ("export", world / "run", "--check", corpus, "--precision", "fp32", "--out")
        assert run_cli(*args, "made").code == 0
        Path("file").touch()
        Path("empty").mkdir()
        plain = write_corpus("plain.json", [Passage(("nothing", "here"))])
        student = world / "run" / "student"
        cases = [
            (
                ("empty", "--out", "x"),
                "empty: no student: no student_config.json in it or in its folder student; "
                "expected the folder of a student or of a run",
            ),
            (
                ("made", "--out", "x"),
                "made: this is an export, without the weights (student.safetensors) that torch "
                "needs; give the student that it was made of",
            ),
            ((world / "run", "--out", "file"), "file: is a file; choose another --out"),
            (
                (world / "run", "--out", student),
                f"{student}: holds the student itself; choose another --out",
            ),
            (
                (world / "run", "--out", "x", "--check", plain),
                "plain.json: no passage has a gold entity, so there is nothing to measure against",
            ),
        ]
        for wrong, message in cases:
            assert_fails(run_cli("export", *wrong), message)
        assert not Path("x").exists()


class TestInspect:
    def test_describes_a_corpus_and_a_store(self, run_cli, world):
        corpus = run_cli("inspect", write_corpus("corpus.json", make_passages(3)))
        assert corpus.code == 0
        assert corpus.out.startswith("passages: 3 ")
        store = run_cli("inspect", world / "store")
        assert store.code == 0
        assert "passages           20 of 20" in store.out.splitlines()
        assert "teacher            lexicon (ffffffffffff)" in store.out.splitlines()

    def test_verifies_a_store_that_is_not_finished(self, run_cli, lexicon_teacher):
        dying = lexicon_teacher(LEXICON, fail_at_passage=9)
        with pytest.raises(RuntimeError):
            label_in_small_shards(make_passages(14), dying, "half", policy=LabelPolicy())
        finished = run_cli("inspect", "half", "--verify")
        assert finished.code == 0
        assert finished.out == "half: whole: 2 shards, 8 passages of 14, unfinished\n"

    def test_verifies_stores_alone(self, run_cli):
        message = "no manifest.json in it, so this is no soft-label store"
        Path("empty").mkdir()
        for source in ("empty", write_corpus("corpus.json", make_passages(2)), "none"):
            assert_fails(run_cli("inspect", source, "--verify"), f"{source}: {message}")


class TestStageProgress:
    def test_writes_a_line_a_stage_off_a_terminal(self, capsys):
        with StageProgress() as progress:
            count = progress.counter("labeling", 1500)
            count(500)
            assert capsys.readouterr().err == ""
            count(1000)
            progress.update("training", 10, 10, "loss [0.5]")
        assert capsys.readouterr().err == (
            "labeling: 1,500 of 1,500 words\ntraining: 10 of 10 words, loss [0.5]\n"
        )
