"""A plugin that skips what needs more than the base install, in an environment without extras.

`make lowest` runs the quick tests with it in such an environment. A test, a fixture or a module
that imports a package of an extra is skipped; every other error stays an error.
"""

import pytest

from gliner_distill.errors import MissingExtraError


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Skip a module or a folder whose import needs a package that is not installed."""
    report = yield
    return _skip_if_missing(report, report.call.excinfo, collector.path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Skip a test that needs a package that is not installed."""
    report = yield
    return _skip_if_missing(report, call.excinfo, item.path)


def _skip_if_missing(report, excinfo, path):
    if report.failed and (reason := _find_missing(excinfo.value)) is not None:
        report.outcome = "skipped"
        report.longrepr = (str(path), 0, f"Skipped: {reason}")
    return report


def _find_missing(error):
    """Return why a package is missing, from an error or from what caused it; None otherwise."""
    while error is not None:
        if isinstance(error, MissingExtraError):
            return str(error)
        if isinstance(error, ModuleNotFoundError) and not _is_ours(error.name or ""):
            return f"{error.name} is not installed"
        # Pytest wraps the error of a conftest in one with a field for it.
        error = getattr(error, "cause", None) or error.__cause__
    return None


def _is_ours(name):
    return name.partition(".")[0] == "gliner_distill"
