#!/usr/bin/env python3
"""Puts the dead letters of a stack back: what a function failed on, and what EventBridge could not hand over.

    make redrive                           for the stack `rescind`
    make redrive STACK=other               for another one
    make redrive DRY_RUN=1                 only shows what would be done

    AWS_REGION=us-east-1 make redrive STACK=rescind-global

does it for the stack of infra/global.yaml: what that could not forward goes to the functions whose rules hear it in Rescind's
Region, as EventBridge judges, since nobody but AWS may put an event of AWS on a bus.

Mend the cause first: the alarm, the error shown here and the function's log tell it. What fails again comes back into
the queue. A letter is deleted only after Lambda has accepted it, so one may be handed over twice, which the functions
bear: they do a thing once. What can't be put back stays in the queue, and the exit status is 1. So does what a person asked of a
function directly: it is asked for again, by a person.

Credentials and Region are found as the AWS CLI finds them. They need to read the stack's outputs and the targets of its
rules, to receive and delete the messages of its queues, to invoke its functions and to publish to its topic; for what could not
be forwarded also to list rules and to test event patterns.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

Json = dict[str, Any]

# How long a message that was read stays hidden from others who read the queue.
HIDDEN_SECONDS = 300


class Kept(Exception):
    """Why a letter stays where it is."""


def printable(text: object, limit: int = 200) -> str:
    """What others wrote, fit for a terminal."""
    shown = "".join(c if c.isprintable() else " " for c in str(text))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def parsed(text: str) -> Any:
    """What a JSON text says; another text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def at(value: Any, *keys: str) -> Any:
    """What stands deep in a JSON value, or nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def filled_in(transformer: Json, event: Json, rule_arn: str) -> str:
    """What EventBridge would have handed over, had it been able to."""
    values = {
        "aws.events.rule-arn": rule_arn,
        # When the event reached EventBridge is known no more.
        "aws.events.event.ingestion-time": None,
        "aws.events.event.json": event,
    }
    for name, path in transformer.get("InputPathsMap", {}).items():
        values[name] = at(event, *path.removeprefix("$.").split("."))
    template = transformer["InputTemplate"]
    # A template is one JSON value, or lines of text, each in quotes.
    is_text = template.startswith('"')

    def value_of(placeholder: re.Match[str]) -> str:
        value = values.get(placeholder[1])
        if not is_text:
            return json.dumps(value)
        return "" if value is None else value if isinstance(value, str) else json.dumps(value)

    lines = (line[1:-1] for line in template.splitlines()) if is_text else [template]
    return "\n".join(re.sub(r"<([^<>]+)>", value_of, line) for line in lines)


def is_delivery(given: Any, to_console: bool) -> bool:
    """Whether a function was given this by EventBridge.

    Else, who can write into a queue could have a request, such as an undo, made in the name of who puts the letters back.
    The console gets the event itself: what a person chose at a finding, or what a schedule asks for.
    """
    if not isinstance(given, dict):
        return False
    if to_console:
        # What a schedule asks for, when the time of a block is over: the block ends, and nothing else.
        if given.keys() == {"undo", "expired"}:
            return given["expired"] is True
        return at(given, "source") == "aws.securityhub" and not given.keys() & {"undo", "approve"}
    return isinstance(given.get("event"), dict) and given.keys() <= {"rule", "ingested", "event"}


class Handover(NamedTuple):
    """What goes where."""

    stack: Stack
    service: str
    destination: str
    payload: str


def checked(handover: Handover) -> Handover:
    """Only what EventBridge delivers is handed over."""
    to_console = handover.destination == handover.stack.outputs.get("ConsoleFunction")
    if handover.service == "lambda" and not is_delivery(parsed(handover.payload), to_console):
        raise Kept("EventBridge delivers nothing like it; what a person asked for, a person asks for again")
    return handover


def without_role(event: Json) -> Json:
    """A call of CloudTrail as if no role had made it."""
    event = copy.deepcopy(event)
    context = at(event, "detail", "userIdentity", "sessionContext")
    if isinstance(context, dict):
        context.pop("sessionIssuer", None)
    return event


class Stack:
    """A deployed stack, as far as its dead letters matter."""

    def __init__(self, name: str, session: boto3.session.Session) -> None:
        self.name, self.session = name, session
        self.events, self.sqs = session.client("events"), session.client("sqs")
        self._targets: dict[str, list[Json]] = {}

    @cached_property
    def outputs(self) -> dict[str, str]:
        [stack] = self.session.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    @cached_property
    def home(self) -> Stack | None:
        """The stack that this one forwards to, if it is one that does."""
        if region := self.outputs.get("HomeRegion"):
            return Stack(self.outputs["HomeStack"], boto3.session.Session(region_name=region))
        return None

    @cached_property
    def rules(self) -> list[Json]:
        """The rules that hear something at this time."""
        pages = self.events.get_paginator("list_rules").paginate(NamePrefix=f"{self.name}-")
        rules = (rule for page in pages for rule in page["Rules"])
        return [rule for rule in rules if rule["State"] != "DISABLED" and "EventPattern" in rule]

    def of_kind(self, ending: str) -> dict[str, str]:
        """The outputs whose name ends so, by the rest of the name."""
        return {key.removesuffix(ending): value for key, value in self.outputs.items() if key.endswith(ending)}

    def targets(self, rule_arn: str) -> list[Json]:
        """What a rule hands its events to."""
        if rule_arn not in self._targets:
            try:
                answer = self.events.list_targets_by_rule(Rule=rule_arn.rsplit("/", 1)[-1])
                self._targets[rule_arn] = answer["Targets"]
            except self.events.exceptions.ResourceNotFoundException:
                self._targets[rule_arn] = []
        return self._targets[rule_arn]

    def destination(self, arn: str) -> tuple[str, str]:
        """The function or topic of this stack that an ARN means. Who can write into a queue can't choose another."""
        if found := self.find(arn):
            return found
        raise Kept(f"{arn} is neither a function nor a topic of this stack")

    def find(self, arn: str) -> tuple[str, str] | None:
        """The function or topic of this stack that an ARN means, if it means one."""
        parts = arn.split(":")
        if parts[2:3] == ["lambda"] and len(parts) >= 7 and parts[6] in self.of_kind("Function").values():
            # Without `:$LATEST`, which a policy would have to name.
            return "lambda", parts[6]
        if arn in self.of_kind("Topic").values():
            return "sns", arn
        return None

    def heard(self, event: Json) -> Iterator[tuple[Json, Json]]:
        """Rules of this stack that an event meets, each with its target."""
        text = json.dumps(event)
        for rule in self.rules:
            own = [target for target in self.targets(rule["Arn"]) if self.find(target["Arn"])]
            if own and self.events.test_event_pattern(EventPattern=rule["EventPattern"], Event=text)["Result"]:
                yield from ((rule, target) for target in own)

    def hand_over(self, service: str, destination: str, payload: str) -> None:
        """Hands a payload over; returns once it is accepted."""
        if service == "lambda":
            self.session.client("lambda").invoke(
                FunctionName=destination, InvocationType="Event", Payload=payload.encode()
            )
        else:
            self.session.client("sns").publish(TopicArn=destination, Message=payload)


class Letter:
    """A message of a dead-letter queue.

    Two kinds exist. A function's failures are invocation records: `requestPayload` holds what the function was given.
    What EventBridge could not hand over is the event, and attributes name rule and target. The documentation leaves
    open whether the event is transformed by then, so either is taken.
    """

    def __init__(self, message: Json) -> None:
        self.message = message
        self.attributes = {
            key: value.get("StringValue", "") for key, value in message.get("MessageAttributes", {}).items()
        }
        self.body = parsed(message["Body"])

    @property
    def is_undelivered(self) -> bool:
        return "RULE_ARN" in self.attributes and "TARGET_ARN" in self.attributes

    @property
    def event(self) -> Json:
        """The event that it is about, or what a person asked for."""
        given = self.body if self.is_undelivered else at(self.body, "requestPayload")
        found = at(given, "event") or given
        return found if isinstance(found, dict) else {}

    def handovers(self, stack: Stack, queue: str) -> list[Handover]:
        """Where it belongs, and what to hand over there. `queue` is the one that it lies in, by its output's name."""
        if self.is_undelivered:
            rule, arn = self.attributes["RULE_ARN"], self.attributes["TARGET_ARN"]
            target = next((target for target in stack.targets(rule) if target["Arn"] == arn), None)
            if target is None:
                raise Kept(f"{rule} does not hand over to {arn}, or is no longer there")
            if stack.home:
                return self._forwarded(stack.home)
            return [self._delivery(stack, rule, target)]
        if isinstance(self.body, dict) and "requestPayload" in self.body:
            service, destination = stack.destination(str(at(self.body, "requestContext", "functionArn")))
            if stack.outputs.get(f"{queue.removesuffix('Failures')}Function") != destination:
                raise Kept(f"{destination} does not keep its failures here")
            return [checked(Handover(stack, service, destination, json.dumps(self.body["requestPayload"])))]
        raise Kept("it is neither an invocation record nor an event that was not delivered")

    def _forwarded(self, home: Stack) -> list[Handover]:
        """What the rules of the other Region would have made of it."""
        if not isinstance(self.body, dict):
            raise Kept("it is no event")
        deliveries = [self._delivery(home, rule["Arn"], target) for rule, target in home.heard(self.body)]
        # Rescind's own calls are forwarded, too, and its rules leave them out by the role that made them: so would EventBridge have.
        if not deliveries and not any(home.heard(without_role(self.body))):
            raise Kept(f"no rule of {home.name} in {home.session.region_name} hears it")
        return deliveries

    def _delivery(self, stack: Stack, rule: str, target: Json) -> Handover:
        """What EventBridge would have handed over to the target of a rule."""
        payload = self.message["Body"]
        if at(self.body, "detail-type") and "InputTransformer" in target:
            payload = filled_in(target["InputTransformer"], self.body, rule)
        service, destination = stack.destination(target["Arn"])
        return checked(Handover(stack, service, destination, payload))

    @property
    def title(self) -> str:
        """What it is, for a person."""
        event = self.event
        what = at(event, "detail", "eventName") or event.get("detail-type")
        if not what:
            return printable(json.dumps(event), 80) if event else f"message {self.message['MessageId']}"
        return printable(f"{what} of {event.get('time', 'an unknown time')}, event {event.get('id', 'without id')}")

    @property
    def error(self) -> str:
        """Why it lies here."""
        if self.is_undelivered:
            words = [self.attributes.get(name) for name in ("ERROR_CODE", "ERROR_MESSAGE")]
        else:
            answer = at(self.body, "responsePayload")
            condition = at(self.body, "requestContext", "condition")
            words = [at(answer, "errorType") or condition, at(answer, "errorMessage")]
        return printable(": ".join(str(word) for word in words if word) or "no reason given")


class Queue:
    """A dead-letter queue, read to its end once."""

    def __init__(self, sqs: Any, url: str, wait_seconds: int) -> None:
        self.sqs, self.url, self.wait_seconds = sqs, url, wait_seconds
        self._kept: dict[str, str] = {}

    def letters(self, until_ms: float) -> Iterator[Letter]:
        """What was in the queue by then. What comes back later, because it failed again, is for the next time."""
        seen = set()
        while True:
            messages = self.sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=self.wait_seconds,
                VisibilityTimeout=HIDDEN_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            ).get("Messages", [])
            new = [message for message in messages if message["MessageId"] not in seen]
            self._kept |= {message["MessageId"]: message["ReceiptHandle"] for message in messages}
            if not new:
                return
            for message in new:
                seen.add(message["MessageId"])
                if int(message["Attributes"]["SentTimestamp"]) <= until_ms:
                    yield Letter(message)

    def delete(self, letter: Letter) -> None:
        receipt = self._kept.pop(letter.message["MessageId"])
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=receipt)

    def show_the_rest_again(self) -> None:
        """Ends the time that messages are hidden for."""
        for receipt in self._kept.values():
            try:
                self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=0)
            except ClientError:
                # It shows by itself, later.
                pass


def redrive(stack: Stack, dry_run: bool, wait_seconds: int) -> int:
    """Puts back what can be put back, and returns how many letters stay because they can't be."""
    started_ms = time.time() * 1000
    done = kept = 0
    for name, url in stack.of_kind("Queue").items():
        queue = Queue(stack.sqs, url, wait_seconds)
        try:
            for letter in queue.letters(started_ms):
                print(f"{name}: {letter.title}\n  failed with  {letter.error}")
                try:
                    handovers = letter.handovers(stack, name)
                    for one in handovers:
                        if not dry_run:
                            one.stack.hand_over(one.service, one.destination, one.payload)
                        print(f"  {'would go' if dry_run else 'went'} to  {one.destination}")
                    if not handovers:
                        print("  nobody's:    Rescind itself made this call")
                    if not dry_run:
                        queue.delete(letter)
                    done += 1
                except (Kept, ClientError) as reason:
                    kept += 1
                    print(f"  stays here:  {printable(reason)}")
        finally:
            queue.show_the_rest_again()
    if done + kept == 0:
        print(f"Nothing to put back: the dead-letter queues of {stack.name} are empty.")
    else:
        print(f"{done} {'would be put back' if dry_run else 'put back'}, {kept} stay in the queue.")
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", default="rescind", help="its name (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    # More than 0 on AWS: then SQS asks all of a queue's servers and not only some.
    parser.add_argument("--wait", type=int, default=1, metavar="SECONDS", help="for messages (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        # Of the two variables that name a Region, boto3 itself reads AWS_DEFAULT_REGION alone.
        session = boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
        stack = Stack(arguments.stack, session)
        if not stack.of_kind("Queue"):
            raise SystemExit(f"The stack {stack.name} has no queue among its outputs: is it one of Rescind?")
        kept = redrive(stack, arguments.dry_run, arguments.wait)
    except (BotoCoreError, ClientError) as error:
        raise SystemExit(f"Nothing more was done: {error}") from error
    sys.exit(1 if kept else 0)


if __name__ == "__main__":
    main()
