#!/usr/bin/env python3
"""Tests infra/redrive.py against an AWS emulator (moto's server), with the real template deployed.

moto can't run functions: a small server stands in for Lambda, and keeps what it is asked for. The last line is like
that of a Rust test program, so that `make test` counts these, too.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable

import boto3

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT, REGION = "123456789012", "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rescind-security-groups"
EVENT = {
    "version": "0",
    "id": "0b9d7d2e-0000-4000-8000-000000000001",
    "source": "aws.ec2",
    "detail-type": "AWS API Call via CloudTrail",
    "time": "2026-11-24T02:00:00Z",
    "detail": {"eventName": "AuthorizeSecurityGroupIngress"},
}
# What a person chose at a finding.
ACTION = {**EVENT, "source": "aws.securityhub", "detail": {"actionName": "Rescind undo"}}
CONSOLE = FUNCTION.replace("security-groups", "console")


class Lambda(BaseHTTPRequestHandler):
    """Accepts invocations, unless told otherwise."""

    invocations: list[tuple[str, str | None, Any]] = []
    status = 202
    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.split("/")[3]
        Lambda.invocations.append((name, self.headers.get("X-Amz-Invocation-Type"), json.loads(body)))
        Lambda.meanwhile()
        answer = b"" if Lambda.status == 202 else b'{"Type": "User", "Message": "no such function"}'
        self.send_response(Lambda.status)
        self.send_header("x-amzn-ErrorType", "ResourceNotFoundException")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


def start_emulator() -> tuple[subprocess.Popen[bytes], str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Path(sys.executable).with_name("moto_server")
    process = subprocess.Popen(
        [server, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise SystemExit("moto does not start")


def record(payload: Any, function: str = FUNCTION + ":$LATEST") -> str:
    """An invocation record, as Lambda writes it."""
    return json.dumps(
        {
            "version": "1.0",
            "timestamp": "2026-11-24T02:05:00.000Z",
            "requestContext": {
                "requestId": "00000000-0000-4000-8000-000000000002",
                "functionArn": function,
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": payload,
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {"errorType": "Rescind.Failed", "errorMessage": "EC2 throttles\u001b[31m"},
        }
    )


class Redrive(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.emulator, cls.endpoint = start_emulator()
        cls.addClassCleanup(cls.emulator.wait)
        cls.addClassCleanup(cls.emulator.kill)
        deploy = [sys.executable, ROOT / "tests/deploy.py", "--endpoint", cls.endpoint, "--accounts", ACCOUNT]
        printed = subprocess.run(deploy, check=True, capture_output=True, text=True).stdout
        deployed = json.loads(printed)["accounts"][ACCOUNT]
        cls.outputs = deployed["outputs"]
        cls.rules = {rule["logical_id"]: rule for rule in deployed["rules"]}
        cls.sqs, events = cls.client("sqs"), cls.client("events")
        # In the emulator a queue stands in for each target; here the rules have the targets of the template.
        for rule in cls.rules.values():
            [target] = events.list_targets_by_rule(Rule=rule["name"])["Targets"]
            target["Arn"] = rule["target"]
            if rule["input_template"]:
                target["InputTransformer"]["InputTemplate"] = rule["input_template"]
            events.put_targets(Rule=rule["name"], Targets=[target])
        stub = ThreadingHTTPServer(("127.0.0.1", 0), Lambda)
        threading.Thread(target=stub.serve_forever, daemon=True).start()
        cls.addClassCleanup(stub.server_close)
        cls.addClassCleanup(stub.shutdown)
        cls.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_ENDPOINT_URL": cls.endpoint,
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{stub.server_port}",
        }

    @classmethod
    def client(cls, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=cls.endpoint,
            region_name=REGION,
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )

    def setUp(self) -> None:
        Lambda.invocations, Lambda.status, Lambda.meanwhile = [], 202, lambda: None
        # `PurgeQueue` may be called once a minute.
        for url in (url for output, url in self.outputs.items() if output.endswith("Queue")):
            while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for message in messages:
                    self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def failed(self, body: str, queue: str = "SecurityGroupsFailuresQueue") -> None:
        self.sqs.send_message(QueueUrl=self.outputs[queue], MessageBody=body)

    def undelivered(self, body: Any, rule: str, target: str | None = None) -> None:
        attributes = {
            "RULE_ARN": self.rules[rule]["arn"],
            "TARGET_ARN": target or self.rules[rule]["target"],
            "ERROR_CODE": "NO_PERMISSIONS",
        }
        self.sqs.send_message(
            QueueUrl=self.outputs["UndeliveredEventsQueue"],
            MessageBody=json.dumps(body),
            MessageAttributes={
                key: {"DataType": "String", "StringValue": value} for key, value in attributes.items()
            },
        )

    def left(self) -> int:
        """How many messages can be read in the dead-letter queues."""
        return sum(
            int(
                self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])[
                    "Attributes"
                ]["ApproximateNumberOfMessages"]
            )
            for output, url in self.outputs.items()
            if output.endswith("Queue")
        )

    def run_it(self, *arguments: str) -> tuple[int, str]:
        command = [sys.executable, ROOT / "infra/redrive.py", "--wait", "0", *arguments]
        run = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        self.assertNotIn("Traceback", run.stderr)
        return run.returncode, run.stdout + run.stderr

    def test_empty_queues_are_said_to_be_empty(self) -> None:
        status, said = self.run_it("--wait", "1")
        self.assertEqual((status, said), (0, "Nothing to put back: the dead-letter queues of rescind are empty.\n"))

    def test_a_stack_that_is_not_there_is_an_error(self) -> None:
        status, said = self.run_it("--stack", "other")
        self.assertEqual(status, 1)
        self.assertIn("other", said)

    def test_what_a_function_failed_on_is_given_to_it_again_and_then_deleted(self) -> None:
        given = {"rule": self.rules["OpenSecurityGroupIngress"]["arn"], "ingested": EVENT["time"], "event": EVENT}
        for _ in range(12):
            self.failed(record(given))
        self.failed(record(ACTION, CONSOLE), "ConsoleFailuresQueue")
        status, said = self.run_it()
        self.assertEqual(status, 0, said)
        asked = ("rescind-console", "Event", ACTION)
        self.assertEqual(Lambda.invocations.count(asked), 1)
        Lambda.invocations.remove(asked)
        self.assertEqual(Lambda.invocations, [("rescind-security-groups", "Event", given)] * 12)
        self.assertEqual(self.left(), 0)
        self.assertIn("AuthorizeSecurityGroupIngress of 2026-11-24T02:00:00Z", said)
        self.assertIn("Rescind.Failed: EC2 throttles [31m\n", said, "with nothing that a terminal obeys")
        self.assertIn("13 put back, 0 stay", said)

    def test_an_undelivered_event_is_handed_over_as_its_rule_does(self) -> None:
        self.undelivered(EVENT, "OpenSecurityGroupIngress")
        bare = {"rule": self.rules["OpenSecurityGroupIngress"]["arn"], "ingested": None, "event": EVENT}
        transformed = {"rule": self.rules["RestrictedSsh"]["arn"], "ingested": EVENT["time"], "event": EVENT}
        self.undelivered(transformed, "RestrictedSsh")
        # Its rule has no transformer.
        self.undelivered(ACTION, "ConsoleAction")
        status, said = self.run_it()
        self.assertEqual(status, 0, said)
        expected = [
            ("rescind-security-groups", "Event", bare),
            ("rescind-security-groups", "Event", transformed),
            ("rescind-console", "Event", ACTION),
        ]
        self.assertEqual(len(Lambda.invocations), 3)
        for invocation in expected:
            self.assertIn(invocation, Lambda.invocations)
        self.assertEqual(self.left(), 0)

    def test_an_undelivered_notification_is_published(self) -> None:
        inbox = self.sqs.create_queue(QueueName="inbox")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:inbox"
        topic = self.outputs["NotificationsTopic"]
        self.client("sns").subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
        )
        detail = {
            "id": "7",
            "status": "failed",
            "remediation": "open-security-group-ingress",
            "reason": "EC2 refused <id>",
            "mode": "enforce",
            "resource": {"id": "sg-1", "type": "AWS::EC2::SecurityGroup", "account": ACCOUNT, "region": REGION},
            "timing": {"event_to_done_ms": 2100},
        }
        outcome = {**EVENT, "source": "rescind", "detail-type": "Rescind Outcome", "detail": detail}
        self.undelivered(outcome, "OutcomeNotification")
        status, said = self.run_it()
        self.assertEqual(status, 0, said)
        [message] = self.sqs.receive_message(QueueUrl=inbox)["Messages"]
        lines = message["Body"].splitlines()
        self.assertEqual(lines[0], "Rescind: failed, open-security-group-ingress")
        self.assertEqual(lines[2], "EC2 refused <id>", "what stands in a value is no placeholder")
        self.assertIn("Resource:   sg-1 (AWS::EC2::SecurityGroup)", lines)
        self.assertIn("Changed by: ", lines)
        self.assertTrue(any("2100 ms" in line for line in lines), lines)

    def test_what_lambda_refuses_stays_and_can_be_put_back_later(self) -> None:
        self.failed(record({"event": EVENT}))
        Lambda.status = 404
        status, said = self.run_it()
        self.assertEqual(status, 1, said)
        self.assertIn("stays here:  An error occurred (ResourceNotFoundException)", said)
        self.assertEqual(self.left(), 1, "it is not hidden")
        Lambda.status = 202
        self.assertEqual(self.run_it()[0], 0)
        self.assertEqual(self.left(), 0)

    def test_nothing_is_handed_to_strangers_and_nothing_unreadable_is_lost(self) -> None:
        self.failed(record({"event": EVENT}, FUNCTION.replace("rescind", "somebodys")))
        self.failed(record({"event": EVENT}, "nonsense"))
        self.failed("not JSON")
        self.failed("[]")
        self.failed(json.dumps({"requestContext": None, "requestPayload": None, "responsePayload": "text"}))
        self.undelivered(EVENT, "OpenSecurityGroupIngress", FUNCTION.replace("rescind", "somebodys"))
        status, said = self.run_it()
        self.assertEqual(status, 1, said)
        self.assertEqual(Lambda.invocations, [])
        self.assertEqual(self.left(), 6)
        self.assertIn("0 put back, 6 stay", said)

    def test_a_request_that_somebody_put_into_a_queue_is_made_of_nobody(self) -> None:
        undo, given = {"undo": "0" * 32}, {"event": EVENT}
        for request in [undo, {**given, **undo}, {**undo, "event": "none"}, [undo], json.dumps(undo)]:
            self.failed(record(request))
        forged = [{**undo, "expired": False}, {**undo, "expired": True, "force": True}]
        for request in [undo, {**ACTION, **undo}, given, *forged]:
            self.failed(record(request, CONSOLE), "ConsoleFailuresQueue")
        self.failed(record(ACTION, CONSOLE))
        self.failed(record(given), "ConsoleFailuresQueue")
        self.undelivered(undo, "OpenSecurityGroupIngress")
        self.undelivered(undo, "ConsoleAction")
        status, said = self.run_it()
        self.assertEqual(status, 1, said)
        self.assertEqual(Lambda.invocations, [])
        self.assertEqual(self.left(), 14)

    def test_the_end_of_a_block_that_failed_is_asked_for_again(self) -> None:
        ends = {"undo": "0" * 32, "expired": True}
        self.failed(record(ends, CONSOLE), "ConsoleFailuresQueue")
        status, said = self.run_it()
        self.assertEqual(status, 0, said)
        self.assertEqual(len(Lambda.invocations), 1)
        self.assertEqual(self.left(), 0)

    def test_a_dry_run_shows_and_changes_nothing(self) -> None:
        self.failed(record({"event": EVENT}))
        self.undelivered(EVENT, "OpenSecurityGroupIngress")
        status, said = self.run_it("--dry-run")
        self.assertEqual(status, 0, said)
        self.assertIn("2 would be put back, 0 stay", said)
        self.assertEqual(Lambda.invocations, [])
        self.assertEqual(self.left(), 2)

    def test_what_fails_again_at_once_waits_for_the_next_time(self) -> None:
        Lambda.meanwhile = lambda: (time.sleep(0.01), self.failed(record({"event": EVENT})))[0]
        self.failed(record({"event": EVENT}))
        status, said = self.run_it()
        self.assertEqual(status, 0, said)
        self.assertEqual(len(Lambda.invocations), 1)
        self.assertEqual(self.left(), 1)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    wrong = len(result.failures) + len(result.errors)
    passed = result.testsRun - wrong - len(result.skipped)
    outcome = "ok" if result.wasSuccessful() else "FAILED"
    print(f"test result: {outcome}. {passed} passed; {wrong} failed; {len(result.skipped)} ignored")
    sys.exit(not result.wasSuccessful())
