"""What a step holds while it uses a checkpoint, and when it asks for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from pixelis.errors import Unavailable
from pixelis.schema import PROBE_ID, Options, PreparedRequest, ResidencyCommand, ResidencyResult
from python_backends.residency.leases import Leases
from python_backends.rows import Tensors, json_text


class Keeper:
    """Answers as the model `residency` does."""

    def __init__(self, loaded: Sequence[str] = ()) -> None:
        self.loaded = set(loaded)
        self.asked: list[ResidencyCommand] = []
        self.error: Unavailable | None = None

    def ready(self, model: str, version: str) -> bool:
        return model in self.loaded

    def stream(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, bell: Any = None
    ) -> Iterator[Tensors]:
        assert model == "residency"
        command = ResidencyCommand.model_validate_json(inputs["COMMAND"].item())
        self.asked.append(command)
        if self.error is not None:
            raise self.error
        if command.command == "lease":
            yield {"RESULT": json_text(ResidencyResult(lease="l1", waited_s=0.0, loaded=False))}


def request(request_id: str = "r") -> PreparedRequest:
    now = time.time()
    return PreparedRequest(
        request_id=request_id,
        question="q",
        options=Options(),
        digest="0",
        sizes=[(1, 1)],
        started_at=now,
        deadline=now + 30,
    )


def test_without_a_budget_nobody_is_asked_about_what_is_there() -> None:
    keeper = Keeper(["policy.large", "vision_encoder.large"])
    leases = Leases(keeper, keeper.ready, budget=False)
    for name in (None, "large"):
        with leases.of(name, request()) as asked:
            assert not asked
    assert keeper.asked == []


def test_a_lease_is_given_back_whatever_happens() -> None:
    keeper = Keeper()
    leases = Leases(keeper, keeper.ready, budget=True)
    with suppress(ZeroDivisionError), leases.of(None, request()) as asked:
        assert asked
        raise ZeroDivisionError
    lease, release = keeper.asked
    assert (lease.command, lease.model, lease.load) == ("lease", "default", True)
    assert lease.deadline == pytest.approx(time.time() + 29, abs=5)
    assert (release.command, release.lease) == ("release", "l1")


def test_what_is_not_loaded_is_asked_for_without_a_budget_too() -> None:
    keeper = Keeper(["policy.large"])
    with Leases(keeper, keeper.ready, budget=False).of("large", request()):
        pass
    assert [command.command for command in keeper.asked] == ["lease", "release"]


def test_for_a_probe_nothing_is_loaded() -> None:
    keeper = Keeper()
    with Leases(keeper, keeper.ready, budget=True).of(None, request(PROBE_ID)):
        pass
    assert not keeper.asked[0].load


def test_why_there_is_none_is_told() -> None:
    keeper = Keeper()
    keeper.error = Unavailable("The checkpoint `large` takes too much.")
    with pytest.raises(Unavailable, match="takes too much"), Leases(keeper, keeper.ready, True).of("large", request()):
        pytest.fail("used without a lease")
    assert len(keeper.asked) == 1
