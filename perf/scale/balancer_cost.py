"""What a request costs nginx that hands it on."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from perf.ports import free_ports
from perf.scale.crowd import crowd, together
from perf.scale.usage import cpu_seconds
from pixelis.errors import SetupError

BODY = 137_000
"""Of a question about a JPEG of 100 KB, in base64."""
ANSWER = 2000
CLIENTS = 2
_FILE = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 32m; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000; client_body_buffer_size 1m;
  {server}
}}
"""
_BEHIND = 'server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{answer}"; }} }}'
_BEFORE = """
  upstream replicas {{ server 127.0.0.1:{behind}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_buffering off; }}
  }}
"""


def balancer_cost(seconds: float) -> list[dict[str, Any]]:
    """A row: processor time of nginx for a request that it hands on. None where there is no nginx.

    Raises:
        SetupError: nginx does not start.
    """
    if shutil.which("nginx") is None:
        return []
    with tempfile.TemporaryDirectory(prefix="pixelis-scale-") as name:
        folder, ports = Path(name), free_ports()
        behind, before = ports.http_port, ports.grpc_port
        last = _BEHIND.format(port=behind, answer="x" * ANSWER)
        first = _BEFORE.format(behind=behind, port=before)
        with (
            _nginx(folder / "behind", last, behind),
            _nginx(folder / "before", first, before) as pid,
            crowd("post", f"127.0.0.1:{before}", seconds, CLIENTS, folder, bytes=BODY) as ours,
        ):
            used = cpu_seconds(pid)
            (said,) = together(ours)
            used = cpu_seconds(pid) - used
    count = sum(one["count"] for one in said)
    return [
        {
            "row": "balancer",
            "bytes": BODY,
            "at_once": CLIENTS,
            "per_second": round(sum(one["count"] / one["seconds"] for one in said)),
            "nginx_us": round(1e6 * used / count, 1),
            "p50_ms": max(one["p50_ms"] for one in said),
        }
    ]


@contextmanager
def _nginx(folder: Path, server: str, port: int) -> Iterator[int]:
    folder.mkdir()
    path = folder / "nginx.conf"
    path.write_text(_FILE.format(folder=folder, server=server), encoding="utf-8")
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(path)], stderr=subprocess.DEVNULL)
    try:
        _wait(process, port, folder)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        if any(one.laddr.port == port for one in psutil.net_connections("tcp") if one.status == "LISTEN"):
            return
        time.sleep(0.05)
    said = (folder / "error.log").read_text(encoding="utf-8") if (folder / "error.log").is_file() else ""
    raise SetupError(f"nginx does not start: {said.strip()[-300:] or 'it said nothing'}")
