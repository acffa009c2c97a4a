"""The soft-label store: reading passages, damage, and other programs that read the shards."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from gliner_distill.errors import StoreError
from gliner_distill.store.manifest import (
    Manifest,
    read_manifest,
    shard_name,
)
from gliner_distill.store.quantization import COMPACT, UNIFORM
from gliner_distill.store.store import SoftLabelStore, read_shard

both_quantizers = pytest.mark.parametrize(
    "quantizer", [UNIFORM, COMPACT], ids=["uniform", "compact"]
)


@pytest.fixture
def store_folder(tmp_path, make_store, mixed_passages):
    """A store of two shards, of three passages and one."""
    make_store(tmp_path / "store", mixed_passages, [3, 1])
    return tmp_path / "store"


def new_manifest(**fields):
    values = {"teacher": "t", "teacher_fingerprint": "f" * 64, "corpus_fingerprint": "c" * 64}
    values |= {"label_policy": {"negatives": 2}, "n_passages": 4, "n_words": 11}
    return Manifest(**(values | fields))


def contents_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip_byte(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


class TestRoundTrip:
    @both_quantizers
    @pytest.mark.parametrize("shards", [[4], [3, 1], [1, 1, 1, 1]])
    def test_store_returns_every_kind_of_passage(
        self, tmp_path, make_store, mixed_passages, comparable, shards, quantizer
    ):
        make_store(tmp_path, mixed_passages, shards, quantization=quantizer.name)
        store = SoftLabelStore(tmp_path)
        assert len(store) == 4
        assert comparable(store, quantizer) == comparable(mixed_passages, quantizer)
        assert [item.probs.shape for item in store] == [(5, 3, 3), (2, 1, 3), (3, 0, 3), (1, 2, 3)]
        assert {item.probs.dtype for item in store} == {np.dtype(np.float32)}

    def test_store_returns_individual_probabilities(
        self, tmp_path, make_store, mixed_passages, comparable
    ):
        items = [
            replace(item, individual_probs=(item.probs / 2, 1 - item.probs))
            for item in mixed_passages
        ]
        make_store(tmp_path, items, [2, 2], individual_teachers=["large", "small"])
        store = SoftLabelStore(str(tmp_path))
        assert comparable(store, COMPACT) == comparable(items, COMPACT)
        assert comparable([store[2]], COMPACT) == comparable(items[2:3], COMPACT)

    def test_store_can_be_read_twice(self, store_folder, comparable):
        store = SoftLabelStore(store_folder)
        assert comparable(store, COMPACT) == comparable(store, COMPACT)

    @pytest.mark.slow
    def test_reading_a_store_does_not_abort_a_short_process(self, store_folder):
        """It aborted in about one of four as long as pyarrow's `read_table` was used."""
        script = "import sys; from gliner_distill.store.store import SoftLabelStore\n"
        script += "print(len(list(SoftLabelStore(sys.argv[1]))))"
        args = [sys.executable, "-c", script, store_folder]
        for _ in range(5):
            done = subprocess.run(args, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr

    def test_store_without_passages_returns_nothing(self, tmp_path, make_store):
        make_store(tmp_path, [], [])
        assert list(SoftLabelStore(tmp_path)) == []
        with pytest.raises(IndexError, match=rf"^{tmp_path}: passage 0 .* 0 passages$"):
            SoftLabelStore(tmp_path)[0]

    def test_size_bytes_is_the_sum_of_the_shards(self, store_folder):
        sizes = [path.stat().st_size for path in (store_folder / "data").iterdir()]
        assert SoftLabelStore(store_folder).size_bytes == sum(sizes)

    def test_writing_a_store_leaves_no_temporary_file(self, store_folder):
        assert sorted(path.name for path in contents_of(store_folder)) == [
            "manifest.json",
            "shard-000000.parquet",
            "shard-000001.parquet",
        ]


class TestOnePassage:
    def test_getitem_returns_the_passage_at_a_position(
        self, store_folder, mixed_passages, comparable
    ):
        store = SoftLabelStore(store_folder)
        order = [3, 0, 2, 1, -1, -4, 3]
        read = [store[position] for position in order]
        expected = [mixed_passages[position] for position in order]
        assert comparable(read, COMPACT) == comparable(expected, COMPACT)

    def test_read_scores_returns_the_probabilities_at_a_position(self, store_folder):
        store = SoftLabelStore(store_folder)
        for position, item in enumerate(store):
            np.testing.assert_array_equal(store.read_scores(position), item.probs)
            np.testing.assert_array_equal(store.read_scores(position - 4), item.probs)

    @pytest.mark.parametrize("position", [4, -5, 1000])
    def test_getitem_refuses_a_position_out_of_range(self, store_folder, position):
        store = SoftLabelStore(store_folder)
        for read in (store.__getitem__, store.read_scores):
            with pytest.raises(IndexError, match=rf"store: passage {position} .* 4 passages$"):
                read(position)

    def test_getitem_reads_only_the_shard_of_the_passage(self, store_folder):
        (store_folder / shard_name(0)).unlink()
        store = SoftLabelStore(store_folder)
        assert store[3].passage.words == ("Rhine",)
        missing = r"shard-000000\.parquet: is missing.*--repair"
        for read in (store.__getitem__, store.read_scores):
            with pytest.raises(StoreError, match=missing):
                read(0)

    def test_getitem_refuses_a_broken_page(self, store_folder):
        flip_byte(store_folder / shard_name(0), 100)
        store = SoftLabelStore(store_folder)
        with pytest.raises(StoreError, match=r"000000\.parquet: cannot be read: .*CRC checksum"):
            store[0]
        assert store.read_scores(0).shape == (5, 3, 3)

    @pytest.mark.parametrize("content", [b"", b"no Parquet at all"])
    def test_getitem_refuses_a_shard_that_is_not_parquet(self, store_folder, content):
        (store_folder / shard_name(1)).write_bytes(content)
        with pytest.raises(StoreError, match=r"000001\.parquet: cannot be read: .*Parquet"):
            SoftLabelStore(store_folder)[3]

    def test_getitem_refuses_another_shard_in_the_place(
        self, store_folder, tmp_path, make_store, mixed_passages
    ):
        first, second = store_folder / shard_name(0), store_folder / shard_name(1)
        first.write_bytes(second.read_bytes())
        with pytest.raises(StoreError, match=r"000000\.parquet: .*another shard.*--repair"):
            SoftLabelStore(store_folder)[0]
        make_store(tmp_path / "b", mixed_passages, [3, 1], teacher_fingerprint="0" * 64)
        first.write_bytes((tmp_path / "b" / shard_name(0)).read_bytes())
        with pytest.raises(StoreError, match=r"000000\.parquet: .*another shard.*--repair"):
            SoftLabelStore(store_folder).read_scores(0)


def as_uniform(bins):
    """Return the least and the largest probability of bins, from the documentation alone."""
    return bins / 256, (bins + 1) / 256


def as_compact(bins):
    borders = np.array([0, 8, 16, *range(32, 257)]) / 256
    return borders[bins], borders[bins + 1]


def check_row(row, expected, bounds):
    """Compare a row as another program read it, by what is documented of the columns."""
    assert tuple(row["words"]) == expected.passage.words
    assert tuple(row["labels"]) == expected.labels
    spans = [(span["start"], span["end"], span["label"]) for span in row["entities"]]
    entities = expected.passage.entities
    assert spans == [(entity.start_word, entity.end_word, entity.label) for entity in entities]
    shape = row["n_words"], len(row["labels"])
    start, end, above = np.array(row["scores"], dtype=int).reshape(3, *shape)
    bins = np.stack([start, end, (np.maximum(start, end) + above) % 256], axis=-1)
    least, largest = bounds(bins)
    assert (least <= expected.probs).all()
    assert (expected.probs < largest).all()


OPENING = {
    "pyarrow": "import pyarrow.dataset as ds; rows = ds.dataset(data).to_table().to_pylist()",
    "pandas": "import pandas; rows = pandas.read_parquet(data).to_dict('records')",
    "polars": "import polars; rows = polars.read_parquet(data + '/*.parquet').to_dicts()",
    "datasets": (
        "from datasets import load_dataset\n"
        "rows = list(load_dataset('parquet', data_files=data + '/*.parquet', split='train'))"
    ),
}
PRINTING = """
import json
def plain(value):  # bytes and arrays
    return list(value)
print(json.dumps([{**row, 'n_words': int(row['n_words'])} for row in rows], default=plain))
"""


class TestOtherReaders:
    @pytest.mark.slow
    @pytest.mark.parametrize("reader", OPENING)
    def test_other_programs_read_the_shards(self, tmp_path, make_store, mixed_passages, reader):
        every_bounds = {"uniform": as_uniform, "compact": as_compact}
        for quantizer in every_bounds:
            make_store(tmp_path / quantizer, mixed_passages, [3, 1], quantization=quantizer)
        environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
        # In a process of its own: these programs warn, and set up threads, as they please.
        program = f"import sys\nfor data in sys.argv[1:]:\n    exec({OPENING[reader] + PRINTING!r})"
        finished = subprocess.run(
            [sys.executable, "-c", program, *(tmp_path / name / "data" for name in every_bounds)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for line, bounds in zip(finished.stdout.splitlines(), every_bounds.values(), strict=True):
            rows = json.loads(line)
            assert list(rows[0]) == ["words", "labels", "entities", "n_words", "scores"]
            for row, expected in zip(rows, mixed_passages, strict=True):
                check_row(row, expected, bounds)

    def test_uniform_scores_can_be_computed_by_hand(self, tmp_path, make_store, mixed_passages):
        make_store(tmp_path, mixed_passages[3:], quantization="uniform")
        [row] = pq.read_table(tmp_path / shard_name(0)).to_pylist()
        start = np.frombuffer(row["scores"], dtype=np.uint8)[:2] / 256 + 1 / 512
        np.testing.assert_array_equal(start, SoftLabelStore(tmp_path)[0].probs[0, :, 0])


class TestShards:
    def test_reading_a_changed_shard_names_it(self, store_folder):
        path = store_folder / shard_name(1)
        flip_byte(path, 200)
        with pytest.raises(StoreError, match=rf"^{path}: .*SHA-256.*--verify.*--repair"):
            list(SoftLabelStore(store_folder))

    def test_reading_a_missing_shard_names_it(self, store_folder):
        path = store_folder / shard_name(0)
        path.unlink()
        with pytest.raises(StoreError, match=rf"^{path}: is missing.*--repair"):
            list(SoftLabelStore(store_folder))

    def test_reading_an_unreadable_shard_names_it_once(self, store_folder):
        path = store_folder / shard_name(0)
        path.unlink()
        path.mkdir()
        with pytest.raises(StoreError) as error:
            list(SoftLabelStore(store_folder))
        assert str(error.value).startswith(f"{path}: cannot be read: this is not a regular file; ")
        assert str(error.value).count(str(path)) == 1

    def test_read_shard_refuses_the_record_of_another_shard(self, store_folder):
        first, second = read_manifest(store_folder).shards
        with pytest.raises(StoreError, match=r"000000\.parquet: .*SHA-256"):
            list(read_shard(store_folder, replace(second, file=first.file), COMPACT))

    def test_add_shard_keeps_the_order_of_the_indices(self, store_folder):
        manifest = read_manifest(store_folder)
        added = new_manifest()
        for shard in reversed(manifest.shards):
            added.add_shard(shard)
        assert added.shards == manifest.shards


def test_store_refuses_an_unfinished_store_and_says_how_much_is_there(
    tmp_path, make_store, mixed_passages
):
    make_store(tmp_path, mixed_passages, n_passages=7)
    assert not read_manifest(tmp_path).is_complete
    with pytest.raises(StoreError, match=f"^{tmp_path}: 4 of 7 passages .* label command again"):
        SoftLabelStore(tmp_path)
