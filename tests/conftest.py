"""For all tests: a skipped test is always named, and where LINLI_SKIPS=fail (CI) it fails the run."""

from __future__ import annotations

import os

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that did not run has proved nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = len(reporter.stats.get("skipped", []))
    if skipped and os.environ.get("LINLI_SKIPS") == "fail" and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"\n{skipped} skipped: that is a failure here (LINLI_SKIPS=fail)", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
