"""The manifest of a store: writing, reading, damage, and stores made from other inputs."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

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
from gliner_distill.store.quantization import UNIFORM
from gliner_distill.store.store import SoftLabelStore


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


class TestWriting:
    def test_write_stored_file_returns_the_record(self, tmp_path):
        stored = write_stored_file(tmp_path / "new", "data/some.file", b"content")
        assert (stored.file, stored.n_bytes) == ("data/some.file", 7)
        assert stored.sha256 == hashlib.sha256(b"content").hexdigest()
        assert (tmp_path / "new" / "data" / "some.file").read_bytes() == b"content"

    @pytest.mark.parametrize("failing", ["fsync", "replace"])
    def test_failed_write_leaves_the_old_store(self, store_folder, monkeypatch, failing):
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

    def test_write_manifest_names_a_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(StoreError, match=r"manifest\.json: cannot be written: (File|Not a)"):
            write_manifest(tmp_path / "file", new_manifest())
        with pytest.raises(StoreError, match=r"000000\.parquet: cannot be written: (File|Not a)"):
            write_stored_file(tmp_path / "file", shard_name(0), b"")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_write_manifest_names_a_folder_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(StoreError, match=r"cannot be written: Permission denied$"):
            write_manifest(tmp_path, new_manifest())


class TestManifest:
    def test_read_manifest_returns_the_manifest_that_was_written(
        self, tmp_path, make_store, mixed_passages
    ):
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
        assert [(shard.file, shard.index, shard.n_passages) for shard in found.shards] == [
            ("data/shard-000000.parquet", 0, 3),
            ("data/shard-000001.parquet", 1, 1),
        ]
        assert [(shard.n_words, shard.n_pairs) for shard in found.shards] == [(10, 17), (1, 2)]
        assert (found.n_labeled, found.is_complete, found.quantizer) == (4, True, UNIFORM)

    def test_manifest_has_a_checksum_that_others_can_compute(self, store_folder):
        raw = json.loads((store_folder / "manifest.json").read_text(encoding="utf-8"))
        assert sealed(raw) == raw

    def test_read_manifest_names_a_folder_without_one(self, tmp_path):
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(StoreError, match=rf"^{tmp_path}: manifest\.json is missing"):
            SoftLabelStore(tmp_path)
        with pytest.raises(StoreError, match="nowhere: this folder does not exist"):
            SoftLabelStore(tmp_path / "nowhere")
        with pytest.raises(StoreError, match="file: this is a file"):
            SoftLabelStore(tmp_path / "file")

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "Expecting value: line 1 column 1 (char 0)"),
            (b"\0\0", "Expecting value: line 1 column 1 (char 0)"),
            (b'{"format_version": 3,', "Expecting property name enclosed in double quotes: "),
            (b'{"teacher": "\xff"}', "'utf-8' codec can't decode byte 0xff in position 13: "),
        ],
    )
    def test_read_manifest_refuses_a_file_that_is_not_json(self, store_folder, content, reason):
        path = store_folder / "manifest.json"
        path.write_bytes(content)
        with pytest.raises(StoreError) as error:
            SoftLabelStore(store_folder)
        assert str(error.value).startswith(f"{path}: cannot be read: {reason}")
        assert "\n" not in str(error.value)

    def test_read_manifest_names_a_folder_in_its_place_once(self, tmp_path):
        (tmp_path / "manifest.json").mkdir()
        with pytest.raises(StoreError) as error:
            read_manifest(tmp_path)
        path = f"{tmp_path}/manifest.json"
        assert str(error.value).startswith(f"{path}: cannot be read: this is not a regular file; ")
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
    def test_read_manifest_refuses_a_changed_manifest(self, store_folder, old, new):
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
            (2, "label the text again"),
            (None, "label the text again"),
            ("3", "label the text again"),
        ],
    )
    def test_read_manifest_refuses_other_format_versions_with_advice(
        self, store_folder, version, advice
    ):
        path = store_folder / "manifest.json"
        change_manifest(path, format_version=version)
        message = rf"^{path}: .*format version {version!r}, .* reads 3; .*{advice}"
        with pytest.raises(FormatVersionError, match=message):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize("content", ["[]", "1", "null", '"manifest"', "{}"])
    def test_read_manifest_refuses_other_json_without_a_format_version(self, store_folder, content):
        (store_folder / "manifest.json").write_text(content, encoding="utf-8")
        with pytest.raises(FormatVersionError, match=r"manifest\.json: .*format version None"):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"shards": None}, r"shards: found null; expected a list"),
            ({"shards": ["data/shard-000000.parquet"]}, r"shards\[0\]: found a string"),
            ({"shards": [{"index": 0}]}, r"shards\[0\]\.file: is missing"),
            ({"other_files": [{"file": "vectors"}]}, r"other_files\[0\]\.n_bytes: is missing"),
            ({"surprise": 1}, "surprise: is not a field"),
            ({"quantization": "zigzag"}, "quantization: found 'zigzag'; .*compact, uniform"),
            ({"quantization": ["compact"]}, "quantization: found a list"),
            ({"teacher": 1}, "teacher: found 1; expected a string"),
            ({"n_passages": True}, "n_passages: found True; expected a whole number"),
            ({"n_passages": 3}, "n_passages: found 3, but the shards have 4"),
            ({"n_words": 10**30}, "n_words: found 1000"),
            ({"seconds": float("nan")}, "seconds: found nan; expected a finite number"),
            ({"label_policy": [[[[[[1]]]]]]}, "label_policy: found a list; expected an object"),
            ({"label_policy": {"a": [[[[[1]]]]]}}, "label_policy: found an object; .*levels"),
            ({"individual_teachers": [None]}, "individual_teachers: found a list; .*strings"),
        ],
    )
    def test_read_manifest_names_a_wrong_field(self, store_folder, change, reason):
        change_manifest(store_folder / "manifest.json", **change)
        with pytest.raises(StoreError, match=rf"manifest\.json: .*format version 3: {reason}"):
            SoftLabelStore(store_folder)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("file", "../../shard-000001.parquet"),
            ("file", "/dev/zero"),
            ("file", "data/shard-000000.parquet"),
            ("file", None),
            ("index", 0),
            ("index", 1.0),
            ("n_bytes", -1),
            ("sha256", "x" * 20),
            ("n_words", "7"),
        ],
    )
    def test_read_manifest_names_a_wrong_field_of_a_shard(self, store_folder, field, value):
        path = store_folder / "manifest.json"
        shards = json.loads(path.read_text(encoding="utf-8"))["shards"]
        shards[1][field] = value
        change_manifest(path, shards=shards)
        with pytest.raises(StoreError, match=r"manifest\.json: .*shards\[1\]\.") as error:
            SoftLabelStore(store_folder)
        if field != "index":
            found = "null" if value is None else repr(value)
            assert f"shards[1].{field}: found {found}" in str(error.value)

    @pytest.mark.parametrize(
        "name", ["../vectors", "/dev/zero", "data/x", "..", ".lock", "a\n", ""]
    )
    def test_read_manifest_refuses_a_file_that_is_not_a_plain_name(self, store_folder, name):
        record = {"file": name, "n_bytes": 1, "sha256": "0" * 64}
        change_manifest(store_folder / "manifest.json", other_files=[record])
        with pytest.raises(StoreError, match=r"other_files\[0\]\.file: found "):
            read_manifest(store_folder)

    @pytest.mark.parametrize("opening", ['{"label_policy":', "["])
    def test_read_manifest_refuses_deep_nesting(self, store_folder, opening):
        path = store_folder / "manifest.json"
        path.write_text(opening * 200_000, encoding="utf-8")
        with pytest.raises(StoreError, match=rf"^{path}: cannot be read: .*nested too deeply"):
            read_manifest(store_folder)

    def test_read_manifest_refuses_half_of_a_surrogate_pair(self, store_folder):
        path = store_folder / "manifest.json"
        text = path.read_text(encoding="utf-8").replace('"lexicon"', '"\\ud800"')
        path.write_text(text, encoding="utf-8")
        with pytest.raises(StoreError, match=rf"^{path}: cannot be read: .*surrogates"):
            read_manifest(store_folder)

    def test_read_manifest_refuses_a_pipe_a_device_and_a_large_file(self, store_folder):
        path = store_folder / "manifest.json"
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(StoreError, match=rf"^{path}: cannot be read: .*regular file"):
            read_manifest(store_folder)
        path.unlink()
        path.symlink_to("/dev/zero")
        with pytest.raises(StoreError, match=rf"^{path}: cannot be read: .*regular file"):
            read_manifest(store_folder)
        path.unlink()
        with path.open("wb") as stream:
            stream.truncate(2**40)
        with pytest.raises(StoreError, match=rf"^{path}: cannot be read: .*1,099,511,627,776"):
            read_manifest(store_folder)

    @pytest.mark.parametrize("field", ["shards", "other_files", "teacher", "n_words"])
    def test_read_manifest_names_a_missing_field(self, store_folder, field):
        path = store_folder / "manifest.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        del raw[field]
        path.write_text(json.dumps(sealed(raw)), encoding="utf-8")
        with pytest.raises(StoreError, match=rf"manifest\.json: .*format version 3: .*{field}"):
            SoftLabelStore(store_folder)


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
    def test_check_same_origin_accepts_equal_inputs(self):
        check_same_origin(Path("store"), new_manifest(shards=[]), new_manifest(seconds=3.0))

    def test_check_same_origin_accepts_a_new_name_of_the_teacher(self):
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
    def test_check_same_origin_names_each_difference(self, change, difference):
        found, expected = new_manifest(), new_manifest(**change)
        with pytest.raises(StoreError) as error:
            check_same_origin(Path("store"), found, expected)
        assert str(error.value).startswith("store: ")
        assert difference in str(error.value)
        assert "--out" in str(error.value)
        assert found.origin != expected.origin

    def test_check_same_origin_shows_the_place_where_long_lists_part(self):
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
    def test_check_same_origin_shortens_a_list_that_is_longer(self, others):
        labels = [f"label {number}" for number in range(5000)]
        policies = {"label_policy": {"fixed": labels}}, {"label_policy": {"fixed": others}}
        for found, expected in (policies, policies[::-1]):
            with pytest.raises(StoreError, match="holds soft labels from label policy") as error:
                check_same_origin(Path("store"), new_manifest(**found), new_manifest(**expected))
            assert len(str(error.value)) < 250
