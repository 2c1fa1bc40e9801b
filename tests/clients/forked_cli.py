"""Debian's AWS command line without its start: its modules are loaded once, and each command runs in a fork of this process."""
import os
import signal
import subprocess
import sys
import tempfile
import traceback


def run(arguments, environment, folder, seconds):
    """What subprocess.run(["aws", *arguments]) gives, with nothing on stdin and text on stdout and stderr. A command that takes
    longer than so many seconds ends by SIGALRM."""
    import awscli.clidriver  # not there on every machine: for those who ask for it
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            _command(awscli.clidriver.main, arguments, environment, folder, seconds, out, errors)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read().decode(), errors.read().decode())


def _command(main, arguments, environment, folder, seconds, out, errors):
    status = 255
    try:
        signal.alarm(seconds)
        os.chdir(folder)
        its_own = os.environ["AWS_DATA_PATH"]  # set when it is loaded
        os.environ.clear()
        os.environ.update(environment, AWS_DATA_PATH=its_own)
        with open(os.devnull, "rb") as nothing:
            for at, file in enumerate((nothing, out, errors)):
                os.dup2(file.fileno(), at)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = ["aws", *arguments]
        status = main()
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: B902 a fork of the tests never goes on with them
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
