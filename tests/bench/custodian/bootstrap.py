"""Runs a handler as Python's bootstrap on Lambda does: imports it, then asks the runtime API for work, one event after another.

    bootstrap.py module.function

The working folder is the function's.
"""

import http.client
import importlib
import json
import os
import sys

VERSION = "/2018-06-01/runtime"


class Context:
    """What a handler may ask about its invocation."""

    def __init__(self, request_id, arn):
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]


def main():
    sys.path.insert(0, os.getcwd())
    module, _, name = sys.argv[1].partition(".")
    handler = getattr(importlib.import_module(module), name)
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        api.request("GET", f"{VERSION}/invocation/next")
        work = api.getresponse()
        event = json.loads(work.read())
        request_id = work.headers["Lambda-Runtime-Aws-Request-Id"]
        arn = work.headers["Lambda-Runtime-Invoked-Function-Arn"]
        try:
            answer, path = handler(event, Context(request_id, arn)), "response"
        except Exception as problem:
            answer, path = {"errorType": type(problem).__name__, "errorMessage": str(problem)}, "error"
        api.request("POST", f"{VERSION}/invocation/{request_id}/{path}", json.dumps(answer))
        api.getresponse().read()


if __name__ == "__main__":
    main()
