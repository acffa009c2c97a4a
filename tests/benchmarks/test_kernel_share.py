"""The share of the processor's peak that the kernel reaches."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are in the repository, not in the package"
)


@pytest.fixture
def kernel_share(monkeypatch):
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("kernel_share")


def test_count_products_leaves_the_first_layers_inputs_out(kernel_share):
    from gliner_distill.runtime.config import StudentConfig

    config = StudentConfig(hidden_width=3, n_layers=2, bidirectional=False)
    # States of both layers, the input of the second one, and the tower.
    assert kernel_share.count_products(config, 5) == 2 * 36 + 36 + 15


@pytest.mark.slow
def test_main_prints_a_row_for_each_path(kernel_share, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kernel_share.py", "--rounds=1"])
    monkeypatch.setattr(kernel_share, "N_ROUNDS", 1000)
    monkeypatch.setattr(kernel_share.os, "sched_setaffinity", lambda pid, cores: None)
    kernel_share.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[1:]] == [
        f"| {path}, {precision}" for path, precision in kernel_share.PEAKS
    ]


def test_load_peaks_says_in_one_line_that_there_is_no_compiler(kernel_share, monkeypatch):
    monkeypatch.setattr(kernel_share, "find_compilers", list)
    with pytest.raises(SystemExit, match="no C compiler was found"):
        kernel_share.load_peaks()
    monkeypatch.setattr(kernel_share, "find_compilers", lambda: [["false"]])
    with pytest.raises(SystemExit, match=r"kernel_peak\.c needs an x86-64 processor"):
        kernel_share.load_peaks()
