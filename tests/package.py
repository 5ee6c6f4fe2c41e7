#!/usr/bin/env python3
"""Looks at what `sam build` made, as Lambda will: each function's folder is zipped, and the `bootstrap` out of the zip answers events
that come by the runtime API.

    tests/package.py .aws-sam/build

A function of remediations gets a sample of each from `events/`, and judges it by the event alone. The console needs a journal: that it
refuses is its answer. What is built for another processor is measured and not run.
"""

from __future__ import annotations

import json
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
# Below it a package is uploaded from the console, too; ours are to stay well below.
MOST_MEGABYTES = 6
PATIENCE = 20
# ELF's numbers of processors.
MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}

Json = dict[str, Any]


class Runtime(BaseHTTPRequestHandler):
    """Lambda's side (AWS Lambda developer guide, *Using the Lambda runtime API for custom runtimes*)."""

    protocol_version = "HTTP/1.1"
    events: queue.Queue[str]
    answers: queue.Queue[tuple[str, Json]]

    def do_GET(self) -> None:
        body = self.events.get().encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "00000000-0000-4000-8000-000000000000")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 30) * 1000)))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:111122223333:function:package")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        self.answers.put((self.path.rsplit("/", 1)[1], body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


def zipped(folder: Path, archive: Path) -> float:
    """Zips a folder as `sam deploy` does, and answers the size in megabytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    return archive.stat().st_size / 1e6


def machine(bootstrap: Path) -> str:
    """The processor that a binary is for."""
    with bootstrap.open("rb") as file:
        head = file.read(20)
    return MACHINES.get(int.from_bytes(head[18:20], "little"), "unknown") if head[:4] == b"\x7fELF" else "unknown"


def answers(bootstrap: Path, name: str, events: list[str]) -> list[tuple[str, Json]]:
    """What a function answers to events, one after another."""
    runtime = type("Runtime", (Runtime,), {"events": queue.Queue(), "answers": queue.Queue()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), runtime)
    server.daemon_threads = True
    # A process that is ended in the middle of asking for more is none of our errors.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": name,
        "AWS_LAMBDA_LOG_STREAM_NAME": "package",
        "AWS_REGION": "eu-central-1",
        # By the event alone: nothing is asked of AWS, and nothing changed.
        "RESCIND_STATE": "event",
        "RESCIND_MODE": "dry-run",
    }
    process = subprocess.Popen([bootstrap], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = []
        for event in events:
            runtime.events.put(event)
            told.append(runtime.answers.get(timeout=PATIENCE))
        return told
    except queue.Empty:
        raise SystemExit(f"{name}: no answer in {PATIENCE} seconds") from None
    finally:
        process.kill()
        process.wait()
        server.shutdown()


def remediations(template: Json) -> dict[str, list[str]]:
    """The remediations of each function, by the rules that have it for a target."""
    found: dict[str, list[str]] = {}
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::Events::Rule":
            continue
        properties = resource["Properties"]
        names = [tag["Value"] for tag in properties.get("Tags", []) if tag.get("Key") == "rescind:remediation"]
        for target in properties["Targets"]:
            get = target["Arn"].get("Fn::GetAtt") if isinstance(target["Arn"], dict) else None
            for name in names if get else []:
                of = found.setdefault(get[0], [])
                of.extend([name] if name not in of else [])
    return found


def check(name: str, folder: Path, of: list[str]) -> str:
    """Checks one function, and answers a line about it."""
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / "function.zip"
        size = zipped(folder, archive)
        if size > MOST_MEGABYTES:
            raise SystemExit(f"{name}: {size:.2f} MB zipped, more than {MOST_MEGABYTES}")
        with zipfile.ZipFile(archive) as file:
            bootstrap = Path(file.extract("bootstrap", temporary))
        bootstrap.chmod(0o755)
        line = f"{name:<16} {size:5.2f} MB zipped, {machine(bootstrap)}"
        if machine(bootstrap) != platform.machine():
            return f"{line}; not run here"
        samples = [sorted((ROOT / "events" / remediation).glob("takes-back-*.json"))[0] for remediation in of]
        events = [sample.read_text() for sample in samples] or [json.dumps({"undo": "0" * 32})]
        for sample, (kind, answer) in zip([*of, "undo"], answers(bootstrap, name, events)):
            outcomes = [outcome["remediation"] for outcome in answer.get("outcomes", [])]
            is_refusal = not of and kind == "error" and str(answer.get("errorType")).startswith("Rescind.")
            if not is_refusal and (kind != "response" or sample not in outcomes):
                raise SystemExit(f"{name}, {sample}: {kind} {json.dumps(answer)}")
        return f"{line}; answered {', '.join(of) or 'that it has no journal'}"


def main() -> None:
    build = Path(sys.argv[1])
    template = yaml.safe_load((build / "template.yaml").read_text())
    by_function = remediations(template)
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            folder = build / resource["Properties"]["CodeUri"]
            print(check(logical_id, folder, by_function.get(logical_id, [])), flush=True)


if __name__ == "__main__":
    main()
