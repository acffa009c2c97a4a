"""The options of a Ray cluster, as `label` and `distill` take them."""

import pytest
import typer

from gliner_distill.cli.teachers.cluster import RayOptions


@pytest.mark.parametrize("options", [{"workers": 2}, {"gpus_per_worker": 0.5}])
def test_workers_without_a_cluster_are_refused(options):
    with pytest.raises(typer.BadParameter, match="without --ray"):
        RayOptions(**options)


def test_without_a_cluster_there_are_no_workers():
    assert not RayOptions().is_given
    assert RayOptions().find_workers(["models/gliner"]) is None


@pytest.mark.slow  # it imports Ray
@pytest.mark.parametrize(
    ("options", "device", "found"),
    [
        ({}, None, "cpu"),
        ({"gpus_per_worker": 0.5}, None, "cuda"),
        ({"gpus_per_worker": 0.5}, "cuda:1", "cuda:1"),
    ],
)
def test_find_workers_chooses_the_device_and_makes_folders_absolute(
    tmp_path, options, device, found
):
    pytest.importorskip("ray")
    teachers = ["models/gliner", "urchade/gliner_small-v2.1"]
    (tmp_path / "models" / "gliner").mkdir(parents=True)
    workers = RayOptions(ray="local", **options).find_workers(teachers, device)
    assert workers.cluster.n_workers == 2
    assert workers.cluster.gpus_per_worker == options.get("gpus_per_worker", 0)
    assert workers.make_teacher.args == ([str(tmp_path / teachers[0]), teachers[1]],)
    assert workers.make_teacher.keywords == {"device": found, "folder": tmp_path}
