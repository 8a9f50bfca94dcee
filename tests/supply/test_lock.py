"""deploy/requirements-server.txt: what a server is installed from."""

from __future__ import annotations

import re
import sys

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.supply.packages import CONSTRAINTS, LOCK, ROOT, pins, plain

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the lock is of 3.11
    import tomli as tomllib

EXTRAS = ("embedded", "gateway", "caches", "replicas")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BLOCK = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def test_every_package_has_a_hash() -> None:
    text = LOCK.read_text(encoding="utf-8")
    assert {plain(name) for name, _, _ in BLOCK.findall(text)} == pins(LOCK).keys()
    assert len(pins(LOCK)) > 60
    rest = BLOCK.sub("", text)
    assert [line for line in rest.splitlines() if line.strip() and not line.lstrip().startswith("#")] == []


def test_it_names_no_place_where_packages_come_from() -> None:
    text = LOCK.read_text(encoding="utf-8")
    assert not re.search(r"https?://|file:|index-url|find-links|trusted-host|@ ", text)


def test_it_agrees_with_the_constraints() -> None:
    constrained = pins(CONSTRAINTS)
    assert {name: constrained.get(name) for name in pins(LOCK)} == pins(LOCK)


def asked(extra: str) -> list[Requirement]:
    """What an extra asks for, those included that it names in turn; none = what is asked for always."""
    found: list[Requirement] = []
    for one in map(Requirement, PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]):
        found += [more for name in one.extras for more in asked(name)] if one.name == PROJECT["name"] else [one]
    return found


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_it_holds_what_a_server_asks_for(extra: str) -> None:
    locked = pins(LOCK)
    for requirement in asked(extra):
        if requirement.marker is None or requirement.marker.evaluate():
            assert requirement.specifier.contains(Version(locked[plain(requirement.name)])), requirement


def test_a_server_needs_no_builder() -> None:
    assert not pins(LOCK).keys() & {"torch", "transformers", "onnx", "onnxscript", "openvino", "rapidocr", "pytest"}


def test_the_makefile_locks_the_same_extras() -> None:
    said = re.search(r"^SERVER\s*:=(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert said is not None
    assert tuple(said[1].split()) == EXTRAS
