"""Alerts of caches and the machine. Minutes: part of `make rehearse` and `make test-long`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rehearsal.acts import MACHINE, Act
from tests.rehearsal.rehearse import able, rehearsed
from tests.rehearsal.stack import Stack, running
from tests.rehearsal.surroundings import bounded, small_disk

pytestmark = [pytest.mark.triton, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    able()
    folder = tmp_path_factory.mktemp("project")
    with small_disk(folder / "disk"), running(folder, before=bounded) as made:
        yield made


@pytest.mark.parametrize("act", MACHINE, ids=str)
def test_what_a_page_says(stack: Stack, act: Act) -> None:
    rehearsed(stack, act)
