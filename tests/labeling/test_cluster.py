"""The settings of a Ray cluster; `test_ray.py` and the tests of `predict` use one."""

import pytest

from gliner_distill.errors import SettingsError

pytest.importorskip("ray", reason="ray is not installed")
from gliner_distill.labeling.cluster import Cluster

pytestmark = pytest.mark.ray  # importing Ray takes a while


@pytest.mark.parametrize("n_workers", [0, -1])
def test_cluster_refuses_a_number_of_workers_below_one(n_workers):
    with pytest.raises(SettingsError, match=rf"^workers must be 1 or more; got {n_workers}$"):
        Cluster(n_workers)


def test_cluster_refuses_a_negative_share_of_a_gpu():
    with pytest.raises(SettingsError, match=r"^GPUs per worker must be 0 or more; got -0\.5$"):
        Cluster(1, gpus_per_worker=-0.5)
