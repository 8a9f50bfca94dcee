"""What the chart refuses, and in which words."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from typing import Any

import pytest
import yaml

from tests.deploy.chart import CHART, ELSEWHERE, NAMED, ROOT, STORE, ran

PAGE = ROOT / "docs" / "kubernetes.md"


def refusal(said: dict[str, Any], file: str = "values-cpu.yaml") -> str:
    """What Helm says to values that it does not take."""
    done = ran("template", file, said)
    assert done.returncode != 0
    assert done.stdout == ""
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("name", NAMED)
def test_what_must_be_named_is_asked_for(name: str) -> None:
    said = refusal(NAMED | {name: ""})
    assert f"{name} is missing" in said or f"set {name}" in said


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("triton.replicas", "two", "triton.replicas: Invalid type"),
        ("triton.replicas", 0, "greater than or equal to 1"),
        ("triton.replica", 2, "Additional property replica is not allowed"),
        ("tritn", {}, "Additional property tritn is not allowed"),
        ("triton.image.tag", "latest", "has the tag `latest`"),
        ("triton.image.digest", "sha1:0", "triton.image.digest: Does not match pattern"),
        ("triton.image.pullPolicy", "Sometimes", "must be one of"),
        ("triton.sharedMemory", "64", "triton.sharedMemory: Does not match pattern"),
        ("triton.resources.limits", None, "limits is required"),
        ("triton.extraArgs", ["log-verbose=1"], "Does not match pattern"),
        ("triton.autoscaling.minReplicas", 9, "minReplicas (9) is more than maxReplicas (6)"),
        ("triton.autoscaling.targetSeconds", 0, "greater than or equal to 0.001"),
        ("triton.podDisruptionBudget", {"maxUnavailable": 1, "minAvailable": 1}, "at most 1 properties"),
        ("triton.connectionAgeSeconds", 0, "greater than or equal to 5"),
        ("gateway.workers", 65, "less than or equal to 64"),
        ("gateway.keys.open", True, "say one of the two"),
        ("gateway.keys.existingSecret", "Not A Name", "Does not match pattern"),
        ("gateway.requestsPerMinute", 0, "greater than 0"),
        ("gateway.imageHosts", ["a.example.org"], "networkPolicy.gatewayTo is missing"),
        ("settings", {"FRAMES": "64"}, 'Property name of "FRAMES" does not match'),
        ("settings", {"PIXELIS_LIMITS__FRAMES": 64}, "Expected: string, given: integer"),
        ("settings", {"PIXELIS_REPOSITORY": "/x"}, "is set by the chart; what changes it: `repository`"),
        ("gateway.settings", {"PIXELIS_GATEWAY__WORKERS": "2"}, "what changes it: `gateway.workers`"),
        ("triton.settings", {"PIXELIS_CACHE__REDIS_URL": "x"}, "what changes it: `redis.cache`"),
        ("triton.settings", {"PIXELIS_CACHE__REDIS__NAMESPACE": "redis://a:b@c"}, "has a password in it"),
        ("redis.cache.maxmemory", "512Mi", "redis.cache.maxmemory: Does not match pattern"),
        ("redis.cache.external.existingSecret", "x", "say redis.cache.enabled=false to use that one"),
        ("redis.log.size", 8, "redis.log.size: Invalid type"),
        ("ingress.enabled", True, "ingress.enabled needs ingress.host"),
        ("networkPolicy.redisNetworks", [{"cidr": "10.0.0.1"}], "port is required"),
        ("metrics.serviceMonitor.interval", "often", "Does not match pattern"),
        ("repository.objectStore.path", "bucket/x", "are both set"),
    ],
)
def test_wrong_values_are_refused(name: str, value: Any, words: str) -> None:
    assert words in refusal(NAMED | {name: value})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"repository.objectStore.existingSecret": ""}, "repository.objectStore.existingSecret is missing"),
        ({"networkPolicy.objectStoreNetworks": []}, "networkPolicy.objectStoreNetworks is missing"),
        ({"repository.objectStore.path": "s3://bucket/x"}, "repository.objectStore.path: Does not match pattern"),
        ({"repository.objectStore.remote.secret_access_key": "x"}, "remote.secret_access_key is secret"),
        ({"repository.objectStore.remote.access_key_id": "x"}, "put RCLONE_CONFIG_STORE_ACCESS_KEY_ID into the Secret"),
        ({"repository.objectStore.remote.type": None}, "type is required"),
    ],
)
def test_a_store_without_what_it_needs_is_refused(said: dict[str, Any], words: str) -> None:
    said = NAMED | STORE | said
    assert words in refusal(said)


def test_a_redis_elsewhere_needs_a_way_to_it() -> None:
    said = NAMED | ELSEWHERE | {"networkPolicy.redisNetworks": []}
    assert "networkPolicy.redisNetworks is missing" in refusal(said)


def test_an_identity_goes_for_a_stores_secret() -> None:
    identity = {"repository.objectStore.existingSecret": "", "repository.objectStore.workloadIdentity": True}
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/models"}
    done = ran("template", "values-cpu.yaml", NAMED | STORE | identity | {"triton.serviceAccount.annotations": role})
    assert done.returncode == 0, done.stderr
    account = next(one for one in yaml.safe_load_all(done.stdout) if one and one["kind"] == "ServiceAccount")
    assert account["metadata"]["annotations"] == role
    assert "envFrom" not in done.stdout


def test_every_value_has_a_rule() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert [name for name in leaves(values) if not ruled(schema, schema, name.split("."))] == []


def test_the_page_says_values_that_there_are() -> None:
    values = set(leaves(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))))
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-zA-Z.]+)`", page, re.MULTILINE)
    said = re.findall(r"--set(?:-string|-json)? '?([a-zA-Z.]+)=", page)
    assert len(rows) > 20
    assert len(said) > 4
    assert [
        name for name in [*rows, *said] if not any(one == name or one.startswith(f"{name}.") for one in values)
    ] == []


def test_the_pages_installations_are_what_the_chart_takes() -> None:
    """Its two commands, the second upon the values of the first, with the names that the page's own Secrets have."""
    page = PAGE.read_text(encoding="utf-8")
    commands = re.findall(r"^(helm upgrade [^\n]* deploy/helm/pixelis .*?)\n```", page, re.MULTILINE | re.DOTALL)
    made = set(re.findall(r"create secret generic ([a-z-]+)", page))
    said: dict[str, Any] = {}
    assert len(commands) == 2
    for command in commands:
        words = shlex.split(command.replace("\\\n", ""))
        for option, word in itertools.pairwise(words):
            name, _, value = word.partition("=")
            if option in ("--set", "--set-json"):
                said[name] = json.loads(value) if option == "--set-json" else value
        done = ran("template", "values-cpu.yaml", said)
        assert done.returncode == 0, done.stderr
        assert {value for name, value in said.items() if name.endswith("existingSecret")} <= made


def leaves(values: Any, prefix: str = "") -> list[str]:
    """Dotted names of all values; what is free, such as labels, ends there."""
    if not isinstance(values, dict) or not values or any("/" in name or "_" in name for name in values):
        return [prefix]
    return [name for key, value in values.items() for name in leaves(value, f"{prefix}.{key}" if prefix else key)]


def ruled(schema: dict[str, Any], rule: dict[str, Any], parts: list[str]) -> bool:
    """Whether the schema says something about a value by its name."""
    if "$ref" in rule:
        rule = schema["definitions"][rule["$ref"].rpartition("/")[2]]
    if not parts:
        return True
    inner = rule.get("properties", {}).get(parts[0]) or rule.get("additionalProperties")
    return isinstance(inner, dict) and ruled(schema, inner, parts[1:])
