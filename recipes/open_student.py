"""Make the student of any label: `python recipes/open_student.py DATA TEACHER OUT [OPTIONS]`.

DATA is a folder with `corpora/NAME.jsonl`, `corpora/NAME.labels.json`, `permissive.json` (the sets
whose licence lets weights ship) and `open/train.json`. In three stages, each of which goes on where
it was stopped:

1. The transfer set, OUT/transfer.json: passages of the permissive sets but for the twelve that are
   held out for `benchmarks/open_label.py`, an equal share of words of each as far as it reaches; of
   DATA/open and of the sample's training part all. A passage lists some of its set's labels beside
   its own, since what else a set knows is what is most easily mixed up.
2. The teacher's soft labels, OUT/store: a passage's own and listed labels and some of the pool,
   which is all labels of all passages.
3. A student with a `boundary` head, OUT/run.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gliner_distill.corpus import CorpusFile, sample_path, write_passages
from gliner_distill.corpus_records import clean_label
from gliner_distill.entities import Passage
from gliner_distill.label_policy import LabelPolicy
from gliner_distill.labelling import label_corpus, survey_corpus
from gliner_distill.progress import StageProgress
from gliner_distill.settings import TrainingSettings
from gliner_distill.student import BOUNDARY, StudentConfig
from gliner_distill.teacher import GLiNERTeacher
from gliner_distill.training_run import train_on_store

HELD_OUT = {
    *("wnut17", "multiconer2_fine", "tasteset", "stackoverflow", "bc5cdr", "ncbi_disease"),
    *("ozrock", "indian_legal", "fewnerd_b", "music_ner", "restaurant8k", "aptner"),
}
MAX_PASSAGE_WORDS = 200
MAX_LISTED = 6
FROM_POOL = 4
SEED = 0


def main() -> None:
    """Make the transfer set, its soft labels and the student."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("out", type=Path)
    parser.add_argument("--words", type=int, default=3_000_000, help="of the transfer set")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    transfer = given.out / "transfer.json"
    if not transfer.exists():
        write_passages(transfer, gather(given.data, given.words))
    store = label(transfer, given.teacher, given.out / "store", given.device)
    train(store, given.out / "run", given.epochs)


def gather(data: Path, n_words: int) -> list[Passage]:
    """Return the transfer set, shuffled."""
    names = sorted(set(json.loads((data / "permissive.json").read_text())) - HELD_OUT)
    draw = random.Random(SEED)
    ours = [*CorpusFile(data / "open" / "train.json"), *CorpusFile(sample_path("train"))]
    left = n_words - count_words(ours)
    sets = sorted((read_set(data / "corpora", name, draw) for name in names), key=count_words)
    chosen = list(ours)
    for position, passages in enumerate(sets):  # small sets first: what they lack others give
        kept = take_words(passages, left // (len(sets) - position))
        chosen += kept
        left -= count_words(kept)
    draw.shuffle(chosen)
    return chosen


def read_set(folder: Path, name: str, draw: random.Random) -> list[Passage]:
    """Return a set's passages, shuffled, cut to windows, each with some of the set's labels."""
    listed = json.loads((folder / f"{name}.labels.json").read_text(encoding="utf-8"))
    labels = list(dict.fromkeys(map(clean_label, listed)))
    passages = [
        replace(part, labels=tuple(draw.sample(labels, min(len(labels), MAX_LISTED))))
        for passage in CorpusFile(folder / f"{name}.jsonl", skip_bad=True)
        for part in cut(passage)
    ]
    draw.shuffle(passages)
    return passages


def cut(passage: Passage) -> Iterator[Passage]:
    """Yield a passage in parts of at most 200 words; entities across a border are left out."""
    for start in range(0, len(passage.words), MAX_PASSAGE_WORDS):
        end = start + MAX_PASSAGE_WORDS
        entities = tuple(
            replace(one, start_word=one.start_word - start, end_word=one.end_word - start)
            for one in passage.entities
            if one.start_word >= start and one.end_word <= end
        )
        yield Passage(passage.words[start:end], entities)


def take_words(passages: Sequence[Passage], n_words: int) -> list[Passage]:
    """Return the first passages that have about so many words together."""
    taken, total = [], 0
    for passage in passages:
        if total >= n_words:
            break
        taken.append(passage)
        total += len(passage.words)
    return taken


def count_words(passages: Sequence[Passage]) -> int:
    """Return the words of passages together."""
    return sum(len(passage.words) for passage in passages)


def label(transfer: Path, source: str, folder: Path, device: str) -> Path:
    """Ask the teacher; return the store's folder."""
    corpus = CorpusFile(transfer)
    survey = survey_corpus(corpus)
    policy = LabelPolicy(pool=tuple(sorted(survey.label_counts)), from_pool=FROM_POOL, seed=SEED)
    teacher = GLiNERTeacher.from_pretrained(source, device=device)
    teacher.name = Path(source).name
    with StageProgress() as progress:
        count = progress.counter("labelling", survey.n_words)
        label_corpus(corpus, teacher, folder, policy=policy, survey=survey, on_progress=count)
    return folder


def train(store: Path, folder: Path, epochs: int) -> None:
    """Train the student on the store."""
    settings = TrainingSettings(
        alpha=1.0, epochs=epochs, batch_size=32, positive_weight=2.0, seed=SEED
    )
    with StageProgress() as progress:
        train_on_store(
            store,
            folder,
            settings,
            make_config=lambda n_pieces: StudentConfig(n_pieces, head=BOUNDARY, hidden_width=256),
            resume=True,
            on_progress=progress.update,
        )


if __name__ == "__main__":
    main()
