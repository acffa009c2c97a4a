"""The soft-label store: what goes in comes out, and whatever is wrong with it is named."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gliner_distill.errors import FormatVersionError, StoreError
from gliner_distill.store.manifest import (
    Manifest,
    check_same_origin,
    read_manifest,
    shard_name,
    write_manifest,
    write_stored_file,
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
    def test_of_every_kind_of_passage(
        self, tmp_path, make_store, mixed_passages, comparable, shards, quantizer
    ):
        make_store(tmp_path, mixed_passages, shards, quantization=quantizer.name)
        store = SoftLabelStore(tmp_path)
        assert len(store) == 4
        assert comparable(store, quantizer) == comparable(mixed_passages, quantizer)
        assert [item.probs.shape for item in store] == [(5, 3, 3), (2, 1, 3), (3, 0, 3), (1, 2, 3)]
        assert {item.probs.dtype for item in store} == {np.dtype(np.float32)}

    def test_with_what_each_teacher_said(self, tmp_path, make_store, mixed_passages, comparable):
        items = [
            replace(item, individual_probs=(item.probs / 2, 1 - item.probs))
            for item in mixed_passages
        ]
        make_store(tmp_path, items, [2, 2], individual_teachers=["large", "small"])
        store = SoftLabelStore(str(tmp_path))
        assert comparable(store, COMPACT) == comparable(items, COMPACT)
        assert comparable([store[2]], COMPACT) == comparable(items[2:3], COMPACT)

    def test_can_be_read_twice(self, store_folder, comparable):
        store = SoftLabelStore(store_folder)
        assert comparable(store, COMPACT) == comparable(store, COMPACT)

    def test_ends_well_in_a_process_that_does_nothing_else(self, store_folder):
        """It aborted in about one of four as long as pyarrow's `read_table` was used."""
        script = "import sys; from gliner_distill.store.store import SoftLabelStore\n"
        script += "print(len(list(SoftLabelStore(sys.argv[1]))))"
        args = [sys.executable, "-c", script, store_folder]
        for _ in range(10):
            done = subprocess.run(args, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr

    def test_of_a_store_of_nothing(self, tmp_path, make_store):
        make_store(tmp_path, [], [])
        assert list(SoftLabelStore(tmp_path)) == []
        with pytest.raises(IndexError, match=rf"^{tmp_path}: passage 0 .* 0 passages$"):
            SoftLabelStore(tmp_path)[0]

    def test_counts_its_bytes(self, store_folder):
        sizes = [path.stat().st_size for path in (store_folder / "data").iterdir()]
        assert SoftLabelStore(store_folder).size_bytes == sum(sizes)

    def test_leaves_no_temporary_file(self, store_folder):
        assert sorted(path.name for path in contents_of(store_folder)) == [
            "manifest.json",
            "shard-000000.parquet",
            "shard-000001.parquet",
        ]


class TestOnePassage:
    def test_is_had_by_its_number(self, store_folder, mixed_passages, comparable):
        store = SoftLabelStore(store_folder)
        order = [3, 0, 2, 1, -1, -4, 3]
        read = [store[position] for position in order]
        expected = [mixed_passages[position] for position in order]
        assert comparable(read, COMPACT) == comparable(expected, COMPACT)

    def test_gives_its_scores_alone(self, store_folder):
        store = SoftLabelStore(store_folder)
        for position, item in enumerate(store):
            np.testing.assert_array_equal(store.read_scores(position), item.probs)
            np.testing.assert_array_equal(store.read_scores(position - 4), item.probs)

    @pytest.mark.parametrize("position", [4, -5, 1000])
    def test_that_there_is_not_is_an_index_error(self, store_folder, position):
        store = SoftLabelStore(store_folder)
        for read in (store.__getitem__, store.read_scores):
            with pytest.raises(IndexError, match=rf"store: passage {position} .* 4 passages$"):
                read(position)

    def test_needs_no_other_shard(self, store_folder):
        (store_folder / shard_name(0)).unlink()
        store = SoftLabelStore(store_folder)
        assert store[3].passage.words == ("Rhine",)
        missing = r"shard-000000\.parquet: is missing.*--repair"
        for read in (store.__getitem__, store.read_scores):
            with pytest.raises(StoreError, match=missing):
                read(0)

    def test_is_not_read_from_broken_pages(self, store_folder):
        flip_byte(store_folder / shard_name(0), 100)
        store = SoftLabelStore(store_folder)
        with pytest.raises(StoreError, match=r"000000\.parquet: cannot be read: .*CRC checksum"):
            store[0]
        assert store.read_scores(0).shape == (5, 3, 3)

    @pytest.mark.parametrize("content", [b"", b"no Parquet at all"])
    def test_is_not_read_from_what_is_no_parquet(self, store_folder, content):
        (store_folder / shard_name(1)).write_bytes(content)
        with pytest.raises(StoreError, match=r"000001\.parquet: cannot be read: .*Parquet"):
            SoftLabelStore(store_folder)[3]

    def test_is_not_read_from_another_shard(
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
    found = [(one.start_word, one.end_word, one.label) for one in expected.passage.entities]
    assert spans == found
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
    @pytest.mark.parametrize(
        ("quantizer", "bounds"), [("uniform", as_uniform), ("compact", as_compact)]
    )
    @pytest.mark.parametrize("reader", OPENING)
    def test_open_it(self, tmp_path, make_store, mixed_passages, reader, quantizer, bounds):
        make_store(tmp_path / "store", mixed_passages, [3, 1], quantization=quantizer)
        environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
        # In a process of its own: these programs warn, and set up threads, as they please.
        program = f"import sys; data = sys.argv[1]\n{OPENING[reader]}\n{PRINTING}"
        finished = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "store" / "data")],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        rows = json.loads(finished.stdout)
        assert list(rows[0]) == ["words", "labels", "entities", "n_words", "scores"]
        for row, expected in zip(rows, mixed_passages, strict=True):
            check_row(row, expected, bounds)

    def test_know_the_value_of_a_linear_score(self, tmp_path, make_store, mixed_passages):
        make_store(tmp_path, mixed_passages[3:], quantization="uniform")
        [row] = pq.read_table(tmp_path / shard_name(0)).to_pylist()
        start = np.frombuffer(row["scores"], dtype=np.uint8)[:2] / 256 + 1 / 512
        np.testing.assert_array_equal(start, SoftLabelStore(tmp_path)[0].probs[0, :, 0])


class TestWriting:
    def test_returns_the_record_of_a_file(self, tmp_path):
        stored = write_stored_file(tmp_path / "new", "data/some.file", b"content")
        assert (stored.file, stored.n_bytes) == ("data/some.file", 7)
        assert stored.sha256 == hashlib.sha256(b"content").hexdigest()
        assert (tmp_path / "new" / "data" / "some.file").read_bytes() == b"content"

    @pytest.mark.parametrize("failing", ["fsync", "replace"])
    def test_that_fails_leaves_the_old_store(self, store_folder, monkeypatch, failing):
        before = contents_of(store_folder)

        def fail(*args):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(*((os, "fsync", fail) if failing == "fsync" else (Path, "replace", fail)))
            with pytest.raises(StoreError, match=r"000000\.parquet: cannot be written: No space"):
                write_stored_file(store_folder, shard_name(0), b"another")
            with pytest.raises(StoreError, match=r"manifest\.json: cannot be written: No space"):
                write_manifest(store_folder, new_manifest(teacher="another"))
        assert contents_of(store_folder) == before
        assert len(list(SoftLabelStore(store_folder))) == 4

    def test_names_a_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(StoreError, match=r"manifest\.json: cannot be written: (File|Not a)"):
            write_manifest(tmp_path / "file", new_manifest())
        with pytest.raises(StoreError, match=r"000000\.parquet: cannot be written: (File|Not a)"):
            write_stored_file(tmp_path / "file", shard_name(0), b"")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_names_a_folder_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(StoreError, match=r"cannot be written: Permission denied$"):
            write_manifest(tmp_path, new_manifest())


class TestShards:
    def test_that_changed_are_named(self, store_folder):
        path = store_folder / shard_name(1)
        flip_byte(path, 200)
        with pytest.raises(StoreError, match=rf"^{path}: .*SHA-256.*--verify.*--repair"):
            list(SoftLabelStore(store_folder))

    def test_that_are_missing_are_named(self, store_folder):
        path = store_folder / shard_name(0)
        path.unlink()
        with pytest.raises(StoreError, match=rf"^{path}: is missing.*--repair"):
            list(SoftLabelStore(store_folder))

    def test_that_cannot_be_read_are_named_once(self, store_folder):
        path = store_folder / shard_name(0)
        path.unlink()
        path.mkdir()
        with pytest.raises(StoreError) as error:
            list(SoftLabelStore(store_folder))
        assert str(error.value).startswith(f"{path}: cannot be read: Is a directory; ")
        assert str(error.value).count(str(path)) == 1

    def test_with_the_record_of_another_are_named(self, store_folder):
        first, second = read_manifest(store_folder).shards
        with pytest.raises(StoreError, match=r"000000\.parquet: .*SHA-256"):
            list(read_shard(store_folder, replace(second, file=first.file), COMPACT))

    def test_lie_in_the_order_of_their_numbers(self, store_folder):
        manifest = read_manifest(store_folder)
        added = new_manifest()
        for shard in reversed(manifest.shards):
            added.add_shard(shard)
        assert added.shards == manifest.shards


class TestManifest:
    def test_comes_back(self, tmp_path, make_store, mixed_passages):
        vectors = write_stored_file(tmp_path, "label_vectors.safetensors", b"vectors")
        metadata = {
            "quantization": "uniform",
            "individual_teachers": ["Zoë", "東京"],
            "other_files": [vectors],
        }
        metadata |= {"teacher_metadata": {"n_parameters": 5}, "seconds": 1.25, "machine": "toaster"}
        items = [
            replace(item, individual_probs=(item.probs, item.probs)) for item in mixed_passages
        ]
        written = make_store(tmp_path, items, [3, 1], **metadata)
        found = read_manifest(tmp_path)
        assert found == written
        assert [(one.file, one.index, one.n_passages) for one in found.shards] == [
            ("data/shard-000000.parquet", 0, 3),
            ("data/shard-000001.parquet", 1, 1),
        ]
        assert [(one.n_words, one.n_pairs) for one in found.shards] == [(10, 17), (1, 2)]
        assert (found.n_labeled, found.is_complete, found.quantizer) == (4, True, UNIFORM)

    def test_has_a_checksum_that_others_can_make(self, store_folder):
        raw = json.loads((store_folder / "manifest.json").read_text(encoding="utf-8"))
        assert sealed(raw) == raw

    def test_names_a_folder_without_one(self, tmp_path):
        (tmp_path / "file").write_text("x", encoding="utf-8")
        for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
            with pytest.raises(StoreError, match=rf"^{folder}: manifest\.json is missing"):
                SoftLabelStore(folder)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "Expecting value: line 1 column 1 (char 0)"),
            (b"\0\0", "Expecting value: line 1 column 1 (char 0)"),
            (b'{"format_version": 3,', "Expecting property name enclosed in double quotes: "),
            (b'{"teacher": "\xff"}', "'utf-8' codec can't decode byte 0xff in position 13: "),
        ],
    )
    def test_that_is_no_json_is_named(self, store_folder, content, reason):
        path = store_folder / "manifest.json"
        path.write_bytes(content)
        with pytest.raises(StoreError) as error:
            SoftLabelStore(store_folder)
        assert str(error.value).startswith(f"{path}: cannot be read: {reason}")
        assert "\n" not in str(error.value)

    def test_that_is_a_folder_is_named_once(self, tmp_path):
        (tmp_path / "manifest.json").mkdir()
        with pytest.raises(StoreError) as error:
            read_manifest(tmp_path)
        path = f"{tmp_path}/manifest.json"
        assert str(error.value).startswith(f"{path}: cannot be read: Is a directory; ")
        assert str(error.value).count(path) == 1

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"n_passages": 3', '"n_passages": 2'),
            ('"n_words": 11', '"n_words": 12'),
            ('"negatives": 2', '"negatives": 3'),
            ("ffff", "fffe"),
            ('"lexicon"', '"lexicom"'),
            ('"checksum": "', '"checksum": "0'),
            ('"checksum"', '"chicksum"'),
        ],
    )
    def test_that_changed_is_named(self, store_folder, old, new):
        path = store_folder / "manifest.json"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(StoreError, match=rf"^{path}: .*checksum.*--repair"):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize(
        ("version", "advice"),
        [
            (4, "upgrade"),
            (2, "label again"),
            (None, "label again"),
            ("3", "label again"),
        ],
    )
    def test_of_another_format_version_says_what_to_do(self, store_folder, version, advice):
        path = store_folder / "manifest.json"
        change_manifest(path, format_version=version)
        message = rf"^{path}: .*format version {version}, .* reads 3; .*{advice}"
        with pytest.raises(FormatVersionError, match=message):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize("content", ["[]", "1", "null", '"manifest"', "{}"])
    def test_of_another_form_has_no_format_version(self, store_folder, content):
        (store_folder / "manifest.json").write_text(content, encoding="utf-8")
        with pytest.raises(FormatVersionError, match=r"manifest\.json: .*format version None"):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"shards": None}, "NoneType"),
            ({"shards": ["data/shard-000000.parquet"]}, "mapping"),
            ({"shards": [{"file": "data/shard-000000.parquet"}]}, "n_passages"),
            ({"other_files": [{"file": "vectors"}]}, "sha256"),
            ({"surprise": 1}, "surprise"),
            ({"quantization": "zigzag"}, "zigzag"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, store_folder, change, reason):
        change_manifest(store_folder / "manifest.json", **change)
        with pytest.raises(StoreError, match=rf"manifest\.json: .*format version 3: .*{reason}"):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize("field", ["shards", "other_files", "teacher", "n_words"])
    def test_names_the_field_that_is_missing(self, store_folder, field):
        path = store_folder / "manifest.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        del raw[field]
        path.write_text(json.dumps(sealed(raw)), encoding="utf-8")
        with pytest.raises(StoreError, match=rf"manifest\.json: .*format version 3: .*{field}"):
            SoftLabelStore(store_folder)


def test_an_unfinished_store_says_how_much_is_there(tmp_path, make_store, mixed_passages):
    make_store(tmp_path, mixed_passages, n_passages=7)
    assert not read_manifest(tmp_path).is_complete
    with pytest.raises(StoreError, match=f"^{tmp_path}: 4 of 7 passages .* label command again"):
        SoftLabelStore(tmp_path)


def sealed(raw):
    """Return a manifest with the checksum of its content: of its JSON with sorted keys."""
    content = {key: value for key, value in raw.items() if key != "checksum"}
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False).encode()
    return content | {"checksum": hashlib.sha256(canonical).hexdigest()}


def change_manifest(path, **fields):
    """Change a manifest as another release would have written it, with its checksum."""
    raw = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(sealed(raw)), encoding="utf-8")


class TestSameOrigin:
    def test_lets_the_same_pass(self):
        check_same_origin(Path("store"), new_manifest(shards=[]), new_manifest(seconds=3.0))

    def test_lets_a_new_name_of_the_same_teacher_pass(self):
        check_same_origin(Path("store"), new_manifest(), new_manifest(teacher="moved"))
        assert new_manifest().origin == new_manifest(teacher="moved").origin

    @pytest.mark.parametrize(
        ("change", "difference"),
        [
            (
                {"teacher": "u", "teacher_fingerprint": "0" * 64},
                "teacher t (ffffffffffff), not u (000000000000)",
            ),
            (
                {"corpus_fingerprint": "0" * 64, "n_passages": 5},
                "corpus cccccccccccc of 4 passages, not 000000000000 of 5",
            ),
            ({"label_policy": {"negatives": 3}}, "label policy negatives 2, not 3"),
            (
                {"label_policy": {"negatives": 2, "fixed": ["city"]}},
                'label policy fixed null, not ["city"]',
            ),
            ({"quantization": "uniform"}, "quantization compact, not uniform"),
            ({"individual_teachers": ["a", "b"]}, "0 individual teachers, not 2"),
            (
                {"label_policy": {}, "quantization": "uniform"},
                "label policy negatives 2, not null; quantization compact, not uniform",
            ),
        ],
    )
    def test_names_what_differs(self, change, difference):
        found, expected = new_manifest(), new_manifest(**change)
        with pytest.raises(StoreError) as error:
            check_same_origin(Path("store"), found, expected)
        assert str(error.value).startswith("store: ")
        assert difference in str(error.value)
        assert "--out" in str(error.value)
        assert found.origin != expected.origin

    def test_names_lists_of_thousands_of_labels_from_where_they_part(self):
        labels = [f"label {number}" for number in range(5000)]
        others = [*labels[:3000], "名前", *labels[3001:]]
        with pytest.raises(StoreError) as error:
            check_same_origin(
                Path("store"),
                new_manifest(label_policy={"fixed": labels}),
                new_manifest(label_policy={"fixed": others}),
            )
        assert "label policy fixed " in str(error.value)
        assert (
            '...98", "label 2999", "label 3000", "label 3001", "label ..., not '
            '...98", "label 2999", "名前", "label 3001", "label 3002", "...; '
        ) in str(error.value)

    @pytest.mark.parametrize("others", [None, [], [f"label {number}" for number in range(4999)]])
    def test_names_a_list_of_labels_that_the_other_has_less_of_shortly(self, others):
        labels = [f"label {number}" for number in range(5000)]
        policies = {"label_policy": {"fixed": labels}}, {"label_policy": {"fixed": others}}
        for found, expected in (policies, policies[::-1]):
            with pytest.raises(StoreError, match="holds soft labels from label policy") as error:
                check_same_origin(Path("store"), new_manifest(**found), new_manifest(**expected))
            assert len(str(error.value)) < 250
