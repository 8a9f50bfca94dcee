"""The plain process: questions come in by a pipe, wait in a queue, and are answered by a few threads.

This is what a simple server does: one process, the models loaded once, each worker thread serving one request at a
time. Run as `python -m perf.plain.worker`; frames (see `frames.py`) on stdin and stdout:

    in    {"id"}, question, options, images ...        out   {"id"}, result           or {"id", "failed"}, message
          {"id", "workers", "threads"}                       {"id"}                   once it is in force
                                                             {"ready"} or {"fatal"}   when it has loaded, or cannot

It ends when stdin does.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

from perf.plain.frames import read_frame, write_frame
from pixelis.errors import PixelisError
from pixelis.settings import settings

if TYPE_CHECKING:
    from perf.plain.pipeline import PlainPipeline

Job = tuple[int, list[bytes]]


class Worker:
    """Threads that answer from one queue.

    Args:
        pipeline: what answers.
        out: where answers go.
    """

    def __init__(self, pipeline: PlainPipeline, out: IO[bytes]) -> None:
        self._pipeline = pipeline
        self._out = out
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def use(self, workers: int, threads: int) -> None:
        """From now on `workers` requests at a time, each model on `threads` threads; earlier requests end first."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._pipeline.models.use(threads)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """Queue a question."""
        self._jobs.put(job)

    def send(self, header: dict[str, Any], *blobs: bytes) -> None:
        """Write a frame."""
        with self._lock:
            write_frame(self._out, header, blobs)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            number, (question, options, *images) = job
            try:
                result = self._pipeline.ask(images, question, options)
            except PixelisError as error:
                self.send({"id": number, "failed": True}, error.wire().encode())
            except Exception as error:  # one request must not end the others; the parent counts it as failed
                self.send({"id": number, "failed": True}, f"{type(error).__name__}: {error}".encode())
            else:
                self.send({"id": number}, result.model_dump_json().encode())


def _serve(worker: Worker, source: IO[bytes]) -> None:
    while (frame := read_frame(source)) is not None:
        header, blobs = frame
        if "workers" in header:
            worker.use(header["workers"], header["threads"])
            worker.send({"id": header["id"]})
        else:
            worker.put((header["id"], blobs))


def main() -> None:
    """Entry point."""
    # What libraries print must not get between the frames: they get stderr, the frames a descriptor of their own.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        from perf.plain.pipeline import PlainPipeline

        worker = Worker(PlainPipeline(settings(), threads=1), out)
    except PixelisError as error:
        write_frame(out, {"fatal": error.message, "mend": error.mend})
        sys.exit(1)
    worker.send({"ready": True})
    _serve(worker, sys.stdin.buffer)
    out.close()


if __name__ == "__main__":
    main()
