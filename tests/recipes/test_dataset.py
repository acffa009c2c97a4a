"""The data set of written passages: its recipe, and the files in the repository."""

import hashlib
import importlib
import json
import tomllib
from pathlib import Path

import pytest

from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import CorpusError
from gliner_distill.labels import clean_label

ROOT = Path(__file__).resolve().parents[2]
RECIPES, DATA_SET = ROOT / "recipes", ROOT / "dataset"
SHARED = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not RECIPES.is_dir() or not DATA_SET.is_dir(),
    reason="the recipes and the data set are in the repository, not in the package",
)


def recipe(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        return importlib.import_module(name)


def read_both(folder):
    """Return the passages and the thesaurus of a folder."""
    passages = recipe("written_passages").read_passages(folder)
    return passages, recipe("thesaurus").read_thesaurus(folder)


@pytest.fixture(scope="module")
def dataset():
    """The recipe as a module."""
    return recipe("dataset")


@pytest.fixture(scope="module")
def written():
    """The passages and the thesaurus of the repository."""
    return read_both(DATA_SET)


@pytest.fixture(scope="module")
def manifest():
    """The manifest in the repository."""
    return json.loads((DATA_SET / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture
def small_data(tmp_path):
    """A folder with JSON of two passages per source and two labels."""
    folder = tmp_path / "data"
    folder.mkdir()
    for source in ("train", "more", "focus"):
        rows = [
            {"tokenized_text": ["Zoë", "saw", source], "ner": [[0, 0, "person"], [0, 0, "seer"]]},
            {"tokenized_text": ["nothing"], "ner": [[0, 0, source]]},
        ]
        (folder / f"{source}.json").write_text(json.dumps(rows))
    lines = [
        {"label": label, "synonyms": ["x"], "broader": [], "siblings": [], "descriptions": ["y"]}
        for label in ("person", "city")
    ]
    (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


class TestRecipe:
    @pytest.mark.slow
    def test_make_data_set_writes_the_same_bytes_each_time(self, dataset, small_data, tmp_path):
        for name in ("once", "again"):
            dataset.make_data_set(small_data, tmp_path / name)
        # Its own output is an input, too.
        dataset.make_data_set(tmp_path / "once", tmp_path / "copy")
        names = sorted(path.name for path in (tmp_path / "once").iterdir())
        assert names == sorted(
            ["LICENSE", "README.md", "manifest.json", "passages.parquet", "thesaurus.parquet"]
        )
        for name in names:
            contents = {
                (tmp_path / folder / name).read_bytes() for folder in ("once", "again", "copy")
            }
            assert len(contents) == 1, name

    def test_command_writes_parquet_and_json(
        self, dataset, small_data, tmp_path, monkeypatch, capsys
    ):
        one, two = tmp_path / "one", tmp_path / "two"
        for arguments in ((small_data, one), (one, two, "--json")):
            monkeypatch.setattr("sys.argv", ["dataset.py", *map(str, arguments)])
            dataset.main()
        assert "passages.parquet: 6 rows" in capsys.readouterr().out
        for path in small_data.glob("*.json"):
            assert json.loads((two / path.name).read_text()) == json.loads(path.read_text())

    def test_make_data_set_writes_what_the_corpus_reader_reads(self, dataset, small_data, tmp_path):
        dataset.make_data_set(small_data, tmp_path / "out")
        found = list(CorpusFile(tmp_path / "out" / "passages.parquet"))
        assert len(found) == 6
        assert found[2] == Passage(
            ("Zoë", "saw", "more"), (Entity(0, 1, "person"), Entity(0, 1, "seer"))
        )

    def test_make_data_set_refuses_files_that_are_too_large(
        self, dataset, small_data, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(dataset, "MAX_BYTES", 1000)
        with pytest.raises(CorpusError, match=r"bytes; at most 1,000"):
            dataset.make_data_set(small_data, tmp_path / "out")

    def test_make_data_set_checks_what_it_wrote(self, dataset, small_data, tmp_path, monkeypatch):
        rows = dataset.passage_rows
        monkeypatch.setattr(dataset, "passage_rows", lambda groups: list(rows(groups))[1:])
        with pytest.raises(CorpusError, match="do not give back"):
            dataset.make_data_set(small_data, tmp_path / "out")

    def test_count_tells_spans_from_entities_and_labels(self, dataset):
        entities = (Entity(0, 1, "person"), Entity(0, 1, "seer"), Entity(1, 2, "person"))
        counts = dataset.count([Passage(("Zoë", "Ann", "left"), entities), Passage(("x",))])
        assert counts == {"passages": 2, "words": 4, "spans": 2, "entities": 3, "labels": 2}

    def test_count_thesaurus_gives_shares_by_use_and_by_label(self, dataset, small_data):
        _, thesaurus = read_both(small_data)
        passages = [Passage(("a", "b"), (Entity(0, 1, "city"), Entity(1, 2, "city")))]
        passages += [Passage(("a", "b"), (Entity(0, 1, "city"), Entity(0, 2, "phrase")))]
        counts = dataset.count_thesaurus(thesaurus, passages)
        assert counts["labels"] == counts["synonyms"] == 2
        assert counts["broader"] == 0
        assert counts["share of entities covered"] == 0.75
        assert counts["share of labels covered"] == 0.5

    def test_hash_rows_is_that_of_json_lines(self, dataset):
        assert (
            dataset.hash_rows([{"a": ["é", 1]}, {"a": []}])
            == hashlib.sha256('{"a":["é",1]}\n{"a":[]}\n'.encode()).hexdigest()
        )


class TestFiles:
    def test_data_set_has_at_most_six_megabytes_and_no_other_files(self, dataset):
        files = list(DATA_SET.iterdir())
        assert {path.name for path in files} == {
            *("LICENSE", "README.md", "manifest.json", "passages.parquet", "thesaurus.parquet")
        }
        assert sum(path.stat().st_size for path in files) <= dataset.MAX_BYTES == 6_000_000

    def test_manifest_has_the_hashes_of_the_files(self, manifest):
        assert set(manifest["files"]) == {"passages.parquet", "thesaurus.parquet"}
        for name, file in manifest["files"].items():
            content = (DATA_SET / name).read_bytes()
            assert len(content) == file["bytes"]
            assert hashlib.sha256(content).hexdigest() == file["sha256"]

    @pytest.mark.slow
    def test_manifest_has_the_counts_of_the_files(self, dataset, manifest, written):
        contents = {name: (DATA_SET / name).read_bytes() for name in manifest["files"]}
        found = dataset.describe(*written, contents)
        assert found | {"pyarrow": manifest["pyarrow"]} == manifest

    def test_card_is_rendered_from_the_manifest(self, dataset, manifest):
        card = (DATA_SET / "README.md").read_text(encoding="utf-8")
        assert card == dataset.render_card(manifest)
        for counts in manifest["passages"].values():
            assert f"| {counts['words']:,} |" in card

    def test_card_has_a_header_that_names_license_and_files(self):
        import yaml

        card = (DATA_SET / "README.md").read_text(encoding="utf-8")
        header = yaml.safe_load(card.split("---\n")[1])
        assert header["license"] == "cc0-1.0"
        assert header["language"] == ["en"]
        assert header["task_categories"] == ["token-classification"]
        files = {config["config_name"]: config["data_files"] for config in header["configs"]}
        assert files == {"passages": "passages.parquet", "thesaurus": "thesaurus.parquet"}
        assert "CC0 1.0 Universal" in (DATA_SET / "LICENSE").read_text(encoding="utf-8")

    def test_files_are_compressed_with_zstd(self):
        from pyarrow import parquet

        for name in ("passages.parquet", "thesaurus.parquet"):
            group = parquet.ParquetFile(DATA_SET / name).metadata.row_group(0)
            kinds = {group.column(column).compression for column in range(group.num_columns)}
            assert kinds == {"ZSTD"}

    @pytest.mark.slow
    def test_passages_are_clean(self, written):
        passages = [passage for group in written[0].values() for passage in group]
        labels = {entity.label for passage in passages for entity in passage.entities}
        assert {label for label in labels if clean_label(label) != label} == set()
        assert len({passage.words for passage in passages}) == len(passages)
        assert all(passage.entities for passage in passages)

    @pytest.mark.slow
    def test_thesaurus_is_clean(self, written):
        thesaurus = written[1]
        assert list(thesaurus) == sorted(thesaurus)
        assert {label for label in thesaurus if clean_label(label) != label} == set()
        assert {label for label, entry in thesaurus.items() if label in entry.broader} == set()
        assert {len(entry.descriptions) for entry in thesaurus.values()} == {2}

    @pytest.mark.slow
    @pytest.mark.skipif(not SHARED.is_dir(), reason="the JSON files are not part of the repository")
    def test_files_hold_exactly_the_source(self, written):
        assert written == read_both(SHARED)

    @pytest.mark.slow
    def test_datasets_loads_both_configurations(self, manifest, tmp_path, monkeypatch):
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        for name in ("passages", "thesaurus"):
            rows = datasets.load_dataset(str(DATA_SET), name, cache_dir=str(tmp_path))["train"]
            assert len(rows) == manifest["files"][f"{name}.parquet"]["rows"]


def test_data_set_is_in_neither_wheel_nor_source_archive():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    targets = settings["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"].keys() == {"packages", "hooks"}  # and no other files
    assert targets["wheel"]["packages"] == ["src/gliner_distill"]
    assert "/dataset" in targets["sdist"]["exclude"]
    assert not list((ROOT / "src").rglob("passages.parquet"))
