"""Writing a store: who may, what is kept when it stops, and what repair takes off."""

import json
import logging
import os
import pickle
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gliner_distill.entities import LabeledPassage, Passage
from gliner_distill.errors import FormatVersionError, StoreError
from gliner_distill.store.integrity import find_faults
from gliner_distill.store.manifest import (
    Manifest,
    read_manifest,
    shard_name,
    write_manifest,
)
from gliner_distill.store.quantization import COMPACT
from gliner_distill.store.shards import ShardOrigin, pack_shard
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.store.writer import open_writer

FIRST, SECOND, VECTORS = shard_name(0), shard_name(1), "label_vectors.safetensors"


def new_manifest(**fields):
    values = {"teacher": "lexicon", "teacher_fingerprint": "f" * 64}
    values |= {"corpus_fingerprint": "c" * 64, "label_policy": {"negatives": 2}}
    return Manifest(**(values | {"n_passages": 4, "n_words": 11} | fields))


def pack(index, items):
    """Return passages as a shard of a store that is made from what `new_manifest` says."""
    return pack_shard(items, COMPACT, ShardOrigin(new_manifest().origin, "lexicon", index))


@pytest.fixture
def packed(mixed_passages):
    """The four passages as two shards."""
    return [pack(0, mixed_passages[:3]), pack(1, mixed_passages[3:])]


@pytest.fixture
def store_folder(tmp_path, packed):
    """A finished store of two shards and a file of vectors."""
    folder = tmp_path / "store"
    with open_writer(folder, new_manifest()) as writer:
        for shard in packed:
            writer.add(*shard)
        writer.add_file(VECTORS, b"vectors")
    return folder


@pytest.fixture
def clock(monkeypatch):
    """The clock of the writer; it advances only when a test says so."""
    clock = SimpleNamespace(now=time.monotonic(), monotonic=lambda: clock.now)
    monkeypatch.setattr("gliner_distill.store.writer.time", clock)
    return clock


def contents_of(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def flip_byte(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def change_text(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


class TestNewStore:
    def test_open_writer_creates_a_store_and_its_folders(
        self, tmp_path, packed, mixed_passages, comparable
    ):
        folder = tmp_path / "some" / "where"
        with open_writer(folder, new_manifest()) as writer:
            for shard, content in packed:
                writer.add(shard, content)
        (first, _), (second, _) = packed
        assert (first.file, first.index, first.n_passages) == (FIRST, 0, 3)
        assert (second.n_words, second.n_pairs) == (1, 2)
        assert read_manifest(folder) == writer.manifest
        assert writer.manifest.shards == [first, second]
        assert find_faults(folder) == []
        read = SoftLabelStore(folder)
        assert comparable(read, COMPACT) == comparable(mixed_passages, COMPACT)

    def test_open_writer_writes_a_manifest_before_the_first_shard(self, tmp_path):
        with open_writer(tmp_path, new_manifest()):
            assert read_manifest(tmp_path) == new_manifest()

    def test_add_takes_shards_in_any_order(self, tmp_path, packed, mixed_passages, comparable):
        with open_writer(tmp_path, new_manifest()) as writer:
            for shard in reversed(packed):
                writer.add(*shard)
        read = SoftLabelStore(tmp_path)
        assert comparable(read, COMPACT) == comparable(mixed_passages, COMPACT)

    def test_open_writer_repairs_a_folder_that_is_new(self, tmp_path, packed, caplog):
        with open_writer(tmp_path, new_manifest(), repair=True) as writer:
            writer.add(*packed[0])
        assert read_manifest(tmp_path).n_labeled == 3
        assert caplog.records == []

    def test_add_file_lists_a_file_once(self, tmp_path):
        with open_writer(tmp_path, new_manifest()) as writer:
            assert not writer.has_file(VECTORS)
            for content in (b"old", b"vectors"):
                writer.add_file(VECTORS, content)
            writer.add_file("tokenizer.json", b"{}")
            assert writer.has_file(VECTORS)
        files = [(other.file, other.n_bytes) for other in read_manifest(tmp_path).other_files]
        assert files == [(VECTORS, 7), ("tokenizer.json", 2)]
        assert (tmp_path / VECTORS).read_bytes() == b"vectors"
        assert find_faults(tmp_path) == []


class TestResuming:
    def test_open_writer_resumes_with_the_shards_that_are_there(
        self, tmp_path, packed, mixed_passages, comparable
    ):
        for shard, content in packed:
            with open_writer(tmp_path, new_manifest()) as writer:
                assert writer.manifest.n_labeled == 3 * shard.index
                writer.add(shard, content)
        read = SoftLabelStore(tmp_path)
        assert comparable(read, COMPACT) == comparable(mixed_passages, COMPACT)

    def test_add_overwrites_a_shard_that_is_not_listed(self, store_folder, packed):
        manifest = read_manifest(store_folder)
        write_manifest(store_folder, replace(manifest, shards=manifest.shards[:1]))
        (store_folder / SECOND).write_bytes(b"half of it")
        with open_writer(store_folder, new_manifest()) as writer:
            writer.add(*packed[1])
        assert find_faults(store_folder) == []

    def test_add_records_the_machine_of_the_last_shard(self, tmp_path, packed, monkeypatch):
        for shard, machine in zip(packed, ("toaster", "kettle"), strict=True):
            monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
            with open_writer(tmp_path, new_manifest()) as writer:
                writer.add(*shard)
            assert read_manifest(tmp_path).machine == machine
        with open_writer(tmp_path, new_manifest(machine="fridge")):
            pass
        assert read_manifest(tmp_path).machine == "kettle"

    def test_open_writer_resumes_after_a_kill_in_the_first_write(self, tmp_path, packed):
        (tmp_path / ".lock").touch()
        (tmp_path / "manifest.json.0a1b2c3d.part").write_text('{"teacher', encoding="utf-8")
        with open_writer(tmp_path, new_manifest()) as writer:
            writer.add(*packed[0])
        assert read_manifest(tmp_path).n_labeled == 3
        assert not list(tmp_path.rglob("*.part"))

    @pytest.mark.parametrize("stop", [RuntimeError("the machine went away"), KeyboardInterrupt()])
    def test_open_writer_saves_the_shards_added_before_an_exception(self, tmp_path, packed, stop):
        def write():
            with open_writer(tmp_path, new_manifest()) as writer:
                for shard in packed:
                    writer.add(*shard)
                raise stop

        with pytest.raises(type(stop)) as error:
            write()
        assert error.value is stop
        assert read_manifest(tmp_path).n_labeled == 4
        assert find_faults(tmp_path) == []

    def test_open_writer_raises_the_first_error_if_saving_fails_too(self, tmp_path):
        folder, stop = tmp_path / "store", RuntimeError("the machine went away")

        def write():
            with open_writer(folder, new_manifest()):
                shutil.rmtree(folder)
                folder.write_text("no folder any more", encoding="utf-8")
                raise stop

        with pytest.raises(RuntimeError) as error:
            write()
        assert error.value is stop


class TestManifestOnDisk:
    def test_add_writes_the_manifest_at_most_once_per_second(self, tmp_path, mixed_passages, clock):
        seen = []
        with open_writer(tmp_path, new_manifest(n_passages=40, n_words=110)) as writer:
            for index in range(10):
                clock.now += 0.3
                writer.add(*pack(index, mixed_passages))
                seen.append(len(read_manifest(tmp_path).shards))
        # 0.3, 0.6, 0.9, 1.2 seconds after it was opened, and so on.
        assert seen == [0, 0, 0, 4, 4, 4, 4, 8, 8, 8]
        assert len(read_manifest(tmp_path).shards) == 10
        assert len(SoftLabelStore(tmp_path)) == 40

    def test_add_seldom_writes_the_manifest_when_shards_come_fast(
        self, tmp_path, mixed_passages, monkeypatch
    ):
        written = []

        def count(folder, manifest):
            written.append(len(manifest.shards))
            write_manifest(folder, manifest)

        monkeypatch.setattr("gliner_distill.store.writer.write_manifest", count)
        packed = [pack(index, mixed_passages) for index in range(100)]
        began = time.monotonic()
        with open_writer(tmp_path, new_manifest(n_passages=400, n_words=1100)) as writer:
            for shard in packed:
                writer.add(*shard)
        assert (written[0], written[-1]) == (0, 100)
        assert len(written) <= 2 + (time.monotonic() - began)
        assert find_faults(tmp_path) == []

    def test_add_counts_the_seconds_of_all_runs(self, tmp_path, mixed_passages, clock):
        with open_writer(tmp_path, new_manifest()) as writer:
            writer.add(*pack(0, mixed_passages[:2]))
            before = writer.manifest.seconds
            clock.now += 2.5
            writer.add(*pack(1, mixed_passages[2:3]))
            assert writer.manifest.seconds == pytest.approx(before + 2.5)
        assert read_manifest(tmp_path).seconds == pytest.approx(before + 2.5)
        clock.now = time.monotonic()
        with open_writer(tmp_path, new_manifest()) as writer:
            clock.now += 10
            writer.add(*pack(2, mixed_passages[3:]))
        assert read_manifest(tmp_path).seconds == pytest.approx(before + 12.5, abs=1)
        assert read_manifest(tmp_path).seconds > before + 12


class TestRefusal:
    """Each folder is refused with and without repair, and left as it is."""

    def refusal(self, folder, expected=None, *, lock=False):
        before = contents_of(folder)
        expected = expected or new_manifest()
        messages = set()
        for repair in (False, True):
            with pytest.raises(StoreError) as error, open_writer(folder, expected, repair=repair):
                pytest.fail("it was opened")
            messages.add(str(error.value))
        after = contents_of(folder)
        if lock:
            after.pop(folder / ".lock", None)
            before.pop(folder / ".lock", None)
        assert after == before
        [message] = messages
        assert "\n" not in message
        return message

    @pytest.mark.parametrize("name", ["notes.txt", "data/passages.parquet", "data/a/b", ".git/x"])
    def test_open_writer_refuses_a_folder_with_other_files(self, tmp_path, name):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine", encoding="utf-8")
        assert self.refusal(tmp_path).startswith(f"{tmp_path}: is not empty")

    @pytest.mark.parametrize("text", ['{"name": "an app", "icons": []}', "[]"])
    def test_open_writer_refuses_another_kind_of_manifest(self, tmp_path, text):
        (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
        message = self.refusal(tmp_path)
        assert message.startswith(f"{tmp_path}/manifest.json: ")
        assert "format version None" in message

    @pytest.mark.parametrize("version", [2, 4])
    def test_open_writer_refuses_a_store_of_another_version(self, store_folder, version):
        path = store_folder / "manifest.json"
        change_text(path, '"format_version": 3', f'"format_version": {version}')
        with pytest.raises(FormatVersionError) as error:
            read_manifest(store_folder)
        assert self.refusal(store_folder) == str(error.value)

    def test_open_writer_refuses_a_store_of_another_teacher(self, store_folder):
        other = new_manifest(teacher="larger", teacher_fingerprint="0" * 64)
        message = self.refusal(store_folder, other, lock=True)
        assert message.startswith(f"{store_folder}: ")
        assert "teacher lexicon (ffffffffffff), not larger (000000000000)" in message

    def test_open_writer_refuses_a_file_as_folder(self, tmp_path):
        path = tmp_path / "file"
        path.write_text("mine", encoding="utf-8")
        assert self.refusal(path) == f"{path}: cannot be written: File exists"
        assert self.refusal(path / "in") == f"{path / 'in'}: cannot be written: Not a directory"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_open_writer_refuses_a_folder_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        assert self.refusal(tmp_path) == f"{tmp_path}: cannot be written: Permission denied"


HOLDING = """
import pickle
import sys
from gliner_distill.store.writer import open_writer
manifest, packed, folder = pickle.loads(sys.stdin.buffer.read(int(sys.argv[1])))
with open_writer(folder, manifest) as writer:
    writer.add(*packed)
    writer.save()
    print("writing", flush=True)
    sys.stdin.read()
"""


class TestOneWriter:
    BUSY = "another process is labeling into it"

    def test_open_writer_refuses_a_store_that_another_process_writes(self, tmp_path, packed):
        task = pickle.dumps((new_manifest(), packed[0], tmp_path))
        command = [sys.executable, "-c", HOLDING, str(len(task))]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                process.stdin.write(task)
                process.stdin.flush()
                assert process.stdout.readline() == b"writing\n"
                before = contents_of(tmp_path)
                for repair in (False, True):
                    with (
                        pytest.raises(StoreError) as error,
                        open_writer(tmp_path, new_manifest(), repair=repair),
                    ):
                        pytest.fail("it was opened")
                    assert str(error.value).startswith(f"{tmp_path}: {self.BUSY}")
                assert contents_of(tmp_path) == before
            finally:
                process.kill()
            assert process.wait() == -signal.SIGKILL
        with open_writer(tmp_path, new_manifest()) as writer:
            assert writer.manifest.n_labeled == 3
            writer.add(*packed[1])
        assert len(SoftLabelStore(tmp_path)) == 4

    def test_open_writer_refuses_a_second_writer_in_the_same_process(self, tmp_path, packed):
        with open_writer(tmp_path, new_manifest()) as writer:
            with pytest.raises(StoreError) as error, open_writer(tmp_path, new_manifest()):
                pytest.fail("it was opened")
            assert str(error.value).startswith(f"{tmp_path}: {self.BUSY}")
            writer.add(*packed[0])
        with open_writer(tmp_path, new_manifest()) as writer:
            assert writer.manifest.n_labeled == 3

    def test_open_writer_lets_others_read_the_store(self, store_folder):
        with open_writer(store_folder, new_manifest()):
            assert len(list(SoftLabelStore(store_folder))) == 4
            assert find_faults(store_folder) == []

    def test_open_writer_names_a_lock_that_cannot_be_created(self, store_folder):
        (store_folder / ".lock").unlink(missing_ok=True)
        (store_folder / ".lock").mkdir()
        with pytest.raises(StoreError) as error, open_writer(store_folder, new_manifest()):
            pytest.fail("it was opened")
        assert str(error.value) == f"{store_folder}: cannot be written: Is a directory"


class TestBrokenStore:
    """Without repair."""

    def refusal(self, folder):
        with pytest.raises(StoreError) as error, open_writer(folder, new_manifest()):
            pytest.fail("it was opened")
        return str(error.value)

    def test_open_writer_refuses_a_file_of_another_size(self, store_folder):
        path = store_folder / SECOND
        before = path.stat().st_size
        path.write_bytes(path.read_bytes()[:-1])
        message = self.refusal(store_folder)
        assert message.startswith(f"{path}: has {before - 1:,} bytes, ")
        assert f"{before:,} were written" in message
        assert "--repair" in message

    def test_open_writer_refuses_missing_files(self, store_folder):
        (store_folder / VECTORS).unlink()
        assert self.refusal(store_folder).startswith(f"{store_folder / VECTORS}: is missing; ")
        (store_folder / FIRST).unlink()
        (store_folder / SECOND).unlink()
        reason = f"{store_folder / VECTORS}: is missing (and 2 more); "
        assert self.refusal(store_folder).startswith(reason)

    def test_open_writer_refuses_a_changed_manifest(self, store_folder):
        path = store_folder / "manifest.json"
        change_text(path, '"n_words": 11', '"n_words": 12')
        assert self.refusal(store_folder).startswith(f"{path}: its checksum differs")

    def test_open_writer_does_not_read_shards_to_resume(self, store_folder):
        flip_byte(store_folder / FIRST, 100)
        with open_writer(store_folder, new_manifest()) as writer:
            assert writer.manifest.n_labeled == 4


class TestRepair:
    def warnings(self, caplog):
        assert {record.levelno for record in caplog.records} <= {logging.WARNING}
        return [record.getMessage() for record in caplog.records]

    def test_open_writer_repair_leaves_a_whole_store_as_it_is(self, store_folder, caplog):
        before = contents_of(store_folder)
        with open_writer(store_folder, new_manifest(), repair=True):
            pass
        assert contents_of(store_folder) == before
        assert self.warnings(caplog) == []

    def test_open_writer_repair_drops_exactly_the_broken_files(
        self, tmp_path, mixed_passages, caplog
    ):
        packed = [pack(index, [item]) for index, item in enumerate(mixed_passages)]
        with open_writer(tmp_path, new_manifest()) as writer:
            for shard in packed:
                writer.add(*shard)
            for name in (VECTORS, "tokenizer.json"):
                writer.add_file(name, b"content")
        flip_byte(tmp_path / shard_name(1), 100)
        (tmp_path / shard_name(3)).unlink()
        (tmp_path / VECTORS).write_bytes(b"con")
        with open_writer(tmp_path, new_manifest(), repair=True) as writer:
            broken = [(shard_name(1), "SHA-256"), (shard_name(3), "missing"), (VECTORS, "cut off")]
            for warning, (name, fact) in zip(self.warnings(caplog), broken, strict=True):
                assert warning.startswith(f"{tmp_path / name}: ")
                assert fact in warning
            assert [shard.index for shard in writer.manifest.shards] == [0, 2]
            assert not writer.has_file(VECTORS)
            assert writer.has_file("tokenizer.json")
            # Whatever stops the run now, the manifest lists what is whole.
            assert read_manifest(tmp_path) == writer.manifest
            for index in (1, 3):
                writer.add(*packed[index])
            writer.add_file(VECTORS, b"content")
        assert find_faults(tmp_path) == []
        assert len(list(SoftLabelStore(tmp_path))) == 4

    def test_open_writer_repair_drops_a_foreign_shard(self, store_folder, packed, caplog):
        shutil.copy(store_folder / FIRST, store_folder / SECOND)
        with open_writer(store_folder, new_manifest(), repair=True) as writer:
            [warning] = self.warnings(caplog)
            assert warning.startswith(f"{store_folder / SECOND}: is shard 0 of this store, not 1")
            writer.add(*packed[1])
        assert find_faults(store_folder) == []

    @pytest.mark.parametrize("damage", ["lost", "empty", "changed"])
    def test_open_writer_repair_rebuilds_the_manifest_from_the_shards(
        self, store_folder, mixed_passages, comparable, caplog, damage
    ):
        path, whole = store_folder / "manifest.json", read_manifest(store_folder)
        if damage == "lost":
            path.unlink()
        elif damage == "empty":
            path.write_bytes(b"")
        else:
            change_text(path, '"n_words": 11', '"n_words": 12')
        with pytest.raises(StoreError) as error:
            read_manifest(store_folder)
        with open_writer(store_folder, new_manifest(), repair=True) as writer:
            assert self.warnings(caplog) == [str(error.value)]
            assert writer.manifest == new_manifest(shards=whole.shards)
        read = SoftLabelStore(store_folder)
        assert comparable(read, COMPACT) == comparable(mixed_passages, COMPACT)

    def test_open_writer_repair_rebuilds_the_manifest_without_broken_shards(
        self, store_folder, packed
    ):
        (store_folder / "manifest.json").unlink()
        flip_byte(store_folder / FIRST, 100)
        with open_writer(store_folder, new_manifest(), repair=True) as writer:
            assert [shard.index for shard in writer.manifest.shards] == [1]
            writer.add(*packed[0])
        assert find_faults(store_folder) == []

    def test_open_writer_repair_refuses_another_store_without_a_manifest(self, store_folder):
        (store_folder / "manifest.json").unlink()
        (store_folder / FIRST).write_bytes(b"")
        before = contents_of(store_folder)
        other = new_manifest(label_policy={"negatives": 3})
        with pytest.raises(StoreError) as error, open_writer(store_folder, other, repair=True):
            pytest.fail("it was opened")
        assert str(error.value).startswith(f"{store_folder}: manifest.json is broken or lost")
        assert "teacher is lexicon" in str(error.value)
        assert contents_of(store_folder) == before


WRITING = """
import pickle
import resource
import signal
import sys
from pathlib import Path
from gliner_distill.errors import StoreError
from gliner_distill.store.store import SoftLabelStore, read_manifest
from gliner_distill.store.integrity import find_faults
from gliner_distill.store.writer import open_writer

folder, task = map(Path, sys.argv[1:])
manifest, packed = pickle.loads(task.read_bytes())


def write(shards):
    with open_writer(folder, manifest) as writer:
        for shard in shards:
            writer.add(*shard)
"""
FILES_OF_AT_MOST_16K = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384))
write(packed)
"""
A_DISK_OF_128K = """
import json
filler = folder.parent / "filler"
filler.write_bytes(bytes(72_000))
try:
    write(packed)
    message = ""
except StoreError as error:
    message = str(error)
kept = read_manifest(folder)
facts = {"message": message, "kept": kept.n_labeled, "faults": list(map(str, find_faults(folder)))}
facts["files"] = sorted(path.name for path in folder.rglob("*.*") if path.name != ".lock")
filler.unlink()
write(packed[len(kept.shards):])
probs = [item.probs.tolist() for item in SoftLabelStore(folder)]
print(json.dumps(facts | {"probs": probs}))
"""
ON_A_DISK_OF_128K = 'mount -t tmpfs -o size=128k none "$0" && exec "$@"'


def noisy(n_words, seed=0):
    """Return a passage whose scores, 12 bytes per word, do not compress."""
    probs = np.random.default_rng(seed).random((n_words, 4, 3)).astype(np.float32)
    return LabeledPassage(Passage(("word",) * n_words), ("a", "b", "c", "d"), probs)


class TestFullDisk:
    def test_add_names_a_shard_that_is_too_large_and_the_store_resumes(
        self, tmp_path, mixed_passages, comparable
    ):
        items = [mixed_passages[0], mixed_passages[1], noisy(3000)]
        manifest = new_manifest(n_passages=3)
        packed = [pack(index, [item]) for index, item in enumerate(items)]
        assert [shard.n_bytes > 16_384 for shard, _ in packed] == [False, False, True]
        task, folder = tmp_path / "task", tmp_path / "store"
        task.write_bytes(pickle.dumps((manifest, packed)))
        program = WRITING + FILES_OF_AT_MOST_16K
        finished = subprocess.run(
            [sys.executable, "-c", program, str(folder), str(task)], capture_output=True, text=True
        )
        reason = f"{folder / shard_name(2)}: cannot be written: File too large"
        assert finished.stderr.splitlines()[-1] == f"gliner_distill.errors.StoreError: {reason}"
        assert find_faults(folder) == []
        assert read_manifest(folder).n_labeled == 2
        assert not list(folder.rglob("*.part"))
        with open_writer(folder, manifest) as writer:
            writer.add(*packed[2])
        assert comparable(SoftLabelStore(folder), COMPACT) == comparable(items, COMPACT)

    @pytest.mark.slow
    def test_add_leaves_a_whole_store_on_a_full_disk(self, tmp_path):
        disk = tmp_path / "disk"
        disk.mkdir()
        alone = ["unshare", "--map-root-user", "--mount", "sh", "-c", ON_A_DISK_OF_128K, str(disk)]
        if shutil.which("unshare") is None:
            pytest.skip("no unshare on this machine")
        trial = subprocess.run([*alone, "true"], capture_output=True, text=True)
        if trial.returncode != 0:
            pytest.skip(f"no disk can be made here: {trial.stderr.strip()}")
        items = [noisy(900, seed) for seed in range(4)]
        packed = [pack(index, [item]) for index, item in enumerate(items)]
        assert 40_000 < sum(shard.n_bytes for shard, _ in packed) < 60_000
        task = tmp_path / "task"
        task.write_bytes(pickle.dumps((new_manifest(), packed)))
        program = [sys.executable, "-c", WRITING + A_DISK_OF_128K, str(disk / "store"), str(task)]
        finished = subprocess.run([*alone, *program], capture_output=True, text=True)
        assert finished.stderr == ""
        metadata = json.loads(finished.stdout)
        kept = metadata["kept"]
        assert 0 < kept < 4
        full = f"{disk / 'store' / shard_name(kept)}: cannot be written: No space left on device"
        assert metadata["message"].startswith(full)
        assert metadata["faults"] == []
        names = [Path(shard_name(index)).name for index in range(kept)]
        assert metadata["files"] == ["manifest.json", *names]
        for found, item in zip(metadata["probs"], items, strict=True):
            expected = COMPACT.decode(COMPACT.encode(item.probs))
            np.testing.assert_array_equal(np.array(found, dtype=np.float32), expected)
