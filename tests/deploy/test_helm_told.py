"""What the chart tells its containers: flags and settings that exist, and nothing secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pixelis.settings import Settings
from server import launch
from server.layout import Layout
from tests.deploy.chart import CASES, NAMED, environment, kind, named, objects, pod, pods, text

cases = pytest.mark.parametrize("case", CASES)
PLACES = {
    *("model-repository", "backend-directory", "cache-directory", "exit-timeout-secs", "load-model"),
    "repoagent-directory",  # which neither has
}
"""Arguments whose values are of the place."""
PROCESS = {"PIXELIS_SERVER_ID", "PIXELIS_CONTROL_URL", "PIXELIS_REPOSITORY_KEY"}
"""Variables that are no settings; server/launch.py sets them for the embedded server."""


def arguments(words: list[str]) -> dict[str, set[str]]:
    """Argument -> its values."""
    found: dict[str, set[str]] = {}
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        found.setdefault(name, set()).add(value)
    return found


@cases
def test_triton_is_started_as_the_embedded_one_is(case: str) -> None:
    nowhere = Path("/nowhere")
    layout = Layout(nowhere, nowhere, nowhere, ())
    ports = launch.Ports("0.0.0.0", 8000, 8001, 8002)
    swapping = case == "front"  # which has strictReadiness: false
    key = "$(PIXELIS_REPOSITORY_KEY)"
    line = launch.command(layout, nowhere, ["x"], ports, "pixelis-", 5, key, swapping=swapping)
    embedded, ours = arguments(line[1:]), arguments(pod(case, "triton").main["args"])
    for name in embedded.keys() - PLACES - {"http-restricted-api", "grpc-restricted-protocol", "allow-gpu-metrics"}:
        assert ours[name] == embedded[name], name
    for name in ("http-restricted-api", "grpc-restricted-protocol"):
        (closed,), (least,) = ours[name], embedded[name]
        (apis, _, opened), (least_apis, _, least_opened) = closed.partition(":"), least.partition(":")
        assert set(least_apis.split(",")) < set(apis.split(","))
        assert opened == least_opened
    assert ours["model-repository"] == {"/models"}
    assert ours["load-model"] == ({"pixelis", "agent"} if case == "front" else {"*"})


@cases
def test_every_variable_is_a_setting(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for component in ("triton", "gateway"):
        for name, variable in environment(pod(case, component).main).items():
            if name.startswith("PIXELIS_") and name not in PROCESS:
                assert known(name), name
                monkeypatch.setenv(name, variable.get("value", "redis://:x@y:6379/0" if "URL" in name else "3"))
    Settings()  # each has a value that its field takes


def test_the_gateway_reads_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, variable in environment(pod("front", "gateway").main).items():
        monkeypatch.setenv(name, variable["value"])
    found = Settings().gateway
    assert (found.host, found.port, found.triton) == ("0.0.0.0", 8080, "pixelis-triton:8001")
    assert (found.workers, found.in_flight, found.drain_s, found.requests_per_minute) == (1, 32, 30, 60)
    assert found.image_hosts == ["images.example.org"]
    service = named("front", "Service", "-triton")
    assert found.triton == f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    mounts = {mount["name"]: mount["mountPath"] for mount in pod("front", "gateway").main["volumeMounts"]}
    assert str(found.keys) == f"{mounts['keys']}/keys.json"


@pytest.mark.parametrize("case", ["cpu", "gpu", "store", "front"])
def test_triton_finds_both_redis(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = environment(pod(case, "triton").main)
    order = list(variables)
    for store, name in (("CACHE", "PIXELIS_CACHE__REDIS_URL"), ("LOG", "PIXELIS_RETRIEVAL__REPLICAS__URL")):
        password = f"REDIS_{store}_PASSWORD"
        assert order.index(password) < order.index(name)  # or Kubernetes would not put it in
        url = variables[name]["value"].replace(f"$({password})", "word")
        assert url == f"redis://:word@pixelis-redis-{store.lower()}:6379/0"
        assert named(case, "Service", f"-redis-{store.lower()}")["spec"]["ports"][0]["port"] == 6379
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("PIXELIS_CACHE__ENABLE_REDIS", variables["PIXELIS_CACHE__ENABLE_REDIS"]["value"])
    assert Settings().cache.enable_redis


def test_without_redis_none_is_spoken_to() -> None:
    assert not {name for name in environment(pod("open", "triton").main) if "CACHE" in name}


@cases
def test_a_processs_threads_are_those_of_the_limit(case: str) -> None:
    variables = environment(pod(case, "triton").main)
    reference = variables["PIXELIS_THREADS__TOTAL"]["valueFrom"]["resourceFieldRef"]
    assert reference == {"containerName": "triton", "resource": "limits.cpu", "divisor": "1"}
    intra_op = variables.get("PIXELIS_THREADS__INTRA_OP", {"value": "1"})["value"]
    assert variables["OMP_NUM_THREADS"]["value"] == intra_op
    assert variables["OMP_WAIT_POLICY"]["value"] == "PASSIVE"
    assert variables["MALLOC_ARENA_MAX"]["value"] == launch.MALLOC_ARENAS


@cases
def test_nothing_secret_is_rendered(case: str) -> None:
    assert kind(case, "Secret") == []
    for found in pods(case):
        for container in found.containers:
            for name, variable in environment(container).items():
                if re.search(r"PASSWORD|_KEY$|TOKEN|SECRET|CLI_?AUTH$|REPLICAS__URL$|REDIS_URL$", name):
                    said = variable.get("value", "")
                    assert "valueFrom" in variable or re.fullmatch(r"redis://:\$\([A-Z_]+\)@[a-z-]+:6379/0", said), name
    assert re.findall(r"://[^\s/@]*:[^\s$/@]+@", text(case)) == []


@cases
def test_secrets_are_those_that_were_named(case: str) -> None:
    expected = NAMED | CASES[case][1]
    allowed = {str(value) for name, value in expected.items() if name.lower().endswith("secret")}
    assert set(references(objects(case))) <= allowed


@cases
def test_all_that_was_named_is_used(case: str) -> None:
    expected = NAMED | CASES[case][1]
    names = {value for name, value in expected.items() if name.endswith(("existingSecret", "claimName", "tlsSecret"))}
    used = set(references(objects(case))) | {
        volume["persistentVolumeClaim"]["claimName"]
        for found in pods(case)
        for volume in found.spec.get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    assert names - {""} == used


def test_the_page_and_the_interface_are_before_the_ingress_and_figures_are_not() -> None:
    from clients.gateway.reference import document

    (ingress,) = kind("front", "Ingress")
    (rule,) = ingress["spec"]["rules"]
    paths = [(path["path"], path["pathType"]) for path in rule["http"]["paths"]]

    def led(asked: str) -> bool:
        return any(
            asked == path or (how == "Prefix" and asked.startswith(f"{path.rstrip('/')}/")) for path, how in paths
        )

    inside = {"/metrics", "/stats"}
    for path in {*document()["paths"], "/", "/page/main.js", "/openapi.json"}:
        assert led(path) is (path not in inside), path
    assert rule["host"] == "ask.example.org"
    backend = {
        (path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"])
        for path in rule["http"]["paths"]
    }
    assert backend == {("pixelis-gateway", "http")}


def test_events_are_not_held_back_and_a_caller_stays_where_it_is() -> None:
    (ingress,) = kind("front", "Ingress")
    annotations = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    assert annotations["proxy-buffering"] == "off"
    assert annotations["upstream-hash-by"] == "$http_authorization"
    assert int(annotations["proxy-read-timeout"]) > 300  # the longest `timeout_s`
    assert int(annotations["proxy-body-size"].removesuffix("m")) * 2**20 == Settings().gateway.body_bytes
    assert named("front", "Service", "-gateway")["spec"]["sessionAffinity"] == "ClientIP"


def references(value: Any) -> list[str]:
    """Names of Secrets, wherever they stand."""
    if isinstance(value, list):
        return [name for one in value for name in references(one)]
    if not isinstance(value, dict):
        return []
    found = [value[key]["name"] for key in ("secretKeyRef", "secretRef") if key in value]
    found += [value["secretName"]] if "secretName" in value else []
    return found + [name for one in value.values() for name in references(one)]


def known(variable: str) -> bool:
    """Whether a variable names a field of the settings."""
    model: Any = Settings
    for part in variable.removeprefix("PIXELIS_").lower().split("__"):
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return False
        model = field.annotation
    return True
