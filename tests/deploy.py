#!/usr/bin/env python3
"""Deploys template.yaml into accounts of an AWS emulator (moto's server), for the demo and the end-to-end tests.

    tests/deploy.py --endpoint http://127.0.0.1:5000 --region us-east-1 --accounts 111111111111 222222222222

It prints one JSON document that says what is deployed: for each account the admin's key, the functions, the rules and
the queues that they deliver to, the roles and the outputs. The template is the real one, translated by AWS's own
translator; its patterns, tags and the actions of its roles are deployed as they stand. What the emulator can't do is
adapted here, each with its reason: search for "moto".

The emulator must not enforce IAM yet. Switch it on afterwards with `POST /moto-api/reset-auth` and the body `0`.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

Json = dict[str, Any]

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"
STACK = "rescind"

# What is left out: what moto's CloudFormation does not know, and what takes long and does nothing there. Nothing that
# the tests look at: whoever adds a type here says why.
LEFT_OUT = {
    "AWS::CloudWatch::Alarm",  # No metrics come from a function that runs outside of Lambda.
    "AWS::KMS::Key",  # moto makes an RSA key for each and encrypts nothing with it: a third of the deployment's time.
    "AWS::Lambda::EventInvokeConfig",  # Retries and the dead-letter queue are Lambda's.
    "AWS::SNS::Subscription",  # Nobody is subscribed in a test.
    "AWS::SNS::TopicPolicy",  # moto checks no policies of resources.
    "AWS::SQS::QueuePolicy",
}


def translate(template: Path, region: str) -> tuple[str, Json]:
    """The template as CloudFormation gets it, less what is left out; as a text and as it is."""
    source = yaml_parse(template.read_text(encoding="utf-8"))
    for resource in source["Resources"].values():
        # `sam build` removes this, and puts the function's package where it was built from.
        resource.pop("Metadata", None)
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": "none", "Key": "none"}
    defaults = {name: parameter["Default"] for name, parameter in source["Parameters"].items()}
    translator = Translator({}, Parser(), boto_session=boto3.session.Session(region_name=region))
    translated = translator.translate(source, defaults)
    resources = translated["Resources"]
    for name in [name for name, resource in resources.items() if resource["Type"] in LEFT_OUT]:
        del resources[name]
    for resource in resources.values():
        if resource["Type"] == "AWS::Lambda::Function":
            # moto looks for the package in S3; a text needs none. The tests run the function themselves.
            resource["Properties"]["Code"] = {"ZipFile": "none"}
        if resource["Type"] == "AWS::SNS::Topic":
            resource["Properties"].pop("KmsMasterKeyId", None)
        if resource["Type"] == "AWS::Events::Rule":
            # moto leaves an empty place in a list for `AWS::NoValue`. The one condition of a tag is that a parameter is
            # given; by default none is.
            tags = resource["Properties"].get("Tags", [])
            resource["Properties"]["Tags"] = [tag for tag in tags if "Fn::If" not in tag]
    # moto tries to read YAML first, which is slow; tabs, which JSON allows and YAML does not, end that at once.
    return json.dumps(translated, indent="\t"), translated


def deliverable(template: str, rule_arn: str) -> str:
    """An input template that moto can fill in.

    moto leaves `<aws.events.rule-arn>` in place, and then reads what it has as one JSON value. EventBridge puts the
    rule's ARN there, with quotes; for one rule that is always the same text. A text of several quoted lines becomes
    `{"text": ["line", …]}`. moto also writes times as seconds since 1970, here `ingested` and the event's `time`:
    whoever carries the message to the function writes them as EventBridge does.
    """
    template = template.replace("<aws.events.rule-arn>", json.dumps(rule_arn))
    if template.startswith('"'):
        template = '{"text": [' + ", ".join(template.splitlines()) + "]}"
    return template


def known_actions(actions: str | list[str]) -> list[str]:
    """The actions of a statement, with those that moto calls by another name.

    moto takes an operation's name for its action's, which is right for all that is granted here but `Invoke`.
    """
    actions = [actions] if isinstance(actions, str) else actions
    return actions + ["lambda:Invoke" for action in actions if action == "lambda:InvokeFunction"]


class Account:
    """Calls in one account."""

    # Making a client takes longer than most calls, so the accounts of a thread share theirs.
    _shared = threading.local()

    def __init__(self, account: str, endpoint: str, region: str) -> None:
        self.account, self.endpoint, self.region = account, endpoint, region

    def client(self, service: str) -> Any:
        self._shared.account = self.account
        clients = self._shared.__dict__.setdefault("clients", {})
        if service not in clients:
            # While IAM is not enforced, moto takes any credentials.
            client = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=self.region,
                aws_access_key_id="none",
                aws_secret_access_key="none",
                # A failed call is a finding: no retries that hide it.
                config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
            )
            client.meta.events.register("before-sign.*.*", self._name_account)
            clients[service] = client
        return clients[service]

    @classmethod
    def _name_account(cls, request: Any, **_: Any) -> None:
        request.headers["x-moto-account-id"] = cls._shared.account

    def deploy(self, body: str, translated: Json) -> Json:
        """Deploys the template and says what is there now."""
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(StackName=STACK, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise SystemExit(f"{self.account}: the stack is {stack['StackStatus']}")
        ids = {
            # moto gives some, such as permissions, no name; and what a condition leaves out it lists as nothing at all.
            resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "")
            for resource in cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
            if "LogicalResourceId" in resource
        }
        missing = translated["Resources"].keys() - ids.keys()
        # A resource whose condition does not hold is not made.
        missing = {name for name in missing if "Condition" not in translated["Resources"][name]}
        if missing:
            raise SystemExit(f"{self.account}: not deployed: {', '.join(sorted(missing))}")

        def of_type(kind: str) -> dict[str, str]:
            """Logical ids by the deployed names."""
            types = {name: resource["Type"] for name, resource in translated["Resources"].items()}
            return {id: name for name, id in ids.items() if types[name] == kind}

        admin = self.admin()
        return {
            "admin": {key: admin[key] for key in ("access_key_id", "secret_access_key")},
            "functions": dict(self.function(id) for id in of_type("AWS::Lambda::Function")),
            "rules": self.rules(of_type("AWS::Events::Rule")),
            "template_roles": dict(self.role(id, admin["arn"]) for id in of_type("AWS::IAM::Role")),
            "outputs": {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])},
        }

    def admin(self) -> Json:
        """A user that may do everything."""
        iam = self.client("iam")
        user = iam.create_user(UserName="admin")["User"]
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_user_policy(UserName="admin", PolicyName="everything", PolicyDocument=json.dumps(everything))
        key = iam.create_access_key(UserName="admin")["AccessKey"]
        return {
            "arn": user["Arn"],
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
        }

    def function(self, name: str) -> tuple[str, Json]:
        """A function's name without the stack's, and what the function runs with."""
        configuration = self.client("lambda").get_function_configuration(FunctionName=name)
        return name.removeprefix(f"{STACK}-"), {
            "name": name,
            "role_arn": configuration["Role"],
            "environment": configuration["Environment"]["Variables"],
        }

    def rules(self, logical_ids: dict[str, str]) -> list[Json]:
        """The rules; each now delivers to a queue of its own.

        moto delivers neither to Lambda nor to SNS: `PutEvents` fails as soon as a rule with such a target matches. So
        the target's address is exchanged, and the queue of a message tells which rule matched. Pattern and tags stay.
        """
        events, sqs = self.client("events"), self.client("sqs")
        rules = []
        for rule in events.list_rules()["Rules"]:
            name, arn = rule["Name"], rule["Arn"]
            if name not in logical_ids:
                continue
            [target] = events.list_targets_by_rule(Rule=name)["Targets"]
            tags = events.list_tags_for_resource(ResourceARN=arn)["Tags"]
            queue = sqs.create_queue(QueueName=f"{name}-delivered")["QueueUrl"]
            stand_in = {"Id": target["Id"], "Arn": f"arn:aws:sqs:{self.region}:{self.account}:{name}-delivered"}
            # A rule without one hands over the event as it is.
            transformer = target.get("InputTransformer")
            template = transformer and transformer["InputTemplate"]
            if template:
                stand_in["InputTransformer"] = {**transformer, "InputTemplate": deliverable(template, arn)}
            events.put_targets(Rule=name, Targets=[stand_in])
            rules.append(
                {
                    "logical_id": logical_ids[name],
                    "name": name,
                    "arn": arn,
                    "target": target["Arn"],
                    # Its address is that of the emulator, of which there may be copies.
                    "queue_path": urlsplit(queue).path,
                    "tags": {tag["Key"]: tag["Value"] for tag in tags},
                    "pattern": json.loads(rule["EventPattern"]),
                    "input_template": template,
                }
            )
        return rules

    def role(self, name: str, admin: str) -> tuple[str, list[Json]]:
        """A role's ARN and policies, as the template has them.

        moto enforces which actions a role may call, but compares the resources of a policy with `*`, whatever the call
        is about, and would refuse what is granted for less. So the emulated role is granted the same actions for every
        resource; conditions stay, and moto does not look at them. It does not know principals that are services: the
        admin is allowed to take on the role.
        """
        iam = self.client("iam")
        policies = []
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            if isinstance(document, str):
                # moto's CloudFormation keeps it as a Python object and answers with how Python shows that.
                document = ast.literal_eval(document)
            policies.append(document)
            statements = document["Statement"]
            if any("Resource" not in statement for statement in statements):
                raise SystemExit(f"{policy}: only statements about resources can be deployed to moto")
            # For the same reason moto would not heed what is denied for less than all: a test looks at the template's.
            statements = [statement for statement in statements if statement["Effect"] == "Allow"]
            if not statements:
                iam.delete_role_policy(RoleName=name, PolicyName=policy)
                continue
            wide = [
                {**statement, "Action": known_actions(statement["Action"]), "Resource": "*"} for statement in statements
            ]
            iam.put_role_policy(
                RoleName=name, PolicyName=policy, PolicyDocument=json.dumps({**document, "Statement": wide})
            )
        trust = {"Effect": "Allow", "Principal": {"AWS": admin}, "Action": "sts:AssumeRole"}
        iam.update_assume_role_policy(
            RoleName=name, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
        return f"arn:aws:iam::{self.account}:role/{name}", policies


def deploy(endpoint: str, region: str, accounts: list[str], template: Path = TEMPLATE) -> Json:
    """Deploys the template into accounts of the emulator, and says what is there."""
    body, translated = translate(template, region)

    def into(account: str) -> Json:
        return Account(account, endpoint.rstrip("/"), region).deploy(body, translated)

    with ThreadPoolExecutor(max_workers=4) as pool:
        return {"accounts": dict(zip(accounts, pool.map(into, accounts)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="the emulator, such as http://127.0.0.1:5000")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--accounts", nargs="+", required=True, metavar="ID", help="account ids of twelve digits")
    parser.add_argument("--template", type=Path, default=TEMPLATE)
    arguments = parser.parse_args()
    for account in arguments.accounts:
        if not re.fullmatch(r"\d{12}", account):
            parser.error(f"{account}: not an account id of twelve digits")
    json.dump(deploy(arguments.endpoint, arguments.region, arguments.accounts, arguments.template), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
