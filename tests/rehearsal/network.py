"""The network of docker-compose.yml: a bridge, and a namespace with an address for each service."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BRIDGE, TRIED, PREFIX = "pixelis-rh", "pixelis-tried", "pixelis-rh-"
CALLERS = ("1", "2", "3")
"""Addresses of this machine on the bridge, from which it asks."""
_TOOLS = ("ip", "unshare", "nsenter", "chroot", "mount", "hostname", "envsubst", "curl", "wget")


def possible() -> str | None:
    """Why not; none = it is."""
    if os.geteuid() != 0:
        return "only root can make a container"
    missing = [name for name in _TOOLS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    done = subprocess.run(["ip", "link", "add", TRIED, "type", "bridge"], capture_output=True, check=False)
    if done.returncode:
        return f"no bridge can be made: {done.stderr.decode().strip()}"
    _run("ip", "link", "delete", TRIED)
    return None


class Network:
    """While it is entered, every service has its address.

    Args:
        services: of the compose file.
        hosts: this file takes their names.
    """

    def __init__(self, services: Mapping[str, Any], hosts: Path) -> None:
        self.hosts = hosts
        fixed = {name: (one["networks"].get("inside") or {}).get("ipv4_address") for name, one in services.items()}
        self.net = next(address for address in fixed.values() if address).rpartition(".")[0]
        free = iter(range(129, 255))
        self.addresses = {name: address or f"{self.net}.{next(free)}" for name, address in fixed.items()}
        self.hostnames = {name: str(one.get("hostname", name)) for name, one in services.items()}

    def __enter__(self) -> Network:
        self._clear()
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        for last in CALLERS:
            _run("ip", "address", "add", f"{self.net}.{last}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        for number, (name, address) in enumerate(self.addresses.items()):
            space, wire = self.space(name), f"{PREFIX}{number}"
            _run("ip", "netns", "add", space)
            _run("ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", space)
            _run("ip", "link", "set", wire, "master", BRIDGE, "up")
            _run("ip", "-n", space, "address", "add", f"{address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                _run("ip", "-n", space, "link", "set", link, "up")
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in self.addresses.items())]
        self.hosts.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def space(self, name: str) -> str:
        """A service's network namespace."""
        return f"{PREFIX}{name}"

    def _clear(self) -> None:
        """What a rehearsal that was killed has left goes too."""
        for name in self.addresses:
            words = ["ip", "netns", "pids", self.space(name)]
            for pid in subprocess.run(words, capture_output=True, text=True, check=False).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(AssertionError):
                _run("ip", "netns", "delete", self.space(name))
        with contextlib.suppress(AssertionError):
            _run("ip", "link", "delete", BRIDGE)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"
