"""Takes the words that `bin/docker` was told, and does what they say."""

from __future__ import annotations

import argparse
import json
import shutil
import socketserver
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.rehearsal.compose import Compose

MIB = 2**20
ASKED = "WARNING! This will remove what nothing uses.\nAre you sure you want to continue? [y/N] "


class Engine(socketserver.ThreadingUnixStreamServer):
    """Over one project.

    Args:
        compose: the project.
        socket: where words are taken.
        spare: a folder with images and build caches that nothing uses.
    """

    daemon_threads = True

    def __init__(self, compose: Compose, socket: Path, spare: Path) -> None:
        self._compose, self._spare = compose, spare
        super().__init__(str(socket), _Asked)
        threading.Thread(target=self.serve_forever, name="engine", daemon=True).start()

    def close(self) -> None:
        """Takes no more words."""
        self.shutdown()
        self.server_close()

    def do(self, words: Sequence[str], environment: Mapping[str, str], said: str) -> tuple[int, str]:
        """How it ends, and what it prints."""
        kind, *rest = words
        if kind == "compose":
            return self._composed(rest, environment)
        if kind == "system":
            return self._system(rest, said)
        if [kind, *rest] == ["stats", "--no-stream"]:
            return 0, self._stats()
        return 125, f"docker: {kind!r} is not a docker command.\n"

    def _composed(self, words: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        given = _PARSER.parse_args(list(words))
        named = [*getattr(given, "services", []), *([given.service] if given.verb == "exec" else [])]
        known = self._compose.services if given.verb == "up" else self._compose.containers
        missing = [name for name in named if name not in known]
        if missing:
            return 1, f"no such service: {missing[0]}\n"
        verbs: dict[str, Callable[[], tuple[int, str]]] = {
            "ps": lambda: (0, self._compose.ps()),
            "logs": lambda: (0, self._compose.logs(given.services, given.tail, prefix=not given.no_log_prefix)),
            "exec": lambda: self._compose.execute(given.service, given.command),
            "restart": lambda: _done(self._compose.restart, given.services),
            "stop": lambda: _done(self._compose.stop, given.services),
            "up": lambda: self._up(given, environment),
        }
        return verbs[given.verb]()

    def _up(self, given: argparse.Namespace, environment: Mapping[str, str]) -> tuple[int, str]:
        assert given.detach, "what is not detached does not come back"
        try:
            self._compose.up(given.services, environment, force=given.force_recreate)
        except (ValueError, TimeoutError) as error:
            return 1, f"{error}\n"
        return 0, ""

    def _stats(self) -> str:
        lines = [f"{'NAME':<22}MEM USAGE / LIMIT"]
        for name, one in self._compose.containers.items():
            if one.pid is not None:
                limit = (one.plan.memory or 0) / MIB
                lines.append(f"{name:<22}{one.used() / MIB:.1f}MiB / {limit:.0f}MiB")
        return "\n".join([*lines, ""])

    def _system(self, words: Sequence[str], said: str) -> tuple[int, str]:
        size = sum(path.stat().st_size for path in self._spare.glob("*")) / MIB
        if words[0] == "df":
            return 0, f"Images space usage:\n<none>  {size:.0f}MiB  0 containers\n"
        if not said.lower().startswith("y"):
            return 1, ASKED
        shutil.rmtree(self._spare, ignore_errors=True)
        return 0, f"{ASKED}\nTotal reclaimed space: {size:.0f}MiB\n"


def _done(what: Callable[[Sequence[str]], None], names: Sequence[str]) -> tuple[int, str]:
    what(names)
    return 0, ""


class _Asked(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Engine)
        told = json.loads(self.rfile.readline())
        try:
            code, output = self.server.do(told["words"], told["environment"], told["said"])
        except (Exception, SystemExit) as error:  # whatever it is, who asked is told
            code, output = 70, f"{type(error).__name__}: {error}\n"
        self.wfile.write(json.dumps({"code": code, "output": output}).encode() + b"\n")


def _parser() -> argparse.ArgumentParser:
    """Of what the runbook says after `docker compose`; anything else is an error."""
    top = argparse.ArgumentParser("docker compose", exit_on_error=False)
    top.add_argument("--profile", choices=["cpu"])
    verbs = top.add_subparsers(dest="verb", required=True)
    verbs.add_parser("ps")
    logs = verbs.add_parser("logs")
    logs.add_argument("--tail", type=int, required=True)
    logs.add_argument("--no-log-prefix", action="store_true")
    up = verbs.add_parser("up")
    up.add_argument("--detach", action="store_true")
    up.add_argument("--force-recreate", action="store_true")
    for verb in (logs, verbs.add_parser("restart"), verbs.add_parser("stop"), up):
        verb.add_argument("services", nargs="*")
    inside = verbs.add_parser("exec")
    inside.add_argument("service")
    inside.add_argument("command", nargs=argparse.REMAINDER)
    return top


_PARSER = _parser()
