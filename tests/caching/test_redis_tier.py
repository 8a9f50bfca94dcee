"""Redis as it is in the field: away, hung, killed, full, full of garbage. Always a miss, never an error, never late."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from pixelis.cache_config import RedisTier as RedisConfig
from pixelis.errors import SetupError
from python_backends.caching import Cache
from python_backends.caching.envelope import MAGIC, wrap
from python_backends.caching.locks import Locks
from python_backends.caching.redis_link import RedisLink
from python_backends.caching.redis_tier import RedisTier
from tests.caching.conftest import TEXT, Clock, cache, key, link
from tests.redis_server import Server, needs_redis, wait

LATE_S = 0.3
"""Twice the timeouts of a connection and of an answer, and as much again for a busy machine."""


def tier(server: Server, clock: Clock | None = None, **config: object) -> RedisTier:
    return RedisTier(link(server, **config), "thing", None, clock or time.time)


def tiered(server: Server, **config: object) -> tuple[Cache[str], RedisTier]:
    made = tier(server, **config)
    return cache([made]), made


NEW = count(1000)


def serves(made: Cache[str], below: RedisTier, rounds: int = 6) -> float:
    """Every request is answered; the seconds that the slowest took."""
    slowest = 0.0
    for _ in range(rounds):
        started = time.perf_counter()
        assert made.get_or(key(next(NEW)), lambda: "computed") == ("computed", False)
        slowest = max(slowest, time.perf_counter() - started)
    assert below.counts.snapshot()["errors"] > 0
    return slowest


def test_what_one_replica_kept_another_one_finds(redis: Server) -> None:
    (first, _), (second, below) = tiered(redis), tiered(redis)
    first.put(key(1), "one")
    assert second.get(key(1)) == "one"
    assert second.get(key(1)) == "one"
    assert (below.counts.snapshot()["hits"], second.memory.counts.snapshot()["hits"]) == (1, 1)
    assert 0 < redis.client.pttl(f"pixelis:{key(1).name}") <= 86_400_000


def test_a_batch_is_one_round_trip(redis: Server) -> None:
    made, below = tiered(redis)
    before = redis.client.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"]
    made.get_many([key(n) for n in range(50)], lambda places: [str(i) for i in places])
    assert redis.client.info("commandstats")["cmdstat_mget"]["calls"] == before + 1
    assert below.held()[0] == 50


def test_ages_travel(redis: Server) -> None:
    clock = Clock()
    one = RedisTier(link(redis), "thing", 10.0, clock)
    one.put_many({key(1).name: b"x"}, age_s=4)
    clock.now += 5
    assert one.get_many([key(1)])[key(1).name].age_s == pytest.approx(9)
    clock.now += 1
    assert one.get_many([key(1)]) == {}
    assert one.counts.snapshot()["expiries"] == 1
    clock.now -= 3600  # the clock is set back: what was made "in the future" is not used
    assert one.get_many([key(1)]) == {}
    assert one.counts.snapshot()["errors"] == 1


BAD = {
    "garbage": b"\x00garbage" * 9,
    "empty": b"",
    "of another form": MAGIC + b"\x09" + b"x" * 40,
    "under another name": wrap("thing::00", b'"x"', 1.0),
    "truncated": wrap(key(1).name, b'"a long value"', 1.0)[:-3],
    "no value of ours": wrap(key(1).name, b"[1, 2]", time.time()),
}


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_values_that_are_none_of_ours_are_misses_and_counted(redis: Server, bad: str) -> None:
    made, below = tiered(redis)
    redis.client.set(f"pixelis:{key(1).name}", BAD[bad])
    assert made.get_or(key(1), lambda: "computed") == ("computed", False)
    assert below.counts.snapshot()["errors"] == 1
    assert cache([tier(redis)]).get(key(1)) == "computed", "and it is put right"


def test_a_value_of_another_type(redis: Server) -> None:
    made, below = tiered(redis)
    redis.client.lpush(f"pixelis:{key(1).name}", b"x")
    assert made.get_or(key(1), lambda: "computed") == ("computed", False)
    assert not below._link.breaker.open


def test_clearing_by_version(redis: Server) -> None:
    made, below = tiered(redis)
    for version in ("3", "4"):
        # More than one reading of names.
        below.put_many({key(number, {"policy": version}).name: b"x" for number in range(600)})
    other = RedisTier(below._link, "other", None)
    other.put_many({key(1, {"policy": "3"}, "other").name: b"x"})
    assert made.clear("thing", "policy-3") == 600
    assert (below.held()[0], other.held()[0]) == (600, 1)


def test_without_a_redis(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    below = RedisTier(RedisLink(f"redis://127.0.0.1:{port}/0", RedisConfig()), "thing", None)
    assert serves(cache([below]), below) < LATE_S
    assert below._link.breaker.open


def test_a_wrong_password(redis: Server) -> None:
    for url in (f"redis://:wrong@127.0.0.1:{redis.port}/0", f"redis://127.0.0.1:{redis.port}/0"):
        below = RedisTier(RedisLink(url, RedisConfig()), "thing", None)
        assert serves(cache([below]), below) < LATE_S


def test_a_redis_that_hangs_costs_its_timeout_and_then_nothing(own: Server) -> None:
    made, below = tiered(own, rest_s=30, longest_rest_s=30)
    made.put(key(1), "one")
    own.signal(signal.SIGSTOP)
    assert serves(made, below) < LATE_S
    started = time.perf_counter()
    serves(made, below, 100)
    assert time.perf_counter() - started < LATE_S, "it is left alone"
    assert made.get(key(1)) == "one", "memory goes on"
    own.signal(signal.SIGCONT)


def test_a_redis_that_is_killed_and_comes_back(own: Server) -> None:
    made, below = tiered(own, rest_s=0.05)
    made.put(key(1), "one")
    own.stop()
    assert serves(made, below) < LATE_S
    own.start()
    wait(lambda: cache([below]).get(key(1)) == "one")
    assert not below._link.breaker.open


def test_killed_in_the_middle(own: Server) -> None:
    made, below = tiered(own, rest_s=0.05)
    ended, served = threading.Event(), [0]

    def ask() -> None:
        while not ended.is_set():
            number = served[0]
            assert made.get_or(key(number), lambda: "x")[0] == "x"
            served[0] = number + 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.1)
        own.stop()
        time.sleep(0.1)
        own.start()
    before = served[0]
    wait(lambda: served[0] > before)
    ended.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert below.counts.snapshot()["errors"] > 0


def test_a_full_redis_keeps_nothing_and_still_answers(own: Server) -> None:
    made, below = tiered(own)
    made.put(key(1), "one")
    own.client.config_set("maxmemory", "1")
    assert serves(made, below) < LATE_S
    assert not below._link.breaker.open, "it lives: what it holds is still read"
    assert cache([below]).get(key(1)) == "one"


def test_no_redis_at_all_but_something_that_talks() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def babble() -> None:
        while True:
            try:
                talk, _ = listener.accept()
            except OSError:
                return
            with talk:
                talk.sendall(b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe")

    threading.Thread(target=babble, daemon=True).start()
    url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    below = RedisTier(RedisLink(url, RedisConfig()), "thing", None)
    assert serves(cache([below]), below) < LATE_S
    listener.close()


def test_tls(tmp_path: Path) -> None:
    needs_redis()
    server = Server(tmp_path, encrypted=True)
    try:
        first, _ = tiered(server)
        first.put(key(1), "one")
        assert cache([tier(server)]).get(key(1)) == "one"
        plain = RedisTier(
            RedisLink(server.url.replace("rediss:", "redis:").split("?")[0], RedisConfig()), "thing", None
        )
        assert serves(cache([plain]), plain) < LATE_S
    finally:
        server.stop()


def test_what_is_no_url_is_said() -> None:
    with pytest.raises(SetupError, match="PIXELIS_CACHE__REDIS_URL"):
        RedisLink("no url", RedisConfig())


def test_too_large_values_stay_out(redis: Server) -> None:
    made, below = tiered(redis, value_bytes=100)
    made.put(key(1), "x" * 200)
    assert made.get(key(1)) == "x" * 200
    assert (below.held()[0], below.counts.snapshot()["refused"]) == (0, 1)


WORKER = """
import sys, threading, time
from tests.caching.conftest import TEXT, key
from pixelis.cache_config import Cached, RedisTier as Config
from python_backends.caching import Cache
from python_backends.caching.locks import Locks
from python_backends.caching.redis_link import RedisLink
from python_backends.caching.redis_tier import RedisTier

link = RedisLink(sys.argv[1], Config(lock_s=0.5))
tier = RedisTier(link, "thing", None)
cache = Cache("thing", TEXT, Cached(), [tier], Locks(link, tier.counts))
cache.get(key(0))
print("ready", flush=True)
sys.stdin.readline()

def compute(places):
    print("computed", flush=True)
    time.sleep(float(sys.argv[2]))
    return ["value"]

def ask():
    assert cache.get_many([key(1)], compute) == ["value"]

threads = [threading.Thread(target=ask) for _ in range(32)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("end", flush=True)
"""


@pytest.fixture
def workers(redis: Server) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-c", WORKER, redis.url, "0.8"]
    made = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    yield made
    for one in made:
        one.kill()
        one.wait()


def begin(workers: list[subprocess.Popen[str]]) -> None:
    for one in workers:
        assert one.stdout is not None
        assert one.stdin is not None
        assert one.stdout.readline() == "ready\n"
    for one in workers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()


def test_64_concurrent_misses_on_two_replicas_compute_once(workers: list[subprocess.Popen[str]]) -> None:
    """The computation outlives its lock's time: its owner keeps it."""
    begin(workers)
    said = [one.communicate(timeout=30)[0] for one in workers]
    assert [one.returncode for one in workers] == [0, 0]
    assert "".join(said).count("computed") == 1


def test_a_replica_that_dies_while_it_computes_is_stood_in_for(workers: list[subprocess.Popen[str]]) -> None:
    begin(workers)
    os.set_blocking(workers[0].stdout.fileno(), False)  # type: ignore[union-attr]
    first: list[subprocess.Popen[str]] = []

    def computing() -> bool:
        assert workers[0].stdout is not None
        if workers[0].stdout.readline() == "computed\n":
            first.append(workers[0])
        return bool(first) or time.monotonic() > until

    until = time.monotonic() + 0.4
    wait(computing)
    dying = first[0] if first else workers[1]
    other = workers[1] if dying is workers[0] else workers[0]
    os.set_blocking(workers[0].stdout.fileno(), True)  # type: ignore[union-attr]
    dying.send_signal(signal.SIGKILL)
    said = other.communicate(timeout=30)[0]
    assert other.returncode == 0
    assert said.count("computed") == 1


def test_a_lock_that_another_one_holds_is_not_given_back(redis: Server) -> None:
    mine, theirs = (Locks(link(redis, lock_s=5), tier(redis).counts) for _ in range(2))
    assert mine.take(["a", "b"]) == ["a", "b"]
    assert theirs.take(["a", "c"]) == ["c"]
    theirs.release(["a", "b", "c"])
    assert theirs.take(["a"]) == []
    mine.release(["a", "b"])
    assert theirs.take(["a"]) == ["a"]
    theirs.release(["a"])


def test_without_redis_nobody_waits_for_a_lock(own: Server) -> None:
    connection = link(own)
    below = RedisTier(connection, "thing", None)
    made = cache([below], Locks(connection, below.counts))
    assert made.get_or(key(1), lambda: "x") == ("x", False)
    own.stop()
    started = time.perf_counter()
    assert made.get_or(key(2), lambda: "x") == ("x", False)
    assert time.perf_counter() - started < LATE_S
    assert TEXT.decode(b'"x"') == "x"


def test_a_failed_computation_frees_the_other_replica(redis: Server) -> None:
    sides = []
    for _ in range(2):
        connection = link(redis)
        below = RedisTier(connection, "thing", None)
        sides.append(cache([below], Locks(connection, below.counts)))
    begun = threading.Event()

    def fail() -> str:
        begun.set()
        time.sleep(0.2)
        raise ValueError("no")

    def first() -> None:
        with pytest.raises(ValueError, match="no"):
            sides[0].get_or(key(1), fail)

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait()
    assert sides[1].get_or(key(1), lambda: "other") == ("other", False)
    thread.join()
