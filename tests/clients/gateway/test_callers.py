"""Who asks, and how often."""

from __future__ import annotations

import datetime
import json
import stat
from pathlib import Path

import pytest

from clients.gateway import keys
from clients.gateway.rates import Rates
from pixelis.errors import RateLimited, SetupError, Unauthorized


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_caller_has_a_burst_and_then_its_rate() -> None:
    clock = Clock()
    rates = Rates(clock)
    for _ in range(10):
        rates.take("a", 60)
    with pytest.raises(RateLimited) as refused:
        rates.take("a", 60)
    assert refused.value.retry_after_s == 1
    rates.take("b", 60)
    clock.now += 1
    rates.take("a", 60)
    with pytest.raises(RateLimited):
        rates.take("a", 60)


def test_a_slow_rate_lets_one_through_at_once() -> None:
    clock = Clock()
    rates = Rates(clock)
    rates.take("a", 1)
    with pytest.raises(RateLimited) as refused:
        rates.take("a", 1)
    assert refused.value.retry_after_s == 60


def test_a_batch_larger_than_the_burst_waits_for_a_full_bucket_and_is_paid_for() -> None:
    clock = Clock()
    rates = Rates(clock)
    rates.take("a", 60, 40)
    clock.now += 30
    with pytest.raises(RateLimited):
        rates.take("a", 60)
    clock.now += 1.5
    rates.take("a", 60)


def test_no_limit_is_none() -> None:
    rates = Rates(Clock())
    for _ in range(10_000):
        rates.take("a", None)


def test_a_key_is_known_by_its_digest_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keys.json"
    made = keys.add(path, "alice", 60, None)
    assert made.startswith(keys.PREFIX)
    assert made not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = keys.Keys(path).caller(f"Bearer {made}")
    assert (found.name, found.requests_per_minute) == ("alice", 60)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "no API key"),
        ("", "no API key"),
        ("Bearer", "not `Bearer KEY`"),
        ("Bearer ", "not `Bearer KEY`"),
        ("Basic YTpi", "not `Bearer KEY`"),
        ("Bearer pxl_wrong", "not known"),
        ("Bearer \udcff\udcfe", "not known"),
        ("Bearer " + "x" * 100_000, "not known"),
    ],
)
def test_a_key_that_is_none_is_refused(tmp_path: Path, header: str | None, said: str) -> None:
    path = tmp_path / "keys.json"
    keys.add(path, "alice", None, None)
    with pytest.raises(Unauthorized, match=said):
        keys.Keys(path).caller(header)


def test_a_key_expires_after_its_last_day(tmp_path: Path) -> None:
    path, last = tmp_path / "keys.json", datetime.date(2027, 1, 31)
    made = keys.add(path, "alice", None, last)
    assert keys.Keys(path, lambda: last).caller(f"bearer {made}").name == "alice"
    with pytest.raises(Unauthorized, match="expired on 2027-01-31"):
        keys.Keys(path, lambda: last + datetime.timedelta(days=1)).caller(f"Bearer {made}")


def test_the_file_is_read_again_when_it_changes_and_not_when_it_is_half_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    alice = keys.add(path, "alice", None, None)
    known = keys.Keys(path)
    bob = keys.add(path, "bob", None, None)
    assert known.caller(f"Bearer {bob}").name == "bob"
    whole = path.read_text()
    path.write_text(whole[:40])
    assert known.caller(f"Bearer {alice}").name == "alice"
    assert "read before hold" in caplog.text
    path.write_text(json.dumps({"keys": json.loads(whole)["keys"][1:]}))
    with pytest.raises(Unauthorized):
        known.caller(f"Bearer {alice}")


def test_a_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(SetupError, match="cannot be read"):
        keys.Keys(path)
    path.write_text('{"keys": [{"name": "a", "sha256": "no"}]}')
    with pytest.raises(SetupError, match=r"keys\.0\.sha256"):
        keys.Keys(path)
    path.write_text('{"keys": []}')
    keys.add(path, "a", None, None)
    for name in ("a", "", "with space"):
        with pytest.raises(SetupError):
            keys.add(path, name, None, None)


def test_a_key_is_of_a_tenant(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for name, tenant in (("alice", None), ("bob", "alice"), ("teacher", "")):
        keys.add(path, name, None, None, tenant=tenant)
    assert [(key.name, key.whose) for key in keys.read(path)] == [("alice", "alice"), ("bob", "alice"), ("teacher", "")]
    for wrong in ("a b", "x" * 65, "a/b"):
        with pytest.raises(SetupError, match="wrong at `tenant`"):
            keys.add(path, "dora", None, None, tenant=wrong)
