"""The stand-in for gliner, and other people's modules that are imported on top of it."""

import importlib
import sys
from types import ModuleType

import pytest

from gliner_distill.compat import install, uninstall


@pytest.fixture(scope="module")
def client(needs):
    """A function that imports a module of a client, which finds the stand-in in gliner's place.

    A module that an earlier test has imported holds the real gliner, or knows that there is none,
    so it is imported again. No module that was imported here stays.
    """
    install(replace=True)
    before, renewed = {}, []

    def import_client(name, *, modules=()):
        """Import a module; `modules` are those of the client that import gliner."""
        needs(name.partition(".")[0])
        for module in (*modules, name):
            before.setdefault(module, sys.modules.pop(module, None))
            renewed.append(module)
        return importlib.import_module(name)

    yield import_client
    uninstall()
    for name in renewed:
        sys.modules.pop(name, None)
    sys.modules.update({name: module for name, module in before.items() if module is not None})


@pytest.fixture(scope="module")
def glirel(needs):
    """A stand-in for GLiREL, which finds relations, because its weights cannot be fetched here.

    A component of the same name gives each pair of neighboring entities one relation.
    """
    language, doc = needs("spacy.language").Language, needs("spacy.tokens").Doc

    def relate(doc):
        doc._.relations = [
            {
                **{"head_pos": [first.start, first.end], "head_text": [first.text]},
                **{"tail_pos": [second.start, second.end], "tail_text": [second.text]},
                **{"label": "born in", "score": 0.9},
            }
            for first, second in zip(doc.ents[:-1], doc.ents[1:], strict=True)
        ]
        return doc

    doc.set_extension("relations", default=None, force=True)
    language.factory(
        "glirel",
        default_config={"model": "", "device": ""},
        func=lambda nlp, name, model, device: relate,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "glirel", ModuleType("glirel"))
        yield
