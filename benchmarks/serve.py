"""Requests per second and latency of `gliner-distill serve`, measured with wrk.

    python benchmarks/serve.py
    python benchmarks/serve.py --teacher models/gliner --json serve.json
    python benchmarks/serve.py --soak 10

Client and server share the processors. The servers are processes of their own, and take turns:

- `student`: `gliner-distill serve` with the bundled student.
- `empty model`: the same server, whose model finds nothing: parsing, queue and threads remain.
- `empty handler`: the same checks and the same HTTP server, but each answer is a constant.
- `gliner.serve`: with --teacher, the same server, whose model is `gliner.serve`'s, without Ray.

Each request holds one text of the sample and five labels. wrk is a package of Debian and Ubuntu.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gliner_distill.evaluation.speed import describe_machine, make_texts, sample_words

N_LABELS = 5
SERVERS = ("student", "empty model", "empty handler", "gliner.serve")

# wrk asks for the bodies in turn, and prints one line of JSON at the end.
SCRIPT = """
local bodies = {}
for line in io.lines(os.getenv("SERVE_BODIES")) do bodies[#bodies + 1] = line end
local headers = {["Content-Type"] = "application/json"}
local n = 0
request = function()
  n = n % #bodies + 1
  return wrk.format("POST", "/v1/entities", headers, bodies[n])
end
done = function(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests": %d, "seconds": %.3f, "p50_ms": %.2f, "p95_ms": %.2f, "p99_ms": %.2f, '
    .. '"max_ms": %.2f, "refused": %d, "broken": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One case of one server.

    Attributes:
        server: One of `SERVERS`.
        n_words: The words per text.
        n_clients: The connections that wrk keeps busy.
        rate: The answers per second.
        p50_ms: The median latency, in milliseconds.
        p95_ms: The 95th percentile.
        p99_ms: The 99th percentile.
        server_cpu_us: The CPU time of the server per request, in microseconds.
        n_failed: The answers with a status of 400 or more, and broken connections.
    """

    server: str
    n_words: int
    n_clients: int
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    server_cpu_us: float
    n_failed: int


class EmptyModel:
    """A model that finds nothing."""

    def inference(self, texts: list[str], *_: Any, **__: Any) -> list[list[Any]]:
        """Return no entities for each text."""
        return [[] for _ in texts]


class GLiNERServeModel:
    """The model of `gliner.serve`, which it runs behind Ray Serve; here it runs without."""

    def __init__(self, folder: str) -> None:
        from gliner.serve import GLiNERServeConfig
        from gliner.serve.server import GLiNERServer

        config = GLiNERServeConfig(
            model=folder, device="cpu", dtype="float32", enable_compilation=False
        )
        self._server = GLiNERServer(config)

    def inference(
        self, texts: list[str], labels: dict[str, str], *_: Any, **__: Any
    ) -> list[list[Any]]:
        """Return the entities of each text."""
        # Ray Serve passes at most 32 texts on at once.
        return [
            found
            for first in range(0, len(texts), 32)
            for found in self._server._run_batch_internal(texts[first : first + 32], list(labels))
        ]


def run(server: str, teacher: str | None, n_threads: int) -> None:
    """Run a server in this process, and print its port."""
    from gliner_distill import StudentNER
    from gliner_distill.serve.app import create_app
    from gliner_distill.serve.guard import RequestGuard
    from gliner_distill.serve.server import listen, run_server

    if server == "student":
        model: Any = StudentNER.from_pretrained(num_threads=1)
    elif server == "gliner.serve":
        model = GLiNERServeModel(teacher or "")
    else:
        model = EmptyModel()
    app = create_app({"model": model}, n_threads=n_threads)
    if server == "empty handler":
        app.entrance = RequestGuard(answer_nothing)
    listener = listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    run_server(app, listener, time_limit_s=60.0)


async def answer_nothing(_scope: Any, receive: Any, send: Any) -> None:
    """Answer any request with no entities (ASGI)."""
    await receive()
    body = b'{"model":"model","entities":[]}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def running(server: str, teacher: str | None, n_threads: int) -> Iterator[tuple[int, int]]:
    """Start a server, and yield its process number and its port."""
    command = [sys.executable, __file__, "--run", server, "--threads", str(n_threads)]
    command += ["--teacher", teacher] if teacher else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"{server}: the server did not start")
        yield process.pid, int(line)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return the memory that a process occupies, in megabytes of a million bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024 / 1e6


def ask(port: int, bodies: Path, *, n_clients: int, seconds: float) -> dict[str, Any]:
    """Keep clients busy for a while, and return what wrk has measured."""
    script = bodies.with_name("serve.lua")
    script.write_text(SCRIPT, encoding="utf-8")
    command = ["wrk", "--threads", "1", "--connections", str(n_clients), "--timeout", "30s"]
    command += ["--duration", f"{max(1, round(seconds))}s", "--script", str(script)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"SERVE_BODIES": str(bodies)},
    )
    [result] = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    answer: dict[str, Any] = json.loads(result.removeprefix("RESULT "))
    return answer


def write_bodies(folder: Path, n_words: int) -> Path:
    """Write bodies of requests, one per line."""
    words, labels = sample_words()
    texts = make_texts(words, n_words, 20_000)
    file = folder / f"bodies-{n_words}.jsonl"
    lines = (json.dumps({"text": text, "labels": labels[:N_LABELS]}) for text in texts)
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def measure(
    servers: Sequence[str],
    teacher: str | None,
    *,
    n_threads: int,
    words: Sequence[int],
    clients: Sequence[int],
    seconds: float,
) -> Iterator[Measurement]:
    """Yield a measurement for each server, length of text and number of clients."""
    with tempfile.TemporaryDirectory() as folder:
        bodies = {n_words: write_bodies(Path(folder), n_words) for n_words in words}
        for server in servers:
            with running(server, teacher, n_threads) as (pid, port):
                for n_words, file in bodies.items():
                    ask(port, file, n_clients=4, seconds=1)  # fills the caches
                    for n_clients in clients:
                        before = cpu_seconds(pid)
                        found = ask(port, file, n_clients=n_clients, seconds=seconds)
                        yield Measurement(
                            server,
                            n_words,
                            n_clients,
                            found["requests"] / found["seconds"],
                            found["p50_ms"],
                            found["p95_ms"],
                            found["p99_ms"],
                            1e6 * (cpu_seconds(pid) - before) / max(1, found["requests"]),
                            found["refused"] + found["broken"],
                        )


def soak(minutes: float, n_threads: int, *, n_clients: int = 64) -> list[dict[str, float]]:
    """Keep a student's server busy, and return its memory and its rate over time."""
    n_steps = max(4, round(6 * minutes))
    rows: list[dict[str, float]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running("student", None, n_threads) as (pid, port),
    ):
        files = [write_bodies(Path(folder), n_words) for n_words in (25, 400)]
        began = time.monotonic()
        for step in range(n_steps):
            # One step in four asks for long texts.
            file = files[step % 4 == 3]
            found = ask(port, file, n_clients=n_clients, seconds=60 * minutes / n_steps)
            rows.append(
                {
                    "minutes": (time.monotonic() - began) / 60,
                    "requests": found["requests"],
                    "failed": found["refused"] + found["broken"],
                    "memory_mb": resident_mb(pid),
                }
            )
            print(format_step(rows[-1]), flush=True)
    return rows


def format_step(row: dict[str, float]) -> str:
    """Return a line of the soak's table."""
    return (
        f"| {row['minutes']:.1f} | {row['requests']:,.0f} | {row['failed']:,.0f} "
        f"| {row['memory_mb']:.1f} |"
    )


def format_case(case: Measurement) -> str:
    """Return a line of the table."""
    times = f"{case.p50_ms:.1f} | {case.p95_ms:.1f} | {case.p99_ms:.1f}"
    return (
        f"| {case.server} | {case.n_words} | {case.n_clients} | {case.rate:,.0f} | {times} "
        f"| {case.server_cpu_us:,.0f} | {case.n_failed} |"
    )


def main() -> None:
    """Measure, and print tables in Markdown."""
    parser = argparse.ArgumentParser(description="Measure `gliner-distill serve` with wrk.")
    parser.add_argument("--run", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--teacher", metavar="FOLDER", help="a GLiNER, for gliner.serve's model")
    parser.add_argument("--threads", type=int, default=2, help="batches read side by side")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, help="by default, all")
    parser.add_argument("--words", type=int, nargs="+", default=[25, 400])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--seconds", type=float, default=10.0, help="per case")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="measure memory over time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    given = parser.parse_args()
    if given.run:
        run(given.run, given.teacher, given.threads)
        return
    print(describe_machine(), f"; {given.threads} threads", sep="", flush=True)
    results: dict[str, Any] = {"machine": describe_machine(), "threads": given.threads}
    if given.soak:
        print("\n| minutes | requests | failed | memory, MB |\n|---:|---:|---:|---:|", flush=True)
        results["soak"] = soak(given.soak, given.threads)
    else:
        names = given.servers or (SERVERS if given.teacher else SERVERS[:-1])
        print(
            "\n| server | words | clients | requests/s | p50, ms | p95, ms | p99, ms "
            "| CPU per request, us | failed |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
        )
        cases = []
        for case in measure(
            names,
            given.teacher,
            n_threads=given.threads,
            words=given.words,
            clients=given.clients,
            seconds=given.seconds,
        ):
            cases.append(asdict(case))
            print(format_case(case), flush=True)
        results["cases"] = cases
    if given.json:
        given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
