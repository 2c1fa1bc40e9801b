"""pytest plug-in: writes results to $STOKER_RESULTS, as ./test reads them."""
import os

PREFIX = os.environ.get("STOKER_PREFIX", "")
_results = open(os.environ["STOKER_RESULTS"], "a") if os.environ.get("STOKER_RESULTS") else None


def _write(line):
    if _results:
        _results.write(line + "\n")
        _results.flush()


def pytest_runtest_logreport(report):
    """One line for each test, as it happens: also readable when the machine dies in the middle."""
    name = PREFIX + report.nodeid
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _write(f"SKIP {name}: {reason}")
    elif report.failed:
        reason = str(getattr(report.longrepr, "reprcrash", None) and report.longrepr.reprcrash.message or "")
        _write(f"FAIL {name} ({report.when}): {reason.splitlines()[0][:300] if reason else 'see the log'}")
    elif report.when == "call":
        _write(f"PASS {name} ({report.duration:.1f} s)")


def pytest_sessionfinish(session, exitstatus):
    _write(f"END {int(exitstatus)}")
