"""docker-compose.yml as docker-compose reads it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import yaml

from tests.deploy.tools import DEPLOY, ROOT, said

PASSWORDS = {
    "PIXELIS_CACHE_PASSWORD": "cacheword",
    "PIXELIS_LOG_PASSWORD": "logword",
    "PIXELIS_GRAFANA_PASSWORD": "grafanaword",
}
MODELS = {"PIXELIS_MODELS": "./.pixelis/ngc"}


def config(*profiles: str, **environment: str) -> dict[str, Any]:
    """All of it, names filled in."""
    made: dict[str, Any] = yaml.safe_load(_printed(profiles, tuple(sorted(environment.items()))))
    return made


@lru_cache
def _printed(profiles: tuple[str, ...], environment: tuple[tuple[str, str], ...]) -> str:
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    done = said("docker-compose", *chosen, "config", **PASSWORDS | MODELS | dict(environment))
    assert done.returncode == 0, done.stderr
    return done.stdout


def of(profile: str) -> dict[str, Any]:
    """The services of a profile."""
    services: dict[str, Any] = config(profile)["services"]
    return {name: service for name, service in services.items() if profile in service["profiles"]}


def rules() -> dict[str, dict[str, Any]]:
    """Alerts by name."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def example() -> dict[str, str]:
    """What `.env.example` sets."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
