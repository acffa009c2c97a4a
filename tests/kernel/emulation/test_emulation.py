"""The paths that this machine lacks, against numpy and against the path in plain C.

NEON runs in qemu, and WebAssembly in Node. Without ziglang, qemu-aarch64 or node, the tests are
skipped, unless `EMULATION=required` is set, as `make emulate` does.
"""

import importlib.util
import os
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import gliner_distill.kernel
from gliner_distill.decoding import decode_scores
from gliner_distill.entities import END, INSIDE, START
from gliner_distill.kernel.build import EXACT_FLAGS, ZIG, compile_wasm
from gliner_distill.kernel.networks import BYTE, FLOAT
from gliner_distill.kernel.oracle import NumpyKernel
from gliner_distill.runtime.head_scoring import BoundaryScoring
from gliner_distill.runtime.labels import EncodedLabels
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.spans import TagScores
from gliner_distill.specificity import LabelKinds
from kernel_networks import make_network, make_windows

FOLDER = Path(__file__).parent
FUZZ = FOLDER.parent / "fuzz_kernel.c"
N_NETWORKS = 12
SCORE_MAP = ScoreMap((-2.0, 0.0, 1.5), (-1.0, 0.0, 2.0))
ARM = ("-target", "aarch64-linux-musl", "-static", "-O2")
WASI = ("-target", "wasm32-wasi", "-msimd128", "-O2", "-Wl,-z,stack-size=4194304")

pytestmark = pytest.mark.slow


def need(*programs):
    """Skip the test where a program or ziglang is missing, unless they are required."""
    missing = [name for name in programs if not shutil.which(name)]
    missing += [] if importlib.util.find_spec("ziglang") else ["ziglang"]
    if missing and os.environ.get("EMULATION") == "required":
        pytest.fail(f"{', '.join(missing)} must be installed")
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")


def run(command, **options):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, timeout=240, check=False, **options
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode().split()


def compile_program(source, target, *flags):
    run([*ZIG, *flags, *EXACT_FLAGS, "-Wno-psabi", source, "-o", target])
    return target


def find_spans(vectors, lengths, columns, thresholds, kinds, scoring):
    """Return the spans of windows that numpy finds, as rows of int32 with the bits of scores."""
    rows = []
    for number, (end, length) in enumerate(zip(np.cumsum(lengths), lengths, strict=True)):
        hits = scoring.find_hits(vectors[end - length : end], columns, thresholds, None)
        passage = np.zeros(len(hits.place), np.int64)
        scores = TagScores(passage, hits.label, hits.place, hits.start, hits.end, hits.inside)
        names = list(range(len(thresholds)))
        (found,) = decode_scores(scores.in_reading_order(), thresholds, names, 1, kinds=kinds)
        scores = SCORE_MAP.report(np.array([e.score for e in found])).view(np.int32)
        rows += [
            (number, e.start_word, e.end_word, e.label, score)
            for e, score in zip(found, scores.tolist(), strict=True)
        ]
    return np.array(rows, np.int32)


def make_case(kind):
    """Return the bytes of a network, its input, a search, and what numpy computes from them."""
    rng = np.random.default_rng(kind)
    network = make_network(kind, 37, 2, 2, 60)
    table, rows, lengths = make_windows(network, n_windows=9, longest=25)
    vectors = NumpyKernel().load(network).read(table, rows, lengths)
    n_labels, n_kinds = 6, 5
    bias = rng.standard_normal(3).astype(np.float32)
    scoring = BoundaryScoring({"bias": bias}, NumpyKernel())
    label_vectors = rng.standard_normal((n_labels, 3, 60)).astype(np.float32)
    labels = EncodedLabels(tuple("abcdef"), tuple("abcdef"), label_vectors)
    columns = scoring.columns(labels, rng.standard_normal(n_labels).astype(np.float32))
    thresholds = np.full(n_labels, 0.4, np.float32)
    kinds = LabelKinds.from_rows(
        rng.standard_normal((n_labels, 2 * n_kinds + 1)).astype(np.float32)
    )
    spans = find_spans(vectors, lengths, columns, thresholds, kinds, scoring)
    assert len(spans) > 10
    narrow, broad, breadth = kinds.in_steps()
    directions = [direction for layer in network.layers for direction in layer]
    arrays = []
    for one in directions:
        for product in (one.input, one.state):
            arrays += [] if product is None else [product.weights, product.scales]
        arrays.append(one.bias)
    arrays += [network.tower.weights, network.tower.scales, table, rows, lengths]
    arrays += [columns.vectors, columns.edges, scoring.cuts(columns, thresholds), columns.shifts]
    arrays += [thresholds, narrow.astype(np.int32), broad.astype(np.int32)]
    arrays += [breadth.astype(np.int64), bias[[START, END, INSIDE]]]
    arrays += [*SCORE_MAP.lines(), vectors, spans]
    sizes = [kind, len(network.layers), network.n_directions, network.n_units, network.n_out]
    sizes += [len(table), len(lengths), len(rows), n_labels, n_kinds, 3, len(spans)]
    return np.array(sizes, np.int32).tobytes() + b"".join(array.tobytes() for array in arrays)


@pytest.mark.parametrize("kind", [FLOAT, BYTE])
def test_neon_gives_the_bytes_of_numpy(kind, tmp_path):
    need("qemu-aarch64")
    program = compile_program(FOLDER / "check_case.c", tmp_path / "case", *ARM)
    found = run(["qemu-aarch64", "-cpu", "max", program], input=make_case(kind))
    assert found == ["0", "equal", "3", "equal"]


@pytest.mark.parametrize("kind", [FLOAT, BYTE])
def test_webassembly_gives_the_bytes_of_numpy(kind, tmp_path):
    need("node")
    folder = Path(gliner_distill.kernel.__file__).parent
    module = compile_wasm(folder, tmp_path / "kernel.wasm")
    assert module.stat().st_size < 200_000
    (tmp_path / "case").write_bytes(make_case(kind))
    found = run(["node", FOLDER / "check_case.mjs", module, tmp_path / "case"])
    assert found == ["0", "equal", "4", "equal"]


def test_random_networks_give_the_same_bytes_on_all_machines(tmp_path):
    need("qemu-aarch64", "node")
    here = compile_program(FUZZ, tmp_path / "here", "-O2")
    arm = compile_program(FUZZ, tmp_path / "arm", *ARM)
    wasm = compile_program(FUZZ, tmp_path / "fuzz.wasm", *WASI)
    expected = run([here, N_NETWORKS])[2]
    arm_found = run(["qemu-aarch64", "-cpu", "max", arm, N_NETWORKS])
    wasm_found = run(["node", "--no-warnings", FOLDER / "wasi.mjs", wasm, N_NETWORKS])
    assert arm_found == ["path", "0:", expected, "path", "3:", expected]
    assert wasm_found == ["path", "0:", expected, "path", "4:", expected]


def test_vnni_written_out_in_c_gives_the_same_bytes(tmp_path):
    need()
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the instructions are those of x86")
    source = FUZZ.with_name("emulated_vnni.c")
    program = compile_program(source, tmp_path / "vnni", "-O2", "-mavx2")
    assert "2:" in run([program, N_NETWORKS])
