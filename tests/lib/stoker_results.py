"""pytest plug-in: writes results to $STOKER_RESULTS, as ./test reads them.

$STOKER_HANGS: after so many failures because microVMs do not answer in time the rest is left, for another emulated machine.
Such a failure's line is followed by one that says HUNG, each other test ends with a line DONE.
$STOKER_DONE: the results of the first one; what was DONE there is not run again."""
import os

HUNG = "no answer in time"
HANGS = int(os.environ.get("STOKER_HANGS", "0"))
DONE = os.environ.get("STOKER_DONE")
PREFIX = os.environ.get("STOKER_PREFIX", "")
_results = open(os.environ["STOKER_RESULTS"], "a") if os.environ.get("STOKER_RESULTS") else None


def _write(line):
    if _results:
        _results.write(line + "\n")
        _results.flush()


def _done_before():
    with open(DONE) as results:
        return {line.rstrip("\n").partition(" ")[2] for line in results if line.startswith("DONE ")}


def pytest_collection_modifyitems(config, items):
    if DONE:
        done = _done_before()
        config.hook.pytest_deselected(items=[item for item in items if PREFIX + item.nodeid in done])
        items[:] = [item for item in items if PREFIX + item.nodeid not in done]


class Hangs:
    """Ends the session when there are too many."""
    session = None
    tests = set()


def pytest_sessionstart(session):
    Hangs.session = session


def pytest_runtest_logreport(report):
    """One line for each test, as it happens: also readable when the machine dies in the middle."""
    name = PREFIX + report.nodeid
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _write(f"SKIP {name}: {reason}")
    elif report.failed:
        reason = str(getattr(report.longrepr, "reprcrash", None) and report.longrepr.reprcrash.message or "")
        _write(f"FAIL {name} ({report.when}): {reason.splitlines()[0][:300] if reason else 'see the log'}")
        if HUNG in report.longreprtext:
            _write(f"HUNG {name}")
            Hangs.tests.add(name)
        if HANGS and len(Hangs.tests) >= HANGS:
            Hangs.session.shouldstop = "microVMs hang in this emulated machine"
    elif report.when == "call":
        _write(f"PASS {name} ({report.duration:.1f} s)")
    if report.when == "teardown" and name not in Hangs.tests:
        _write(f"DONE {name}")


def pytest_sessionfinish(session, exitstatus):
    _write(f"END {int(exitstatus)}")
