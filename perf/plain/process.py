"""The plain pipeline in a process of its own, so that its memory and its interpreter are its own."""

from __future__ import annotations

import itertools
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from perf.plain.frames import read_frame, write_frame
from perf.workers import end_worker, start_worker
from pixelis.errors import SetupError, Unavailable, from_wire
from pixelis.schema import Options, PipelineResult
from pixelis.settings import Settings


class PlainProcess:
    """Starts it, asks it, ends it. `ask` is safe to call from several threads.

    Args:
        config: repository, checkpoint and `state`, in which its experiences and its log lie; nothing else may use the
            experiences meanwhile.
    """

    def __init__(self, config: Settings) -> None:
        self._config = config
        self.log = config.state.absolute() / "logs" / "plain.log"
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[bytes]] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    def start(self) -> PlainProcess:
        """Starts it and returns when its models are loaded.

        Raises:
            SetupError: it cannot load.
        """
        threads = self._config.threads.intra_op  # of what `use` does not reach
        self._process = start_worker("perf.plain.worker", [], self.log, threads, self._variables())
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._read, name="plain", daemon=True).start()
        return self

    def use(self, workers: int, threads: int) -> None:
        """`workers` requests at a time from now on, each model on `threads` threads."""
        self._send({"workers": workers, "threads": threads}).result()

    def ask(self, images: Sequence[bytes], question: str, options: Options) -> PipelineResult:
        """The answer to a question; what the pipeline refuses is raised as the client of a server would."""
        sent = self._send({}, [question.encode(), options.model_dump_json().encode(), *images])
        return PipelineResult.model_validate_json(sent.result())

    def stop(self) -> None:
        """Ends it; what is still waiting for an answer fails."""
        process, self._process = self._process, None
        if process is not None:
            end_worker(process)

    def __enter__(self) -> PlainProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise Unavailable("The plain process does not run.", mend="Start it first.")
        return self._process

    def _variables(self) -> dict[str, str]:
        config = self._config
        variables = {
            "PIXELIS_REPOSITORY": str(config.repository.absolute()),
            "PIXELIS_STATE": str(config.state.absolute()),
        }
        if config.checkpoint is not None:
            variables["PIXELIS_CHECKPOINT"] = str(config.checkpoint.absolute())
        return variables

    def _await_ready(self) -> None:
        process = self._running()
        assert process.stdout is not None
        frame = read_frame(process.stdout)
        if frame is None:
            raise SetupError("The plain process ended while it loaded.", mend=f"Its log is {self.log}.")
        if "fatal" in frame[0]:
            raise SetupError(frame[0]["fatal"], mend=frame[0]["mend"])

    def _send(self, header: dict[str, Any], blobs: Sequence[bytes] = ()) -> Future[bytes]:
        process, waiting = self._running(), Future[bytes]()
        assert process.stdin is not None
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = waiting
            try:
                write_frame(process.stdin, {"id": number, **header}, blobs)
            except (BrokenPipeError, ValueError):  # ValueError: closed by `stop`
                del self._waiting[number]
                raise Unavailable("The plain process has ended.", mend=f"Its log is {self.log}.") from None
        return waiting

    def _read(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        while (frame := read_frame(process.stdout)) is not None:
            header, blobs = frame
            with self._lock:
                waiting = self._waiting.pop(header["id"])
            if header.get("failed"):
                waiting.set_exception(from_wire(blobs[0].decode()))
            else:
                waiting.set_result(blobs[0] if blobs else b"")
        with self._lock:
            left, self._waiting = self._waiting, {}
        for waiting in left.values():
            waiting.set_exception(Unavailable("The plain process has ended.", mend=f"Its log is {self.log}."))
