"""The number of processors and threads that this process may use.

A container may allow fewer processors than the machine has: by naming them (affinity), or by a
quota of processor time (the cgroup of the process, version 1 or 2). More threads than that wait for
each other.
"""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_ROOT = Path("/")


def count_processors(root: Path = _ROOT) -> int:
    """Return the number of processors that this process may use, at least 1.

    A quota of one and a half processors counts as two.

    Args:
        root: The folder with `proc/self/cgroup` and `sys/fs/cgroup`.
    """
    if hasattr(os, "sched_getaffinity"):
        n_allowed = len(os.sched_getaffinity(0))
    else:
        n_allowed = os.cpu_count() or 1
    return min([n_allowed, *(max(1, math.ceil(quota)) for quota in _quotas(root))])


def has_bf16_instructions(root: Path = _ROOT) -> bool:
    """Say whether the processor computes in bfloat16 natively.

    Without these instructions, bfloat16 is emulated and slower than single precision.

    Args:
        root: The folder with `proc/cpuinfo`. Without this file, the answer is false.
    """
    info = root / "proc" / "cpuinfo"
    if not info.is_file():
        return False
    flags = info.read_text(encoding="utf-8", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags


def default_threads(environment: Mapping[str, str] = os.environ, root: Path = _ROOT) -> int:
    """Return the number of threads to compute with if the caller gives none.

    `OMP_NUM_THREADS` takes precedence over the number of processors, as in torch and numpy. Of a
    list for nested levels, such as `4,2`, the first number counts. A value that is not a whole
    number of at least 1 has no effect.

    Args:
        environment: The environment variables.
        root: See `count_processors`.
    """
    asked = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return count_processors(root)


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas of the control groups of this process, in processors."""
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        # For example, `0::/shop.slice` in version 2, and `4:cpu,cpuacct:/docker/3f9c` in version 1.
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            for folder in _lineage(mounted, group):
                yield from _quota(*_read(folder / "cpu.max").split())
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                for folder in _lineage(mounted / name, group):
                    time_us = _read(folder / "cpu.cfs_quota_us")
                    yield from _quota(time_us, _read(folder / "cpu.cfs_period_us"))


def _lineage(mounted: Path, group: str) -> Iterator[Path]:
    """Yield the folder of a group and of each group around it.

    A container may see its own group at the top, but under the name that the group has outside.
    """
    names = [name for name in group.split("/") if name not in ("", "..")]
    for end in range(len(names), -1, -1):
        yield mounted.joinpath(*names[:end])


def _quota(time_us: str = "", period_us: str = "") -> Iterator[float]:
    """Yield the quota in processors, unless the time is unlimited (`max` or -1) or unknown."""
    if time_us.strip().isdecimal() and period_us.strip().isdecimal() and int(period_us) > 0:
        yield int(time_us) / int(period_us)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):  # not Linux, or a kernel without such groups
        return ""
