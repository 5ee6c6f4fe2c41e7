#!/usr/bin/env python3
"""Cloud Custodian's function as Cloud Custodian itself packages it for Lambda, unpacked.

    tests/bench/custodian/package.py policy.yaml FOLDER

The archive's size in bytes is printed. What runs it needs nothing but boto3, as Python on Lambda has it.
"""

from __future__ import annotations

import io
import shutil
import sys
import zipfile
from pathlib import Path

import yaml
from c7n.config import Config
from c7n.mu import PolicyLambda
from c7n.policy import PolicyCollection
from c7n.resources import load_resources
from c7n.structure import StructureParser


def main() -> None:
    policy_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    data = yaml.safe_load(policy_file.read_text())
    load_resources(StructureParser().get_resource_types(data))
    # On Lambda it writes its output to /tmp; here to a folder of its own.
    output = folder.resolve().with_name(f"{folder.name}-output")
    data["policies"][0]["mode"]["execution-options"] = {"output_dir": str(output)}
    policy = next(iter(PolicyCollection.from_data(data, Config.empty())))
    archive = PolicyLambda(policy).get_archive().get_bytes()
    shutil.rmtree(folder, ignore_errors=True)
    zipfile.ZipFile(io.BytesIO(archive)).extractall(folder)
    print(len(archive))


if __name__ == "__main__":
    main()
