"""Make the soft labels of the sample: `python recipes/sample_soft_labels.py TEACHER`.

Writes `soft_labels/{train,dev,test}` into the folder of the sample, and `subword_vectors`, the
teacher's vectors of its subword pieces. In each passage, the teacher is asked for the passage's own
labels. The manifests record the name and the fingerprint of the teacher, the label policy and the
time that labeling took. To make them again, remove both folders first.
"""

import sys
from itertools import chain
from pathlib import Path

import torch

from gliner_distill.corpus.reader import CorpusFile, sample_path
from gliner_distill.files import replace_file
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.store.subword_vectors import subword_vector_files
from gliner_distill.teacher.gliner import GLiNERTeacher


def main() -> None:
    """Label the three splits of the sample."""
    if len(sys.argv) != 2:
        sys.exit("usage: python recipes/sample_soft_labels.py TEACHER")
    torch.manual_seed(0)
    teacher = GLiNERTeacher.from_pretrained(sys.argv[1])
    teacher.name = Path(sys.argv[1]).name
    root = sample_path("train").parent
    for split in ("train", "dev", "test"):
        store = label_corpus(
            CorpusFile(sample_path(split)),
            teacher,
            root / "soft_labels" / split,
            policy=LabelPolicy(),
            keep_subword_vectors=False,
        )
        pairs = sum(shard.n_pairs for shard in store.manifest.shards)
        print(
            f"{split}: {len(store)} passages, {pairs:,} pairs, {store.size_bytes:,} bytes, "
            f"{store.size_bytes / pairs:.2f} bytes per pair, {store.manifest.seconds:.0f} s"
        )
    texts = chain.from_iterable(passage.words for passage in CorpusFile(sample_path("train")))
    (root / "subword_vectors").mkdir(exist_ok=True)
    for name, content in subword_vector_files(teacher.subword_vectors(texts)).items():
        replace_file(root / "subword_vectors" / name, content)


if __name__ == "__main__":
    main()
