"""What holds of every pod that the chart makes: bounds, confinement, probes, and time to end."""

from __future__ import annotations

import itertools

import pytest

from tests.deploy.chart import CASES, NAMED, Object, argument, kind, pod, pods, ran

cases = pytest.mark.parametrize("case", CASES)


@cases
def test_no_container_is_without_bounds(case: str) -> None:
    for one, container in every(case):
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["limits"].keys() & resources["requests"].keys(), (one, container["name"])


@cases
def test_every_container_is_confined(case: str) -> None:
    for found in pods(case):
        assert found.spec["automountServiceAccountToken"] is False
        security = found.spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == (999 if found.component.startswith("redis") else 1000)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & found.spec.keys()
        assert not [volume for volume in found.spec.get("volumes", []) if "hostPath" in volume]
    for _, container in every(case):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@cases
def test_images_are_pinned(case: str) -> None:
    for _, container in every(case):
        name, _, tag = container["image"].rpartition(":")
        assert name, container["image"]
        assert tag not in ("", "latest")


def test_a_digest_goes_before_the_tag() -> None:
    digest = "sha256:" + "0" * 64
    done = ran("template", "values-cpu.yaml", NAMED | {"triton.image.digest": digest})
    images = {line.split()[-1] for line in done.stdout.splitlines() if "image:" in line}
    assert f"pixelis/triton@{digest}" in images


@cases
def test_what_is_mounted_is_there(case: str) -> None:
    for found in pods(case):
        there = {volume["name"] for volume in found.spec.get("volumes", [])} | claimed(case, found.owner)
        used = {mount["name"] for one in found.containers for mount in one.get("volumeMounts", [])}
        assert used == there, found.owner
        for volume in found.spec.get("volumes", []):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in {one["metadata"]["name"] for one in kind(case, "ConfigMap")}


@cases
def test_all_that_is_written_to_is_bounded(case: str) -> None:
    for found in pods(case):
        for volume in found.spec.get("volumes", []):
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"], (found.owner, volume["name"])


@cases
def test_shared_memory_is_of_the_size_that_is_said_and_within_the_limit(case: str) -> None:
    found = pod(case, "triton")
    (shm,) = [volume["emptyDir"] for volume in found.spec["volumes"] if volume["name"] == "shm"]
    assert shm["medium"] == "Memory"
    assert gibibytes(shm["sizeLimit"]) < gibibytes(found.main["resources"]["limits"]["memory"])
    assert {"name": "shm", "mountPath": "/dev/shm"} in found.main["volumeMounts"]


@cases
def test_probes_are_those_of_tritons_own_chart(case: str) -> None:
    triton = pod(case, "triton").main
    asked = {name: triton[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {
        "startupProbe": {"path": "/v2/health/ready", "port": "http"},
        "livenessProbe": {"path": "/v2/health/live", "port": "http"},
        "readinessProbe": {"path": "/v2/health/ready", "port": "http"},
    }
    startup = triton["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300
    for found in pods(case):
        if found.component != "test":
            for name in asked:
                assert found.main[name]["failureThreshold"] >= 2, (found.owner, name)


@cases
def test_a_pod_leaves_before_it_is_told_to_end_and_has_time_to_end(case: str) -> None:
    triton, gateway = pod(case, "triton"), pod(case, "gateway")
    age_ms, drain_s = (int(argument(triton.main, name)) for name in ("grpc-max-connection-age", "exit-timeout-secs"))
    # gRPC varies the age by a tenth; a connection that was made last lives so long after the pod left the Service.
    assert slept(triton.main) > 1.1 * age_ms / 1000
    assert triton.spec["terminationGracePeriodSeconds"] > slept(triton.main) + drain_s
    variables = {one["name"]: one.get("value") for one in gateway.main["env"]}
    drain_s = int(variables["PIXELIS_GATEWAY__DRAIN_S"] or 0)
    assert gateway.spec["terminationGracePeriodSeconds"] > slept(gateway.main) + 2 * drain_s


def every(case: str) -> list[tuple[str, Object]]:
    """Every container, with whose it is."""
    return list(itertools.chain.from_iterable([(one.owner, found) for found in one.containers] for one in pods(case)))


def claimed(case: str, owner: str) -> set[str]:
    """Volumes that a StatefulSet claims for its pods."""
    return {
        claim["metadata"]["name"]
        for one in kind(case, "StatefulSet")
        if one["metadata"]["name"] == owner
        for claim in one["spec"].get("volumeClaimTemplates", [])
    }


def slept(container: Object) -> int:
    """Seconds that it waits before it is told to end."""
    word, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert word == "sleep"
    return int(seconds)


def gibibytes(size: str) -> float:
    return float(size[:-2]) * {"Mi": 1 / 1024, "Gi": 1}[size[-2:]]
