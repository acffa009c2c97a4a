"""Ask the teacher about passages, and count what it has read.

Its answers are kept in stores of the working folder, so it is asked about nothing twice.
"""

from collections.abc import Iterable
from pathlib import Path

from gliner_distill.distillation.selection.budget import TeacherBudget
from gliner_distill.distillation.workspace import Workspace
from gliner_distill.entities import Passage
from gliner_distill.errors import SettingsError, StoreError
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.store.manifest import MANIFEST, read_manifest
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.teacher.base import individual_teachers

_SHORTEST = 1e-3
"""A time in seconds that no teacher falls below, so that a rate is finite."""


def ask_teacher(
    work: Workspace,
    passages: Iterable[Passage],
    store: Path,
    *,
    source: Path,
    n_passages: int,
    stage: str,
) -> SoftLabelStore:
    """Return the teacher's soft labels of passages, from their store once it is finished.

    Args:
        work: The workspace.
        passages: The passages; see `label_corpus`.
        store: The folder of the store.
        source: The file that says which passages these are, for messages.
        n_passages: The number of passages.
        stage: The name of the stage in the reports to the workspace's `progress`.

    Raises:
        SettingsError: Another teacher has labeled them.
        StoreError: The store is broken, cannot be written, or holds another number of passages.
        TeacherError: The teacher cannot be used.
    """
    if not is_labeled(work, store):
        label_corpus(
            passages,
            work.teacher.load(),
            store,
            policy=work.job.policy,
            keep_individual=bool(individual_teachers(work.teacher.load())),
            keep_subword_vectors=False,
            workers=work.workers,
            limits=ShardLimits(passages=work.settings.shard_passages),
            progress=work.progress,
            stage=stage,
        )
    labeled = SoftLabelStore(store)
    if len(labeled) != n_passages:
        raise StoreError(
            f"{store}: has {len(labeled):,} passages, but {source} has {n_passages:,}; remove the "
            "store, so that they are labeled again"
        )
    return labeled


def words_left(budget: TeacherBudget, folder: Path) -> float:
    """Return the number of words of a folder of text that a budget still allows to be read.

    Args:
        budget: The budget of the folder.
        folder: The folder, in which the teacher has read at least dev if the budget is a time.
    """
    manifests = [
        read_manifest(path.parent)
        for pattern in ("labels-*", "round-*/labels")
        for path in folder.glob(f"{pattern}/{MANIFEST}")
    ]
    n_read = sum(shard.n_words for manifest in manifests for shard in manifest.shards)
    seconds = sum(manifest.seconds for manifest in manifests)
    return budget.max_words(n_read / max(seconds, _SHORTEST)) - n_read


def is_labeled(work: Workspace, store: Path) -> bool:
    """Say whether a store is finished.

    Raises:
        SettingsError: Another teacher has labeled it.
    """
    try:
        manifest = read_manifest(store)
    except StoreError:
        return False  # the store is missing, or broken, which `label_corpus` reports
    if work.teacher.fingerprint not in (None, manifest.teacher_fingerprint):
        raise SettingsError(
            f"{work.out}: its text was labeled by a different teacher that is also called "
            f"{work.teacher.name!r}; use that one with its settings, or choose another --out"
        )
    return manifest.is_complete
