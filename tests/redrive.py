#!/usr/bin/env python3
"""Tests infra/redrive.py against an AWS emulator (moto's server), with the real template deployed.

moto can't run functions: a small server stands in for Lambda, and keeps what it is asked for. The last line is like
that of a Rust test program, so that `make test` counts these, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable

import boto3
from samtranslator.yaml_helper import yaml_parse

# It stands beside this file, whose folder Python looks into first.
import deploy

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT, REGION, GLOBAL_REGION = "123456789012", "eu-central-1", "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rescind-security-groups"
EVENT = {
    "version": "0",
    "id": "0b9d7d2e-0000-4000-8000-000000000001",
    "source": "aws.ec2",
    "detail-type": "AWS API Call via CloudTrail",
    "time": "2026-11-24T02:00:00Z",
    "detail": {"eventName": "AuthorizeSecurityGroupIngress"},
}
# Of IAM, which tells of its calls in one Region alone.
ATTACHED = json.loads((ROOT / "events/admin-policy-attached/takes-back-from-a-user.json").read_text(encoding="utf-8"))
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


def start_emulator() -> tuple[subprocess.Popen[str], str, Any]:
    """An emulator with the template deployed, its address, and what is there."""
    command = [sys.executable, ROOT / "tests/emulator.py", "--region", REGION, "--accounts", ACCOUNT]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deployed = json.loads(process.stdout.readline())["accounts"][ACCOUNT]
    process.stdin.write("\n")
    process.stdin.flush()
    return process, f"http://127.0.0.1:{int(process.stdout.readline())}", deployed


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
        emulator, cls.endpoint, deployed = start_emulator()
        cls.addClassCleanup(emulator.__exit__, None, None, None)
        cls.addClassCleanup(emulator.kill)
        cls.key = {f"aws_{name}": value for name, value in deployed["admin"].items()}
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
        cls.forwarding = cls.deploy_global()
        stub = ThreadingHTTPServer(("127.0.0.1", 0), Lambda)
        threading.Thread(target=stub.serve_forever, daemon=True).start()
        cls.addClassCleanup(stub.server_close)
        cls.addClassCleanup(stub.shutdown)
        cls.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            **{name.upper(): value for name, value in cls.key.items()},
            "AWS_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_ENDPOINT_URL": cls.endpoint,
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{stub.server_port}",
        }

    @classmethod
    def deploy_global(cls) -> dict[str, str]:
        """Deploys the stack that forwards, and says what it gives out."""
        template = yaml_parse((ROOT / "infra/global.yaml").read_text(encoding="utf-8"))
        resources = template["Resources"].items()
        template["Resources"] = {name: one for name, one in resources if one["Type"] not in deploy.LEFT_OUT}
        cloudformation = cls.client("cloudformation", GLOBAL_REGION)
        cloudformation.create_stack(
            StackName="rescind-global",
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": "HomeRegion", "ParameterValue": REGION}],
        )
        [stack] = cloudformation.describe_stacks(StackName="rescind-global")["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    @classmethod
    def client(cls, service: str, region: str = REGION) -> Any:
        return boto3.client(service, endpoint_url=cls.endpoint, region_name=region, **cls.key)

    def setUp(self) -> None:
        Lambda.invocations, Lambda.status, Lambda.meanwhile = [], 202, lambda: None
        # `PurgeQueue` may be called once a minute.
        queues = [(self.sqs, url) for output, url in self.outputs.items() if output.endswith("Queue")]
        queues.append((self.client("sqs", GLOBAL_REGION), self.forwarding["UndeliveredEventsQueue"]))
        for sqs, url in queues:
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for message in messages:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

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

    def not_forwarded(self, body: Any, rule: str = "rescind-global-identity-calls", bus: str = "default") -> None:
        attributes = {
            "RULE_ARN": f"arn:aws:events:{GLOBAL_REGION}:{ACCOUNT}:rule/{rule}",
            "TARGET_ARN": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}",
            "ERROR_CODE": "NO_PERMISSIONS",
        }
        self.client("sqs", GLOBAL_REGION).send_message(
            QueueUrl=self.forwarding["UndeliveredEventsQueue"],
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

    def run_global(self, *arguments: str) -> tuple[int, str]:
        return self.run_it("--stack", "rescind-global", *arguments, region=GLOBAL_REGION)

    def run_it(self, *arguments: str, region: str = REGION) -> tuple[int, str]:
        command = [sys.executable, ROOT / "infra/redrive.py", "--wait", "0", *arguments]
        environment = {**self.environment, "AWS_REGION": region}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
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

    def test_what_was_not_forwarded_goes_to_the_functions_whose_rules_hear_it(self) -> None:
        self.not_forwarded(ATTACHED)
        status, said = self.run_global("--dry-run")
        self.assertEqual((status, Lambda.invocations), (0, []), said)
        status, said = self.run_global()
        self.assertEqual(status, 0, said)
        given = {"rule": self.rules["AdminPolicyAttached"]["arn"], "ingested": None, "event": ATTACHED}
        self.assertEqual(Lambda.invocations, [("rescind-identity", "Event", given)])
        self.assertIn("Nothing to put back", self.run_global()[1])

    def test_an_own_call_that_was_not_forwarded_is_put_away(self) -> None:
        roles = self.client("iam").list_roles()["Roles"]
        [own] = [role["Arn"] for role in roles if "IdentityRole" in role["RoleName"]]
        issuer = {"sessionContext": {"sessionIssuer": {"type": "Role", "arn": own}}}
        detail = {**ATTACHED["detail"], "userIdentity": {"type": "AssumedRole", **issuer}}
        self.not_forwarded({**ATTACHED, "detail": detail})
        status, said = self.run_global()
        self.assertEqual((status, Lambda.invocations), (0, []), said)
        self.assertIn("Rescind itself made this call", said)
        self.assertIn("Nothing to put back", self.run_global()[1])

    def test_what_was_not_forwarded_and_nobody_hears_stays(self) -> None:
        unheard = [{**ATTACHED, "source": "aws.signin"}, {**ATTACHED, "detail": {}}, "text", [ATTACHED], {"undo": "0" * 32}]
        for event in unheard:
            self.not_forwarded(event)
        # Others' rules and buses are none of this stack's.
        self.not_forwarded(ATTACHED, rule="somebodys")
        self.not_forwarded(ATTACHED, bus="somebodys")
        status, said = self.run_global()
        self.assertEqual(status, 1, said)
        self.assertEqual(Lambda.invocations, [])
        self.assertIn("0 put back, 7 stay", said)

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
