"""What is said to be broken in a store, of damage that is really done to its files."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gliner_distill.errors import StoreError
from gliner_distill.store.integrity import (
    find_faults,
    find_other_origin,
    find_size_problem,
    recover_shards,
)
from gliner_distill.store.manifest import (
    read_manifest,
    shard_name,
    write_manifest,
    write_stored_file,
)
from gliner_distill.store.quantization import COMPACT
from gliner_distill.store.shards import ShardOrigin, open_shard, read_scores
from gliner_distill.store.store import SoftLabelStore, read_shard

FIRST, SECOND, MANIFEST = shard_name(0), shard_name(1), "manifest.json"
VECTORS = "label_vectors.safetensors"


@pytest.fixture
def store_folder(tmp_path, make_store, mixed_passages):
    """A finished store of two shards and a file of vectors."""
    folder = tmp_path / "store"
    vectors = write_stored_file(folder, VECTORS, bytes(range(256)) * 10)
    make_store(folder, mixed_passages, [3, 1], other_files=[vectors])
    return folder


def found_in(folder):
    return [str(fault) for fault in find_faults(folder)]


def flip_byte(path, position, bit=1):
    content = bytearray(path.read_bytes())
    content[position] ^= bit
    path.write_bytes(content)


def size_of(path):
    return f"{path.stat().st_size:,}"


class TestWholeStore:
    def test_has_no_fault(self, store_folder):
        assert find_faults(store_folder) == []

    def test_has_none_for_being_unfinished(self, tmp_path, make_store, mixed_passages):
        make_store(tmp_path, mixed_passages, [3, 1], n_passages=7)
        assert find_faults(tmp_path) == []
        # What a killed run wrote last may not be listed yet: the next one writes it again.
        shutil.copy(tmp_path / SECOND, tmp_path / shard_name(2))
        (tmp_path / "data" / "shard-000003.parquet.part").write_bytes(b"PAR1")
        assert find_faults(tmp_path) == []

    def test_is_not_changed_by_looking(self, store_folder):
        files = {path: path.read_bytes() for path in store_folder.rglob("*") if path.is_file()}
        flip_byte(store_folder / FIRST, 100)
        find_faults(store_folder)
        flip_byte(store_folder / FIRST, 100)
        assert files == {path: path.read_bytes() for path in files}
        assert len(files) == len([path for path in store_folder.rglob("*") if path.is_file()])


class TestBrokenShard:
    @pytest.mark.parametrize("n_left", [0, 1, 8, 1000, -1])
    def test_that_is_cut_off(self, store_folder, n_left):
        path = store_folder / FIRST
        before = size_of(path)
        path.write_bytes(path.read_bytes()[:n_left])
        cut_off = f"{FIRST}: is cut off: {size_of(path)} bytes, written were {before}"
        assert found_in(store_folder) == [cut_off]

    def test_with_a_byte_that_changed(self, store_folder):
        flip_byte(store_folder / SECOND, 100)
        changed = "is not what was written: same length, but its SHA-256 differs"
        assert found_in(store_folder) == [f"{SECOND}: {changed}"]

    def test_is_found_whichever_byte_changed(self, store_folder):
        path = store_folder / FIRST
        for position in range(0, path.stat().st_size, 13):
            bit = 1 << position % 8
            flip_byte(path, position, bit)
            [fault] = find_faults(store_folder)
            assert fault.file == FIRST
            flip_byte(path, position, bit)
        assert find_faults(store_folder) == []

    def test_that_was_deleted(self, store_folder):
        (store_folder / SECOND).unlink()
        assert found_in(store_folder) == [f"{SECOND}: is missing"]

    def test_that_grew(self, store_folder):
        path = store_folder / FIRST
        before = size_of(path)
        path.write_bytes(path.read_bytes() + b"more")
        grown = f"{FIRST}: has grown: {size_of(path)} bytes, written were {before}"
        assert found_in(store_folder) == [grown]

    def test_that_stands_there_twice(self, store_folder):
        path = store_folder / FIRST
        before = size_of(path)
        path.write_bytes(path.read_bytes() * 2)
        grown = f"{FIRST}: has grown: {size_of(path)} bytes, written were {before}"
        assert found_in(store_folder) == [grown]

    def test_that_is_a_folder(self, store_folder):
        (store_folder / FIRST).unlink()
        (store_folder / FIRST).mkdir()
        assert found_in(store_folder) == [f"{FIRST}: cannot be read: Is a directory"]

    def test_that_is_no_parquet_file(self, store_folder):
        before = size_of(store_folder / FIRST)
        (store_folder / FIRST).write_text("<html>not found</html>", encoding="utf-8")
        cut_off = f"{FIRST}: is cut off: 22 bytes, written were {before}"
        assert found_in(store_folder) == [cut_off]


class TestStranger:
    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (
                {"teacher": "larger", "teacher_fingerprint": "0" * 64},
                "is a shard of another store, of teacher larger; this one's teacher is lexicon",
            ),
            (
                {"label_policy": {"negatives": 3}},
                "is a shard of another store, of another corpus or label policy; this one's "
                "teacher is lexicon",
            ),
            (
                {"corpus_fingerprint": "0" * 64},
                "is a shard of another store, of another corpus or label policy; this one's "
                "teacher is lexicon",
            ),
        ],
    )
    def test_of_another_store(
        self, store_folder, tmp_path, make_store, mixed_passages, change, problem
    ):
        make_store(tmp_path / "other", mixed_passages, [3, 1], **change)
        shutil.copy(tmp_path / "other" / SECOND, store_folder / SECOND)
        assert found_in(store_folder) == [f"{SECOND}: {problem}"]

    def test_of_another_place(self, store_folder):
        first, second = (store_folder / name for name in (FIRST, SECOND))
        first_content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(first_content)
        assert found_in(store_folder) == [
            f"{FIRST}: is shard 1 of this store, not 0",
            f"{SECOND}: is shard 0 of this store, not 1",
        ]

    def test_of_another_kind(self, store_folder):
        pq.write_table(pa.table({"words": [["some", "words"]]}), store_folder / FIRST)
        stranger = "is a Parquet file, but no shard of a soft-label store"
        assert found_in(store_folder) == [f"{FIRST}: {stranger}"]


class TestBrokenManifest:
    def test_with_a_digit_that_changed(self, store_folder):
        path = store_folder / MANIFEST
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"n_words": 11', '"n_words": 17'), encoding="utf-8")
        changed = f"{MANIFEST}: is not what was written (its checksum differs)"
        assert found_in(store_folder) == [changed]

    def test_of_a_later_version(self, store_folder):
        path = store_folder / MANIFEST
        text = path.read_text(encoding="utf-8")
        assert '"format_version": 3' in text
        text = text.replace('"format_version": 3', '"format_version": 4')
        path.write_text(text, encoding="utf-8")
        assert found_in(store_folder) == [
            f"{MANIFEST}: format version 4, but this release reads 3; "
            f"it was written by a later gliner-distill: upgrade this one"
        ]

    def test_that_is_cut_off(self, store_folder):
        path = store_folder / MANIFEST
        path.write_bytes(path.read_bytes()[:30])
        reason = "Unterminated string starting at: line 3 column 2 (char 26)"
        assert found_in(store_folder) == [f"{MANIFEST}: cannot be read: {reason}"]

    def test_that_is_lost_leaves_nothing_to_compare_with(self, store_folder):
        (store_folder / MANIFEST).unlink()
        missing = f"^{store_folder}: no {MANIFEST} in it, so this is no soft-label store$"
        with pytest.raises(StoreError, match=missing):
            find_faults(store_folder)
        with pytest.raises(StoreError, match="this is no soft-label store"):
            find_faults(store_folder / FIRST)


class TestOtherFiles:
    def test_that_nobody_listed(self, store_folder):
        shutil.copy(store_folder / SECOND, store_folder / "data" / "copy.parquet")
        shutil.copy(store_folder / SECOND, store_folder / shard_name(2))
        unlisted = "is not in the manifest, yet whoever opens the folder reads it; remove it"
        assert found_in(store_folder) == [
            f"data/copy.parquet: {unlisted}",
            f"{shard_name(2)}: {unlisted}",
        ]

    def test_that_nobody_reads_are_no_fault(self, store_folder):
        for name in ("README.md", "notes.parquet", "data/notes.txt", ".lock"):
            (store_folder / name).write_text("hello", encoding="utf-8")
        assert find_faults(store_folder) == []

    def test_that_are_broken(self, store_folder):
        changed = "is not what was written: same length, but its SHA-256 differs"
        flip_byte(store_folder / VECTORS, 1000)
        assert found_in(store_folder) == [f"{VECTORS}: {changed}"]
        (store_folder / VECTORS).write_bytes(b"0" * 1234)
        cut_off = "is cut off: 1,234 bytes, written were 2,560"
        assert found_in(store_folder) == [f"{VECTORS}: {cut_off}"]
        shutil.copy(store_folder / FIRST, store_folder / VECTORS)
        grown = f"has grown: {size_of(store_folder / FIRST)} bytes, written were 2,560"
        assert found_in(store_folder) == [f"{VECTORS}: {grown}"]
        (store_folder / VECTORS).unlink()
        assert found_in(store_folder) == [f"{VECTORS}: is missing"]


def test_all_faults_are_found_at_once(store_folder):
    (store_folder / FIRST).unlink()
    flip_byte(store_folder / SECOND, 100)
    (store_folder / VECTORS).unlink()
    (store_folder / "data" / "more.parquet").write_bytes(b"")
    assert found_in(store_folder) == [
        f"{VECTORS}: is missing",
        f"{FIRST}: is missing",
        f"{SECOND}: is not what was written: same length, but its SHA-256 differs",
        "data/more.parquet: is not in the manifest, yet whoever opens the folder reads it; "
        "remove it",
    ]


def test_a_size_alone_tells_what_is_missing_or_longer_or_shorter(store_folder):
    [vectors] = read_manifest(store_folder).other_files
    assert find_size_problem(store_folder, vectors) is None
    (store_folder / VECTORS).write_bytes(b"0" * 12_345)
    problem = find_size_problem(store_folder, vectors)
    assert problem == "has 12,345 bytes, written were 2,560"
    (store_folder / VECTORS).unlink()
    assert find_size_problem(store_folder, vectors) == "is missing"


class TestRecovery:
    def test_of_all_shards_equals_what_the_lost_manifest_said(self, store_folder):
        manifest = read_manifest(store_folder)
        (store_folder / MANIFEST).unlink()
        expected = replace(manifest, shards=[])
        assert recover_shards(store_folder, expected) == manifest.shards
        assert expected.shards == []

    def test_of_shards_with_several_teachers(self, tmp_path, make_store, mixed_passages):
        items = [
            replace(item, individual_probs=(item.probs, item.probs)) for item in mixed_passages
        ]
        manifest = make_store(tmp_path, items, [1, 1, 2], individual_teachers=["large", "small"])
        assert recover_shards(tmp_path, manifest) == manifest.shards

    def test_makes_a_store_that_can_be_read(self, store_folder, mixed_passages, comparable):
        manifest = read_manifest(store_folder)
        (store_folder / MANIFEST).unlink()
        manifest.shards = recover_shards(store_folder, manifest)
        write_manifest(store_folder, manifest)
        assert find_faults(store_folder) == []
        read = SoftLabelStore(store_folder)
        assert comparable(read, COMPACT) == comparable(mixed_passages, COMPACT)

    def test_leaves_out_a_shard_with_a_byte_that_changed(self, store_folder):
        manifest = read_manifest(store_folder)
        flip_byte(store_folder / FIRST, 100)
        assert recover_shards(store_folder, manifest) == manifest.shards[1:]

    def test_takes_no_shard_that_reads_otherwise_whichever_byte_changed(
        self, store_folder, mixed_passages, comparable
    ):
        manifest, path = read_manifest(store_folder), store_folder / FIRST
        whole = comparable(mixed_passages[:3], COMPACT)
        content, kept = path.read_bytes(), 0
        # The columns' names and types, which no checksum covers, come first behind the pages.
        behind_pages = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        everywhere = range(0, len(content), 29)
        places = sorted({*everywhere, *range(behind_pages, behind_pages + 400)})
        for position in places:
            flip_byte(path, position, bit=16)
            first, *rest = recover_shards(store_folder, manifest)
            if rest:
                kept += 1
                assert replace(first, sha256="") == replace(manifest.shards[0], sha256="")
                read = list(read_shard(store_folder, first, COMPACT))
                assert comparable(read, COMPACT) == whole
                with open_shard(path) as opened:
                    np.testing.assert_array_equal(read_scores(opened, 1, COMPACT), read[1].probs)
            flip_byte(path, position, bit=16)
        # Bytes that nobody reads: statistics of columns, who wrote the file.
        assert 0 < kept < len(places) / 2

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all"])
    def test_leaves_out_what_is_no_parquet_file(self, store_folder, content):
        manifest = read_manifest(store_folder)
        (store_folder / SECOND).write_bytes(content)
        assert recover_shards(store_folder, manifest) == manifest.shards[:1]

    def test_leaves_out_strangers(self, store_folder, tmp_path, make_store, mixed_passages):
        manifest = read_manifest(store_folder)
        make_store(tmp_path / "other", mixed_passages, [1] * 4, teacher_fingerprint="0" * 64)
        for index in (2, 3):
            shutil.copy(tmp_path / "other" / shard_name(index), store_folder / shard_name(index))
        pq.write_table(pa.table({"words": [["a"]]}), store_folder / shard_name(4))
        shutil.copy(store_folder / FIRST, store_folder / shard_name(5))
        (store_folder / shard_name(6)).mkdir()
        assert recover_shards(store_folder, manifest) == manifest.shards

    def test_leaves_out_what_has_a_shards_metadata_but_other_columns(self, store_folder):
        manifest = read_manifest(store_folder)
        table = pq.read_table(store_folder / SECOND)
        for changed in (
            table.rename_columns({"n_words": "n_wards"}),
            table.append_column("scores_0", table["scores"]),
            table.set_column(3, "n_words", pa.array([5], pa.int32())),
            table.slice(0, 0),
        ):
            pq.write_table(changed, store_folder / SECOND)
            assert recover_shards(store_folder, manifest) == manifest.shards[:1]
        pq.write_table(table, store_folder / SECOND)
        found = recover_shards(store_folder, manifest)
        assert [shard.n_passages for shard in found] == [3, 1]

    def test_of_a_folder_without_shards_is_empty(self, tmp_path, store_folder):
        assert recover_shards(tmp_path, read_manifest(store_folder)) == []


class TestOtherOrigin:
    def test_is_none_in_a_store_of_the_same_things(self, store_folder):
        (store_folder / FIRST).write_bytes(b"")
        assert find_other_origin(store_folder, read_manifest(store_folder)) is None

    def test_is_told_where_one_shard_can_be_read(self, store_folder):
        manifest = read_manifest(store_folder)
        (store_folder / FIRST).write_bytes(b"")
        expected = replace(manifest, teacher="larger", teacher_fingerprint="0" * 64)
        found = find_other_origin(store_folder, expected)
        assert found == ShardOrigin(manifest.origin, "lexicon", 1)
