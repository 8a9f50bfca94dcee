"""The two Redis of a fleet: caches, which may lose everything, and the log of experiences, which may lose nothing."""

from __future__ import annotations

import os
import shutil
import socket

from pixelis.errors import SetupError
from server.fleet.part import Part
from server.fleet.places import Places, deployed

_MEND = "apt-get install redis-server."


def parts(places: Places) -> list[Part]:
    """Those of both that nobody named elsewhere. Raises `SetupError`: there is no redis-server here."""
    config, found = places.config, []
    if config.cache_url is None:
        found.append(_part(places, "cache", places.cache_port))
    if config.log_url is None:
        found.append(_part(places, "log", places.log_port))
    return found


def _part(places: Places, name: str, port: int) -> Part:
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


def cache_url(places: Places) -> str:
    """How the Redis of caches is spoken to: the one that was named, else the fleet's own."""
    named = places.config.cache_url
    return named.get_secret_value() if named is not None else _own(places, places.cache_port)


def log_url(places: Places) -> str:
    """The same of the log of experiences."""
    named = places.config.log_url
    return named.get_secret_value() if named is not None else _own(places, places.log_port)


def _own(places: Places, port: int) -> str:
    return f"redis://:{places.password()}@127.0.0.1:{port}/0"


def answers(port: int, password: str, host: str = "127.0.0.1") -> bool:
    """Whether it takes commands: one that still loads its file does not."""
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
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
