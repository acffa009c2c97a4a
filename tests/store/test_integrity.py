"""The faults that are reported for damage that is really done to the files of a store."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gliner_distill.errors import StoreError
from gliner_distill.store.integrity import (
    check_other_files,
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


def assert_faults(folder, *expected):
    """Check the faults of a store: each has a file, and a problem that names some facts."""
    faults = find_faults(folder)
    assert [fault.file for fault in faults] == [file for file, *_ in expected]
    for fault, (file, *facts) in zip(faults, expected, strict=True):
        assert str(fault) == f"{file}: {fault.problem}"
        assert "\n" not in fault.problem
        for fact in facts:
            assert fact in fault.problem


def flip_byte(path, position, bit=1):
    content = bytearray(path.read_bytes())
    content[position] ^= bit
    path.write_bytes(content)


def size_of(path):
    return f"{path.stat().st_size:,}"


class TestWholeStore:
    def test_find_faults_returns_nothing_for_a_whole_store(self, store_folder):
        assert find_faults(store_folder) == []

    def test_find_faults_returns_nothing_for_an_unfinished_store(
        self, tmp_path, make_store, mixed_passages
    ):
        make_store(tmp_path, mixed_passages, [3, 1], n_passages=7)
        assert find_faults(tmp_path) == []
        # What a killed run wrote last may not be listed yet: the next one writes it again.
        shutil.copy(tmp_path / SECOND, tmp_path / shard_name(2))
        (tmp_path / "data" / "shard-000003.parquet.part").write_bytes(b"PAR1")
        assert find_faults(tmp_path) == []

    def test_find_faults_changes_no_file(self, store_folder):
        files = {path: path.read_bytes() for path in store_folder.rglob("*") if path.is_file()}
        flip_byte(store_folder / FIRST, 100)
        find_faults(store_folder)
        flip_byte(store_folder / FIRST, 100)
        assert files == {path: path.read_bytes() for path in files}
        assert len(files) == len([path for path in store_folder.rglob("*") if path.is_file()])


class TestBrokenShard:
    @pytest.mark.parametrize("n_left", [0, 1, 8, 1000, -1])
    def test_find_faults_finds_a_shard_that_is_cut_off(self, store_folder, n_left):
        path = store_folder / FIRST
        before = size_of(path)
        path.write_bytes(path.read_bytes()[:n_left])
        assert_faults(store_folder, (FIRST, "cut off", f"{size_of(path)} bytes", before))

    def test_find_faults_finds_a_changed_byte_by_the_hash(self, store_folder):
        flip_byte(store_folder / SECOND, 100)
        assert_faults(store_folder, (SECOND, "SHA-256"))

    def test_find_faults_finds_a_change_of_any_byte(self, store_folder):
        path = store_folder / FIRST
        for position in range(0, path.stat().st_size, 13):
            bit = 1 << position % 8
            flip_byte(path, position, bit)
            [fault] = find_faults(store_folder)
            assert fault.file == FIRST
            flip_byte(path, position, bit)
        assert find_faults(store_folder) == []

    def test_find_faults_finds_a_deleted_shard(self, store_folder):
        (store_folder / SECOND).unlink()
        assert_faults(store_folder, (SECOND, "missing"))

    def test_find_faults_finds_a_shard_that_grew(self, store_folder):
        path = store_folder / FIRST
        before = size_of(path)
        path.write_bytes(path.read_bytes() + b"more")
        assert_faults(store_folder, (FIRST, "grown", f"{size_of(path)} bytes", before))

    def test_find_faults_finds_a_shard_written_twice_into_its_file(self, store_folder):
        path = store_folder / FIRST
        before = size_of(path)
        path.write_bytes(path.read_bytes() * 2)
        assert_faults(store_folder, (FIRST, "grown", f"{size_of(path)} bytes", before))

    def test_find_faults_finds_a_folder_in_place_of_a_shard(self, store_folder):
        (store_folder / FIRST).unlink()
        (store_folder / FIRST).mkdir()
        assert_faults(store_folder, (FIRST, "not a regular file"))

    def test_find_faults_finds_a_shard_that_is_not_parquet(self, store_folder):
        before = size_of(store_folder / FIRST)
        (store_folder / FIRST).write_text("<html>not found</html>", encoding="utf-8")
        assert_faults(store_folder, (FIRST, "cut off", "22 bytes", before))


class TestForeignShard:
    @pytest.mark.parametrize(
        ("change", "fact"),
        [
            ({"teacher": "larger", "teacher_fingerprint": "0" * 64}, "teacher larger"),
            ({"label_policy": {"negatives": 3}}, "corpus or label policy"),
            ({"corpus_fingerprint": "0" * 64}, "corpus or label policy"),
        ],
    )
    def test_find_faults_names_the_origin_of_a_shard_of_another_store(
        self, store_folder, tmp_path, make_store, mixed_passages, change, fact
    ):
        make_store(tmp_path / "other", mixed_passages, [3, 1], **change)
        shutil.copy(tmp_path / "other" / SECOND, store_folder / SECOND)
        assert_faults(store_folder, (SECOND, "another store", fact, "teacher is lexicon"))

    def test_find_faults_finds_shards_that_were_swapped(self, store_folder):
        first, second = (store_folder / name for name in (FIRST, SECOND))
        first_content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(first_content)
        assert_faults(store_folder, (FIRST, "shard 1", "not 0"), (SECOND, "shard 0", "not 1"))

    def test_find_faults_finds_another_parquet_file_in_place_of_a_shard(self, store_folder):
        pq.write_table(pa.table({"words": [["some", "words"]]}), store_folder / FIRST)
        assert_faults(store_folder, (FIRST, "Parquet", "not a shard"))


class TestBrokenManifest:
    def test_find_faults_finds_a_changed_digit_in_the_manifest(self, store_folder):
        path = store_folder / MANIFEST
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"n_words": 11', '"n_words": 17'), encoding="utf-8")
        assert_faults(store_folder, (MANIFEST, "checksum", "--repair"))

    def test_find_faults_finds_a_manifest_of_a_later_version(self, store_folder):
        path = store_folder / MANIFEST
        text = path.read_text(encoding="utf-8")
        assert '"format_version": 3' in text
        text = text.replace('"format_version": 3', '"format_version": 4')
        path.write_text(text, encoding="utf-8")
        assert_faults(store_folder, (MANIFEST, "format version 4", "reads 3", "upgrade"))

    def test_find_faults_finds_a_manifest_that_is_cut_off(self, store_folder):
        path = store_folder / MANIFEST
        path.write_bytes(path.read_bytes()[:30])
        assert_faults(store_folder, (MANIFEST, "line 3 column 2", "--repair"))

    def test_find_faults_needs_a_manifest(self, store_folder):
        (store_folder / MANIFEST).unlink()
        with pytest.raises(StoreError, match=f"^{store_folder}: {MANIFEST} is missing"):
            find_faults(store_folder)
        with pytest.raises(StoreError, match="this is a file; expected the folder"):
            find_faults(store_folder / FIRST)


class TestOtherFiles:
    def test_find_faults_finds_unlisted_parquet_files(self, store_folder):
        shutil.copy(store_folder / SECOND, store_folder / "data" / "copy.parquet")
        shutil.copy(store_folder / SECOND, store_folder / shard_name(2))
        assert_faults(
            store_folder,
            ("data/copy.parquet", "not in the manifest", "remove"),
            (shard_name(2), "not in the manifest", "remove"),
        )

    def test_find_faults_ignores_files_that_nobody_reads(self, store_folder):
        for name in ("README.md", "notes.parquet", "data/notes.txt", ".lock"):
            (store_folder / name).write_text("hello", encoding="utf-8")
        assert find_faults(store_folder) == []

    def test_find_faults_finds_other_files_that_are_broken(self, store_folder):
        flip_byte(store_folder / VECTORS, 1000)
        assert_faults(store_folder, (VECTORS, "SHA-256"))
        (store_folder / VECTORS).write_bytes(b"0" * 1234)
        assert_faults(store_folder, (VECTORS, "cut off", "1,234 bytes", "2,560"))
        shutil.copy(store_folder / FIRST, store_folder / VECTORS)
        n_bytes = size_of(store_folder / FIRST)
        assert_faults(store_folder, (VECTORS, "grown", f"{n_bytes} bytes", "2,560"))
        (store_folder / VECTORS).unlink()
        assert_faults(store_folder, (VECTORS, "missing"))


def test_find_faults_finds_all_faults_at_once(store_folder):
    (store_folder / FIRST).unlink()
    flip_byte(store_folder / SECOND, 100)
    (store_folder / VECTORS).unlink()
    (store_folder / "data" / "more.parquet").write_bytes(b"")
    assert_faults(
        store_folder,
        (VECTORS, "missing"),
        (FIRST, "missing"),
        (SECOND, "SHA-256"),
        ("data/more.parquet", "not in the manifest"),
    )


def test_check_other_files_refuses_what_is_not_as_it_was_written(store_folder):
    manifest, path = read_manifest(store_folder), store_folder / VECTORS
    check_other_files(store_folder, manifest, [VECTORS, "tokenizer.json"])
    (store_folder / "tokenizer.json").write_text("{}")
    with pytest.raises(StoreError, match=rf"^{store_folder}/tokenizer\.json: is not in the manif"):
        check_other_files(store_folder, manifest, [VECTORS, "tokenizer.json"])
    flip_byte(path, 100)
    with pytest.raises(StoreError, match=rf"^{path}: has changed .*SHA-256.*--repair"):
        check_other_files(store_folder, manifest, [VECTORS])
    path.unlink()
    with pytest.raises(StoreError, match=rf"^{path}: is missing.*--repair"):
        check_other_files(store_folder, manifest, [VECTORS])


def test_find_size_problem_finds_missing_files_and_other_sizes(store_folder):
    [vectors] = read_manifest(store_folder).other_files
    assert find_size_problem(store_folder, vectors) is None
    (store_folder / VECTORS).write_bytes(b"0" * 12_345)
    problem = find_size_problem(store_folder, vectors)
    assert "12,345 bytes" in problem
    assert "2,560" in problem
    (store_folder / VECTORS).unlink()
    assert find_size_problem(store_folder, vectors) == "is missing"


class TestRecovery:
    def test_recover_shards_equals_the_records_of_the_lost_manifest(self, store_folder):
        manifest = read_manifest(store_folder)
        (store_folder / MANIFEST).unlink()
        expected = replace(manifest, shards=[])
        assert recover_shards(store_folder, expected) == manifest.shards
        assert expected.shards == []

    def test_recover_shards_keeps_shards_of_several_teachers(
        self, tmp_path, make_store, mixed_passages
    ):
        items = [
            replace(item, individual_probs=(item.probs, item.probs)) for item in mixed_passages
        ]
        manifest = make_store(tmp_path, items, [1, 1, 2], individual_teachers=["large", "small"])
        assert recover_shards(tmp_path, manifest) == manifest.shards

    def test_recover_shards_makes_a_store_that_can_be_read(
        self, store_folder, mixed_passages, comparable
    ):
        manifest = read_manifest(store_folder)
        (store_folder / MANIFEST).unlink()
        manifest.shards = recover_shards(store_folder, manifest)
        write_manifest(store_folder, manifest)
        assert find_faults(store_folder) == []
        read = SoftLabelStore(store_folder)
        assert comparable(read, COMPACT) == comparable(mixed_passages, COMPACT)

    def test_recover_shards_leaves_out_a_shard_with_a_changed_byte(self, store_folder):
        manifest = read_manifest(store_folder)
        flip_byte(store_folder / FIRST, 100)
        assert recover_shards(store_folder, manifest) == manifest.shards[1:]

    @pytest.mark.slow
    def test_recover_shards_keeps_no_shard_that_reads_differently(
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
    def test_recover_shards_leaves_out_files_that_are_not_parquet(self, store_folder, content):
        manifest = read_manifest(store_folder)
        (store_folder / SECOND).write_bytes(content)
        assert recover_shards(store_folder, manifest) == manifest.shards[:1]

    def test_recover_shards_leaves_out_shards_of_other_stores_and_places(
        self, store_folder, tmp_path, make_store, mixed_passages
    ):
        manifest = read_manifest(store_folder)
        make_store(tmp_path / "other", mixed_passages, [1] * 4, teacher_fingerprint="0" * 64)
        for index in (2, 3):
            shutil.copy(tmp_path / "other" / shard_name(index), store_folder / shard_name(index))
        pq.write_table(pa.table({"words": [["a"]]}), store_folder / shard_name(4))
        shutil.copy(store_folder / FIRST, store_folder / shard_name(5))
        (store_folder / shard_name(6)).mkdir()
        assert recover_shards(store_folder, manifest) == manifest.shards

    def test_recover_shards_leaves_out_shards_with_other_columns_or_counts(self, store_folder):
        manifest = read_manifest(store_folder)
        table = pq.read_table(store_folder / SECOND)
        for changed in (
            table.rename_columns({"n_words": "n_wards"}),
            table.append_column("scores_0", table["scores"]),
            table.set_column(3, "n_words", pa.array([5], pa.int32())),
            table.slice(0, 0),
        ):
            pq.write_table(changed, store_folder / SECOND, use_dictionary=False)
            assert recover_shards(store_folder, manifest) == manifest.shards[:1]
        pq.write_table(table, store_folder / SECOND, use_dictionary=False)
        found = recover_shards(store_folder, manifest)
        assert [shard.n_passages for shard in found] == [3, 1]

    def test_recover_shards_returns_nothing_for_a_folder_without_shards(
        self, tmp_path, store_folder
    ):
        assert recover_shards(tmp_path, read_manifest(store_folder)) == []


class TestOtherOrigin:
    def test_find_other_origin_returns_none_for_our_own_shards(self, store_folder):
        (store_folder / FIRST).write_bytes(b"")
        assert find_other_origin(store_folder, read_manifest(store_folder)) is None

    def test_find_other_origin_returns_the_origin_of_a_readable_shard(self, store_folder):
        manifest = read_manifest(store_folder)
        (store_folder / FIRST).write_bytes(b"")
        expected = replace(manifest, teacher="larger", teacher_fingerprint="0" * 64)
        found = find_other_origin(store_folder, expected)
        assert found == ShardOrigin(manifest.origin, "lexicon", 1)
