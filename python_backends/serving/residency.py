"""Which checkpoints are in memory: one process keeps the leases of all, and loads and unloads.

Triton 2.51 dies when it is stopped while a process of it asks it for anything (whether a model is ready, a metric) that
it has no request of: for a second it takes no more messages, and the process does not know yet (tried). So that is done
while a request is answered, and at no other time. The watchdog asks for what there is every few seconds.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from pixelis.errors import InvalidRequest, PixelisError
from pixelis.schema import ResidencyCommand, ResidencyResult, Resident
from pixelis.settings import settings
from python_backends.adapter import Sink, StreamModel, log_info
from python_backends.checkpoints import DEFAULT, known
from python_backends.metrics import Metrics
from python_backends.residency.keeper import Keeper
from python_backends.residency.kept import State
from python_backends.residency.triton import TritonLoader
from python_backends.rows import Row, json_text

LOOK_S = 1.0
"""How often the processes are looked at, under a budget."""


class Residency(StreamModel):
    """`COMMAND` -> `RESULT`: a lease of a checkpoint, its end, or what there is. Exactly one instance."""

    def setup(self) -> None:
        """Begin to look."""
        config = settings()
        self._budget = config.server.model_memory_bytes
        self._loader = TritonLoader(self.repository, self.caller.ready, config)
        self._told = Told(self.metrics)
        self._keeper = Keeper(self._loader, self._budget, self._told)
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, name="residency-look", daemon=True)
        if self._budget is not None:
            self._looking.start()

    def finalize(self) -> None:
        """End the looking."""
        self._ended.set()
        if self._budget is not None:
            self._looking.join(5.0)

    def serve(self, row: Row, sink: Sink) -> None:
        """Take a command; a lease may be waited for, so each is in a thread of its own."""
        command = row.parsed("COMMAND", ResidencyCommand)
        if command.command == "release":
            self._keeper.release(command.lease or "")
            sink.close()
            return
        threading.Thread(target=self._answer, args=(command, sink), name=command.command, daemon=True).start()

    def _answer(self, command: ResidencyCommand, sink: Sink) -> None:
        try:
            result = self._lease(command) if command.command == "lease" else self._stats()
            self._told.flush()
            sink.send({"RESULT": json_text(result)}, last=True)
        except Exception as error:  # becomes this request's answer
            sink.fail(error)

    def _lease(self, command: ResidencyCommand) -> ResidencyResult:
        if command.model is None or command.deadline is None:
            raise InvalidRequest("A lease is of a `model`, until a `deadline`.", mend="Send both.")
        known(self.repository, None if command.model == DEFAULT else command.model)
        lease = self._keeper.lease(command.model, command.deadline, load=command.load)
        return ResidencyResult(lease=lease.id, waited_s=round(lease.waited_s, 6), loaded=lease.loaded)

    def _stats(self) -> ResidencyResult:
        now, found = time.monotonic(), []
        for kept in self._keeper.all():
            if kept.state is State.RESIDENT:
                self._loader.look(kept.name)
            size, there = self._loader.size(kept.name), kept.state is not State.ABSENT
            self._told.takes(kept.name, size.bytes if there else 0)
            found.append(
                Resident(
                    name=kept.name,
                    state=kept.state.value,
                    bytes=size.bytes,
                    source=size.source,
                    leases=len(kept.leases),
                    idle_s=round(now - kept.used, 3) if kept.used else None,
                )
            )
        return ResidencyResult(budget_bytes=self._budget, checkpoints=found)

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            try:
                self._keeper.look()
            except PixelisError:
                continue  # a repository that is being changed; the next look sees it whole


class Told:
    """What the keeper does, as metrics and lines of the log: see `kept.Watch`. Any thread may tell, `flush` says it.

    Args:
        metrics: of the model.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._told: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._bytes: dict[str, int] = {}

    def flush(self) -> None:
        """Say what was told since; only while a request is answered."""
        while True:
            try:
                say = self._told.get_nowait()
            except queue.Empty:
                return
            say()

    def takes(self, name: str, size: int) -> None:
        """A checkpoint takes so much memory now."""
        if self._bytes.get(name) != size:  # each metric is a message to Triton
            self._bytes[name] = size
            self._told.put(lambda: self._metrics.gauge("pixelis_residency_resident_bytes", size, model=name))

    def loaded(self, name: str, seconds: float) -> None:
        """Counted and timed."""
        self._count("pixelis_residency_loads_total", name, f"was loaded in {seconds:.2f} s")
        self._told.put(lambda: self._metrics.observe("pixelis_residency_load_seconds", seconds, model=name))

    def failed(self, name: str, error: PixelisError) -> None:
        """Counted."""
        self._count("pixelis_residency_failures_total", name, str(error))

    def unloaded(self, name: str) -> None:
        """Counted."""
        self._count("pixelis_residency_unloads_total", name, "was unloaded")

    def expired(self, name: str) -> None:
        """Counted."""
        self._count("pixelis_residency_expired_leases_total", name, "a lease was not given back")

    def waited(self, name: str, seconds: float) -> None:
        """Timed."""
        self._told.put(lambda: self._metrics.observe("pixelis_residency_wait_seconds", seconds, model=name))

    def _count(self, metric: str, name: str, words: str) -> None:
        def say() -> None:
            log_info(f"residency: {name}: {words}")
            self._metrics.count(metric, model=name)

        self._told.put(say)
