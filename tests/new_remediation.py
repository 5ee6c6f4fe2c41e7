#!/usr/bin/env python3
"""Writes the files of a new remediation from its name, and names it where that is needed.

    make new-remediation NAME=key-going-away FUNCTION=detection

What it writes compiles and hears of nothing. What is left to write says `TO WRITE`; `make test` names each such line with its
file. functions/README.md goes through them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent
LEFT = "TO WRITE"

CODE = '''//! `{name}`: TO WRITE in a few words, why this is bad.
//!
//! ## What it takes back
//! TO WRITE: exactly what goes, and what stays.
//!
//! ## Why it is risky
//! TO WRITE, with the control or the technique that says so.
//!
//! ## Example
//! TO WRITE: one call, and what becomes of it.
//!
//! ## Safety
//! TO WRITE: whether it interrupts anything, how it is undone, from which earlier state.
//!
//! ## Tags
//! Those of every remediation.
//!
//! ## References
//! TO WRITE: the AWS documents that it follows.

use rescind_lambda::prelude::*;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct {type};

impl Remediation for {type} {{
    const NAME: &'static str = "{name}";
    // TO WRITE: the calls that its rule lets through, as `service:Operation`.
    const CALLS: &'static [&'static str] = &[];
    // TO WRITE: what `read` and `make` call; the function's role in template.yaml grants the same.
    const OPERATIONS: &'static [Operation] = &[];

    type Target = ();
    type State = Standing;
    type Settings = ();
    type Offender = String;

    fn hear(&self, signal: &Signal, _: &ApiCall) -> Vec<Heard<()>> {{
        // TO WRITE: which resource the call is about.
        vec![Heard::about(signal.resource("AWS::::Account", signal.account.as_str()), ())]
    }}

    fn state_of_event(&self, _: &Resource, (): &(), _: Option<&Standing>) -> Option<Standing> {{
        // TO WRITE: how the resource stands after the call, if the event tells; a replay on a laptop judges that.
        None
    }}

    async fn read(&self, _: &Scope, _: &Resource, (): &()) -> Result<Standing, CallError> {{
        // TO WRITE: how the resource stands, read side by side (`tokio::join!`): a `fact` for each piece that calls of the plan
        // change and for no other, its tags, and `with` what else is known. What is gone (`unless_gone`) has no pieces.
        Ok(Standing::new(effect))
    }}

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {{
        // TO WRITE: is it risky, why, and which pieces are. After the plan it has to be already safe, or harmless.
        Assessment::harmless(format!("{{}} is as it should be", subject.resource.id))
    }}

    fn plan(&self, _: &Subject<'_, Self>, _: &[String]) -> Plan {{
        // TO WRITE: a step for each offender, with its inverse.
        Plan::default()
    }}

    async fn make(&self, _: &Scope, call: &Call) -> Result<(), CallError> {{
        // TO WRITE: each call of a plan, and each inverse: `CallError::or(ACTION, client!(scope, aws_sdk_…).….send().await)`.
        Err(not_ours(call))
    }}
}}

/// TO WRITE: what a call makes of the pieces: the same pieces as `read` finds them after the call.
fn effect(_: &Call) -> Vec<(String, Option<String>)> {{
    Vec::new()
}}

#[cfg(test)]
mod tests;
'''

TESTS = '''use rescind_lambda::testing::{{called, judged}};

use super::*;

// TO WRITE: the decisions, without a network: what is risky, how one might walk around it, and what has to be left alone.

#[test]
fn it_hears_of_its_calls_alone() {{
    let signal = called("ec2:RunInstances", &json!({{}}), &Value::Null).unwrap();
    assert_eq!({type}.listen(&signal), []);
}}

#[test]
fn what_is_as_it_should_be_is_left_alone() {{
    let signal = called("ec2:RunInstances", &json!({{}}), &Value::Null).unwrap();
    let about = (signal.resource("AWS::::Account", signal.account.as_str()), ());
    let (assessment, plan) = judged(&{type}, &about, &Standing::new(effect), &[]).unwrap();
    assert!(matches!(assessment, Assessment::Harmless {{ .. }}), "{{assessment:?}}");
    assert_eq!(plan, Plan::default());
}}
'''

SCENE = '''//! TO WRITE: what stands here, and is changed.

use super::Kind;

pub(super) const CHANGED: Kind = Kind {{
    remediation: "{name}",
    function: "{function}",
    // TO WRITE: the call by which it is taken back, and how often it is made.
    mutation: ("", 1),
    rule: "{type}",
    // TO WRITE: make a resource of this name that is as it has to be, and answer its id.
    set: |_, name| Box::pin(async move {{ name.to_owned() }}),
    // TO WRITE: make the change, and answer its event (`crate::cloudtrail`).
    change: |_, _, _| Box::pin(async {{ serde_json::Value::Null }}),
    // TO WRITE: a change of this kind that is compliant, if its rule lets one through.
    harmless: None,
    // TO WRITE: how the resource stands, in words: all that may not change, and all that has to.
    words: |_, _| Box::pin(async {{ Vec::new() }}),
    contained: None,
}};
'''

RULE = '''  # --------------------------------------------------------------------------------------------------------------------
  # {name}, seen in CloudTrail. TO WRITE: what it lets through, and why.
  # --------------------------------------------------------------------------------------------------------------------
  {type}:
    Type: AWS::Events::Rule
    Properties:
      Name: !Sub ${{AWS::StackName}}-{name}
      Description: TO WRITE
      EventPattern:
        source: [aws.ec2]
        detail-type: [AWS API Call via CloudTrail]
        detail:
          eventSource: [ec2.amazonaws.com]
          # TO WRITE: the calls, and above the service.
          eventName: []
          errorCode: [{{ exists: false }}]
          userIdentity:
            sessionContext:
              sessionIssuer:
                arn:
                  - exists: false
                  - anything-but:
{roles}      Targets:
        - Id: {function}
          Arn: !GetAtt {section}.Arn
          InputTransformer:
            InputTemplate: >-
              {{"rule": <aws.events.rule-arn>, "ingested": <aws.events.event.ingestion-time>, "event": <aws.events.event.json>}}
          RetryPolicy:
            MaximumEventAgeInSeconds: 86400
            MaximumRetryAttempts: 185
          DeadLetterConfig:
            Arn: !GetAtt UndeliveredEvents.Arn
      Tags:
        - {{ Key: "rescind:remediation", Value: {name} }}
        - {{ Key: "rescind:mode", Value: dry-run }}

'''


def sample(failed: bool) -> str:
    """An event in the shape of CloudTrail's, of a call that nobody makes."""
    identity = {
        "type": "AssumedRole",
        "principalId": "AROAEXAMPLEPOWER:jonas@example.com",
        "arn": "arn:aws:sts::111122223333:assumed-role/PowerUser/jonas@example.com",
        "accountId": "111122223333",
        "accessKeyId": "ASIAEXAMPLESESSION01",
        "sessionContext": {
            "attributes": {"creationDate": "2026-11-24T08:59:12Z", "mfaAuthenticated": "false"},
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROAEXAMPLEPOWER",
                "arn": "arn:aws:iam::111122223333:role/PowerUser",
                "accountId": "111122223333",
                "userName": "PowerUser",
            }
        },
    }
    detail = {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": "2026-11-24T09:30:00Z",
        "eventSource": f"{LEFT}.amazonaws.com",
        "eventName": LEFT,
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "198.51.100.23",
        "userAgent": "aws-cli/2.31.0",
        **({"errorCode": "AccessDenied", "errorMessage": "not authorized"} if failed else {}),
        "requestParameters": {},
        "responseElements": None,
        "requestID": "00000000-0000-4000-8000-000000000001",
        "eventID": "00000000-0000-4000-8000-000000000002",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": f"{LEFT}.eu-central-1.amazonaws.com",
        },
    }
    event = {
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000003",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.ec2",
        "account": "111122223333",
        "time": "2026-11-24T09:30:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": detail,
    }
    return json.dumps(event, indent=2) + "\n"


def write(path: Path, text: str) -> None:
    if path.exists():
        raise SystemExit(f"{path.relative_to(ROOT)} is there already")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote   {path.relative_to(ROOT)}")


def told(path: Path) -> None:
    """Names a file that was changed, once."""
    if path not in CHANGED:
        CHANGED.add(path)
        print(f"changed {path.relative_to(ROOT)}")


CHANGED: set[Path] = set()


def change(path: Path, pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> None:
    """Puts something in at the first match; the pattern's groups are `\\1` and so on."""
    before = path.read_text(encoding="utf-8")
    after, count = re.subn(pattern, replacement, before, count=1, flags=re.MULTILINE)
    if not count:
        raise SystemExit(f"{path.relative_to(ROOT)}: no place for it was found ({pattern})")
    path.write_text(after, encoding="utf-8")
    told(path)


def in_order(path: Path, line: str) -> None:
    """Puts a `mod` line among the others, in the order of their names."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    bare = lambda text: text.removeprefix("pub ")
    places = [index for index, one in enumerate(lines) if re.match(r"(pub )?mod \w+;$", one)]
    later = [index for index in places if bare(lines[index]) > bare(line)]
    if places:
        lines.insert(later[0] if later else places[-1] + 1, line)
    else:
        # The first of its kind stands above what is used.
        first_use = next(index for index, one in enumerate(lines) if one.startswith("use "))
        lines[first_use:first_use] = [line, "\n"]
    path.write_text("".join(lines), encoding="utf-8")
    told(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="the bad state, such as key-going-away")
    parser.add_argument("--function", required=True, help="the function's crate, such as detection")
    arguments = parser.parse_args()
    name, function = arguments.name, arguments.function
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", name):
        parser.error(f"NAME is `{name}`: expected lower-case words with dashes between them, such as key-going-away")
    crate = ROOT / "functions" / function
    tables = [path for path in ROOT.glob("functions/*/src/lib.rs") if "pub const FUNCTION:" in path.read_text(encoding="utf-8")]
    functions = sorted(path.parent.parent.name for path in tables)
    if function not in functions:
        parser.error(f"FUNCTION is `{function}`: expected one of {', '.join(functions)}")
    snake, camel = name.replace("-", "_"), "".join(word.capitalize() for word in name.split("-"))
    section = "".join(word.capitalize() for word in function.split("-"))
    template = ROOT / "template.yaml"
    roles = re.findall(r"RESCIND_OWN_ROLES: !Sub (.*)$", template.read_text(encoding="utf-8"), re.MULTILINE)
    names = re.findall(r"\$\{(\w+)\.Arn\}", min(roles, key=len))
    words = {
        "name": name,
        "function": function,
        "type": camel,
        "section": section,
        "roles": "".join(f"                      - !GetAtt {role}.Arn\n" for role in names),
    }

    write(crate / f"src/{snake}.rs", CODE.format(**words))
    write(crate / f"src/{snake}/tests.rs", TESTS.format(**words))
    write(ROOT / f"events/{name}/takes-back-{LEFT.lower().replace(' ', '-')}.json", sample(failed=False))
    write(ROOT / f"events/{name}/leaves-alone-failed-call.json", sample(failed=True))
    write(ROOT / f"tests/src/scenes/{snake}.rs", SCENE.format(**words))
    in_order(crate / "src/lib.rs", f"pub mod {snake};\n")
    change(crate / "src/lib.rs", r"remediations: &\[([^\]]*?),?\s*\]", rf"remediations: &[\1, &{snake}::{camel}]")
    in_order(ROOT / "tests/src/scenes.rs", f"mod {snake};\n")
    change(ROOT / "tests/src/scenes.rs", r"^(pub const KINDS: .*\[\n(?:    .*\n)*)", rf"\1    {snake}::CHANGED,\n")
    # At the end of the function's section, which is where the next one begins.
    change(
        template,
        rf"^(  # {function}: .*\n  # =+\n(?:(?!  # ====).*\n)*)",
        lambda match: match.group(1) + RULE.format(**words),
    )
    print(f"\n`make test` says what is left, line by line; `grep -rn '{LEFT}' functions events tests template.yaml` shows it at once.")


if __name__ == "__main__":
    sys.exit(main())
