"""Thousands of harmed files, hostile ones and random texts: each is read rightly or refused."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import count

import pytest

from fuzz.kinds import KINDS
from fuzz.worker import MAX_SECONDS, Outcome, Worker
from gliner_distill.processors import count_processors

pytestmark = pytest.mark.fuzz

_MOST_FAULTS = 40


@pytest.mark.timeout(0)
def test_every_case_is_answered_rightly_or_refused(
    trained_samples, fuzz_seconds, fuzz_seed, fuzz_only, capsys
):
    cases = Cases(fuzz_seconds, fuzz_only)
    outcomes: list[Outcome] = []
    root = trained_samples.parent

    def work(number: int) -> None:
        scratch = root / f"scratch-{number}"
        scratch.mkdir()
        worker = Worker(trained_samples, scratch, seed=fuzz_seed, max_seconds=MAX_SECONDS)
        for kind, case in cases:
            outcomes.append(worker.run(kind, case))
        worker.close()

    with capsys.disabled():
        print(f"\nfuzz: seed {fuzz_seed}, {fuzz_seconds:.0f} s")
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count_processors())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    faults = [outcome for outcome in outcomes if outcome.is_fault]
    with capsys.disabled():
        print(describe(outcomes))
    assert not faults, "\n\n".join(
        describe_fault(fault, fuzz_seed) for fault in faults[:_MOST_FAULTS]
    )


class Cases:
    """The cases until the time is over: one of each kind after the other, for several threads."""

    def __init__(self, seconds: float, only: tuple[str, int] | None) -> None:
        self._end = time.monotonic() + seconds
        self._cases = iter([only]) if only else ((kind, n) for n in count() for kind in KINDS)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        while time.monotonic() < self._end:
            with self._lock:
                case = next(self._cases, None)
            if case is None:
                return
            yield case


def describe(outcomes: list[Outcome]) -> str:
    """Return a table of the kinds and the results of their cases."""
    results: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        results[outcome.kind][outcome.result] += 1
    lines = [f"{len(outcomes):,} cases"]
    for kind, counts in results.items():
        shown = ", ".join(f"{result} {n:,}" for result, n in sorted(counts.items()))
        lines.append(f"  {kind:<40} {counts.total():>6,}: {shown}")
    return "\n".join(lines)


def describe_fault(fault: Outcome, seed: str) -> str:
    """Return what was done, what came of it, and how to do it again."""
    return (
        f"{fault.kind}, case {fault.number}: {fault.result}\n"
        f"  harm: {fault.harm}\n"
        f"  again: FUZZ_SEED={seed} FUZZ_ONLY='{fault.kind}/{fault.number}' make fuzz\n"
        f"{fault.detail}"
    )
