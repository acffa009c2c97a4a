"""Hosts that load a student of the hub report its failures in their own style.

The hub is a stand-in on this machine. `huggingface_hub` reads its settings when it is imported, so
each host runs in a process of its own.
"""

import pytest

from stand_in_hub import Client, Fault, running_hub

pytestmark = pytest.mark.slow

NAME = "me/student"
SPACY = """
import spacy

def fail(name):
    nlp = spacy.blank("en")
    nlp.add_pipe("gliner_distill", "ner", config={"labels": ["person"], "model": name})
    try:
        nlp("Ada left.")
    except ValueError as error:
        return f"ValueError: {error}"
"""
PRESIDIO = """
import logging
from gliner_distill.errors import HubError
from gliner_distill.integrations.presidio import GLiNERDistillRecognizer

lines = []
handler = logging.Handler(logging.ERROR)
handler.emit = lambda record: lines.append(record.getMessage())
logging.getLogger("presidio-analyzer").addHandler(handler)

def fail(name):
    lines.clear()
    try:
        GLiNERDistillRecognizer(model=name)
    except HubError as error:
        (line,) = lines
        assert line.endswith(str(error))
        return f"HubError, logged as {line}"
"""
MODEL = (
    f"{NAME}: this folder does not exist, and the model cannot be loaded from the hub: model {NAME}"
)


@pytest.mark.parametrize(
    ("package", "imports", "beginning"),
    [
        ("spacy", SPACY, f"ValueError: component 'ner': {MODEL}"),
        (
            "presidio_analyzer",
            PRESIDIO,
            "HubError, logged as GLiNERDistillRecognizer: the student cannot be loaded: " + MODEL,
        ),
    ],
)
def test_host_says_what_the_hub_answered(needs, tmp_path, package, imports, beginning):
    needs(package)
    with running_hub({}) as hub, Client(tmp_path, hub.endpoint, imports).worker() as worker:
        for status, advice in ((401, "check the name"), (404, "check the name"), (500, "later")):
            hub.faults[:] = [Fault(f"GET /api/models/{NAME}", status)]
            answer = worker.call(f"fail({NAME!r})")
            assert answer.startswith(beginning)
            assert f"HTTP {status}" in answer
            assert advice in answer
