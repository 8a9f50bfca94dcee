"""A fleet of two replicas: what they share, a roll-out that nobody notices, and parts that die.

`make chaos` breaks it in every way; here it is one of each kind.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from clients.client import PixelisClient
from perf.chaos.faults import chosen
from perf.chaos.fleet import Running, running
from perf.chaos.judge import failed
from perf.chaos.run import Trial
from pixelis.errors import NotFound
from tests.marked import long
from tests.redis_server import needs_redis
from tests.triton.built import asked, link_repository

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    needs_redis()
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None:
        pytest.skip("nginx is not installed: apt-get install nginx")
    repository = link_repository(tmp_path_factory.mktemp("fleet") / "repository")
    with running(tmp_path_factory.mktemp("state"), {"PIXELIS_REPOSITORY": str(repository)}) as started:
        yield started


@pytest.fixture(scope="module")
def trial(fleet: Running) -> Iterator[Trial]:
    made = Trial(fleet)
    made.learn_right()
    yield made
    made.close()


def test_what_one_was_asked_and_told_the_other_one_knows(fleet: Running) -> None:
    picture, question, right = asked()[0]
    first, second = (one["grpc"] for one in fleet.replicas())
    with PixelisClient(first) as one, PixelisClient(second) as other:
        learned = one.ask(picture, question, read_only=False)
        assert learned.answer == right
        told = other.feedback(learned.request_id, correct=True)
        assert told.judgement is not None
        assert not one.ask(picture, question).from_cache
        assert other.ask(picture, question).from_cache


def test_what_cannot_be_ordered_is_refused(fleet: Running) -> None:
    with pytest.raises(NotFound, match="There is no replica 7"):
        fleet.ordered("roll", 7)


def test_nobody_notices_that_a_replica_is_rolled(fleet: Running, trial: Trial) -> None:
    before = fleet.part("triton-2")["pid"]
    with trial.crowd.asking() as outcomes:
        fleet.ordered("roll", 2)
    assert fleet.part("triton-2")["pid"] != before
    assert len(outcomes) > 20
    assert [one.error for one in outcomes if one.error is not None] == []
    assert failed(outcomes) == 0


@pytest.mark.parametrize("name", ["gateway killed", long("cache's Redis killed"), "log's Redis killed"])
def test_what_dies_is_started_again(trial: Trial, name: str) -> None:
    (fault,) = chosen(name)
    seen = trial.suffer(fault)
    assert seen.broken(trial.right) == []
