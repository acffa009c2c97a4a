"""Shared parts of the tests of the command line: a corpus, processes, and a check of errors."""

import os
import subprocess
import sys

from gliner_distill.corpus.reader import write_passages
from gliner_distill.entities import Entity, Passage

LEXICON = {"paris": "city", "london": "city", "mary": "person", "john": "person", "acme": "company"}
SMALL = ("--hidden-width", 8, "--batch-size", 4)
"""Options of `train` for a student that is trained in a moment."""

MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from gliner_distill.cli.main import main
main()
"""
"""The command line, which Ctrl-C stops even if the tests were started in the background."""


def make_passages(n_passages=20):
    """Return passages of seven words whose entities are the words of the lexicon."""
    verbs = ("saw", "left", "built", "on", "the")
    names = list(LEXICON)
    passages = []
    for place in range(n_passages):
        words = ("in", names[place % 5], verbs[place % 3], "the", names[place * 2 % 5], verbs[3])
        entities = [
            Entity(index, index + 1, LEXICON[word])
            for index, word in enumerate(words)
            if word in LEXICON
        ]
        passages.append(Passage((*words, str(place)), tuple(entities)))
    return passages


def write_corpus(name, passages):
    """Write a corpus file and return its name."""
    write_passages(name, passages)
    return name


def assert_fails(finished, *facts, code=1):
    """Check the exit code, and that the last line on standard error is the whole complaint.

    The complaint must hold every fact: a path, a field, a value, what to do.
    """
    *notes, last = finished.err.splitlines()
    assert finished.code == code
    assert last.startswith("gliner-distill: ")
    missing = [fact for fact in facts if str(fact) not in last]
    assert not missing, f"{missing} not in {last!r}"
    assert not any(word in note for note in notes for word in ("Traceback", "gliner-distill"))


def start_process(script, *args, **options):
    """Start Python on a script with one thread; standard output and error are kept."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | options.pop("env", {}),
        text=True,
        **options,
    )
