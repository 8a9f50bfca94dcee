"""TargetDown, with no replica and in seconds: the page of an alert that rests on exporters alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rehearsal.acts import EXPORTERS, Act
from tests.rehearsal.rehearse import able, rehearsed
from tests.rehearsal.stack import running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SERVICES = ("redis-cache", "redis-log", "redis-cache-metrics", "redis-log-metrics", "node-metrics", "prometheus")


@pytest.mark.parametrize("act", EXPORTERS, ids=lambda act: act.fault.__name__)
def test_what_the_page_says(tmp_path: Path, act: Act) -> None:
    able()
    with running(tmp_path, *SERVICES) as stack:
        rehearsed(stack, act)
