"""Make the soft labels that ship with the sample: `python recipes/sample_soft_labels.py TEACHER`.

Writes `src/gliner_distill/sample/soft_labels/{train,dev,test}`, the passages asked for their own
labels, and `sample/piece_vectors`, the teacher's vectors of its pieces. The manifests beside
the shards keep the teacher's name and hash, the policy and the time it took. Remove both folders
first to make them anew.
"""

import sys
from pathlib import Path

import torch

from gliner_distill.corpus import read_passages, sample_path
from gliner_distill.features import TOKENIZER_FILE
from gliner_distill.labelling import LabelPolicy, label_corpus
from gliner_distill.piece_vectors import VECTORS_FILE
from gliner_distill.teacher import GLiNERTeacher


def main() -> None:
    """Label the three parts of the sample."""
    if len(sys.argv) != 2:
        sys.exit("usage: python recipes/sample_soft_labels.py TEACHER")
    torch.manual_seed(0)
    teacher = GLiNERTeacher.from_pretrained(sys.argv[1])
    teacher.name = Path(sys.argv[1]).name
    root = sample_path("train").parent / "soft_labels"
    vectors = sample_path("train").parent / "piece_vectors"
    vectors.mkdir(exist_ok=True)
    for split in ("train", "dev", "test"):
        passages = list(read_passages(sample_path(split)))
        store = label_corpus(passages, teacher, root / split, policy=LabelPolicy())
        for name in (VECTORS_FILE, TOKENIZER_FILE):
            (store.folder / name).replace(vectors / name)
        pairs = sum(shard.n_pairs for shard in store.manifest.shards)
        print(
            f"{split}: {len(store)} passages, {pairs:,} pairs, {store.size_bytes:,} bytes, "
            f"{store.size_bytes / pairs:.2f} bytes a pair, {store.manifest.seconds:.0f} s"
        )


if __name__ == "__main__":
    main()
