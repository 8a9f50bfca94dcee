"""The server while it is fuzzed: its processes, whether it is ready, and its memory."""

from __future__ import annotations

from perf.e2e.processes import usage
from server import remains, stubs
from server.embedded import EmbeddedTriton


class Watched:
    """Looks at one server.

    Args:
        triton: ready.
    """

    def __init__(self, triton: EmbeddedTriton) -> None:
        self._triton = triton
        self._stubs = stubs.find(triton.server_id)

    def fault(self) -> str | None:
        """What has happened to it since the last look; none where nothing has."""
        if not self._triton.running:
            return "the server has ended"
        now, before = stubs.find(self._triton.server_id), self._stubs
        self._stubs = now
        gone = sorted(model for model in before if now.get(model) != before[model])
        if gone:
            return f"the processes of {', '.join(gone)} are others"
        return None if self._triton.ready() else "the server is not ready"

    def memory(self) -> dict[str, float]:
        """Proportional set size in MiB by process: the models' and Triton's own."""
        found: dict[str, float] = {}
        for one in usage(remains.marked().get(self._triton.server_id, [])):
            found[one.name] = found.get(one.name, 0.0) + one.pss_bytes / 2**20
        return {name: round(size, 1) for name, size in found.items()}
