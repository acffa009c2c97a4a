"""Packages of other people: a test that needs a missing one is skipped, or fails where all must be.

`make integrations` sets INTEGRATIONS=required: only Spark and Dask may be missing there.
"""

import asyncio
import importlib
import os

import pytest

# Haystack reads it at its import; otherwise a thread of it asks a server on the Internet.
os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")

MAY_BE_MISSING = ("pyspark", "dask")


@pytest.fixture(scope="session")
def needs():
    """Return a function that imports a package, or skips the test that calls it."""

    def import_package(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if is_required() and name.partition(".")[0] not in MAY_BE_MISSING:
                raise
            pytest.skip(f"{error.name} is not installed")

    return import_package


@pytest.fixture(autouse=True)
def event_loop():
    """The current event loop: without one, LlamaIndex makes its own and never closes it.

    Such a loop would fail whichever test is running when it is collected.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def is_required():
    return os.environ.get("INTEGRATIONS") == "required"
