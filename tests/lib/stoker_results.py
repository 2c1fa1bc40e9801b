"""pytest plug-in: writes results to $STOKER_RESULTS, as ./test reads them.

$STOKER_HANGS: after so many failures because microVMs do not answer in time the rest is left, for another emulated machine.
$STOKER_DONE: the results of the first one; what passed or was skipped there is not run again."""
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
    done, failed = set(), set()
    with open(DONE) as results:
        for line in results:
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "FAIL":
                failed.add(rest.partition(": ")[0].rpartition(" (")[0])
            elif kind == "PASS":
                done.add(rest.rpartition(" (")[0])
            elif kind == "SKIP":
                done.add(rest.partition(": ")[0])
    return done - failed


def pytest_collection_modifyitems(config, items):
    if DONE:
        done = _done_before()
        config.hook.pytest_deselected(items=[item for item in items if PREFIX + item.nodeid in done])
        items[:] = [item for item in items if PREFIX + item.nodeid not in done]


class Hangs:
    """Ends the session when there are too many."""
    session = None
    count = 0


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
        Hangs.count += HUNG in report.longreprtext
        if HANGS and Hangs.count >= HANGS:
            Hangs.session.shouldstop = "microVMs hang in this emulated machine"
    elif report.when == "call":
        _write(f"PASS {name} ({report.duration:.1f} s)")


def pytest_sessionfinish(session, exitstatus):
    _write(f"END {int(exitstatus)}")
