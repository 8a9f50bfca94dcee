"""Each model's process is killed while requests run: it is repaired, nobody hangs, and no answer is wrong.

Ports 18150 to 18152. `make test` kills two models; `make chaos` (PIXELIS_CHAOS=all) kills every one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from server.embedded import EmbeddedTriton
from server.repository import scan
from tests.chaos.traffic import Outcome, Traffic, baseline, judge, kill, told
from tests.triton.built import configured, link_repository
from tests.waiting import until

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(600)]

PORT = 18150
REPAIR_S = 5.0
TIMEOUT_S = 10.0
SHORT = ("policy", "visual_ops")


def models() -> list[str]:
    """Every model with a process of its own; or a few of them."""
    if os.environ.get("PIXELIS_CHAOS") != "all":
        return list(SHORT)
    from pixelis.settings import settings

    return [model.name for model in scan(settings().repository.absolute()) if model.stubs]


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    repository = link_repository(tmp_path_factory.mktemp("chaos") / "repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELIS_CACHE__CACHE_SIZE", "0")  # the questions come again: the models are to answer them
        with EmbeddedTriton(config=configured(PORT, repository, tmp_path_factory.mktemp("state"))) as running:
            yield running


@pytest.fixture(scope="module")
def traffic(triton: EmbeddedTriton) -> Iterator[Traffic]:
    made = Traffic(triton, TIMEOUT_S)
    yield made
    made.close()


@pytest.fixture(scope="module")
def right(traffic: Traffic) -> list[Any]:
    return baseline(traffic)


@pytest.mark.parametrize("model", models())
def test_a_killed_model_is_repaired_under_load(
    triton: EmbeddedTriton, traffic: Traffic, right: list[Any], model: str
) -> None:
    assert triton.health is not None
    repairs = triton.health[model].repairs
    first = len(traffic.outcomes)
    with traffic.flowing():
        time.sleep(1)
        killed = kill(triton, model)
        repaired = until(lambda: triton.health is not None and triton.health[model].repairs > repairs, REPAIR_S)
        took = time.monotonic() - killed
        time.sleep(max(0.0, killed + REPAIR_S + 2 - time.monotonic()))
    outcomes = traffic.outcomes[first:]
    print(model, f"repaired after {took:.2f} s;", *summary(outcomes, killed), sep="\n  ")
    assert repaired
    for outcome in outcomes:
        judge(outcome, right, TIMEOUT_S)
    late = [outcome for outcome in outcomes if outcome.began > killed + REPAIR_S]
    assert late
    for outcome in late:
        assert outcome.error is None, outcome
        assert outcome.result is not None
        assert outcome.result.provenance.reasons == [], outcome
        assert told(outcome.result) == right[outcome.question], outcome


def summary(outcomes: list[Outcome], killed: float) -> list[str]:
    """One line for each request that was not answered as ever; printed where a test fails, or with -s."""
    lines = [f"{len(outcomes)} requests, the slowest {max(one.seconds for one in outcomes):.1f} s"]
    for one in outcomes:
        reasons = one.result.provenance.reasons if one.result else []
        if one.error is not None or reasons:
            what = repr(one.error) if one.error else f"reasons {reasons}"
            lines.append(f"{one.way} began {one.began - killed:+.2f} s, took {one.seconds:.2f} s: {what}")
    return lines
