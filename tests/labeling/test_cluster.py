"""The settings of a Ray cluster; `test_ray.py` and the tests of `predict` use one."""

import pytest

from gliner_distill.errors import DistillError, SettingsError

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


def test_cluster_refuses_the_address_of_rays_client():
    with pytest.raises(SettingsError, match=r"^Ray cluster 'ray://head:10001': Ray Data does not"):
        Cluster(1, "ray://head:10001")


@pytest.mark.parametrize("needs", [{"cpus_per_worker": 8}, {"gpus_per_worker": 0.5}])
def test_check_room_warns_of_workers_that_no_machine_can_hold(needs, caplog):
    gone = {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 1.0}}
    Cluster(1, "auto").check_room([gone, {"Alive": True, "Resources": {"CPU": 2.0}}])
    assert not caplog.messages
    Cluster(1, "auto", **needs).check_room([gone, {"Alive": True, "Resources": {"CPU": 2.0}}])
    assert "no machine of the Ray cluster has them; waiting" in caplog.text
    with pytest.raises(DistillError, match="no machine of the Ray cluster has them"):
        Cluster(1, **needs).check_room([gone, {"Alive": True, "Resources": {"CPU": 2.0}}])
