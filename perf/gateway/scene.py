"""A Triton and a gateway of the bench's own, apart from the real ones, and what is asked of them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perf.ports import free_ports
from pixelis.errors import SetupError
from pixelis.settings import settings
from server.embedded import EmbeddedTriton

BYTES = 100_000
"""About so many of the JPEG that is asked about."""
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "scene-3.jpg"
START_S = 60.0
QUESTION = "How many blue shapes does the image show?"


@dataclass(frozen=True)
class Scene:
    """What is running.

    Attributes:
        grpc: Triton's `host:port`.
        gateway: the gateway's.
        pid: the gateway's process; of several workers, their supervisor.
    """

    grpc: str
    gateway: str
    pid: int


@contextlib.contextmanager
def scene(workers: int = 1, waiting: int = 256, changed: Mapping[str, Any] | None = None) -> Iterator[Scene]:
    """Both, until the end.

    Args:
        workers: processes of the gateway.
        waiting: requests that may wait there.
        changed: sections of the settings that differ.

    Raises:
        SetupError: the gateway does not start.
    """
    with tempfile.TemporaryDirectory(prefix="pixelis-gateway-") as folder:
        ports = free_ports()
        config = settings().model_copy(update={"state": Path(folder), "server": ports, **(changed or {})})
        with EmbeddedTriton(config=config) as triton, _gateway(triton, workers, waiting) as (url, pid):
            yield Scene(triton.grpc_url, url, pid)


@contextlib.contextmanager
def _gateway(triton: EmbeddedTriton, workers: int, waiting: int) -> Iterator[tuple[str, int]]:
    port = free_ports().http_port
    command = [sys.executable, "-m", "pixelis", "gateway", "--port", str(port), "--triton", triton.grpc_url]
    environment = {
        **os.environ,
        "PIXELIS_GATEWAY__TRITON_METRICS": f"{triton.ports.host}:{triton.ports.metrics}",
        "PIXELIS_GATEWAY__WORKERS": str(workers),
        "PIXELIS_GATEWAY__WAITING": str(waiting),
        "PIXELIS_STATE": str(triton.state),
    }
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        url, end = f"127.0.0.1:{port}", time.monotonic() + START_S
        try:
            while not _ready(url):
                if process.poll() is not None or time.monotonic() > end:
                    raise SetupError("The gateway did not start.", mend="Does `pixelis gateway` run?")
                time.sleep(0.1)
            yield url, process.pid
        finally:
            process.send_signal(signal.SIGTERM)


def _ready(url: str) -> bool:
    connection = http.client.HTTPConnection(url, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def picture(path: Path, seed: int) -> bytes:
    """A JPEG of about `BYTES` bytes: the picture at `path`, and in its lowest row the noise of `seed`."""
    pixels = np.array(Image.open(path).convert("RGB"))
    pixels[-1] = np.random.default_rng(seed).integers(0, 256, pixels[-1].shape, dtype=np.uint8)
    image, best = Image.fromarray(pixels), b""
    for quality in range(60, 100, 3):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        if not best or abs(len(buffer.getvalue()) - BYTES) < abs(len(best) - BYTES):
            best = buffer.getvalue()
    return best


def body(image: bytes, options: dict[str, Any]) -> bytes:
    """The body of `/infer`."""
    said = {"image": base64.b64encode(image).decode(), "question": QUESTION, **options}
    return json.dumps(said).encode()
