"""A real Triton under the command line, the script and the environment that the chart gives its container.

Ports 18160 to 18162.
"""

from __future__ import annotations

import http.client
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server import layout, remains
from tests.deploy import chart
from tests.deploy.containers import SECRETS, placed, process, told

HTTP, GRPC, METRICS = 18160, 18161, 18162
HEADER = "pixelis-repository-key"


@dataclass
class Triton:
    """One that runs."""

    process: subprocess.Popen[bytes]
    log: Path

    def asked(self, path: str, method: str = "GET", key: str = "") -> int:
        """The status of one request; 0 where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", HTTP, timeout=30)
        try:
            connection.request(method, path, None if method == "GET" else b"{}", {HEADER: key} if key else {})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    @property
    def ready(self) -> bool:
        """What the probes of its start and of its readiness find."""
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return self.asked("/v2/health/ready") == 200

    def children(self) -> dict[int, str]:
        """Processes of its models -> their state, `Z` of one that has died."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            if name == "triton_python_b" and rest.split()[1] == str(self.process.pid):
                found[int(stat.parent.name)] = rest.split()[0]
        return found


@contextmanager
def running(
    case: str, repository: Path, state: Path, places: Mapping[str, str] | None = None, **changed: str
) -> Iterator[Triton]:
    """The container `triton` of a case.

    Args:
        case: of the chart.
        repository: its models.
        state: an empty folder.
        places: what else is exchanged, such as where Redis is.
        changed: arguments of Triton, and variables by their names in capitals.
    """
    server_id = f"chart-{secrets.token_hex(4)}-"
    laid = layout.lay_out(state)
    marks = {f"{HEADER}=": "\0", "pixelis-": server_id, "\0": f"{HEADER}="}  # the mark of its memory, not the header
    ports = {f"port={port}": f"port={ours}" for port, ours in ((8000, HTTP), (8001, GRPC), (8002, METRICS))}
    folders = {"/models": str(repository), "/state": str(state), "/etc/pixelis": str(state)}
    script = chart.named(case, "ConfigMap", "-triton")["data"]["start.sh"]
    assert "/dev/shm/pixelis-*" in script  # here those are of other servers
    (state / "start.sh").write_text(placed(script, marks))
    exchanged = {**(places or {}), **marks, **ports, **folders, "127.0.0.1:8000": f"127.0.0.1:{HTTP}"}
    words, variables = told(chart.pod(case, "triton").main, exchanged)
    words += [f"--backend-directory={laid.backends}", f"--cache-directory={laid.caches}"]
    for name, value in changed.items():
        if name.isupper():
            variables[name] = value
        else:
            words = [word for word in words if not word.startswith(f"--{name.replace('_', '-')}=")]
            words.append(f"--{name.replace('_', '-')}={value}")
    variables |= laid.environment()
    variables["PATH"] = f"{laid.binary.parent}:{variables['PATH']}"
    log = state / "triton.log"
    try:
        with process(words, variables, log) as made:
            yield Triton(made, log)
    finally:
        remains.sweep(server_id)


KEY = SECRETS["the-repository-key"]
