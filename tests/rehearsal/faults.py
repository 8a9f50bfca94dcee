"""What goes wrong, for real: processes that hang or die, versions that do not load, room that runs out, crowds."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from builder.store import Store
from perf.chaos.versions import flipped
from perf.meanwhile import meanwhile
from pixelis.settings import settings
from tests.rehearsal.crowd import asking, teaching
from tests.rehearsal.stack import Stack, until
from tests.rehearsal.surroundings import meminfo

CROWD, LARGER_CROWD = 420, 720
"""Of whom 64 are answered at a time, and 512 may wait in both gateways."""
QUEUE = 56
LEARNED = 1000
"""Experiences among which an index has something to miss; 6 MiB of the log."""
SHORT_S = 3.0
"""The patience of people who wait for a replica that hangs."""


@contextlib.contextmanager
def exporter_hangs(stack: Stack) -> Iterator[None]:
    """The exporter of the log's Redis stands still."""
    with _still(stack.compose.containers["redis-log-metrics"].processes()):
        yield


@contextlib.contextmanager
def exporter_is_refused(stack: Stack) -> Iterator[None]:
    """The log's Redis has another password than its exporter was told."""
    stack.set("PIXELIS_LOG_PASSWORD", "another")
    stack.compose.up(["redis-log"], {})
    yield


@contextlib.contextmanager
def cache_hangs(stack: Stack) -> Iterator[None]:
    """The caches' Redis stands still while people ask."""
    with asking(4, stack.url), _still(stack.compose.containers["redis-cache"].processes()):
        yield


@contextlib.contextmanager
def log_hangs(stack: Stack) -> Iterator[None]:
    """The log's Redis stands still."""
    with _still(stack.compose.containers["redis-log"].processes()):
        yield


@contextlib.contextmanager
def log_fills(stack: Stack) -> Iterator[None]:
    """Experiences come in until the log's Redis, which was given little room, is nearly full."""
    with teaching(stack, "triton-1"):
        stack.await_reason("ExperienceLogFull", 120)
    yield


def lower_position(stack: Stack) -> dict[str, str]:
    """What stands in the place of POSITION: the lower one of both replicas."""
    command = "docker compose exec {} pixelis experience stats --json"
    found = [json.loads(stack.hand.types(command.format(name))) for name in ("triton-1", "triton-2")]
    positions = [one["replica"]["position"] for one in found]
    return {"POSITION": min(positions, key=lambda one: tuple(map(int, one.split("-"))))}


@contextlib.contextmanager
def version_does_not_load(stack: Stack) -> Iterator[None]:
    """A damaged version of `embed_image` is there, and both replicas are started again."""
    flipped(".onnx")(_again(stack, "embed_image"))
    names = ("triton-1", "triton-2")
    stack.compose.restart(names)
    assert until(lambda: all(stack.compose.containers[name].restarts for name in names), 60)
    yield


def _again(stack: Stack, model: str) -> Path:
    """The newest version of a model, published once more."""
    store = Store(stack.repository, settings().state)
    store.rollback(model, max(store.built_versions(model)))
    return store.folder(model, max(store.built_versions(model)))


@contextlib.contextmanager
def version_is_gone(stack: Stack) -> Iterator[None]:
    """The version of `policy` that is served was taken away for the next one, and its process dies."""
    served = _again(stack, "policy").with_name("2")
    shutil.rmtree(served)
    with asking(4, stack.url):
        for one in stack.model("triton-1", "policy"):
            one.kill()
        yield


@contextlib.contextmanager
def model_dies(stack: Stack) -> Iterator[None]:
    """A model is killed again and again, as the kernel does for want of memory, while its container is the same one.

    Which process the kernel takes cannot be chosen; which one is taken here can.
    """
    there = stack.compose.containers["triton-1"]

    def work(over: threading.Event) -> None:
        while not over.wait(2.0) and stack.compose.containers["triton-1"] is there:
            for one in stack.model("triton-1", "visual_ops"):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()

    with meanwhile(work, name="kills"):
        yield


@contextlib.contextmanager
def triton_hangs(stack: Stack) -> Iterator[None]:
    """A Triton stands still, and people wait for it no longer than they said."""
    with asking(4, stack.url, timeout_s=SHORT_S), _still(stack.processes("triton-1", "tritonserver")):
        yield


@contextlib.contextmanager
def policy_hangs(stack: Stack) -> Iterator[None]:
    """The policy of a replica stands still, with sequences to write."""
    with asking(32, stack.url, pace_s=0, timeout_s=60):
        time.sleep(3)
        with _still(stack.model("triton-1", "policy")):
            yield


@contextlib.contextmanager
def crowd(stack: Stack) -> Iterator[None]:
    """Many people ask from one address."""
    with _behind_one_address(stack, CROWD):
        yield


@contextlib.contextmanager
def larger_crowd(stack: Stack) -> Iterator[None]:
    """More people than may wait ask from one address."""
    with _behind_one_address(stack, LARGER_CROWD):
        yield


@contextlib.contextmanager
def _behind_one_address(stack: Stack, people: int) -> Iterator[None]:
    with asking(people, stack.url, pace_s=1.0, source=f"{stack.compose.network.net}.2", timeout_s=60):
        yield


@contextlib.contextmanager
def queue(stack: Stack) -> Iterator[None]:
    """As many people as the gateways let through at a time, and none of them rests."""
    with asking(QUEUE, stack.url, pace_s=0, timeout_s=60):
        yield


@contextlib.contextmanager
def policy_is_slow(stack: Stack) -> Iterator[None]:
    """The policy of a replica has a fiftieth of its processor.

    In slices of half a second: where it stands still for long with a lock in its hands, Triton 2.51 ends and is started
    again, with another policy.
    """
    taken = stack.model("triton-1", "policy")
    with asking(6, stack.url, pace_s=1.0, timeout_s=60), _mostly_still(taken, 0.5, 0.01):
        yield


@contextlib.contextmanager
def _mostly_still(taken: Sequence[psutil.Process], still_s: float, awake_s: float) -> Iterator[None]:
    """Processes that stand still for so long, and work for so long, in turns."""

    def work(over: threading.Event) -> None:
        while not over.is_set():
            with _still(taken):
                over.wait(still_s)
            over.wait(awake_s)

    with meanwhile(work, name="stops"):
        yield


@contextlib.contextmanager
def _still(taken: Sequence[psutil.Process]) -> Iterator[None]:
    """SIGSTOP, and SIGCONT to those that are still there."""
    assert taken
    for one in taken:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.suspend()
    try:
        yield
    finally:
        for one in taken:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()


@contextlib.contextmanager
def index_is_poor(stack: Stack) -> Iterator[None]:
    """An index that looks into one of many lists, and people who ask."""
    with teaching(stack, "triton-1") as learned:
        assert until(lambda: len(learned) >= LEARNED, 90)
    stack.set("PIXELIS_INDEX", '{"index": {"kind": "ivf_flat", "lists": 32, "probes": 1}}')
    stack.compose.up(["triton-1", "triton-2"], {})
    for name in ("triton-1", "triton-2"):
        stack.compose.until_healthy(name, 90)
    with asking(2, stack.url):
        yield


@contextlib.contextmanager
def one_lags(stack: Stack) -> Iterator[None]:
    """The second replica's `knn` stands still while the first one learns; no watchdog."""
    with teaching(stack, "triton-1", 1, pace_s=0.5), _still(stack.model("triton-2", "knn")):
        yield


@contextlib.contextmanager
def memory_runs_out(stack: Stack) -> Iterator[None]:
    """A machine with hardly more memory than the containers take: what they give back is free again."""
    whole = int(sum(one.used() for one in stack.compose.containers.values()) / 0.97)

    def work(over: threading.Event) -> None:
        while not over.wait(0.5):
            free = whole - sum(one.used() for one in stack.compose.containers.values())
            meminfo(stack.folder, whole, max(0, free))

    try:
        with meanwhile(work, name="memory"):
            yield
    finally:
        meminfo(stack.folder, 2**34, 2**33)


@contextlib.contextmanager
def disk_fills(stack: Stack) -> Iterator[None]:
    """An image that nothing uses fills the disk on which it lies; a model has versions that nobody serves."""
    disk, models = stack.folder / "disk", stack.repository / "embed_image"
    (disk / "spare").mkdir()
    (disk / "spare" / "image").write_bytes(bytes(int(psutil.disk_usage(str(disk)).free * 0.95)))
    for _ in range(2):
        _again(stack, "embed_image")
    yield
    assert sorted(one.name for one in models.iterdir() if one.name.isdigit()) == ["1", "3", "4"]


@contextlib.contextmanager
def gpu_fills(stack: Stack) -> Iterator[None]:
    """Numbers alone, left where the watchdog leaves its own: there is no GPU here."""
    path = stack.folder / "volumes" / "triton-1-health" / "gpu.prom"

    def tell(used: int) -> None:
        said = {"used": used, "total": 100}
        lines = [f'nv_gpu_memory_{name}_bytes{{gpu_uuid="GPU-1"}} {value}' for name, value in said.items()]
        path.with_suffix(".new").write_text("\n".join([*lines, ""]), encoding="utf-8")
        path.with_suffix(".new").replace(path)

    tell(97)
    yield


def given_back(stack: Stack) -> dict[str, str]:
    """The GPU has room again."""
    (stack.folder / "volumes" / "triton-1-health" / "gpu.prom").unlink()
    return {}


@contextlib.contextmanager
def strangers(stack: Stack) -> Iterator[None]:
    """People ask what nobody has asked before, until a page says that the hits come back by themselves."""
    with asking(4, stack.url, fresh=True, use_cache=True):
        stack.await_reason("CacheHitsCollapsed", 120)
    with asking(6, stack.url, use_cache=True):
        yield
