"""The processes of a server's Python models: which there are, and which are gone.

A stub that has died stays a zombie of tritonserver, which goes on saying that the model is ready; so it is looked at in
/proc, where a death shows at once and costs a model nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from server import remains

PROGRAM = "triton_python_backend_stub"


@dataclass(frozen=True)
class Stub:
    """One live process: its id, and its start time, which tells it from a later process of the same id."""

    pid: int
    born: int

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return remains.born(self.pid) == self.born


def find(server_id: str) -> dict[str, list[Stub]]:
    """The live stubs of a server, by model."""
    lines = {pid: _command(pid) for pid in remains.marked().get(server_id, [])}
    stubs = {pid for pid, line in lines.items() if line and Path(line[0]).name == PROGRAM and len(line) > 1}
    found: dict[str, list[Stub]] = {}
    for pid in sorted(stubs):
        born = remains.born(pid)
        if born is not None and _parent(pid) not in stubs:  # what a stub forks looks like the stub
            found.setdefault(Path(lines[pid][1]).parent.parent.name, []).append(Stub(pid, born))
    return found


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Roll:
    """Calls the roll of one server's stubs.

    Args:
        server_id: their mark.
        expected: how many each model has.
    """

    def __init__(self, server_id: str, expected: Mapping[str, int]) -> None:
        self._server_id = server_id
        self._expected = {model: count for model, count in expected.items() if count}
        self._known = find(server_id)

    def expect(self, model: str, count: int) -> None:
        """From now on a model has so many; 0 = it is away."""
        self._expected[model] = count
        self.refresh(model)

    def missing(self) -> dict[str, list[int]]:
        """Models with fewer live stubs than they should have -> the process ids that are gone."""
        short = self._short()
        if short:  # somebody may have loaded a model again: then there are others in their place
            found = find(self._server_id)
            for model in short:
                self._known[model] = found.get(model, []) if self._whole(model, found) else self._known.get(model, [])
            short = self._short()
        return {model: [stub.pid for stub in self._known.get(model, []) if not stub.alive] for model in short}

    def refresh(self, model: str) -> None:
        """Learn a model's stubs anew."""
        self._known[model] = find(self._server_id).get(model, [])

    def _whole(self, model: str, found: Mapping[str, list[Stub]]) -> bool:
        return len(found.get(model, [])) >= self._expected[model]

    def _short(self) -> list[str]:
        return [
            model
            for model, count in self._expected.items()
            if sum(stub.alive for stub in self._known.get(model, [])) < count
        ]
