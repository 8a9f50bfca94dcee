"""The bill of materials of the environment that the tests run in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.supply.packages import LOCK, ROOT, pins, plain


def test_the_environment_has_a_bill_of_materials(tmp_path: Path) -> None:
    out = tmp_path / "sbom.json"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--no-validate", "--pyproject", "pyproject.toml"]
    subprocess.run([*command, "--output-reproducible", "-o", str(out), sys.executable], cwd=ROOT, check=True)
    bill = json.loads(out.read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "pixelis-serving"
    found = {plain(one["name"]): one["version"] for one in bill["components"]}
    assert {name: found.get(name) for name in pins(LOCK)} == pins(LOCK)
    assert all(one["purl"].startswith("pkg:pypi/") for one in bill["components"] if plain(one["name"]) in pins(LOCK))
