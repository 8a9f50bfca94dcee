"""A gateway of several processes behind one port.

    supervisor ──── listens, holds the ledger, starts workers again
      |- fork server    has imported everything, so that a worker is there in a moment
      |   |- worker     accepts at the supervisor's socket, talks to the ledger over a socket pair
      |   `- worker

There is one listening socket, which the supervisor keeps open, and not one a worker (SO_REUSEPORT): connections that
wait in the queue of a worker's own socket are reset when it is killed; here another worker takes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from clients.gateway.clerk import Clerk
from clients.gateway.ledger import OwnLedger
from clients.gateway.worker import work
from pixelis.errors import SetupError
from pixelis.gateway_config import Gateway
from pixelis.settings import Limits

log = logging.getLogger(__name__)

PRELOADED = ["pixelis.cli", "clients.gateway.serving", "clients.gateway.remote"]
STARTS = 3
"""Deaths of a worker in a row before it took requests, after which the gateway ends."""
SHORT_S, PAUSE_S = 5.0, 1.0
"""A worker that lives for so short, again, is started after a pause."""
EXIT_S = 5.0
"""A worker may take so long to end beside the time that its requests have; then it is killed."""


class Workers:
    """Starts workers, and starts those again that die.

    Args:
        config: of the whole gateway.
        limits: of what a request carries.
        ledger: what all workers count against.
        listening: bound; workers accept there.
        folder: of the gateway's own files; what was counted by an earlier one is removed.

    Attributes:
        ended_by: the signal that ended it.
    """

    def __init__(
        self, config: Gateway, limits: Limits, ledger: OwnLedger, listening: socket.socket, folder: Path
    ) -> None:
        self._config, self._limits, self._listening = config, limits, listening
        self._counts = folder / "counts"
        self._context = multiprocessing.get_context("forkserver")
        self._processes: dict[str, ForkServerProcess] = {}
        self._ending = False
        self._was_up = False
        self.ended_by: signal.Signals | None = None
        self._ledger = ledger
        self._ledger.workers = {}

    async def run(self, up: Callable[[], None]) -> None:
        """Until SIGINT or SIGTERM, upon which workers end what is under way.

        Args:
            up: called once, when all workers take requests.

        Raises:
            SetupError: a worker dies at its start again and again.
        """
        self._prepare()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._end, number)
        await self._ledger.open()
        kept = [asyncio.create_task(self._keep(str(number), up)) for number in range(self._config.workers)]
        try:
            await asyncio.gather(*kept)
        finally:
            self._end()
            await asyncio.gather(*kept, return_exceptions=True)
            await self._ledger.close()
            shutil.rmtree(self._counts, ignore_errors=True)

    def _prepare(self) -> None:
        """What all workers inherit: `prometheus_client` looks for its folder when it is imported."""
        try:
            shutil.rmtree(self._counts, ignore_errors=True)
            self._counts.mkdir(parents=True)
        except OSError as error:
            raise SetupError(
                f"{self._counts} cannot be written: {error.strerror}.", mend="Name a folder for state: PIXELIS_STATE."
            ) from None
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._counts)
        self._context.set_forkserver_preload(PRELOADED)

    async def _keep(self, number: str, up: Callable[[], None]) -> None:
        failed = short = 0
        while not self._ending:
            began = time.monotonic()
            came_up, code = await self._one(number, up)
            if self._ending:
                return
            failed = 0 if came_up else failed + 1
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            if failed == STARTS:
                raise SetupError(f"A worker has died at its start {failed} times ({how}).", mend="Its log says why.")
            log.warning("Worker %s has died (%s) and is started again.", number, how)
            short = short + 1 if time.monotonic() - began < SHORT_S else 0
            if short > 1:  # whatever kills it is not to take the whole machine
                await asyncio.sleep(PAUSE_S)

    async def _one(self, number: str, up: Callable[[], None]) -> tuple[bool, int | None]:
        """One life of a worker: whether it took requests, and its exit code."""
        ours, theirs = socket.socketpair()
        arguments = (self._config, self._limits, self._counts, self._listening, theirs)
        process = self._context.Process(target=work, args=arguments, name=f"worker {number}")
        try:
            await asyncio.to_thread(process.start)  # the first one waits for the fork server's imports
        except (OSError, EOFError, ValueError):  # the fork server itself has died, or nobody listens any more
            ours.close()
            return False, None
        finally:
            theirs.close()
        self._processes[number] = process
        came_up = False

        def ready() -> None:
            nonlocal came_up
            came_up = True
            self._ledger.workers[number] = process.pid or 0
            if not self._was_up and len(self._ledger.workers) == self._config.workers:
                self._was_up = True
                up()

        if self._ending:
            self._tell(signal.SIGTERM)
        await Clerk(self._ledger, ready).serve(ours)  # its connection ends with it, whatever became of it
        self._ledger.workers.pop(number, None)
        await asyncio.to_thread(process.join, EXIT_S)
        if process.is_alive():
            process.kill()
        del self._processes[number]
        return came_up, process.exitcode

    def _end(self, by: signal.Signals | None = None) -> None:
        self.ended_by = self.ended_by or by
        if not self._ending:
            self._ending = True
            asyncio.get_running_loop().call_later(2 * self._config.drain_s + EXIT_S, self._tell, signal.SIGKILL)
            self._listening.close()  # who comes now is refused, and does not wait
        self._tell(signal.SIGTERM)

    def _tell(self, what: signal.Signals) -> None:
        for process in self._processes.values():  # by itself it tells nobody once its fork server has died
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, what)
