"""How much is read between two steps, and who may have the time."""

from __future__ import annotations

import pytest

from python_backends.policy.pacing import (
    CHUNK_SHARE,
    IDLE_CHUNK,
    IDLE_S,
    IDLE_SMALLEST,
    LOW_SHARE,
    SMALLEST_CHUNK,
    Pacing,
)


def _pacing(target_s: float | None = None, fixed: float = 0.01, token: float = 0.0005) -> Pacing:
    pacing = Pacing(slots=16, target_s=target_s)
    for tokens in (64, 100, 300, 512, 80, 200):
        pacing.read(tokens, fixed + token * tokens)
    return pacing


def test_nobody_decodes() -> None:
    assert Pacing(4).chunk(0) == IDLE_SMALLEST
    assert _pacing().read_s(_pacing().chunk(0)) == pytest.approx(IDLE_S, rel=0.01)
    assert _pacing(token=0.1).chunk(0) == IDLE_SMALLEST
    assert _pacing(token=1e-5).chunk(0) == IDLE_CHUNK


def test_before_anything_is_known() -> None:
    assert Pacing(4).chunk(3) == SMALLEST_CHUNK


def test_a_chunk_takes_a_share_of_the_step_beside_it() -> None:
    pacing = _pacing()
    for rows in (16, 8, 2):
        pacing.stepped(rows, 0.05)
    assert pacing.read_s(pacing.chunk(16)) == pytest.approx(CHUNK_SHARE * 0.05, rel=0.02)
    assert pacing.read_s(pacing.chunk(8)) == pytest.approx(4 * CHUNK_SHARE * 0.05, rel=0.02)
    assert pacing.chunk(2) == IDLE_CHUNK
    pacing.stepped(2, 0.01)
    assert pacing.read_s(200) == pytest.approx(0.11)


def test_of_a_stated_latency_a_chunk_gets_what_the_step_leaves() -> None:
    pacing = _pacing(target_s=0.2)
    pacing.stepped(8, 0.11)
    assert pacing.chunk(8) == pytest.approx(160, abs=1)
    pacing.stepped(8, 10.0)
    assert pacing.chunk(8) == SMALLEST_CHUNK


def test_one_length_alone_is_taken_as_proportional() -> None:
    pacing = Pacing(16)
    for _ in range(5):
        pacing.read(64, 0.064)
    pacing.stepped(16, 0.3)
    assert pacing.chunk(16) == pytest.approx(1000 * CHUNK_SHARE * 0.3, abs=1)


def test_rows_follow_the_stated_latency() -> None:
    pacing = Pacing(16, target_s=0.1)
    for _ in range(10):
        pacing.stepped(pacing.rows, 0.12)
    assert pacing.rows == 6
    for _ in range(20):
        pacing.stepped(pacing.rows, 0.05)
    assert pacing.rows == 16
    for _ in range(40):
        pacing.stepped(pacing.rows, 1.0)
    assert pacing.rows == 1


def test_a_full_step_that_is_not_limited_changes_nothing() -> None:
    pacing = Pacing(16)
    pacing.stepped(16, 100.0)
    assert pacing.rows == 16


def test_ordinary_requests_keep_their_share() -> None:
    pacing = _pacing()
    pacing.stepped(1, 0.02)
    assert not pacing.spend(0.01)
    used = 0.0
    for _ in range(1000):
        pacing.earn(0.02)
        if pacing.spend(0.015):
            used += 0.015
    assert used == pytest.approx(1000 * 0.02 * LOW_SHARE, rel=0.01)


def test_a_long_pause_is_not_made_up_for_in_one_go() -> None:
    pacing = _pacing()
    pacing.stepped(1, 0.02)
    assert not pacing.spend(0.03)
    for _ in range(10_000):
        pacing.earn(0.02)
    assert pacing.credit_s == pytest.approx(0.06)
