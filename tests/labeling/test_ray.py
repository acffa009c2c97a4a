"""Labeling on a Ray cluster of this machine, against the store that one process makes.

One cluster serves all tests but those of the command line, which starts its own. The teacher is
plain Python and goes to the workers by value; what it was asked, and by whom, stands in a folder.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.corpus.reader import write_passages
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError, DistillError, TeacherError
from gliner_distill.labeling.jobs import ShardJob, ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.store.integrity import find_faults
from gliner_distill.store.manifest import MANIFEST, read_manifest
from gliner_distill.teacher.opening import open_teachers
from ray_clusters import stop_cluster, wait_until_gone

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

ray = pytest.importorskip("ray", reason="ray is not installed")
from gliner_distill.labeling.cluster import Cluster  # noqa: E402
from gliner_distill.labeling.ray import RayWorkers, job_from_json, job_to_json  # noqa: E402

pytestmark = [
    pytest.mark.ray,
    # Ray warns of defaults that it sets itself.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.data\.context"),
]

SHARD_PASSAGES = 3
POLICY = LabelPolicy(negatives=1, seed=5, descriptions={"city": "a large town"})
CITIES = ("paris", "london")

label_in_shards = partial(label_corpus, limits=ShardLimits(passages=SHARD_PASSAGES))


def make_corpus(n_passages=30):
    passages = []
    for place in range(n_passages):
        name, label = (CITIES[place // 2 % 2], "city") if place % 2 else ("mary", "person")
        passages.append(Passage(("the", name, f"n{place}"), (Entity(1, 2, label),)))
    return passages


@dataclass
class LetterTeacher:
    """Scores words and labels by their letters; writes what it is asked to a file a process.

    Attributes:
        notes: The folder of those files, named by process.
        n_together: How many processes must have been asked before one answers.
        die_at: A word at which the process kills itself: the first time, or always.
        dies_again: Whether always.
        fail_at: A word that it refuses.
    """

    notes: Path | None = None
    n_together: int = 0
    die_at: str = ""
    dies_again: bool = False
    fail_at: str = ""
    name: str = "letters"
    fingerprint: str = "f" * 64

    def score_passages(self, passages, labels):
        if self.notes is not None:
            with (self.notes / str(os.getpid())).open("a", encoding="utf-8") as stream:
                stream.writelines(f"{json.dumps(words)}\n" for words in passages)
            self._wait_for_others()
            self._perhaps_die([word for words in passages for word in words])
        if any(self.fail_at in words for words in passages):
            time.sleep(1)  # the answers that are under way shall arrive
            raise RuntimeError("the machine went away")
        return [
            np.array(
                [[self._score(word, label) for label in asked] for word in words], dtype=np.float32
            ).reshape(len(words), len(asked), 3)
            for words, asked in zip(passages, labels, strict=True)
        ]

    def _score(self, word, label):
        total = sum(map(ord, word)) * 31 + sum(map(ord, label))
        return [total % prime / prime for prime in (251, 241, 239)]

    def _wait_for_others(self):
        give_up_at = time.monotonic() + 60
        while len(list(self.notes.iterdir())) < self.n_together:
            assert time.monotonic() < give_up_at, "no other worker was asked"
            time.sleep(0.05)

    def _perhaps_die(self, words):
        died = self.notes.parent / "died"
        if self.die_at in words and (self.dies_again or not died.exists()):
            died.write_text(str(os.getpid()), encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)


class ChangingCorpus:
    """Gives other passages to the process that was not there when it was made."""

    def __init__(self):
        self._process = os.getpid()

    def __iter__(self):
        return iter(make_corpus(30 if os.getpid() == self._process else 29))


@pytest.fixture
def notes(tmp_path):
    """An empty folder for a `LetterTeacher`."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def asked_in(notes):
    """Return the words of each passage that was asked, in no order, and the processes asked."""
    files = sorted(notes.iterdir())
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(tuple(json.loads(line)) for line in lines), {int(path.name) for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store of the corpus that this process made: do not change it."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    label_in_shards(make_corpus(), LetterTeacher(), folder, policy=POLICY)
    return folder


def processes():
    """Return each process's parent and session, where the system lists them; the dead left out."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it ended meanwhile
            continue
        if state not in "ZX":
            found[int(path.parent.name)] = int(parent), int(session)
    return found


def descendants(ancestor):
    running = processes()
    found = {ancestor}
    while more := {pid for pid, (parent, _) in running.items() if parent in found} - found:
        found |= more
    return found - {ancestor}


@pytest.fixture(scope="module")
def cluster():
    """Stop the cluster that the first `RayWorkers` started, and check that it is gone."""
    before = descendants(os.getpid())
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    started = descendants(os.getpid()) - before
    stop_cluster(ray)
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    wait_until_gone(lambda: started & processes().keys())


@pytest.fixture
def label_with_ray(cluster):
    """A function that labels the corpus on a cluster of two workers."""

    def run(
        folder, make_teacher=LetterTeacher, *, corpus=None, n_workers=2, teacher=None, **options
    ):
        corpus = make_corpus() if corpus is None else corpus
        teacher = LetterTeacher() if teacher is None else teacher
        workers = RayWorkers(make_teacher, Cluster(n_workers, **options))
        return label_in_shards(corpus, teacher, folder, policy=POLICY, workers=workers)

    return run


def assert_same_store(folder, expected):
    """Check that two stores hold the same files byte for byte, and manifests alike."""

    def files(store):
        paths = [path for path in store.rglob("*") if path.is_file()]
        return {str(path.relative_to(store)): path.read_bytes() for path in paths}

    found, wanted = files(folder), files(expected)
    for manifest in (found.pop("manifest.json"), wanted.pop("manifest.json")):
        assert json.loads(manifest)["seconds"] > 0
    assert found.keys() == wanted.keys()
    assert found == wanted
    found, wanted = (
        asdict(replace(read_manifest(store), seconds=0.0, machine=""))
        for store in (folder, expected)
    )
    assert found == wanted


class TestStore:
    def test_ray_workers_make_the_same_store_with_a_gliner(
        self, label_with_ray, gliner_folder, tmp_path
    ):
        make_teacher = partial(open_teachers, [str(gliner_folder)])
        teacher = make_teacher()
        label_in_shards(make_corpus(), teacher, tmp_path / "whole", policy=POLICY)
        store = label_with_ray(tmp_path / "store", make_teacher, teacher=teacher)
        assert [shard.n_passages for shard in store.manifest.shards] == [SHARD_PASSAGES] * 10
        assert_same_store(tmp_path / "store", tmp_path / "whole")

    def test_ray_workers_make_the_same_store_after_a_worker_is_killed(
        self, label_with_ray, whole, notes, tmp_path
    ):
        make_teacher = partial(LetterTeacher, notes, n_together=2, die_at="n14")
        label_with_ray(tmp_path / "store", make_teacher)
        assert_same_store(tmp_path / "store", whole)
        asked, workers = asked_in(notes)
        dead = int((tmp_path / "died").read_text(encoding="utf-8"))
        assert dead in workers
        assert len(workers - {dead, os.getpid()}) == 2  # the other one, and the one in its place
        again = [passage.words for passage in make_corpus()[12:15]]
        assert asked == sorted([passage.words for passage in make_corpus()] + again)


class TestResuming:
    def test_ray_workers_resume_a_store_of_this_process(
        self, label_with_ray, whole, notes, tmp_path
    ):
        store, corpus = tmp_path / "store", make_corpus()
        with pytest.raises(RuntimeError, match="the machine went away"):
            label_in_shards(corpus, LetterTeacher(fail_at="n14"), store, policy=POLICY)
        assert read_manifest(store).n_labeled == 12
        label_with_ray(store, partial(LetterTeacher, notes))
        assert asked_in(notes)[0] == sorted(passage.words for passage in corpus[12:])
        assert_same_store(store, whole)

    def test_label_corpus_resumes_a_store_of_ray_workers(
        self, label_with_ray, whole, notes, tmp_path
    ):
        store, corpus = tmp_path / "store", make_corpus()
        message = r"^worker on \S+: RuntimeError: the machine went away$"
        with pytest.raises(TeacherError, match=message):
            label_with_ray(store, partial(LetterTeacher, fail_at="n28"), n_workers=1)
        assert find_faults(store) == []
        done = {shard.index for shard in read_manifest(store).shards}
        assert done
        assert 9 not in done
        label_in_shards(corpus, LetterTeacher(notes), store, policy=POLICY)
        missing = [
            passage.words
            for place, passage in enumerate(corpus)
            if place // SHARD_PASSAGES not in done
        ]
        assert asked_in(notes) == (sorted(missing), {os.getpid()})
        assert_same_store(store, whole)


class TestErrors:
    """One error stops the work, and the store can be resumed."""

    @pytest.fixture
    def fails(self, label_with_ray, tmp_path):
        def run(kind, message, *args, **options):
            with pytest.raises(kind, match=message) as raised:
                label_with_ray(tmp_path / "store", *args, n_workers=1, **options)
            assert type(raised.value) is kind
            # Only the lock is left of a store that holds nothing yet.
            if (tmp_path / "store" / MANIFEST).exists():
                assert find_faults(tmp_path / "store") == []

        return run

    def test_ray_workers_name_another_teacher_and_its_machine(self, fails):
        fails(
            TeacherError,
            rf"{os.uname().nodename}: .* other \(0{{12}}\).* letters \(f{{12}}\)",
            partial(LetterTeacher, name="other", fingerprint="0" * 64),
        )

    def test_ray_workers_name_a_teacher_that_does_not_load(self, fails):
        message = r"^worker on \S+: FileNotFoundError: \[Errno 2\] .*: 'nowhere'$"
        fails(TeacherError, message, partial(open, "nowhere"))

    def test_ray_workers_give_up_a_job_that_kills_every_worker(self, fails, notes):
        make_teacher = partial(LetterTeacher, notes, die_at="n14", dies_again=True)
        fails(DistillError, r"^the Ray cluster failed: [^\n]+$", make_teacher, max_retries=1)
        # At least the retry; on a busy machine, Ray may first find the dead worker unavailable, and
        # then the next attempt does not count. The error shows that it gives up.
        assert len(asked_in(notes)[1]) >= 2

    def test_ray_workers_refuse_a_corpus_that_changes_between_readings(self, fails):
        message = r"^worker on \S+: the corpus changed while it was labeled;"
        fails(CorpusError, message, corpus=ChangingCorpus())

    def test_ray_workers_name_an_address_where_nothing_listens(self, tmp_path, monkeypatch):
        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        workers = RayWorkers(LetterTeacher, Cluster(1, "127.0.0.1:1"))
        message = r"^Ray cluster '127\.0\.0\.1:1' cannot be reached: .*refused; "
        with pytest.raises(DistillError, match=message) as raised:
            label_in_shards(
                make_corpus(), LetterTeacher(), tmp_path / "store", policy=POLICY, workers=workers
            )
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "store" / MANIFEST).exists()


class TestCommandLine:
    def test_label_command_makes_the_same_store_with_ray(
        self, run_cli, gliner_folder, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        write_passages("corpus.json", make_corpus())
        args = ["label", "corpus.json", "--teacher", str(gliner_folder), "--negatives", "1"]
        alone = run_cli(*args, "--out", "whole")
        assert alone.code == 0
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gliner_distill",
                *args,
                "--out",
                "store",
                "--ray",
                "--workers",
                "2",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out == alone.out.replace("whole: ", "store: ")
        assert not any(word in err for word in ("Traceback", "Warning", "gliner-distill: "))
        assert_same_store(tmp_path / "store", tmp_path / "whole")
        wait_until_gone(
            lambda: [pid for pid, (_, session) in processes().items() if session == process.pid]
        )

    def test_label_command_says_what_to_install_for_ray(
        self, run_cli, gliner_folder, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setitem(sys.modules, "ray", None)
        for name in ("ray", "cluster"):
            monkeypatch.delitem(sys.modules, f"gliner_distill.labeling.{name}")
        write_passages("corpus.json", make_corpus(2))
        finished = run_cli(
            "label", "corpus.json", "--teacher", gliner_folder, "--out", "store", "--ray"
        )
        assert finished.code == 1
        assert finished.out == ""
        last_line = finished.err.splitlines()[-1]
        assert last_line.startswith("gliner-distill: ")
        assert "pip install 'gliner-distill[ray]'" in last_line


TEXTS = st.text(min_size=1, max_size=8)
ENTITIES = st.builds(
    Entity, st.integers(0, 9), st.integers(1, 10), TEXTS, st.floats(allow_nan=False)
)
PASSAGES = st.builds(
    Passage,
    st.lists(TEXTS, max_size=4).map(tuple),
    st.lists(ENTITIES, max_size=3).map(tuple),
    st.lists(TEXTS, max_size=3).map(tuple),
)
ASKED = st.lists(TEXTS, max_size=3).map(tuple)


class TestJobs:
    @given(
        index=st.integers(0, 10**6),
        rows=st.lists(st.tuples(PASSAGES, ASKED), min_size=1, max_size=3),
    )
    def test_job_from_json_returns_the_job_that_was_written(self, index, rows):
        passages, labels = map(list, zip(*rows, strict=True))
        # Scores do not count when entities are compared, so both are looked at as plain values.
        job = ShardJob(index, passages, labels)
        assert asdict(job_from_json(job_to_json(job))) == asdict(job)

    def test_job_from_json_returns_other_scripts_and_odd_characters(self):
        words = ("東京", "Ἀθῆναι", "e\u0301té", "👩‍👩‍👧", '"\\\n\0', "\ud83d")
        entities = (Entity(0, 1, "地名", 0.1), Entity(0, 2, "город", 1 / 3))
        job = ShardJob(7, [Passage(words, entities, ("人", "место"))], [("地名", "ville")])
        assert asdict(job_from_json(job_to_json(job))) == asdict(job)
