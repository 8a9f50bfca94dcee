"""Waiting is what queueing theory says where theory says it."""

from __future__ import annotations

import numpy as np
import pytest

from perf.scale.closed_model import Clients
from perf.scale.log_model import LogCosts, LogModel
from perf.scale.queueing import mean_wait, poisson, waits

RNG = np.random.default_rng


def test_waits_are_those_of_a_queue_by_hand() -> None:
    arrivals, services = np.array([0.0, 1.0, 1.5, 10.0]), np.array([2.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(waits(arrivals, services), [0.0, 1.0, 1.5, 0.0])


@pytest.mark.parametrize("load", [0.3, 0.7, 0.9])
@pytest.mark.parametrize("drawn", ["same", "exponential"])
def test_the_mean_is_pollaczeks_and_khinchines(load: float, drawn: str) -> None:
    count, mean = 400_000, 0.01
    services = np.full(count, mean) if drawn == "same" else RNG(1).exponential(mean, count)
    found = waits(poisson(load / mean, count, RNG(2)), services).mean()
    assert found == pytest.approx(mean_wait(load / mean, services), rel=0.08)


def test_more_than_one_can_do_is_never_done() -> None:
    assert mean_wait(101, np.full(10, 0.01)) == np.inf


COSTS = LogCosts(append=1e-4, fsync=2e-3, told=5e-5, entry=1e-5, idle=1e-5, apply=1e-3)


def test_a_change_alone_takes_a_round_and_its_follower_follows() -> None:
    found = LogModel(COSTS, 1).run(rate=0.1, changes=20)
    np.testing.assert_allclose(found.appends, COSTS.append + COSTS.fsync, atol=1e-9)
    np.testing.assert_allclose(found.lags, COSTS.append + COSTS.fsync + COSTS.told + COSTS.entry + COSTS.apply)


@pytest.mark.parametrize("followers", [0, 4, 50])
def test_its_load_is_the_formulas_while_changes_come_one_by_one(followers: int) -> None:
    found = LogModel(COSTS, followers).run(rate=5, changes=400)
    assert found.load == pytest.approx(COSTS.load(5, followers), rel=0.15)


def test_every_follower_gets_every_change() -> None:
    found = LogModel(COSTS, 30).run(rate=300, changes=200)
    assert len(found.lags) == len(found.appends) == 200
    # What comes while one reads is read together: less work than change by change.
    assert found.load < COSTS.load(300, 30)


def test_more_followers_make_everybody_wait() -> None:
    few, many = (LogModel(COSTS, count).run(rate=60, changes=150) for count in (1, 150))
    assert np.percentile(many.appends, 99) > 2 * np.percentile(few.appends, 99)


def test_clients_on_their_own_cores_add_up_until_the_server_is_busy() -> None:
    costs = Clients(cores=100, own_s=1e-3, served_s=2e-4)
    alone = costs.throughput(1)
    assert alone == pytest.approx(1 / 1.2e-3, rel=0.01)
    assert costs.throughput(3) == pytest.approx(3 * alone, rel=0.1)
    assert costs.throughput(50) == pytest.approx(1 / 2e-4, rel=0.02)


def test_two_cores_are_two_cores() -> None:
    costs = Clients(cores=2, own_s=1e-3, served_s=1e-4)
    assert costs.throughput(20) == pytest.approx(2 / 1.1e-3, rel=0.02)


def test_a_disk_is_waited_for_once_for_all_that_came_meanwhile() -> None:
    costs = Clients(cores=100, own_s=1e-4, served_s=0.0, disk_s=3e-3)
    assert costs.throughput(1) == pytest.approx(1 / 3.1e-3, rel=0.01)
    assert costs.throughput(2) == pytest.approx(1 / 3e-3, rel=0.02)  # they take turns
    assert costs.throughput(40) == pytest.approx(20 / 3e-3, rel=0.1)  # half of them in each round
