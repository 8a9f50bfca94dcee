"""Many streams that are open at once, and what the gateway's memory makes of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import psutil

from perf.gateway.scene import Scene, body
from pixelis.errors import ServingError
from pixelis.schema import Claim

GROWTH = 5.0
"""Per cent by which memory may differ between the first half and the second."""
SETTLED = 0.2
"""Of the time, at its beginning, that does not count."""
EVERY_S = 1.0


def streams(scene: Scene, image: bytes, count: int, seconds: float) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Keep `count` streams open for `seconds`: whoever has its answer asks again. Rows, and the claims."""
    said = body(image, {"stream": True, "timeout_s": 300})
    resident, counts = asyncio.run(_kept(scene, said, count, seconds))
    counted = resident[int(len(resident) * SETTLED) :]
    half = len(counted) // 2
    first, second = (sorted(part)[len(part) // 2] for part in (counted[:half], counted[half:]))
    growth = 100 * (second - first) / first
    row = {"row": "streams", "open": count, "seconds": seconds, "answers": counts["answer"], "failed": counts["failed"]}
    row |= {"resident_mib_first": round(first / 2**20, 1), "resident_mib_second": round(second / 2**20, 1)}
    held = f"memory of the gateway with {count} open streams, second half against the first"
    return [row], [
        Claim(claim=held, target=GROWTH, measured=round(growth, 2), unit="%", met=growth <= GROWTH),
        Claim(
            claim="streams that did not end with an answer",
            target=0,
            measured=counts["failed"],
            unit="streams",
            met=counts["failed"] == 0,
        ),
    ]


async def _kept(scene: Scene, said: bytes, count: int, seconds: float) -> tuple[list[int], dict[str, int]]:
    counts = {"answer": 0, "failed": 0}
    end = time.monotonic() + seconds
    tasks = [asyncio.create_task(_again(scene.gateway, said, end, counts)) for _ in range(count)]
    resident = []
    while time.monotonic() < end:
        await asyncio.sleep(EVERY_S)
        resident.append(_resident(scene.pid))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if len(resident) < 4:
        raise ServingError("It was too short to say anything of memory.", mend="Let it last longer: --seconds.")
    return resident, counts


async def _again(url: str, said: bytes, end: float, counts: dict[str, int]) -> None:
    host, _, port = url.partition(":")
    head = b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
        said
    )
    while time.monotonic() < end:
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(head + said)
                ended = b""
                while (chunk := await reader.read(65536)) and b"\r\n0\r\n\r\n" not in ended[-8:] + chunk:
                    ended = (ended + chunk)[-65536:]
                counts["answer" if b"event: answer" in ended + chunk else "failed"] += 1
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        except OSError:
            counts["failed"] += 1
            await asyncio.sleep(0.1)


def _resident(pid: int) -> int:
    """Bytes of a process and all that it started; pages that they share are counted for each."""
    try:
        gateway = psutil.Process(pid)
        return sum(int(one.memory_info().rss) for one in [gateway, *gateway.children(recursive=True)])
    except psutil.NoSuchProcess:
        raise ServingError("The gateway, or a process of it, has ended.") from None
