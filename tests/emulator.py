#!/usr/bin/env python3
"""An AWS emulator (moto's server) with template.yaml deployed to it, as often as it is asked for.

    tests/emulator.py --region us-east-1 --accounts 111111111111 222222222222

The template is deployed once, by deploy.py, over HTTP; what deploy.py prints is the first line here, on one line. Then each
line that comes in is answered with the port, on the loopback interface, of one more emulator: a fork of this process, so a
copy of what was deployed, which nobody else sees. A fork takes milliseconds, a deployment seconds. All of them end with this
process, and it with its standard input.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import logging
import os
import sys
import threading
import urllib.request

# Before moto is read. The images that moto brings along, with their snapshots and volumes, are hundreds in each account; nobody
# here asks for them, and each look at snapshots goes through them all.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

import jsonpath_ng.ext
import moto.backends
import moto.core.responses
from botocore.awsrequest import AWSRequest
from moto.core.utils import get_service_model
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.events.models import EventPattern
from moto.events.responses import EventsHandler
from moto.iam.access_control import IAMRequestBase
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

# It stands beside this file, whose folder Python looks into first.
import deploy


def take_signatures_without_a_body() -> None:
    """moto signs what it reads out of the path of such a request as if that were its body, and refuses the true signature."""
    create = IAMRequestBase._create_aws_request

    def create_without(request: IAMRequestBase) -> AWSRequest:
        if request._method in ("GET", "DELETE"):
            request._data = {}
        return create(request)

    IAMRequestBase._create_aws_request = create_without


def quicken() -> None:
    """Leaves out what moto does for each request and nobody needs here; its answers stay as they are."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # moto lists its own folder anew each time, and the methods of its classes, and parses the paths of input transformers.
    modules = list(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: modules
    moto.core.responses.method_names_from_class = functools.cache(moto.core.responses.method_names_from_class)
    jsonpath_ng.ext.parse = functools.cache(jsonpath_ng.ext.parse)
    # Each copy would read them for itself: half a second for EC2's.
    for service in ("ec2", "iam", "events", "sqs", "sts", "config", "cloudtrail", "kms", "lambda", "scheduler"):
        get_service_model(service)


def judge_patterns() -> None:
    """moto does not answer `TestEventPattern`, though it judges patterns for its rules: with those judgements it does."""

    def answer(self: EventsHandler) -> str:
        pattern, event = self._get_param("EventPattern"), self._get_param("Event")
        return json.dumps({"Result": EventPattern.load(pattern).matches_event(json.loads(event))})

    EventsHandler.test_event_pattern = answer


def raise_quota() -> None:
    """Groups may have a thousand rules, as AWS gives them to who asks (Amazon VPC user guide, *Amazon VPC quotas*); moto stops at sixty."""
    verify = SecurityGroupBackend._verify_group_will_respect_rule_count_limit

    def verify_less(self, group, count, *rest, **named) -> None:
        if count >= 1000:
            verify(self, group, count, *rest, **named)

    SecurityGroupBackend._verify_group_will_respect_rule_count_limit = verify_less


class OneWrite(MotoRequestHandler):
    """Sends an answer in one piece, and not its head first."""

    wbufsize = -1
    # Who connects and says nothing keeps the others waiting for so many seconds, and no longer.
    timeout = 10


# Keeps what it makes of a service once it is asked for.
APPLICATION = DomainDispatcherApplication(create_backend_app)


def listen() -> BaseWSGIServer:
    """The emulator, at a free port. It answers one request after the other: Python's threads would only wait for each other."""
    return make_server("127.0.0.1", 0, APPLICATION, request_handler=OneWrite)


def deployed(region: str, accounts: list[str]) -> str:
    """Deploys the template, and says what is there. No thread is left of it: they don't survive a fork."""
    server = listen()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.port}"
    deployment = deploy.deploy(endpoint, region, accounts)
    # From now on IAM is enforced.
    enforce = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
    urllib.request.urlopen(enforce).close()
    server.shutdown()
    thread.join()
    server.server_close()
    return json.dumps(deployment)


def serve_copy(alive: int) -> None:
    """Serves what is deployed in a process of its own, until nobody holds the other end of `alive` any more."""
    server = listen()
    print(server.port, flush=True)
    # What moto fails on, it answers with 500 and writes a traceback of; the answer is enough.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    def end() -> None:
        os.read(alive, 1)
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--accounts", nargs="+", required=True, metavar="ID", help="account ids of twelve digits")
    arguments = parser.parse_args()
    quicken()
    raise_quota()
    judge_patterns()
    take_signatures_without_a_body()
    print(deployed(arguments.region, arguments.accounts), flush=True)
    # What is there stays: nobody has to look through it, nor copy it for that.
    gc.collect()
    gc.freeze()
    alive, held = os.pipe()
    for _ in sys.stdin:
        if os.fork() == 0:
            os.close(held)
            sys.stdin.close()
            serve_copy(alive)
            return


if __name__ == "__main__":
    main()
