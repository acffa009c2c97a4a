"""Make the student of any label: `python recipes/open_student.py DATA TEACHER OUT [OPTIONS]`.

DATA is a folder with `corpora/NAME.jsonl`, `corpora/NAME.labels.json`, `permissive.json` (the sets
whose licence lets weights ship) and `open/train.json`. In three stages, each of which goes on where
it was stopped:

1. The transfer set, OUT/transfer.json (see `transfer_set.py`), and OUT/in_domain: held-out passages
   of six of its sets, in the form of DATA/corpora.
2. The teacher's soft labels, OUT/store: a passage's own and listed labels, two more of the corpus,
   and two of the pool, which is all labels of all passages.
3. A student with a `boundary` head, OUT/run.
"""

import argparse
from pathlib import Path

from transfer_set import gather

from gliner_distill.corpus import CorpusFile, write_passages
from gliner_distill.label_policy import LabelPolicy
from gliner_distill.labelling import label_corpus, survey_corpus
from gliner_distill.progress import StageProgress
from gliner_distill.settings import TrainingSettings
from gliner_distill.student import BOUNDARY, StudentConfig
from gliner_distill.teacher import GLiNERTeacher
from gliner_distill.training_run import train_on_store

NEGATIVES, FROM_POOL = 2, 2
SEED = 0


def main() -> None:
    """Make the transfer set, its soft labels and the student."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("out", type=Path)
    parser.add_argument("--words", type=int, default=4_500_000, help="of the transfer set")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    teacher = GLiNERTeacher.from_pretrained(given.teacher, device=given.device)
    teacher.name = Path(given.teacher).name
    transfer = given.out / "transfer.json"
    if not transfer.exists():
        passages = gather(given.data, given.words, teacher, given.out / "in_domain", SEED)
        write_passages(transfer, passages)
    store = label(transfer, teacher, given.out / "store")
    train(store, given.out / "run", given.epochs)


def label(transfer: Path, teacher: GLiNERTeacher, folder: Path) -> Path:
    """Ask the teacher; return the store's folder."""
    corpus = CorpusFile(transfer)
    survey = survey_corpus(corpus)
    policy = LabelPolicy(
        negatives=NEGATIVES, pool=tuple(sorted(survey.label_counts)), from_pool=FROM_POOL, seed=SEED
    )
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
