"""What a container is made from: a service of docker-compose.yml and what its image brings."""

from __future__ import annotations

import json
import sys
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.deploy.tools import ROOT
from tests.rehearsal.images import PATH, image

Mounts = tuple[tuple[str, str], ...]
"""What lies where: source and target, or `tmpfs:options` and target."""


def _kept() -> Mounts:
    """This project, and the Python with it, are there, wherever something was mounted over them."""
    told = metadata.distribution("pixelis-serving").read_text("direct_url.json") or "{}"
    installed = urllib.parse.urlparse(json.loads(told).get("url", "")).path  # a model's process has no PYTHONPATH
    places = (sys.base_prefix, installed, sys.prefix, str(ROOT))
    return tuple((one, one) for one in dict.fromkeys(places) if one not in ("", "/usr"))


@dataclass(frozen=True)
class Plan:
    """What a container is made from.

    Attributes:
        name: of the service.
        command: its first process.
        environment: all of it.
        hostname: of its own.
        mounts: in this order.
        shm: size of /dev/shm.
        memory: bytes that its processes may take together.
        grace_s: between SIGTERM and SIGKILL.
        told: what the compose file says of it; another text means another container.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    hostname: str
    mounts: Mounts
    shm: str
    memory: int | None
    grace_s: float
    told: str


def plan(name: str, told: Mapping[str, Any], volumes: Path, more: Mounts) -> Plan:
    """Of a service.

    Args:
        name: of it.
        told: by the compose file.
        volumes: named volumes are folders there.
        more: mounts beside those of the file.
    """
    brought = image(told["image"])
    assert brought is not None
    first = (sys.executable, str(Path(__file__).with_name("init.py"))) if told.get("init") else ()
    command = [plain(word) for word in told.get("command", brought.command)]
    said = {key: plain(str(value)) for key, value in (told.get("environment") or {}).items()}
    return Plan(
        name=name,
        command=(*first, *brought.before, *command),
        environment={"PATH": PATH, "LANG": "C.UTF-8", **dict(brought.environment), **said},
        hostname=str(told.get("hostname", name)),
        mounts=(*_tmpfs(told), *_kept(), *_volumes(told, volumes), *more),
        shm=str(told.get("shm_size", "64m")),
        memory=_bytes(str(told["mem_limit"])) if "mem_limit" in told else None,
        grace_s=seconds(told.get("stop_grace_period", "10s")),
        told=json.dumps(told, sort_keys=True),
    )


def _tmpfs(told: Mapping[str, Any]) -> Mounts:
    parts = [str(one).partition(":") for one in told.get("tmpfs", [])]
    return tuple((f"tmpfs:{options}", target) for target, _, options in parts)


def _volumes(told: Mapping[str, Any], volumes: Path) -> Mounts:
    found = []
    for one in told.get("volumes", []):
        source, target = (one["source"], one["target"]) if isinstance(one, dict) else str(one).split(":")[:2]
        if not source.startswith("/"):
            source = str(volumes / source)
            Path(source).mkdir(parents=True, exist_ok=True)
        found.append((source, target))
    return tuple(found)


def plain(text: str) -> str:
    """`config` doubles the dollars, as Compose would read them."""
    return text.replace("$$", "$")


def seconds(text: str) -> float:
    """Of `5m`, `1m15s`, `30s`."""
    minutes, _, rest = text.rpartition("m")
    return 60.0 * float(minutes or 0) + float(rest.rstrip("s") or 0)


def _bytes(text: str) -> int:
    unit = {"k": 2**10, "m": 2**20, "g": 2**30}.get(text[-1])
    return int(text[:-1]) * unit if unit else int(text)
