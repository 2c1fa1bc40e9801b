"""Debian's AWS command line without its start: a process that has loaded its modules, and runs each command in a fork of itself.
A process of its own, as the modules get in the way of boto3's."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback


class Loaded:
    def __init__(self):
        self.process = subprocess.Popen(["/usr/bin/python3", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, arguments, environment, folder, seconds):
        """What subprocess.run(["aws", *arguments]) gives, with nothing on stdin and text on stdout and stderr. A command that
        takes longer than so many seconds ends by SIGALRM."""
        print(json.dumps([arguments, environment, folder, seconds]), file=self.process.stdin, flush=True)
        return subprocess.CompletedProcess(arguments, *json.loads(self.process.stdout.readline()))

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


def serve():
    import awscli.clidriver
    for line in sys.stdin:
        arguments, environment, folder, seconds = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            child = os.fork()
            if child == 0:
                command(awscli.clidriver.main, arguments, environment, folder, seconds, out, errors)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            out.seek(0)
            errors.seek(0)
            print(json.dumps([status, out.read().decode(), errors.read().decode()]), flush=True)


def command(main, arguments, environment, folder, seconds, out, errors):
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
    except BaseException:  # noqa: B902 a fork never goes on with what its parent does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
