"""The Helm chart: it lints, what it renders is what Kubernetes takes, and what is promised of it holds."""

from __future__ import annotations

import pytest
import yaml

from tests.deploy.chart import (
    ADAPTER,
    CASES,
    CHART,
    NAMED,
    Object,
    argument,
    kind,
    matches,
    named,
    objects,
    pod,
    pods,
    ran,
    volume,
)

cases = pytest.mark.parametrize("case", CASES)
OPERATORS = {"ServiceMonitor"}
"""Kinds of other people's operators, of which there is no schema."""
SCHEMAS = ("1.27", "1.31", "newest")
"""The oldest that the chart takes, one in between, the newest that there is."""


def validate(one: Object, schema: str) -> None:
    """Raises where Kubernetes of that version would not take it."""
    import kubernetes_validate  # three seconds, which every process that collects tests would spend

    version = kubernetes_validate.latest_version() if schema == "newest" else schema
    kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("file", ["values-cpu.yaml", "values-gpu.yaml"])
def test_it_lints(file: str) -> None:
    done = ran("lint", file, NAMED, "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("version", SCHEMAS)
@cases
def test_kubernetes_takes_what_is_rendered(case: str, version: str) -> None:
    for one in objects(case):
        if one["kind"] not in OPERATORS:
            validate(one, version)


def test_a_field_that_kubernetes_does_not_know_would_be_found() -> None:
    (found,) = [one for one in kind("cpu", "Deployment") if one["metadata"]["name"].endswith("-triton")]
    wrong = {**found, "spec": {**found["spec"], "replica": 2}}
    with pytest.raises(Exception, match="replica") as raised:
        validate(wrong, SCHEMAS[-1])
    assert type(raised.value).__name__ == "ValidationError"


@cases
def test_every_kind_is_there_once_a_component(case: str) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in objects(case)]
    assert len(names) == len(set(names))
    assert {"Deployment", "Service", "PodDisruptionBudget", "ServiceAccount", "Pod"} <= {kind for kind, _ in names}
    assert all(len(name) <= 63 for _, name in names)


@cases
def test_every_selector_finds_the_pods_of_one_component(case: str) -> None:
    found = list(pods(case))
    for one in objects(case):
        for selector in selectors(one):
            hits = {pod.owner for pod in found if matches(selector, pod.labels)}
            assert len(hits) == 1, (one["kind"], one["metadata"]["name"], hits)
            ending = one["metadata"]["name"].removeprefix("pixelis")
            assert hits.pop().endswith(ending), one["metadata"]["name"]


@cases
def test_services_lead_to_ports_that_are_there(case: str) -> None:
    for service in kind(case, "Service"):
        (behind,) = [pod for pod in pods(case) if matches(service["spec"]["selector"], pod.labels)]
        for port in service["spec"]["ports"]:
            assert behind.ports[port["targetPort"]] == port["port"]


@cases
def test_no_service_has_tritons_http(case: str) -> None:
    ports = {port["port"] for service in kind(case, "Service") for port in service["spec"]["ports"]}
    assert ports & {8000, 8001, 8002} == {8001, 8002}


@cases
def test_budgets_let_a_node_be_drained(case: str) -> None:
    budgets = kind(case, "PodDisruptionBudget")
    assert {one["metadata"]["name"] for one in budgets} == {"pixelis-triton", "pixelis-gateway"}
    assert all(one["spec"]["maxUnavailable"] == 1 for one in budgets)


def test_autoscaling_is_by_the_metric_that_the_adapter_makes() -> None:
    scaler = named("cpu", "HorizontalPodAutoscaler", "-triton")
    assert scaler["apiVersion"] == "autoscaling/v2"
    assert scaler["spec"]["scaleTargetRef"]["name"] == named("cpu", "Deployment", "-triton")["metadata"]["name"]
    (metric,) = scaler["spec"]["metrics"]
    (rule,) = yaml.safe_load(ADAPTER.read_text(encoding="utf-8"))["rules"]["custom"]
    assert metric["pods"]["metric"] == {"name": rule["name"]["as"]}
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "500m"}
    behavior = scaler["spec"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] < behavior["scaleDown"]["stabilizationWindowSeconds"]
    assert "replicas" not in named("cpu", "Deployment", "-triton")["spec"]  # or each upgrade would take it back


def test_without_autoscaling_the_number_is_said() -> None:
    assert kind("open", "HorizontalPodAutoscaler") == []
    assert named("open", "Deployment", "-triton")["spec"]["replicas"] == 2


def test_gpu_values_ask_for_a_gpu_and_cpu_values_for_none() -> None:
    gpu, cpu = pod("gpu", "triton"), pod("cpu", "triton")
    assert gpu.main["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert gpu.spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert gpu.spec["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert argument(gpu.main, "allow-gpu-metrics") == "true"
    assert "nvidia.com/gpu" not in cpu.main["resources"]["limits"]
    assert argument(cpu.main, "allow-gpu-metrics") == "false"
    assert not {"nodeSelector", "tolerations"} & cpu.spec.keys()


def test_metrics_are_found_with_and_without_the_operator() -> None:
    annotations = {one.component: one for one in pods("cpu")}
    for name, port in (("-triton", "8002"), ("-gateway", "8080")):
        found = named("cpu", "Deployment", name)["spec"]["template"]["metadata"]["annotations"]
        assert found["prometheus.io/port"] == port
        assert int(port) in annotations[name[1:]].ports.values()
    assert kind("cpu", "ServiceMonitor") == []
    monitors = {one["metadata"]["name"]: one for one in kind("front", "ServiceMonitor")}
    assert monitors.keys() == {"pixelis-triton", "pixelis-gateway"}
    for monitor in monitors.values():
        (service,) = [
            one
            for one in kind("front", "Service")
            if matches(monitor["spec"]["selector"]["matchLabels"], one["metadata"]["labels"])
        ]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert "prometheus.io/scrape" not in str(objects("front"))


def test_redis_is_what_the_cache_and_the_log_need() -> None:
    conf = {name: named("cpu", "ConfigMap", name)["data"]["redis.conf"] for name in ("-redis-cache", "-redis-log")}
    assert {"maxmemory-policy allkeys-lru", "maxmemory 512mb", 'save ""'} <= set(conf["-redis-cache"].splitlines())
    log = {"appendonly yes", "appendfsync always", "maxmemory-policy noeviction", "maxmemory 768mb"}
    assert log <= set(conf["-redis-log"].splitlines())
    (claim,) = named("cpu", "StatefulSet", "-redis-log")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_both_redis_can_be_elsewhere() -> None:
    assert kind("elsewhere", "StatefulSet") == []
    variables = {one["name"]: one for one in pod("elsewhere", "triton").main["env"]}
    for store, name in (("cache", "PIXELIS_CACHE__REDIS_URL"), ("log", "PIXELIS_RETRIEVAL__REPLICAS__URL")):
        assert variables[name]["valueFrom"]["secretKeyRef"] == {"name": f"another-{store}", "key": "url"}


def test_the_repository_is_a_claim_or_fetched() -> None:
    claimed, fetched = pod("cpu", "triton"), pod("store", "triton")
    sources = {name: volume(found, "models") for name, found in (("claim", claimed), ("store", fetched))}
    assert sources["claim"]["persistentVolumeClaim"] == {"claimName": "the-models", "readOnly": True}
    assert sources["store"]["emptyDir"] == {"sizeLimit": "8Gi"}
    assert [one["name"] for one in claimed.spec["initContainers"]] == ["verify"]
    fetch, verify = fetched.spec["initContainers"]
    assert fetch["args"][:3] == ["copy", "store:models/pixelis", "/models"]
    assert fetch["envFrom"] == [{"secretRef": {"name": "the-store"}}]
    assert verify["image"] == fetched.main["image"]
    assert all(mount["readOnly"] for mount in fetched.main["volumeMounts"] if mount["name"] == "models")


def selectors(one: Object) -> list[dict[str, str]]:
    """What an object selects pods by."""
    spec = one.get("spec", {})
    if one["kind"] == "Service":
        return [spec["selector"]]
    if one["kind"] == "NetworkPolicy":
        return [spec["podSelector"]["matchLabels"]]
    if one["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
        own = [spec["selector"]["matchLabels"]]
        inner = spec.get("template", {}).get("spec", {}).get("topologySpreadConstraints", [])
        return own + [constraint["labelSelector"]["matchLabels"] for constraint in inner]
    return []


def test_the_charts_version_of_the_project_is_the_projects() -> None:
    from pixelis import __version__

    described = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert described["appVersion"] == __version__
