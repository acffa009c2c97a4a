"""Read the passages that were written for this project.

They come either as JSON (`train.json`, `more.json` and `focus.json`) or in the data set of this
repository (`dataset/passages.parquet`), which `dataset.py` makes from the JSON. Both give the same
passages in the same order.
"""

import json
from dataclasses import asdict
from pathlib import Path

from pyarrow import parquet
from thesaurus import JSON_THESAURUS_FILE, read_thesaurus

from gliner_distill.corpus.reader import CorpusFile, write_passages
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError
from gliner_distill.files import write_file

SOURCES = ("train", "more", "focus")
"""The parts of the passages, in the order of the data set."""
PASSAGES_FILE = "passages.parquet"


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


def write_as_json(folder: Path, out: Path) -> None:
    """Write the passages of a folder as the JSON files named above, with the thesaurus.

    Args:
        folder: See `read_passages`.
        out: The folder to write to.

    Raises:
        CorpusError: The folder lacks passages or a thesaurus, or a file cannot be read or written.
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
    json_files = [f"{source}.json" for source in SOURCES]
    for place in (folder, folder / "open"):
        for names in ([PASSAGES_FILE], json_files):
            if all((place / name).exists() for name in names):
                return place
    raise CorpusError(
        f"{folder}: found neither {PASSAGES_FILE} nor all of {', '.join(json_files)}; give the "
        "folder `dataset` of the repository, or the folder with these JSON files"
    )
