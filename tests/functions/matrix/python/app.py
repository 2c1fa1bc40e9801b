"""Does what the event asks for, or fails in the init phase as FAIL_INIT says."""
import os
import random
import signal
import sys
import time
import uuid

init = os.environ.get("FAIL_INIT")
if init == "error":
    raise LookupError("told to fail at the start")
if init == "exit":
    os._exit(1)


def unique(context):
    return {"random": random.random(), "uuid": str(uuid.uuid4()), "bytes": os.urandom(8).hex()}


def handler(event, context):
    do = event["do"]
    if do == "ok":
        return {"ok": True, "id": len(context.aws_request_id), "name": context.function_name,
                "execution_env": os.environ["AWS_EXECUTION_ENV"]}
    if do == "unique":
        return unique(context)
    if do == "error":
        raise ValueError("told to fail")
    if do == "exit":
        sys.stdout.flush()
        os._exit(event["status"])
    if do == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    if do == "sleep":
        time.sleep(60)
    if do == "large":
        return "x" * (event["size"] - 2)
    if do == "not-json":
        return {1, 2}
    if do == "print":
        print("a line of the function")
        return None
    raise KeyError(do)
