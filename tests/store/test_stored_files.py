"""The files of a store: only regular files inside its folder are read."""

import os

import pytest

from gliner_distill.store.stored_files import locate_stored


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "store"
    (folder / "data").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


def test_locate_stored_returns_a_regular_file(folder):
    (folder / "data" / "a").write_bytes(b"a")
    assert locate_stored(folder, "data/a") == folder / "data" / "a"


def test_locate_stored_follows_links_inside_the_folder(folder):
    (folder / "a").write_bytes(b"a")
    (folder / "b").symlink_to("a")
    link = folder.with_name("link")
    link.symlink_to(folder)
    assert locate_stored(link, "b").read_bytes() == b"a"


@pytest.mark.parametrize("target", ["../../secret", "/etc/hostname"])
def test_locate_stored_refuses_a_link_out_of_the_folder(folder, target):
    (folder / "data" / "a").symlink_to(target)
    with pytest.raises(OSError, match=r"link to /.* outside the store"):
        locate_stored(folder, "data/a")


def test_locate_stored_refuses_a_folder_that_is_a_link(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_bytes(b"a")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"link to .* outside the store"):
        locate_stored(folder, "more/a")


def test_locate_stored_follows_the_links_of_the_cache_of_the_hub(tmp_path):
    snapshot = tmp_path / "datasets--me--labels" / "snapshots" / "0123"
    blobs = snapshot.parent.parent / "blobs"
    for folder in (snapshot, blobs):
        folder.mkdir(parents=True)
    (blobs / "abc").write_bytes(b"content")
    (snapshot / "a").symlink_to("../../blobs/abc")
    assert locate_stored(snapshot, "a").read_bytes() == b"content"
    (snapshot / "b").symlink_to("../../other")
    (snapshot.parent.parent / "other").write_bytes(b"other")
    with pytest.raises(OSError, match=r"link to .* outside the store"):
        locate_stored(snapshot, "b")


def test_locate_stored_refuses_pipes_devices_folders_and_large_files(folder):
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "data"):
        with pytest.raises(OSError, match="not a regular file"):
            locate_stored(folder, name)
    with (folder / "large").open("wb") as stream:
        stream.truncate(2**30)
    with pytest.raises(OSError, match=r"1,073,741,824 bytes; expected at most 268,435,456"):
        locate_stored(folder, "large")


def test_locate_stored_tells_a_missing_file_apart(folder):
    with pytest.raises(FileNotFoundError):
        locate_stored(folder, "data/a")
