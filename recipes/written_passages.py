"""Read the passages and the thesaurus that were written for this project.

They come either as JSON (`train.json`, `more.json` and `focus.json` for passages, `labels.jsonl`
for the thesaurus) or as the data set of this repository (`dataset/passages.parquet` and
`dataset/thesaurus.parquet`), which `dataset.py` makes from the JSON. Both give the same passages in
the same order.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pyarrow import parquet

from gliner_distill.corpus.reader import CorpusFile, write_passages
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError
from gliner_distill.files import write_file

SOURCES = ("train", "more", "focus")
"""The parts of the passages, in the order of the data set."""
PASSAGES_FILE, THESAURUS_FILE = "passages.parquet", "thesaurus.parquet"
JSON_THESAURUS_FILE = "labels.jsonl"


@dataclass(frozen=True, slots=True)
class ThesaurusEntry:
    """The relations of a label to other labels.

    Attributes:
        synonyms: Other words for the label.
        broader: Labels that are true of everything that the label is true of.
        siblings: Labels of things in the same texts that are easily taken for it and are not it.
        descriptions: Two phrases that can stand in place of the label.
    """

    synonyms: tuple[str, ...]
    broader: tuple[str, ...]
    siblings: tuple[str, ...]
    descriptions: tuple[str, ...]


def read_passages(folder: Path) -> dict[str, list[Passage]]:
    """Return the passages of each of `SOURCES`, in the order of the files.

    Args:
        folder: The folder of the data set, the folder `open` with the JSON files, or the folder
            that holds `open`.

    Raises:
        CorpusError: The folder has neither form, or a file cannot be read.
    """
    folder = _find_folder(folder)
    path = folder / PASSAGES_FILE
    if not path.exists():
        return {source: list(CorpusFile(folder / f"{source}.json")) for source in SOURCES}
    passages: dict[str, list[Passage]] = {source: [] for source in SOURCES}
    sources = parquet.read_table(path, columns=["source"])["source"].to_pylist()
    for source, passage in zip(sources, CorpusFile(path), strict=True):
        passages[source].append(passage)
    return passages


def read_thesaurus(folder: Path) -> dict[str, ThesaurusEntry]:
    """Return the entry of each label of the thesaurus, in the order of the file.

    Args:
        folder: See `read_passages`.

    Raises:
        CorpusError: The folder has neither form.
    """
    folder = _find_folder(folder)
    path = folder / THESAURUS_FILE
    if path.exists():
        rows = parquet.read_table(path).to_pylist()
    else:
        text = (folder / JSON_THESAURUS_FILE).read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
    return {
        row["label"]: ThesaurusEntry(
            synonyms=tuple(row["synonyms"]),
            broader=tuple(row["broader"]),
            siblings=tuple(row["siblings"]),
            descriptions=tuple(row["descriptions"]),
        )
        for row in rows
    }


def write_as_json(folder: Path, out: Path) -> None:
    """Write the passages and the thesaurus of a folder as the JSON files named above.

    Args:
        folder: See `read_passages`.
        out: The folder to write to.

    Raises:
        CorpusError: The folder has neither form, or a file cannot be read or written.
    """
    out.mkdir(parents=True, exist_ok=True)
    for source, passages in read_passages(folder).items():
        write_passages(out / f"{source}.json", passages)
    lines = [
        json.dumps({"label": label} | asdict(entry), ensure_ascii=False) + "\n"
        for label, entry in read_thesaurus(folder).items()
    ]
    write_file(out / JSON_THESAURUS_FILE, "".join(lines), error=CorpusError)


def _find_folder(folder: Path) -> Path:
    inner = folder / "open"
    for place in (folder, inner):
        for names in (
            (PASSAGES_FILE, THESAURUS_FILE),
            (*(f"{source}.json" for source in SOURCES), JSON_THESAURUS_FILE),
        ):
            if all((place / name).exists() for name in names):
                return place
    raise CorpusError(
        f"{folder}: found neither {PASSAGES_FILE} and {THESAURUS_FILE} nor "
        f"{', '.join(f'{source}.json' for source in SOURCES)} and {JSON_THESAURUS_FILE}; give the "
        "folder `dataset` of the repository, or the folder with these JSON files"
    )
