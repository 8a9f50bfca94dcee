"""The two Redis of a fleet: caches, which may lose everything, and the log of experiences, which may lose nothing."""

from __future__ import annotations

import os
import shutil
import socket

from pixelis.errors import SetupError
from server.fleet.part import Part
from server.fleet.places import Places, deployed

_MEND = "apt-get install redis-server."


def part(places: Places, name: str, port: int) -> Part:
    """One of both.

    Args:
        places: of the fleet.
        name: `cache` or `log`; its configuration is `deploy/redis/<name>.conf`.
        port: where it listens.

    Raises:
        SetupError: there is no redis-server here.
    """
    binary = shutil.which("redis-server")
    if binary is None:
        raise SetupError("redis-server is not installed.", mend=_MEND)
    folder = places.folder(f"redis/{name}")
    path = folder / "redis.conf"
    text = deployed(f"redis/{name}.conf").read_text(encoding="utf-8")
    own = [f"port {port}", "bind 127.0.0.1", f"dir {folder.absolute()}", f"requirepass {places.password()}"]
    path.touch(mode=0o600)
    path.write_text("\n".join([text, *own, ""]), encoding="utf-8")
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    log = places.log(f"redis-{name}")
    return Part(f"redis-{name}", [binary, str(path)], environment, log, lambda: answers(port, places.password()))


def url(places: Places, port: int) -> str:
    """How it is spoken to."""
    return f"redis://:{places.password()}@127.0.0.1:{port}/0"


def answers(port: int, password: str) -> bool:
    """Whether it takes commands: one that still loads its file does not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2:
                chunk = connection.recv(256)
                if not chunk:
                    return False
                said += chunk
            return said.endswith(b"+PONG\r\n")
    except OSError:
        return False
