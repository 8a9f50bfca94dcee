"""Alerts of experiences and their log. Minutes: part of `make rehearse` and `make test-long`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rehearsal.acts import EXPERIENCES, Act
from tests.rehearsal.rehearse import able, rehearsed
from tests.rehearsal.stack import Stack, running
from tests.rehearsal.surroundings import small_log

pytestmark = [pytest.mark.triton, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    able()
    with running(tmp_path_factory.mktemp("project"), before=small_log) as made:
        yield made


@pytest.mark.parametrize("act", EXPERIENCES, ids=str)
def test_what_a_page_says(stack: Stack, act: Act) -> None:
    rehearsed(stack, act)
