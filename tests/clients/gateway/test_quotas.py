"""How much of a day is left."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from clients.gateway.quotas import Quotas
from pixelis.errors import RateLimited, SetupError, Unavailable

NOON = datetime.datetime(2027, 1, 31, 12, tzinfo=datetime.timezone.utc)


class Clock:
    now = NOON

    def __call__(self) -> datetime.datetime:
        return self.now


def remaining(quotas: Quotas, caller: str = "a", per_day: int = 3) -> int:
    left = quotas.left(caller, per_day)
    assert left is not None
    return left.remaining


def test_a_day_has_so_many_and_the_next_one_too() -> None:
    clock = Clock()
    quotas = Quotas(now=clock)
    for left in (2, 1, 0):
        quotas.take("a", 3, 1)
        assert remaining(quotas) == left
    with pytest.raises(RateLimited, match="exceed 3 questions of a day") as refused:
        quotas.take("a", 3, 1)
    assert refused.value.retry_after_s == 12 * 3600
    quotas.take("b", 3, 1)
    clock.now += datetime.timedelta(hours=11, minutes=59, seconds=59.5)
    with pytest.raises(RateLimited, match="Try again in 1 s"):
        quotas.take("a", 3, 1)
    clock.now += datetime.timedelta(seconds=0.5)
    assert (remaining(quotas), remaining(quotas, "b")) == (3, 3)
    quotas.take("a", 3, 3)


def test_several_are_counted_together_or_not_at_all() -> None:
    quotas = Quotas(now=Clock())
    with pytest.raises(RateLimited, match="4 more would exceed 3"):
        quotas.take("a", 3, 4)
    quotas.take("a", 3, 2)
    with pytest.raises(RateLimited, match="of which 1 are left"):
        quotas.take("a", 3, 2)
    assert remaining(quotas) == 1
    quotas.take("a", 3, 0)
    quotas.take("a", None, 1)
    assert (remaining(quotas), quotas.left("a", None)) == (1, None)
    assert remaining(quotas, per_day=1) == 0  # its limit was made smaller


def test_a_file_is_kept_and_shared(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "quotas.sqlite"
    clock = Clock()
    one, two = Quotas(path, clock), Quotas(path, clock)
    one.take("a", 3, 1)
    two.take("a", 3, 2)
    with pytest.raises(RateLimited):
        one.take("a", 3, 1)
    one.close()
    two.close()
    again = Quotas(path, clock)
    assert remaining(again) == 0
    clock.now += datetime.timedelta(days=1)
    assert remaining(again) == 3
    clock.now -= datetime.timedelta(days=1)
    assert remaining(again) == 3  # a day that is over was forgotten
    again.close()


def test_a_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    path = tmp_path / "quotas.sqlite"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(SetupError, match=r"cannot be used.*remove it"):
        Quotas(path).open()
    with pytest.raises(Unavailable, match="cannot be counted"):
        Quotas(path).take("a", 3, 1)
    with pytest.raises(SetupError, match="cannot be used"):
        Quotas(path / "beneath").open()
