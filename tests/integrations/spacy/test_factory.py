"""The entry point, and what spaCy's analysis and other processes see of the component."""

import subprocess
import sys

import pytest

# Runs in a fresh process, in which spaCy is missing.
WITHOUT_SPACY = """
import sys
sys.modules["spacy"] = None
from gliner_distill.errors import MissingExtraError
try:
    import gliner_distill.integrations.spacy.factory
except MissingExtraError as error:
    print(error)
"""
UNUSED = """
import sys
import spacy
nlp = spacy.blank("en")
nlp.add_pipe("gliner_distill", config={"labels": ["person"]})
print("gliner_distill.runtime.ner" in sys.modules)
"""


def run(script):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_analyze_pipes_shows_what_the_component_assigns(shared_nlp):
    summary = shared_nlp().analyze_pipes()["summary"]["gliner_distill"]
    assert {"doc.ents", "doc.spans", "span._.score"} <= set(summary["assigns"])
    assert (summary["requires"], summary["scores"], summary["retokenizes"]) == ([], [], False)


def test_analyze_pipes_finds_a_component_that_needs_entities_satisfied(make_nlp):
    nlp = make_nlp()
    nlp.add_pipe("merge_entities")
    assert not any(nlp.analyze_pipes()["problems"]["merge_entities"])


@pytest.mark.slow
def test_module_without_spacy_says_what_to_install():
    assert "pip install 'gliner-distill[spacy]'" in run(WITHOUT_SPACY)


@pytest.mark.slow
def test_unused_component_does_not_load_a_model(spacy):
    assert run(UNUSED) == "False\n"
