"""The soft-label store: what goes in comes out, whatever happens on the way is an error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import StoreError
from gliner_distill.soft_labels import (
    LabelledPassage,
    Manifest,
    Shard,
    SoftLabelStore,
    check_same_origin,
    decode_probs,
    decode_scores,
    encode_probs,
    encode_scores,
    read_manifest,
    read_shard,
    write_manifest,
    write_shard,
)


def labelled(words, labels, entities=()):
    draw = np.random.default_rng(len(words))
    probs = draw.random((len(words), len(labels), 3), dtype=np.float32)
    return LabelledPassage(Passage(tuple(words), tuple(entities)), tuple(labels), probs)


PASSAGES = [
    labelled(
        ["Zoë", "visited", "東京", "🙂", "."],
        ["person", "city", "名前"],
        [Entity(0, 1, "person"), Entity(2, 3, "city"), Entity(2, 4, "名前")],
    ),
    labelled(["nothing", "here"], ["city"]),
    labelled(["no", "labels"], []),
    labelled(["Rhine"], ["river", "city"], [Entity(0, 1, "river")]),
]


def new_manifest(**fields):
    values = {"teacher": "t", "teacher_fingerprint": "f" * 64, "corpus_fingerprint": "c" * 64}
    return Manifest(**(values | {"label_policy": {"negatives": 2}, "n_passages": 4} | fields))


@pytest.fixture
def store_folder(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    manifest = new_manifest()
    manifest.shards = [
        write_shard(folder, 0, PASSAGES[:3]),
        write_shard(folder, 1, PASSAGES[3:]),
    ]
    write_manifest(folder, manifest)
    return folder


class TestEncoding:
    @given(st.floats(0, 1, width=32))
    def test_is_within_half_a_bin(self, prob):
        code = encode_probs(np.array([prob], dtype=np.float32))
        assert code.dtype == np.uint8
        assert abs(float(decode_probs(code)[0]) - prob) <= 1 / 512

    @given(st.floats(0, 1), st.integers(0, 256).map(lambda bins: bins / 256))
    def test_keeps_the_side_of_a_threshold_of_256ths(self, prob, threshold):
        decoded = float(decode_probs(encode_probs(np.array([prob])))[0])
        if threshold < 1:
            assert (decoded > threshold) == (prob >= threshold)

    def test_comes_back_the_same_from_every_code(self):
        codes = np.arange(256, dtype=np.uint8)
        decoded = decode_probs(codes)
        assert decoded.dtype == np.float32
        np.testing.assert_array_equal(encode_probs(decoded), codes)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_takes_any_float_and_does_not_wrap_round(self, dtype):
        probs = np.array([-1e-7, 0.0, 0.25, 1.0], dtype=dtype)
        assert encode_probs(probs).tolist() == [0, 0, 64, 255]

    @given(st.integers(0, 5), st.integers(0, 3), st.integers(0, 10_000))
    def test_of_scores_loses_nothing_but_the_bins(self, n_words, n_labels, seed):
        draw = np.random.default_rng(seed)
        probs = draw.choice(np.linspace(0, 1, 9), (n_words, n_labels, 3)).astype(np.float32)
        scores = encode_scores(probs)
        assert len(scores) == probs.size
        decoded = decode_scores(scores, n_words, n_labels)
        np.testing.assert_array_equal(decoded, decode_probs(encode_probs(probs)))

    def test_of_a_span_gliners_scores_has_a_plane_of_zeros(self):
        probs = np.array([[[0.9, 0.1, 0.9]], [[0.2, 0.7, 0.7]]])
        assert encode_scores(probs) == bytes([230, 51, 25, 179, 0, 0])


class TestRoundTrip:
    def test_of_every_kind_of_passage(self, store_folder):
        store = SoftLabelStore(store_folder)
        read = list(store)
        assert len(store) == len(read) == 4
        for found, expected in zip(read, PASSAGES, strict=True):
            assert found.passage == expected.passage
            assert found.labels == expected.labels
            assert found.probs.shape == expected.probs.shape
            assert found.probs.dtype == np.float32
            np.testing.assert_allclose(found.probs, expected.probs, atol=1 / 512)

    def test_of_the_manifest(self, store_folder):
        manifest = read_manifest(store_folder)
        first, second = manifest.shards
        assert (first.file, first.n_passages, first.n_words) == ("shard-00000.parquet", 3, 9)
        assert first.n_pairs == 5 * 3 + 2 * 1
        assert (second.n_passages, second.n_pairs) == (1, 2)
        assert manifest == new_manifest(shards=[first, second])
        assert manifest.is_complete

    def test_counts_its_bytes(self, store_folder):
        sizes = [path.stat().st_size for path in store_folder.glob("*.parquet")]
        assert SoftLabelStore(store_folder).size_bytes == sum(sizes)

    def test_leaves_no_temporary_file(self, store_folder):
        names = sorted(path.name for path in store_folder.iterdir())
        assert names == ["manifest.json", "shard-00000.parquet", "shard-00001.parquet"]

    def test_writes_the_same_bytes_again(self, tmp_path):
        hashes = {write_shard(tmp_path, 0, PASSAGES).sha256 for _ in range(2)}
        assert len(hashes) == 1


def scores_as_documented(row):
    """Read a row by what `encode_scores` says of the column, without the package."""
    codes = np.frombuffer(row["scores"], dtype=np.uint8).astype(int)
    start, end, above = codes.reshape(3, len(row["words"]), len(row["labels"]))
    inside = (np.maximum(start, end) + above) % 256
    return np.stack([start, end, inside], axis=-1) / 256 + 1 / 512


class TestOtherReaders:
    def test_pyarrow_opens_it(self, store_folder):
        paths = sorted(store_folder.glob("*.parquet"))
        rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
        for row, expected in zip(rows, PASSAGES, strict=True):
            assert tuple(row["words"]) == expected.passage.words
            np.testing.assert_allclose(scores_as_documented(row), expected.probs, atol=1 / 512)
        spans = [(span["start"], span["end"], span["label"]) for span in rows[0]["entities"]]
        assert spans == [(0, 1, "person"), (2, 3, "city"), (2, 4, "名前")]

    def test_datasets_opens_it(self, store_folder, tmp_path):
        program = (
            "import json, sys; from datasets import load_dataset\n"
            "rows = load_dataset('parquet', data_files=sys.argv[1], split='train')\n"
            "print(json.dumps([row | {'scores': list(row['scores'])} for row in rows]))"
        )
        environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
        finished = subprocess.run(
            [sys.executable, "-c", program, str(store_folder / "*.parquet")],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        rows = json.loads(finished.stdout)
        for row, expected in zip(rows, PASSAGES, strict=True):
            row["scores"] = bytes(row["scores"])
            assert tuple(row["words"]) == expected.passage.words
            assert tuple(row["labels"]) == expected.labels
            np.testing.assert_allclose(scores_as_documented(row), expected.probs, atol=1 / 512)


class TestAtomicWrites:
    @pytest.mark.parametrize("failing", ["fsync", "replace"])
    def test_a_failed_write_leaves_the_old_store(self, store_folder, monkeypatch, failing):
        before = {path.name: path.read_bytes() for path in store_folder.iterdir()}

        def fail(*args):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            if failing == "fsync":
                patch.setattr(os, "fsync", fail)
            else:
                patch.setattr(Path, "replace", fail)
            with pytest.raises(StoreError, match=r"shard-00000\.parquet: cannot.*No space left"):
                write_shard(store_folder, 0, PASSAGES[:1])
            with pytest.raises(StoreError, match=r"manifest\.json: cannot be written: No space"):
                write_manifest(store_folder, new_manifest(teacher="another"))
        assert {path.name: path.read_bytes() for path in store_folder.iterdir()} == before
        assert len(list(SoftLabelStore(store_folder))) == 4

    def test_names_a_folder_that_cannot_be_written(self, tmp_path):
        with pytest.raises(StoreError, match=r"manifest\.json: cannot be written: No such file"):
            write_manifest(tmp_path / "nowhere", new_manifest())

    def test_names_a_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(StoreError, match=r"shard-00000\.parquet: cannot be written: Not a"):
            write_shard(tmp_path / "file", 0, PASSAGES)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_names_a_folder_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(StoreError, match=r"cannot be written: Permission denied"):
            write_manifest(tmp_path, new_manifest())


class TestBrokenStores:
    def test_names_the_shard_that_changed(self, store_folder):
        path = store_folder / "shard-00001.parquet"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"shard-00001\.parquet: is not what was written"):
            list(SoftLabelStore(store_folder))

    def test_names_the_shard_that_is_missing(self, store_folder):
        (store_folder / "shard-00000.parquet").unlink()
        with pytest.raises(StoreError, match=r"shard-00000\.parquet: listed in the manifest but"):
            list(SoftLabelStore(store_folder))

    def test_names_a_folder_without_manifest(self, tmp_path):
        with pytest.raises(StoreError, match=rf"{tmp_path}: no manifest\.json in it"):
            SoftLabelStore(tmp_path)

    @pytest.mark.parametrize("text", ["", "{", "\x00", '{"format_version": 1,'])
    def test_names_a_manifest_that_is_no_json(self, store_folder, text):
        (store_folder / "manifest.json").write_text(text, encoding="utf-8")
        with pytest.raises(StoreError, match=r"manifest\.json: cannot be read: .+"):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize("version", [2, 0, None, "1"])
    def test_names_another_format_version(self, store_folder, version):
        self.change_manifest(store_folder, format_version=version)
        with pytest.raises(
            StoreError, match=rf"format version {version}, but this release reads 1"
        ):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize("content", ["[]", "1", "null", '"manifest"'])
    def test_names_a_manifest_of_another_form(self, store_folder, content):
        (store_folder / "manifest.json").write_text(content, encoding="utf-8")
        with pytest.raises(StoreError, match=r"manifest\.json: format version None"):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"shards": None}, "NoneType"),
            ({"shards": ["shard-00000.parquet"]}, "mapping"),
            ({"shards": [{"file": "shard-00000.parquet"}]}, "n_passages"),
            ({"surprise": 1}, "surprise"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, store_folder, change, reason):
        self.change_manifest(store_folder, **change)
        with pytest.raises(StoreError, match=rf"manifest\.json: not a manifest.*{reason}"):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize("field", ["shards", "teacher", "n_passages"])
    def test_names_the_field_that_is_missing(self, store_folder, field):
        path = store_folder / "manifest.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        del raw[field]
        path.write_text(json.dumps(raw), encoding="utf-8")
        with pytest.raises(StoreError, match=rf"manifest\.json: not a manifest.*{field}"):
            SoftLabelStore(store_folder)

    def test_counts_what_an_unfinished_store_lacks(self, store_folder):
        manifest = read_manifest(store_folder)
        manifest.shards.pop()
        write_manifest(store_folder, manifest)
        with pytest.raises(StoreError, match=r"3 of 4 passages are labelled; run the same"):
            SoftLabelStore(store_folder)

    def test_names_a_shard_record_of_another_shard(self, store_folder):
        first, second = read_manifest(store_folder).shards
        mixed = Shard(first.file, second.n_passages, second.n_words, second.n_pairs, second.sha256)
        with pytest.raises(StoreError, match=r"shard-00000\.parquet: is not what was written"):
            list(read_shard(store_folder, mixed))

    @staticmethod
    def change_manifest(folder, **fields):
        path = folder / "manifest.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(raw | fields), encoding="utf-8")


class TestSameOrigin:
    def test_lets_the_same_pass(self):
        check_same_origin(Path("store"), new_manifest(shards=[]), new_manifest(seconds=3.0))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"teacher": "u", "teacher_fingerprint": "0" * 64}, r"teacher t \(f+\), not u \(0+\)"),
            ({"corpus_fingerprint": "0" * 64, "n_passages": 5}, r"corpus c+ of 4 .*, not 0+ of 5"),
            ({"label_policy": {"negatives": 3}}, r"label policy .*2\}, not .*3\}"),
        ],
    )
    def test_names_what_differs(self, change, message):
        with pytest.raises(StoreError, match=rf"store: holds soft labels from {message}"):
            check_same_origin(Path("store"), new_manifest(), new_manifest(**change))

    def test_a_new_name_for_the_same_teacher_is_the_same(self):
        check_same_origin(Path("store"), new_manifest(), new_manifest(teacher="moved"))
