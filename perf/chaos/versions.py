"""Versions of models that are no good, as they reach a fleet: published, then rolled out."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from perf.chaos.fault import Unexpected, Wound
from perf.chaos.fleet import Running
from pixelis.errors import PixelisError

Spoil = Callable[[Path], None]
"""Breaks a version folder."""
REPLICA = 2


@contextlib.contextmanager
def rolled(fleet: Running) -> Iterator[Callable[[], bool]]:
    """No fault: all replicas started anew, one after the other, as for an update."""
    fleet.ordered("roll")
    yield fleet.whole


def published(model: str, spoil: Spoil) -> Wound:
    """A version that is broken, rolled out to the second replica, and taken back on exit."""

    @contextlib.contextmanager
    def wound(fleet: Running) -> Iterator[Callable[[], bool]]:
        folder = fleet.state / "repository" / model
        last = max(int(path.name) for path in folder.iterdir() if path.name.isdigit())
        fresh = folder / str(last + 1)
        shutil.copytree(folder / str(last), fresh)  # follows links: what is spoiled is ours
        spoil(fresh)
        try:
            try:
                fleet.ordered("roll", REPLICA)
            except PixelisError:
                yield fleet.whole
            else:
                raise Unexpected("the broken version was rolled out, and nobody said a word")
        finally:
            shutil.rmtree(fresh)

    return wound


def flipped(suffix: str) -> Spoil:
    """One byte in the middle of the largest file of a kind."""

    def spoil(folder: Path) -> None:
        path = max(folder.rglob(f"*{suffix}"), key=lambda one: one.stat().st_size)
        data = bytearray(path.read_bytes())
        for at in range(len(data) // 3, len(data), max(1, len(data) // 64)):
            data[at] ^= 0x55
        path.write_bytes(data)

    return spoil


def endless(folder: Path) -> None:
    """Code that never ends to load."""
    (folder / "model.py").write_text("import time\n\nwhile True:\n    time.sleep(1)\n", encoding="utf-8")


def spoiled_store(replica: int) -> Wound:
    """Bytes of a replica's store of experiences turned while it is down, which it was killed for."""
    from perf.chaos.processes import killed, triton

    @contextlib.contextmanager
    def wound(fleet: Running) -> Iterator[Callable[[], bool]]:
        root = Path(f"/proc/{fleet.process.pid}/root")
        state = root / str(fleet.state / "fleet" / f"replica-{replica}").lstrip("/")
        stores = list(state.rglob("experiences.db"))
        if not stores:
            raise Unexpected(f"{state} has no store of experiences")
        with killed(triton(replica))(fleet) as well:
            for path in stores:
                with path.open("r+b") as file:
                    size = path.stat().st_size
                    for at in range(4096, size, max(4096, size // 50)):
                        file.seek(at)
                        file.write(b"\xff" * 64)
            yield well

    return wound
