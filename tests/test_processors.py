"""The number of processors and threads, in pretended containers."""

import os

import pytest

from gliner_distill.processors import (
    count_processors,
    default_threads,
    has_bf16_instructions,
)

N_AFFINE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
needs_two = pytest.mark.skipif(N_AFFINE < 2, reason="this machine has one processor")


@pytest.fixture
def container(tmp_path):
    """A function that writes the files by which Linux tells the quota of a process."""

    def write(groups, files):
        for name, content in {"proc/self/cgroup": groups, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return write


def version_1(folder, quota, period="100000"):
    return {
        f"sys/fs/cgroup/{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"sys/fs/cgroup/{folder}/cpu.cfs_period_us": f"{period}\n",
    }


def test_count_processors_without_groups_is_the_affinity(tmp_path):
    assert count_processors(tmp_path) == N_AFFINE


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_count_processors_follows_the_affinity(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert count_processors(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)


@needs_two
def test_count_processors_reads_the_quota_of_version_2(container):
    root = container("0::/\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"})
    assert count_processors(root) == 1


@needs_two
def test_count_processors_rounds_a_quota_up_to_a_whole_processor(container):
    root = container("0::/\n", {"sys/fs/cgroup/cpu.max": "25000 100000\n"})
    assert count_processors(root) == 1
    root = container("0::/\n", {"sys/fs/cgroup/cpu.max": "150000 100000\n"})
    assert count_processors(root) == 2


@needs_two
def test_count_processors_takes_the_lowest_quota_of_all_groups_around(container):
    files = {
        "sys/fs/cgroup/shop.slice/web/cpu.max": "max 100000\n",
        "sys/fs/cgroup/shop.slice/cpu.max": "50000 50000\n",
    }
    assert count_processors(container("0::/shop.slice/web\n", files)) == 1


@pytest.mark.parametrize("content", ["max 100000\n", "", "much\n", "1 0\n"])
def test_count_processors_ignores_a_quota_that_says_nothing(container, content):
    root = container("0::/\n", {"sys/fs/cgroup/cpu.max": content})
    assert count_processors(root) == N_AFFINE


@needs_two
@pytest.mark.parametrize("mounted", ["cpu", "cpu,cpuacct"])
def test_count_processors_reads_the_quota_of_version_1(container, mounted):
    groups = "7:memory:/docker/3f9c\n4:cpu,cpuacct:/docker/3f9c\n"
    files = version_1(f"{mounted}/docker/3f9c", "100000")
    assert count_processors(container(groups, files)) == 1


@needs_two
def test_count_processors_finds_the_group_of_a_container_at_the_top(container):
    """A container sees its group under the outer name, but mounted without it."""
    root = container("4:cpu,cpuacct:/docker/3f9c\n", version_1("cpu", "100000"))
    assert count_processors(root) == 1


def test_count_processors_ignores_an_unlimited_quota_of_version_1(container):
    root = container("4:cpu:/\n", version_1("cpu", "-1"))
    assert count_processors(root) == N_AFFINE


@needs_two
def test_count_processors_ignores_the_groups_of_other_controllers(container):
    root = container("5:cpuset:/\n2:cpuacct:/\n", version_1("cpuset", "100000"))
    assert count_processors(root) == N_AFFINE


@pytest.mark.parametrize(("value", "expected"), [("3", 3), (" 1 ", 1), ("4,2", 4), ("16", 16)])
def test_default_threads_follow_omp_num_threads(tmp_path, value, expected):
    assert default_threads({"OMP_NUM_THREADS": value}, tmp_path) == expected


@pytest.mark.parametrize("value", ["", "0", "-2", "many", "1.5"])
def test_default_threads_ignore_an_omp_num_threads_that_is_no_number(tmp_path, value):
    assert default_threads({"OMP_NUM_THREADS": value}, tmp_path) == N_AFFINE


def test_default_threads_are_the_processors_without_omp_num_threads(container):
    root = container("0::/\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"})
    assert default_threads({}, root) == 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("avx512_vnni avx512_bf16", True), ("amx_bf16", True), ("avx2 avx512_vnni", False)],
)
def test_has_bf16_instructions_reads_the_flags_of_the_processor(tmp_path, flags, expected):
    assert not has_bf16_instructions(tmp_path)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(f"processor : 0\nflags : fpu {flags}\n")
    assert has_bf16_instructions(tmp_path) is expected
