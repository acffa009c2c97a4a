"""The stand-in for gliner, and other people's modules that are imported on top of it."""

import importlib
import sys

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
