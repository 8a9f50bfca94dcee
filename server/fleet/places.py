"""Where each part of a fleet listens, and which folder it has."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pixelis.errors import SetupError
from pixelis.fleet_config import STEP, Fleet

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
"""Configuration that containers get too."""
_RESERVED = 20
"""Ports below the first replica's."""


@dataclass(frozen=True)
class Places:
    """Of one fleet.

    Attributes:
        config: its settings.
        state: its folder.
    """

    config: Fleet
    state: Path

    @property
    def cache_port(self) -> int:
        """Of the Redis that shares caches."""
        return self.config.base_port

    @property
    def log_port(self) -> int:
        """Of the Redis that holds the log of experiences."""
        return self.config.base_port + 1

    @property
    def prometheus_port(self) -> int:
        """Of Prometheus."""
        return self.config.base_port + 2

    @property
    def socket(self) -> Path:
        """Where orders are taken."""
        return self.state / "orders.sock"

    def folder(self, name: str) -> Path:
        """A part's own folder, made."""
        path = self.state / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def log(self, name: str) -> Path:
        """What a part prints goes there."""
        return self.folder("logs") / f"{name}.log"

    def first_port(self, replica: int) -> int:
        """Of the replica's: Triton's HTTP, gRPC and metrics, and the gateway."""
        port = self.config.base_port + _RESERVED + STEP * (replica - 1)
        if port + STEP > 65535:
            raise SetupError(f"Replica {replica} has no ports left.", mend="Lower PIXELIS_FLEET__BASE_PORT.")
        return port

    def password(self) -> str:
        """Of both Redis, made once and readable by the owner alone."""
        path = self.folder("redis") / "password"
        if not path.exists():
            made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(made, "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(24))
        return path.read_text(encoding="utf-8")


def deployed(name: str) -> Path:
    """A file of `deploy/`.

    Raises:
        SetupError: this is an installed package without it.
    """
    path = DEPLOY / name
    if not path.is_file():
        raise SetupError(f"{path} is missing.", mend="Run `pixelis up` from a checkout of the project.")
    return path
