"""docker-compose.yml: read by Debian's docker-compose, held against Compose 2's schema, and what must be so in it."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from pixelis import __version__
from pixelis.settings import Settings
from tests.deploy.compose import MODELS, PASSWORDS, config, example, of
from tests.deploy.tools import DEPLOY, ROOT, said

SERVERS = {"gateway-1", "gateway-2", "nginx", "redis-cache", "redis-log", "redis-cache-metrics", "redis-log-metrics"}
SERVERS |= {"node-metrics", "prometheus", "grafana"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = config("cpu", "gpu", "load")["services"]
    return found


def test_what_a_profile_starts() -> None:
    assert of("cpu").keys() == {"triton-1", "triton-2"} | SERVERS
    assert of("gpu").keys() == {"triton-gpu-1", "triton-gpu-2"} | SERVERS
    assert of("load").keys() == {"locust", "locust-worker"}


def test_compose_2_takes_it_too() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "docker-compose.yml",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("missing", [*PASSWORDS, *MODELS])
def test_nothing_starts_without_what_has_no_default(missing: str) -> None:
    given = {**PASSWORDS, **MODELS, missing: ""}
    done = said("docker-compose", "--profile", "cpu", "config", **given)
    assert done.returncode != 0
    assert ".env.example" in done.stderr


def test_the_example_names_what_has_no_default_and_holds_no_password() -> None:
    assert example() == {**dict.fromkeys(PASSWORDS, ""), **MODELS}
    said_of = re.findall(r"(?m)^#?(PIXELIS_[A-Z_0-9]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"))
    used = set(re.findall(r"\$\{(PIXELIS_[A-Z_0-9]+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    assert sorted(said_of) == sorted(used)


def test_passwords_are_not_committed() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_everything_is_locked(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert int(service["user"].split(":")[0]) > 0, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert "privileged" not in service, name
        assert service["logging"]["options"]["max-size"], name


def test_every_image_has_a_version(services: dict[str, Any]) -> None:
    for name, service in services.items():
        repository, _, tag = service["image"].rpartition(":")
        assert re.search(r"\d+\.\d+", tag), name
        if repository.startswith("pixelis/"):
            assert tag == __version__
            assert service["build"]["dockerfile"] == "deploy/Dockerfile"


def test_ports_are_on_loopback_unless_it_is_said_otherwise() -> None:
    def published(**environment: str) -> set[str]:
        services = config("cpu", "load", **environment)["services"]
        return {str(port) for service in services.values() for port in service.get("ports", [])}

    everybody = {"{}:8080:8080", "{}:8001:8081"}
    ours = {"127.0.0.1:9090:9090", "127.0.0.1:3000:3000", "127.0.0.1:8089:8089"}
    for bind in ("127.0.0.1", "0.0.0.0"):
        wanted = {port.format(bind) for port in everybody} | ours
        assert {re.sub("/tcp$", "", port) for port in published(PIXELIS_BIND=bind)} == wanted


def test_models_gateways_and_redis_cannot_be_reached_from_outside(services: dict[str, Any]) -> None:
    assert config("cpu")["networks"]["inside"]["internal"] is True
    for name, service in services.items():
        if name not in ("nginx", "prometheus", "grafana", "locust"):
            assert list(service["networks"]) == ["inside"], name
            assert "ports" not in service, name


def test_fixed_addresses_are_those_that_nginx_goes_to_and_gateways_trust() -> None:
    found = config("cpu", PIXELIS_NET="10.9.8")
    services, (pool,) = found["services"], found["networks"]["inside"]["ipam"]["config"]
    fixed = {name: services[name]["networks"]["inside"]["ipv4_address"] for name in services if _fixed(services[name])}
    dynamic = ipaddress.ip_network(pool["ip_range"])
    assert dynamic.subnet_of(ipaddress.ip_network(pool["subnet"]))
    assert not [name for name, address in fixed.items() if ipaddress.ip_address(address) in dynamic]
    goes = services["nginx"]["environment"]
    assert re.findall(r"server (\S+):8080 ", goes["PIXELIS_GATEWAYS"]) == [fixed["gateway-1"], fixed["gateway-2"]]
    assert re.findall(r"server (\S+):8001 ", goes["PIXELIS_TRITONS"]) == [fixed["triton-1"], fixed["triton-2"]]
    for name in ("gateway-1", "gateway-2"):
        trusted = services[name]["environment"]["PIXELIS_GATEWAY__TRUSTED_PROXIES"]
        assert json.loads(trusted) == [f"{fixed['nginx']}/32"]


def _fixed(service: dict[str, Any]) -> bool:
    return isinstance(service["networks"], dict) and bool(service["networks"].get("inside"))


def test_gpus_stand_in_the_place_of_cpus(services: dict[str, Any]) -> None:
    for number in ("1", "2"):
        cpu, gpu = services[f"triton-{number}"], services[f"triton-gpu-{number}"]
        (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        assert gpu["networks"]["inside"].pop("aliases") == [f"triton-{number}"]
        for same in ("networks", "hostname", "volumes", "environment", "shm_size", "ulimits"):
            assert gpu[same] == cpu[same], same


def test_the_repository_is_never_written(services: dict[str, Any]) -> None:
    for name in ("triton-1", "triton-2", "triton-gpu-1", "triton-gpu-2"):
        (models,) = [one for one in services[name]["volumes"] if "/models" in str(one)]
        assert (":ro" in models) if isinstance(models, str) else models["read_only"]


@pytest.mark.parametrize("name", ["triton-1", "triton-2", "gateway-1", "gateway-2"])
def test_what_our_services_are_told_are_settings(
    services: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = services[name]["environment"]
    for variable, value in told.items():
        monkeypatch.setenv(variable, value)
    known = {f"PIXELIS_{section}__" for section in map(str.upper, Settings.model_fields)}
    assert all(one.startswith(tuple(known)) or one == "OMP_NUM_THREADS" for one in told)
    found = Settings()
    if name.startswith("triton"):
        assert found.cache.redis_url.get_secret_value() == "redis://:cacheword@redis-cache:6379/0"
        url = found.retrieval.replicas.url
        assert url is not None
        assert url.get_secret_value() == "redis://:logword@redis-log:6379/0"
    else:
        assert found.gateway.triton == f"triton-{name[-1]}:8001"
        assert found.gateway.keys is None


def test_who_is_scraped_is_there() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = [target for job in jobs for group in job["static_configs"] for target in group["targets"]]
    names = {target.split(":")[0] for target in targets} - {"127.0.0.1"}
    assert names == {"triton-1", "triton-2", *SERVERS} - {"nginx", "redis-cache", "redis-log", "prometheus", "grafana"}


def test_what_is_mounted_is_there(services: dict[str, Any]) -> None:
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0] if isinstance(volume, str) else volume["source"]
            if "/deploy/" in source:
                assert (ROOT / source).exists(), source
