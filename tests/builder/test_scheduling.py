"""Instances and queue delays that the settings say of single models."""

from __future__ import annotations

import pytest

from builder.spec import pipeline
from builder.triton_config import config
from pixelis.errors import BuildError
from pixelis.settings import Settings


def test_they_are_written_into_the_configuration() -> None:
    values = Settings(scheduling={"reason": {"instances": 3}, "vision_encoder": {"queue_delay_us": 500}})
    known = pipeline(values)
    assert config(known["reason"], values=values).instance_group[0].count == 3
    assert config(known["vision_encoder"], values=values).dynamic_batching.max_queue_delay_microseconds == 500
    assert known["prepare"] == pipeline(Settings())["prepare"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"rason": {"instances": 2}}, "no such model"),
        ({"knn": {"instances": 2}}, "is one process"),
        ({"pixelis": {"instances": 2}}, "has no process of its own"),
        ({"agent": {"queue_delay_us": 5}}, "only a batchable model waits"),
    ],
)
def test_what_cannot_be_is_refused(said: dict[str, dict[str, int]], reason: str) -> None:
    with pytest.raises(BuildError, match=reason):
        pipeline(Settings(scheduling=said))
