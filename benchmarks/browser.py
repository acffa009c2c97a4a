"""Measure a student in Chromium: the download, the first answer, and the words per second.

    python benchmarks/browser.py [--student STUDENT] [--repetitions 5]

It writes the site of `export --format web`, serves it on this machine, and opens it in Chromium
without a window. It needs the extra `browser` and Chromium. Processor time depends less than the
clock on what else the machine does; it includes Chromium's threads that compile.
"""

import argparse
import functools
import http.server
import os
import shutil
import statistics
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from gliner_distill.corpus.reader import read_passages, sample_path
from gliner_distill.runtime.bundle import read_bundle
from gliner_distill.runtime.locate import locate_student
from gliner_distill.web.site import write_site

LABELS = ["person", "organization", "city", "date", "event"]

# The files are in memory before the clock starts; then the modules are loaded and compiled, too.
FIRST_ANSWER = """
async ([texts, labels]) => {
  const names = ["student/student.json", "student/vocabulary.txt", "student/weights.safetensors",
    "gliner-distill/kernel.wasm"];
  const load = async (name) => (await fetch(name)).arrayBuffer();
  const [settings, vocabulary, weights, kernel] = await Promise.all(names.map(load));
  const start = performance.now();
  const { StudentNER } = await import("/gliner-distill/student.js");
  globalThis.student = await StudentNER.fromFiles({ settings, vocabulary, weights, kernel });
  student.predictEntities(texts[0], labels);
  return performance.now() - start;
}
"""
READING = """
([texts, labels]) => {
  const start = performance.now();
  student.inference(texts, labels);
  return performance.now() - start;
}
"""
ONE_BY_ONE = """
([texts, labels]) => {
  const start = performance.now();
  for (const text of texts) student.predictEntities(text, labels);
  return performance.now() - start;
}
"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


Clock = Callable[[], float]


def measure(page: Page, processor: Clock, texts: list[str], n_words: int) -> dict[str, float]:
    """Return what one fresh page needs, by the clock and in processor time."""

    def run(script: str, asked: list[str]) -> tuple[float, float]:
        before = processor()
        milliseconds = page.evaluate(script, [asked, LABELS])
        return milliseconds, 1000 * (processor() - before)

    first = run(FIRST_ANSWER, texts[:1])
    readings = {"first reading": [run(READING, texts)]}
    readings["later"] = [run(READING, texts) for _ in range(5)]
    readings["one text after the other"] = [run(ONE_BY_ONE, texts) for _ in range(3)]
    rates = {
        f"words per {unit}, {name}": 1000 * n_words / min(times[place] for times in all_times)
        for place, unit in enumerate(("second", "second of processor time"))
        for name, all_times in readings.items()
    }
    return {"first answer, ms": first[0], "first answer, ms of processor time": first[1], **rates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", help="the folder of a student; the bundled one by default")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    passages = list(read_passages(str(sample_path("dev"))))
    texts = [" ".join(passage.words) for passage in passages]
    n_words = sum(len(passage.words) for passage in passages)
    with tempfile.TemporaryDirectory() as name:
        site = write_site(Path(name), read_bundle(locate_student(arguments.student)), [], name="it")
        handler = functools.partial(_Handler, directory=name)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            measured = run_chromium(server.server_port, texts, n_words, arguments.repetitions)
    print(f"download: {site.n_bytes:,} bytes")
    print(f"{len(texts)} texts, {n_words:,} words, {len(LABELS)} labels; medians of fresh pages")
    for key in measured[0]:
        print(f"{key}: {statistics.median(one[key] for one in measured):,.0f}")


def run_chromium(port: int, texts: list[str], n_words: int, n: int) -> list[dict[str, float]]:
    """Return the measurements of `n` fresh pages."""
    measured = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        print(f"Chromium {browser.version}")
        session = browser.new_browser_cdp_session()

        def processor() -> float:
            """Return the seconds of processor time of all pages."""
            processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
            return sum(one["cpuTime"] for one in processes if one["type"] == "renderer")

        for _ in range(n):
            context = browser.new_context()
            page = context.new_page()
            # A file without scripts, so that nothing is loaded before the clock starts.
            page.goto(f"http://127.0.0.1:{port}/page.css")
            measured.append(measure(page, processor, texts, n_words))
            context.close()
        browser.close()
    return measured


if __name__ == "__main__":
    main()
