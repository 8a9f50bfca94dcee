"""What a stack is put into so that it can run out of it: a disk, memory by a file, a log of little room; and a day."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.deploy.tools import program
from tests.rehearsal.stack import Stack

DISK_BYTES = 64 * 2**20
USUAL = 0.9
"""Share of askings that a cache had the day before."""


def bounded(stack: Stack) -> None:
    """The machine's memory is what a file says."""
    meminfo(stack.folder, 2**34, 2**33)
    stack.compose.more["node-metrics"] = ((str(stack.folder / "meminfo"), "/host/proc/meminfo"),)


def small_log(stack: Stack) -> None:
    """No watchdog mends a model before a page does, the log's Redis has little room, and few experiences are enough for
    an index.
    """
    unwatched(stack)
    _told(stack, "PIXELIS_RETRIEVAL__LIVE", '{"flat_below": 500}')
    stack.edit("deploy/redis/log.conf", "maxmemory 512mb", "maxmemory 24mb")


def unwatched(stack: Stack) -> None:
    """No watchdog mends a model before a page does."""
    _told(stack, "PIXELIS_SERVER__WATCHDOG", "false")


def _told(stack: Stack, name: str, value: str) -> None:
    """A setting of each Triton that docker-compose.yml has no line for."""
    stack.edit("docker-compose.yml", "&triton-environment\n", f"&triton-environment\n    {name}: '{value}'\n")


def remembered(stack: Stack) -> None:
    """No watchdog mends a model before a page does, and a day lies behind.

    Prometheus remembers that the cache of requests had most of what it was asked for.
    """
    unwatched(stack)
    stack.set("PIXELIS_THREADS", "2")  # more than it is to have, for a page to say so
    name, now = "pixelis:cache_hits:share30m", int(time.time())
    lines = [f"# TYPE {name} gauge"]
    lines += [f'{name}{{cache="request"}} {USUAL} {at}' for at in range(now - 7000, now - 60, 10)]
    path = stack.folder / "yesterday"
    path.write_text("\n".join([*lines, "# EOF", ""]), encoding="utf-8")
    volume = stack.folder / "volumes" / "prometheus"
    volume.mkdir(parents=True)
    words = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(path), str(volume)]
    subprocess.run(words, check=True, capture_output=True)


def meminfo(folder: Path, whole: int, free: int) -> None:
    """What `node-metrics` reads in the place of /proc/meminfo; written where it is, as it is mounted."""
    text = f"MemTotal: {whole // 1024} kB\nMemFree: {free // 1024} kB\nMemAvailable: {free // 1024} kB\n"
    with (folder / "meminfo").open("r+" if (folder / "meminfo").exists() else "w") as file:
        file.write(text)
        file.truncate()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own at a folder."""
    folder.mkdir()
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
