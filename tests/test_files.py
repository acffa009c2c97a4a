"""Files that are written whole or not at all, and the lock that one process holds on a folder."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gliner_distill.errors import DistillError, MissingExtraError, StoreError
from gliner_distill.files import (
    PART_SUFFIX,
    check_readable,
    check_regular_file,
    digest_file,
    exclusive_lock,
    find_content,
    is_leftover,
    lock_folder,
    reason_of,
    replace_file,
    replace_together,
    replacing,
    write_file,
    write_json,
)
from locked_files import unreadable

# Writes more than the file size limit allows, which the system refuses as it does on a full disk.
WRITE_TOO_MUCH = """
import resource, signal, sys
from pathlib import Path
from gliner_distill.errors import DistillError
from gliner_distill.files import write_file

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_file(Path(sys.argv[1]), b"x" * 5000)
except DistillError as error:
    print(error)
"""

# Holds a lock until its standard input is closed.
HOLD_LOCK = """
import sys
from pathlib import Path
from gliner_distill.files import exclusive_lock

with exclusive_lock(Path(sys.argv[1]), busy="busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replacing_shows_the_old_file_until_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with replacing(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_replacing_keeps_the_old_file_after_an_error_in_the_block(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def write_and_fail() -> None:
        with replacing(path) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.txt"]


def test_replacing_keeps_the_old_file_if_the_disk_does_not_take_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_replacing_gives_the_file_its_permissions_before_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with replacing(path, mode=0o600) as stream:
        [part] = set(tmp_path.iterdir()) - {path}
        assert part.stat().st_mode & 0o777 == 0o600
        stream.write(b"new")
    assert path.stat().st_mode & 0o777 == 0o600
    write_file(path, "again")
    assert path.read_bytes() == b"again"


def test_write_file_keeps_the_old_file_when_the_new_one_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    process = subprocess.run(
        [sys.executable, "-c", WRITE_TOO_MUCH, path], capture_output=True, text=True, check=True
    )
    assert process.stdout.startswith(f"{path}: ")
    assert "File too large" in process.stdout
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_write_file_replaces_no_pipe_device_or_link_of_the_system(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to(os.devnull)
    (tmp_path / "output").symlink_to("/proc/self/fd/1")
    for name in ("pipe", "device", "output"):
        with pytest.raises(DistillError, match=f"{name}: .* not a regular file"):
            write_file(tmp_path / name, "text")
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device", "output", "pipe"]


def test_write_file_creates_folders_and_encodes_text(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    write_file(path, "naïve \ud800")
    assert path.read_text(encoding="utf-8") == "naïve ?"


def test_write_file_raises_the_class_of_error_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/a\.txt: .*(Not a directory|File exists)"):
        write_file(tmp_path / "file" / "a.txt", b"", error=StoreError)


def test_write_json_writes_readable_text_that_ends_with_a_line_break(tmp_path: Path) -> None:
    value = {"name": "naïve", "rows": [1, 2.5, None]}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "naïve" in text
    assert text.endswith("}\n")


def test_write_json_leaves_the_old_file_if_the_value_is_not_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", [object()])
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == [1]
    assert names_in(tmp_path) == ["a.json"]


def test_reason_of_is_one_line_without_the_path() -> None:
    assert reason_of(PermissionError(13, "Permission denied", "a.txt")) == "Permission denied"
    assert reason_of(ValueError("two\n  lines")) == "two lines"
    assert reason_of(OSError("no number")) == "no number"


def test_check_readable_gives_the_reason_of_the_system(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    check_readable(path)
    with unreadable(path), pytest.raises(PermissionError):
        check_readable(path)
    with pytest.raises(FileNotFoundError):
        check_readable(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):  # and does not wait for a writer
        check_readable(tmp_path / "pipe")


def test_exclusive_lock_keeps_a_second_process_out_until_the_first_one_ends(
    tmp_path: Path,
) -> None:
    path = tmp_path / "folder" / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(StoreError, match="folder is in use"),
            exclusive_lock(path, busy="folder is in use", error=StoreError),
        ):
            pytest.fail("two processes hold the lock")
        assert holder.stdin is not None
        holder.stdin.close()
        assert holder.wait(timeout=60) == 0
    with exclusive_lock(path, busy="folder is in use"):
        pass


def test_exclusive_lock_is_free_after_its_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with exclusive_lock(path, busy="folder is in use"):
        pass


def test_exclusive_lock_is_free_after_an_error_in_the_block(tmp_path: Path) -> None:
    def fail() -> None:
        with exclusive_lock(tmp_path / ".lock", busy="busy"):
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    with exclusive_lock(tmp_path / ".lock", busy="busy"):
        pass


def test_exclusive_lock_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DistillError, match=r"file/folder: .*Not a directory"),
        exclusive_lock(tmp_path / "file" / "folder" / ".lock", busy="busy"),
    ):
        pytest.fail("the lock was taken in a folder that cannot exist")


def test_exclusive_lock_says_which_extra_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with (
        pytest.raises(MissingExtraError, match=r"filelock.*gliner-distill\[train\]"),
        exclusive_lock(tmp_path / ".lock", busy="busy"),
    ):
        pytest.fail("the lock was taken without filelock")


CONTENTS = {"index": b"new index", "a": b"new a", "b": b"new b"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_replace_together_writes_all_files_and_keeps_others(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "other").write_bytes(b"other")
    replace_together(tmp_path, CONTENTS)
    assert names_in(tmp_path) == ["a", "b", "index", "other"]
    assert {name: (tmp_path / name).read_bytes() for name in CONTENTS} == CONTENTS


@pytest.mark.parametrize("n_renamed", range(4))
def test_replace_together_leaves_all_old_or_all_new_contents_at_a_kill(
    tmp_path: Path, n_renamed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = dict.fromkeys(CONTENTS, b"old")
    replace_together(tmp_path, old)
    renamed, left = Path.replace, iter(range(n_renamed))

    def replace_some(path: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return renamed(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_some)
        if n_renamed < 3:
            with pytest.raises(KeyboardInterrupt):
                replace_together(tmp_path, CONTENTS)
        else:
            replace_together(tmp_path, CONTENTS)
    is_new = n_renamed > 0
    assert (tmp_path / "index").read_bytes() == (b"new index" if is_new else b"old")
    for name in ("a", "b"):
        expected = (CONTENTS if is_new else old)[name]
        found = find_content(tmp_path / name, sha256(expected), max_bytes=100)
        assert found is not None
        assert found.read_bytes() == expected


def test_replace_together_removes_its_temporary_files_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def open_full(path: Path, *args: str) -> object:
        if path.name.startswith("b"):
            raise OSError(28, "No space left on device")
        return opened(path, *args)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OSError, match="No space left"):
        replace_together(tmp_path, CONTENTS)
    assert names_in(tmp_path) == []


def test_find_content_returns_none_for_another_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"other")
    (tmp_path / f"a{PART_SUFFIX}").write_bytes(b"also other")
    assert find_content(tmp_path / "a", sha256(b"a"), max_bytes=100) is None
    with pytest.raises(FileNotFoundError):
        find_content(tmp_path / "b", sha256(b"a"), max_bytes=100)


def test_digest_file_returns_the_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_file(tmp_path / "a", max_bytes=3) == sha256(b"abc")


def test_check_regular_file_refuses_large_files_pipes_devices_and_folders(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(OSError, match=r"1,099,511,627,776 bytes.* 1,000$"):
        check_regular_file(tmp_path / "large", max_bytes=1_000)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="regular file"):
            check_regular_file(path, max_bytes=1_000)
    with pytest.raises(FileNotFoundError):
        check_regular_file(tmp_path / "none", max_bytes=1_000)


def test_replacing_keeps_two_writers_of_a_file_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as first:
        first.write(b"first, and longer")
        with replacing(path) as second:
            assert len({name for name in names_in(tmp_path) if is_leftover(name)}) == 2
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first, and longer"
    assert names_in(tmp_path) == ["a.txt"]


def test_exclusive_lock_deletes_what_killed_processes_left(tmp_path: Path) -> None:
    (tmp_path / "manifest.json.0a1b2c3d.part").write_bytes(b"half")
    for name in ("film.part", "weights.safetensors.part", "a.0a1b2c3d"):
        (tmp_path / name).write_bytes(b"kept")
    with exclusive_lock(tmp_path / ".lock", busy="busy"):
        assert names_in(tmp_path) == [
            ".lock",
            "a.0a1b2c3d",
            "film.part",
            "weights.safetensors.part",
        ]


class TestLockFolder:
    def test_lock_folder_leaves_nothing_if_nothing_is_written(self, tmp_path):
        folder = tmp_path / "new"
        with lock_folder(folder, busy="busy"):
            assert folder.is_dir()
        assert not folder.exists()

    def test_lock_folder_leaves_only_what_was_written(self, tmp_path):
        with lock_folder(tmp_path, busy="busy"):
            (tmp_path / "result").touch()
        assert [path.name for path in tmp_path.iterdir()] == ["result"]

    def test_lock_folder_keeps_a_second_one_out(self, tmp_path):
        with (
            lock_folder(tmp_path, busy="busy"),
            pytest.raises(StoreError, match="busy"),
            lock_folder(tmp_path, busy="busy", error=StoreError),
        ):
            pass
