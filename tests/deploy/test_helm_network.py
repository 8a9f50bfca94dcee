"""Who reaches whom, by the chart's network policies as Kubernetes reads them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.deploy.chart import CASES, kind, matches, pods

NAMESPACE = "serving"
closed = pytest.mark.parametrize("case", [case for case in CASES if case != "open"])


@dataclass(frozen=True)
class Place:
    """A pod, or an address outside of the cluster."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE
    ports: dict[str, int] = field(default_factory=dict)
    address: str = ""


STRANGER = Place("stranger", {"app": "stranger"})
PROMETHEUS = Place("prometheus", {"app.kubernetes.io/name": "prometheus"}, "monitoring")
IMPOSTOR = Place("impostor", {"app.kubernetes.io/name": "prometheus"})
DNS = Place("dns", {"k8s-app": "kube-dns"}, "kube-system", {"dns": 53})
OUTSIDE = Place("outside", address="93.184.216.34")
METADATA = Place("metadata", address="169.254.169.254")


def inside(case: str) -> dict[str, Place]:
    """The chart's own pods."""
    return {one.component: Place(one.component, one.labels, NAMESPACE, one.ports) for one in pods(case)}


def passes(case: str, source: Place, target: Place, port: int, protocol: str = "TCP") -> bool:
    """Whether policies let a connection through: out of its source, and into its target."""
    out = allowed(case, source, target, port, protocol, "egress", "to")
    return out and admits(case, target, source, port, protocol)


def admits(case: str, target: Place, source: Place, port: int, protocol: str = "TCP") -> bool:
    """Whether the target's side lets it in, whatever holds its source."""
    return allowed(case, target, source, port, protocol, "ingress", "from")


def allowed(case: str, held: Place, other: Place, port: int, protocol: str, way: str, side: str) -> bool:
    policies = [
        one["spec"]
        for one in kind(case, "NetworkPolicy")
        if not held.address
        and held.namespace == NAMESPACE
        and matches(one["spec"]["podSelector"]["matchLabels"], held.labels)
    ]
    policies = [one for one in policies if way.capitalize() in one["policyTypes"]]
    # Names of ports are of the pod that is connected to.
    names = held.ports if way == "ingress" else other.ports
    return not policies or any(
        (side not in rule or any(same(peer, other) for peer in rule[side]))
        and ("ports" not in rule or any(opened(one, names, port, protocol) for one in rule["ports"]))
        for policy in policies
        for rule in policy[way]
    )


def same(peer: dict[str, Any], place: Place) -> bool:
    """Whether a peer of a rule is this place."""
    if "ipBlock" in peer:
        return bool(place.address) and ipaddress.ip_address(place.address) in ipaddress.ip_network(
            peer["ipBlock"]["cidr"]
        )
    if place.address:
        return False
    namespace = {"kubernetes.io/metadata.name": place.namespace, "name": place.namespace}
    there = matches(peer["namespaceSelector"]["matchLabels"], namespace) if "namespaceSelector" in peer else None
    if there is None:
        there = place.namespace == NAMESPACE
    return there and ("podSelector" not in peer or matches(peer["podSelector"]["matchLabels"], place.labels))


def opened(rule: dict[str, Any], names: dict[str, int], port: int, protocol: str) -> bool:
    return rule.get("protocol", "TCP") == protocol and names.get(rule["port"], rule["port"]) == port


@closed
def test_only_the_gateway_reaches_tritons_grpc_and_only_prometheus_its_metrics(case: str) -> None:
    own = inside(case)
    sources = [*own.values(), STRANGER, PROMETHEUS, IMPOSTOR]
    reach = {
        port: {one.name for one in sources if admits(case, own["triton"], one, port)} for port in (8000, 8001, 8002)
    }
    assert reach == {8000: set(), 8001: {"gateway"}, 8002: {"prometheus"}}


@closed
def test_only_triton_reaches_redis(case: str) -> None:
    own = inside(case)
    stores = [one for name, one in own.items() if name.startswith("redis")]
    assert len(stores) == (0 if "elsewhere" in case else 2)
    for store in stores:
        sources = [*(one for one in own.values() if one is not store), STRANGER, PROMETHEUS]
        assert {one.name for one in sources if admits(case, store, one, 6379)} == {"triton"}


@closed
def test_triton_leaves_for_redis_dns_and_its_store_alone(case: str) -> None:
    own = inside(case)
    store = Place("store", address="10.9.8.7", ports={})
    redis = Place("redis", address="10.1.2.3", ports={})
    tried = [
        (one, port)
        for one in [*own.values(), STRANGER, OUTSIDE, METADATA, DNS, store, redis]
        for port in (53, 80, 443, 6379, 6380, 8080, 9000)
    ]
    reached = {(one.name, port) for one, port in tried if passes(case, own["triton"], one, port)}
    expected = {("dns", 53)}
    expected |= {("redis", 6380)} if "elsewhere" in case else {("redis-cache", 6379), ("redis-log", 6379)}
    expected |= {("store", 9000)} if "store" in case else set()
    assert reached == expected
    assert passes(case, own["triton"], DNS, 53, "UDP")


@closed
def test_redis_leaves_for_nowhere(case: str) -> None:
    own = inside(case)
    for store in (one for name, one in own.items() if name.startswith("redis")):
        tried = [*own.values(), STRANGER, OUTSIDE, DNS]
        assert not [one.name for one in tried for port in (53, 443, 6379, 8001) if passes(case, store, one, port)]


def test_everybody_may_ask_the_gateway_unless_it_is_said_who() -> None:
    asking = [STRANGER, PROMETHEUS, Place("ingress", {}, "ingress")]
    for case, expected in (
        ("cpu", {"stranger", "prometheus", "ingress", "test"}),
        ("front", {"prometheus", "ingress", "test"}),
    ):
        own = inside(case)
        sources = [*asking, own["test"]]
        assert {one.name for one in sources if passes(case, one, own["gateway"], 8080)} == expected
        assert not passes(case, STRANGER, own["gateway"], 8081)


def test_the_gateway_leaves_for_triton_alone_unless_it_is_said_where_to() -> None:
    for case, expected in (("cpu", set()), ("front", {"outside", "metadata"})):
        own = inside(case)
        assert {one.name for one in (OUTSIDE, METADATA, STRANGER) if passes(case, own["gateway"], one, 443)} == expected
        assert passes(case, own["gateway"], own["triton"], 8001)
        assert not passes(case, own["gateway"], own["triton"], 8000)


def test_without_policies_there_are_none() -> None:
    assert kind("open", "NetworkPolicy") == []
