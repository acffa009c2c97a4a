"""Compare the kernel with the peak of the processor: `python benchmarks/kernel_share.py`.

The kernel reads 64 texts of 100 words with the bundled student's network: the LSTM and the word
tower, without splitting, looking up words, comparing with labels and searching. It has one thread
on one core, and times are processor time. The peak is that of a loop of products in registers
(kernel_peak.c), measured on the same core; both take turns, and the medians of --rounds rounds are
compared. The multiplications that the network needs are counted, without padding. What a word adds
to the first layer's gates is computed once per distinct word and does not count.

It needs a C compiler and an x86-64 processor, and prints Markdown.
"""

import argparse
import ctypes
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from speed_report import describe_machine

from gliner_distill.errors import SettingsError
from gliner_distill.kernel.build import find_compilers
from gliner_distill.kernel.kernels import Kernel, kernel_named
from gliner_distill.runtime.bundle import read_bundle
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.word_network import TOWER, WordNetwork

PEAKS = {
    ("vnni", "int8"): ("peak_vnni", 12 * 64),
    ("vnni", "fp32"): ("peak_avx512_float", 12 * 16),
    ("avx2", "int8"): ("peak_avx2", 12 * 32),
    ("avx2", "fp32"): ("peak_avx2_float", 12 * 8),
}
"""For a path and a precision, the function of the peak and its multiplications per round."""
N_TEXTS, N_WORDS = 64, 100
N_ROUNDS = 20_000_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    peaks = load_peaks()
    machine = describe_machine(1)
    print(f"{machine['cpu']}, one core, {machine['date']}\n")
    print("| kernel, precision | words/s | billion products/s | peak | share |")
    print("|---|---:|---:|---:|---:|")
    for (path, precision), (name, n_products) in PEAKS.items():
        try:
            kernel = kernel_named(path)
        except SettingsError as error:
            print(f"| {path}, {precision} | not measured: {error} | | | |")
            continue
        read, n_per_word = make_reader(kernel, precision)
        reached, peak = [], []
        for _ in range(given.rounds):
            peak.append(n_products * N_ROUNDS / measure(getattr(peaks, name), N_ROUNDS))
            reached.append(N_TEXTS * N_WORDS / measure(read))
        rate, most = median(reached), median(peak)
        print(
            f"| {path}, {precision} | {rate:,.0f} | {rate * n_per_word / 1e9:.0f} "
            f"| {most / 1e9:.0f} | {rate * n_per_word / most:.0%} |"
        )


def load_peaks() -> ctypes.CDLL:
    """Compile the loops of products and return them.

    Raises:
        SystemExit: A compiler is missing, or it cannot compile them for this processor.
    """
    compilers = find_compilers()
    if not compilers:
        raise SystemExit("no C compiler was found; install one to measure the peak")
    source = Path(__file__).with_suffix("").with_name("kernel_peak.c")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "peak.so"
        command = [*compilers[0], "-O2", "-shared", "-fPIC", str(source), "-o", str(target)]
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"{source.name} needs an x86-64 processor and GCC: {error}") from error
        library = ctypes.CDLL(str(target))
    for name, _ in PEAKS.values():
        function = getattr(library, name)
        function.argtypes = [ctypes.c_int64]
        function.restype = ctypes.c_float if name.endswith("float") else ctypes.c_int32
    return library


def make_reader(kernel: Kernel, precision: str) -> tuple[Callable[[], object], int]:
    """Return a function that reads all texts once, and the products of one word."""
    bundle = read_bundle(bundled_student_path())
    network = WordNetwork(bundle.config, bundle.weights, precision, largest=4.0, kernel=kernel)
    drawn = np.random.default_rng(0)
    vectors = drawn.standard_normal((N_TEXTS * N_WORDS, bundle.config.embedding_width))
    table = network.prepare(vectors.astype(np.float32))
    rows = np.arange(N_TEXTS * N_WORDS, dtype=np.int32)
    lengths = np.full(N_TEXTS, N_WORDS, np.int32)
    return lambda: network.read(table, rows, lengths), count_products(
        bundle.config, len(bundle.weights[f"{TOWER}.weight"])
    )


def count_products(config: StudentConfig, n_tower: int) -> int:
    """Return the multiplications of weights that a word needs once its gate inputs are known.

    Args:
        config: The architecture.
        n_tower: The outputs of the word tower.

    >>> config = StudentConfig(hidden_width=10, n_layers=1)
    >>> count_products(config, 7)  # two directions of 4 * 10 * 10, and a tower of 20 * 7
    940
    """
    width, n_directions = config.hidden_width, 2 if config.bidirectional else 1
    n_states = n_directions * width
    kept = config.n_layers * n_directions * 4 * width * width
    read = (config.n_layers - 1) * n_directions * 4 * width * n_states
    return kept + read + n_states * n_tower


def measure(function: Callable[..., object], *arguments: object) -> float:
    """Return the seconds of this thread's processor time that a call takes."""
    started = time.thread_time()
    function(*arguments)
    return time.thread_time() - started


if __name__ == "__main__":
    main()
