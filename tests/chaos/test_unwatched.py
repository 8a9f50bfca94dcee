"""No watchdog: models stay dead, and still nobody waits for longer than was asked, and everybody hears why.

Ports 18153 to 18155.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from clients.client import PixelisClient
from pixelis.errors import DeadlineExceeded, PixelisError, Unavailable
from server.control import Control
from server.embedded import EmbeddedTriton
from server.probes import Prober
from server.repair import Repairer
from server.repository import scan
from tests.chaos.traffic import Traffic, baseline, judge, kill
from tests.marked import long
from tests.triton.built import asked, configured, inserted, known, link_repository
from tests.waiting import until

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(300)]

TIMEOUT_S = 4.0
PICTURE, QUESTION, _ = asked()[0]


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    repository = link_repository(tmp_path_factory.mktemp("unwatched") / "repository")
    config = configured(18153, repository, tmp_path_factory.mktemp("state"), watchdog=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELIS_CACHE__CACHE_SIZE", "0")  # or nobody would miss a dead encoder: the pictures come again
        with EmbeddedTriton(config=config) as running:
            yield running


@pytest.fixture(scope="module")
def traffic(triton: EmbeddedTriton) -> Iterator[Traffic]:
    made = Traffic(triton, TIMEOUT_S)
    yield made
    made.close()


@pytest.fixture(scope="module")
def right(traffic: Traffic) -> list[Any]:
    return baseline(traffic)


@pytest.fixture(scope="module")
def repair(triton: EmbeddedTriton) -> Iterator[Repairer]:
    """Loads again by hand."""
    control = Control(triton.grpc_url, triton.key)
    models = {model.name: model for model in scan(triton.repository)}
    yield Repairer(control, Prober(control), models, 60, triton.state, triton.server_id)
    control.close()


def test_knn_tells_how_it_is_when_nobody_has_asked_it(triton: EmbeddedTriton) -> None:
    def told() -> bool:
        with urllib.request.urlopen(triton.metrics_url, timeout=10) as response:
            return b"pixelis_experiences{" in response.read()

    assert until(told, 10)


@pytest.mark.parametrize("model", ["policy", long("vision_encoder"), long("reason"), "agent"])
def test_nobody_waits_for_longer_than_was_asked(
    triton: EmbeddedTriton, traffic: Traffic, right: list[Any], repair: Repairer, model: str
) -> None:
    first = len(traffic.outcomes)
    try:
        with traffic.flowing():
            time.sleep(1)
            kill(triton, model)
            time.sleep(3)
    finally:
        repair(model)
    outcomes = traffic.outcomes[first:]
    for outcome in outcomes:
        judge(outcome, right, TIMEOUT_S)
    assert any(outcome.error is not None for outcome in outcomes)
    for way in ("grpc", "http", "stream grpc", "stream http"):
        again = traffic.once(0, way)
        assert again.error is None, again
        assert again.result is not None
        assert again.result.provenance.reasons == []


@pytest.mark.parametrize("model", ["knn", long("embed_text"), long("reward"), long("visual_ops")])
def test_a_dead_helper_is_a_reason_and_no_failure(triton: EmbeddedTriton, repair: Repairer, model: str) -> None:
    with PixelisClient(triton.grpc_url) as client:
        kill(triton, model)
        try:
            started = time.monotonic()
            # A policy that tries again hears of the dead model after a second, each of ten times.
            result = client.ask(PICTURE, QUESTION, timeout_s=20)
            assert time.monotonic() - started < 21
            assert any(f"`{model}` is not up" in reason for reason in result.provenance.reasons)
            assert result.answer == result.provenance.agent_answer
        finally:
            repair(model)
        assert client.ask(PICTURE, QUESTION).provenance.reasons == []


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_dead_policy_is_a_typed_error_by_every_way(triton: EmbeddedTriton, repair: Repairer, protocol: Any) -> None:
    url = triton.grpc_url if protocol == "grpc" else triton.http_url
    kill(triton, "policy")
    try:
        with PixelisClient(url, protocol) as client:
            for ask in (client.ask, lambda *of, **options: list(client.stream(*of, **options))):
                started = time.monotonic()
                with pytest.raises((Unavailable, DeadlineExceeded)) as raised:
                    ask(PICTURE, QUESTION, timeout_s=TIMEOUT_S)
                assert time.monotonic() - started < TIMEOUT_S + 2
                assert "policy" in str(raised.value)
    finally:
        repair("policy")


def test_what_knn_acknowledged_is_there_after_it_was_killed(triton: EmbeddedTriton, repair: Repairer) -> None:
    """Inserts until the kill; whatever was answered with an id is found by it afterwards."""
    acknowledged: list[str] = []
    over = threading.Event()

    def insert() -> None:
        while not over.is_set():
            try:
                acknowledged.append(inserted(triton))
            except PixelisError:
                return

    threads = [threading.Thread(target=insert) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    kill(triton, "knn")
    for thread in threads:
        thread.join()
    repair("knn")
    assert len(acknowledged) > 10
    assert [one for one in acknowledged if not known(triton, one)] == []
