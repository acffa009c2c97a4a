"""The options of a Ray cluster on which teachers label, which `label` and `distill` share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gliner_distill.cli.options import (
    DEFAULT_WORKERS,
    GpusPerWorker,
    RayAddress,
    WorkerCount,
    check_ray_options,
)

if TYPE_CHECKING:
    from gliner_distill.labeling.ray import RayWorkers


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """The options of a cluster, as they were given.

    Raises:
        BadParameter: Workers or GPUs are given without `--ray`.
    """

    ray: RayAddress = None
    workers: WorkerCount = None
    gpus_per_worker: GpusPerWorker = 0.0

    def __post_init__(self) -> None:
        check_ray_options(self.ray, self.workers, self.gpus_per_worker)

    @property
    def is_given(self) -> bool:
        """Whether a cluster labels."""
        return self.ray is not None

    def find_workers(
        self, teachers: Sequence[str], device: str | None = None
    ) -> "RayWorkers | None":
        """Return the workers, which load the teachers once they are asked; None without `--ray`.

        Args:
            teachers: The names of the teachers.
            device: The device that they run on; by default cuda for workers with a GPU, or cpu.

        Raises:
            MissingExtraError: Ray is not installed.
        """
        if self.ray is None:
            return None
        from functools import partial

        from gliner_distill.labeling.cluster import Cluster, absolute_name
        from gliner_distill.labeling.ray import RayWorkers
        from gliner_distill.teacher.opening import open_teachers

        names = list(map(absolute_name, teachers))
        device = device or ("cuda" if self.gpus_per_worker else "cpu")
        return RayWorkers(
            partial(open_teachers, names, device=device, folder=Path.cwd()),
            Cluster(
                self.workers or DEFAULT_WORKERS, self.ray, gpus_per_worker=self.gpus_per_worker
            ),
        )
