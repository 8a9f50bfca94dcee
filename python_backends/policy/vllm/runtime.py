"""The policy as one object, as `policy.runtime` has it, where vLLM decodes."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

from pixelis.errors import DeadlineExceeded, InvalidRequest, PixelisError, ServingError, SetupError, Unavailable
from pixelis.settings import Vllm
from python_backends.deadlines import Pool
from python_backends.policy.calls.vocabulary import Vocabulary
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.metrics import PolicyMetrics
from python_backends.policy.profile import Profile
from python_backends.policy.request import PolicyRequest
from python_backends.policy.vllm.carrier import Asked, Carrier
from python_backends.policy.vllm.engine import EngineFile
from python_backends.policy.vllm.parameters import parameters
from python_backends.policy.vllm.prompt import Prompt, Prompts
from python_backends.policy.vllm.structure import Structure
from python_backends.policy.vllm.turn import VllmTurn
from python_backends.policy.written import EventSink

_NEVER = 3600.0
"""Seconds that a turn without a deadline may take."""


class VllmRuntime:
    """Hands turns to vLLM, each read by a thread of its own.

    Args:
        directory: version folder of `policy`.
        carrier: takes them there.
        limits: how many at once.

    Attributes:
        metrics: counters and gauges; those of scheduling stay 0, which is vLLM's own business.
        config: the checkpoint's numbers.
        engine: what vLLM was started with.

    Raises:
        SetupError: the artifact is not complete.
    """

    def __init__(self, directory: Path, carrier: Carrier, limits: Vllm) -> None:
        self.config, self.engine = CheckpointConfig.load(directory), EngineFile.load(directory)
        self.metrics = PolicyMetrics()
        profile = Profile.load(directory)
        self._structure = Structure(profile) if profile.grammar else None
        self._vocabulary = _vocabulary(directory, self.config)
        self._prompts = Prompts(directory, self.config, self.engine)
        self._carrier, self._limits = carrier, limits
        self._pool = Pool(limits.in_flight, "vllm-turn")
        self._lock = threading.Lock()
        self._turns: dict[str, VllmTurn] = {}
        self._closed = False

    def submit(self, request: PolicyRequest, on_event: EventSink) -> None:
        """Queue `request`; its events arrive at `on_event`, in order. See `PolicyRuntime.submit`.

        Raises:
            InvalidRequest: a grammar that the checkpoint is decoded without, or stop texts that cannot be found.
            Unavailable: the runtime was closed, or too many are on their way already.
        """
        if request.sampling.grammar and self._structure is None:
            raise InvalidRequest("This checkpoint is decoded without a grammar.", mend='Send `"grammar": false`.')
        ends = frozenset() if request.sampling.ignore_end else self.config.end_ids
        turn = VllmTurn.of(request, on_event, ends, self.engine.max_model_len, self._vocabulary)
        with self._lock:
            self._check_room()
            self._turns[request.sampling.request_id] = turn
            self.metrics.active = len(self._turns)
        self._pool.submit(lambda: self._run(request, turn))

    def _check_room(self) -> None:
        if self._closed:
            raise Unavailable("The policy was closed.", mend="Load the model again.")
        if len(self._turns) < self._limits.in_flight:
            return
        self.metrics.refused += 1
        wait = self.metrics.clearing_s(1)
        raise Unavailable(
            f"{len(self._turns)} requests are with vLLM, which is as many as may be.",
            mend=f"Try again in {wait:.1f} s.",
            retry_after_s=wait,
        )

    def cancel(self, request_id: str) -> None:
        """End a request with finish `cancelled`. An id that is not being answered is none of our business."""
        with self._lock:
            turn = self._turns.get(request_id)
        if turn is not None:
            turn.cancel()

    def close(self, timeout_s: float = 10.0) -> None:
        """Requests that are left get `Unavailable`."""
        with self._lock:
            self._closed, left = True, list(self._turns.values())
        for turn in left:
            turn.shut()
        end = time.monotonic() + timeout_s
        while self._turns and time.monotonic() < end:
            time.sleep(0.01)
        self._carrier.end()

    def _run(self, request: PolicyRequest, turn: VllmTurn) -> None:
        """One turn, from its prompt to its last event, which every turn has."""
        finish = "error"
        try:
            finish = self._followed(request, turn)
        except PixelisError as error:
            turn.fail(error)
        except Exception as error:  # becomes this turn's answer
            turn.fail(ServingError(f"A turn with vLLM failed ({type(error).__name__})."))
        finally:
            self._count(turn, finish)

    def _followed(self, request: PolicyRequest, turn: VllmTurn) -> str:
        if turn.late():  # it waited for a thread
            return turn.end("deadline")
        prompt = self._prompts.read(request)
        running = self._carrier.begin(self._asked(request, prompt, turn), self._deadline(turn))
        turn.running = running
        try:
            return turn.follow(running)
        except DeadlineExceeded:
            return turn.end("deadline")
        finally:
            running.close()

    def _asked(self, request: PolicyRequest, prompt: Prompt, turn: VllmTurn) -> Asked:
        with self._lock:
            self.metrics.prefill_tokens += prompt.length
            self.metrics.recut += prompt.recut
        turn.queue_s = time.monotonic() - turn.arrived
        images = len(prompt.pictures)
        structure = self._structure.tag(images) if self._structure and request.sampling.grammar else None
        return Asked(prompt.text, prompt.pictures, parameters(request.sampling, turn.stops, turn.limit, structure))

    @staticmethod
    def _deadline(turn: VllmTurn) -> float:
        return time.time() + _NEVER if math.isinf(turn.deadline) else turn.deadline

    def _count(self, turn: VllmTurn, finish: str) -> None:
        with self._lock:
            if self._turns.get(turn.sampling.request_id) is turn:
                del self._turns[turn.sampling.request_id]
            self.metrics.active = len(self._turns)
            self.metrics.tokens += len(turn.tokens)
            self.metrics.finished[finish] += 1
            self.metrics.turns.append(turn.turn(time.monotonic()))


def _vocabulary(directory: Path, config: CheckpointConfig) -> Vocabulary | None:
    """What the tokens say, for stop texts; without, a request with `stop` is told."""
    try:
        return Vocabulary.load(directory, config.vocabulary)
    except SetupError:
        return None
