"""A small, valid request for every model: what the watchdog, and `pixelis doctor`, ask to see whether it lives.

Each is a real inference through the whole model, and cheap: the largest takes a few hundredths of a second. A step of
the pipeline is asked with what the step before it has answered. A model that is not known here is asked nothing; that
its process is there is all that is known of it. So it is with one that is too dear to be asked, as its configuration
says (parameter `probe`: `none`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import DeadlineExceeded, ServingError, Unavailable, code_of
from pixelis.model_name import base
from pixelis.schema import (
    PROBE_ID,
    AgentOutcome,
    Ballot,
    KnnCommand,
    Operation,
    OperationName,
    Options,
    PreparedRequest,
    ResidencyCommand,
    RewardRequest,
    Sampling,
)
from server.control import Control, Tensors
from server.repository import ARTIFACT

QUESTION = "Are you there?"
PROBE = "probe"
"""Parameter of config.pbtxt; `none` = the model is asked nothing."""
SIDE = 32
"""Any axis that a configuration leaves open; the text detector takes multiples of 32."""

DEAD_WORDS = ("is not healthy", "Stub process", "stub process", "unexpectedly")
"""How Triton says that a model's process is gone. Whatever else came back, somebody has answered."""


class Dead(Exception):
    """The model's process is gone."""


class Silent(Exception):
    """The model did not answer in time: it is hung, or has much to do."""


class Prober:
    """Asks models whether they live.

    Args:
        control: carries the requests.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._model: str | None = None
        self._answers: dict[str, Tensors] = {"prepare": {}, "recall": {}}

    def knows(self, name: str, config: Any) -> bool:
        """Whether there is a request for this model."""
        asked = PROBE not in config.parameters or config.parameters[PROBE].string_value != "none"
        engine = ARTIFACT in config.parameters and not config.model_transaction_policy.decoupled
        return base(name) in _REQUESTS or name in (*_STEPS, *_ASKING) or (engine and asked)

    def ask(self, name: str, config: Any, timeout_s: float) -> bool:
        """One inference.

        Args:
            name: of a loaded model.
            config: its `ModelConfig`.
            timeout_s: how long it may take.

        Returns:
            Whether it was asked; without the answer of the step before it, a step cannot be.

        Raises:
            Dead: its process is gone.
            Silent: no answer in time.
            Unavailable: the server is not there.
        """
        inputs = self._inputs(name, config, timeout_s)
        if inputs is None:
            return False
        if config.max_batch_size:
            inputs = _batch(inputs)
        ask = self._control.stream if config.model_transaction_policy.decoupled else self._control.infer
        try:
            ask(name, inputs, timeout_s)
        except DeadlineExceeded:
            raise Silent(f"no answer within {timeout_s:g} s") from None
        except Unavailable:
            raise
        except ServingError as error:
            if code_of(error.message) is None and any(words in error.message for words in DEAD_WORDS):
                raise Dead(error.message.rstrip(".")) from None
        return True

    def _inputs(self, name: str, config: Any, timeout_s: float) -> Tensors | None:
        if name in _STEPS:
            model = self._present()
            if model != self._model:  # what was prepared for another checkpoint is of its views
                self._model, self._answers = model, {"prepare": {}, "recall": {}}
            before = self._before(name, timeout_s)
            return None if before is None else _STEPS[name](before)
        if name in _ASKING:
            return _ask(timeout_s, self._present())
        if base(name) in _REQUESTS:
            return _REQUESTS[base(name)](timeout_s)
        return {entry.name: _ones(entry) for entry in config.input} if self.knows(name, config) else None

    def _present(self) -> str | None:
        """A checkpoint that is in memory, the default one (none) if it is: for a probe none is loaded."""
        try:
            ready = self._control.ready()
        except ServingError:
            return None  # who has no key is not told
        found = sorted(name.partition(".")[2] for name in ready if base(name) == "policy")
        return found[0] or None if found else None

    def _before(self, name: str, timeout_s: float) -> Tensors | None:
        """What the steps before `name` have answered; kept, because a step that is busy is not asked itself."""
        try:
            for step in ("prepare", "recall")[: 2 if name == "finish" else 1]:
                if not self._answers[step]:
                    prepared = self._answers["prepare"]
                    inputs = _STEPS[step](prepared) if step in _STEPS else _ask(timeout_s, self._model)
                    found = self._control.infer(step, _batch(inputs), timeout_s)
                    self._answers[step] = {key: array[0] for key, array in found.items()}
        except ServingError:
            return None  # that step has its own watch; of this one nothing is known
        return {**self._answers["prepare"], **self._answers["recall"]}


def _batch(inputs: Tensors) -> Tensors:
    return {key: array[np.newaxis] for key, array in inputs.items()}


def _text(*values: str | bytes) -> NDArray[np.object_]:
    array = np.empty(len(values), np.object_)
    array[:] = [value.encode() if isinstance(value, str) else value for value in values]
    return array


def _json(value: Any) -> NDArray[np.object_]:
    return _text(value.model_dump_json())


_NUMBERS: dict[str, type[np.generic]] = {
    "TYPE_UINT8": np.uint8,
    "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64,
    "TYPE_FP32": np.float32,
}


def _ones(entry: Any) -> NDArray[Any]:
    """Ones in the shape of an input of an engine model: tokens, a mask, a picture, or a vector that are valid."""
    from tritonclient.grpc import model_config_pb2

    kind = _NUMBERS[model_config_pb2.DataType.Name(entry.data_type)]
    return np.ones([SIDE if axis < 0 else int(axis) for axis in entry.dims], kind)


def picture() -> bytes:
    """The smallest picture."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (1, 1), (128, 128, 128)).save(out, "PNG")
    return out.getvalue()


def _ask(timeout_s: float, model: str | None) -> Tensors:
    """A question that ends after its first token: no neighbours, no operation; about a checkpoint (none = default)."""
    options = Options(k=0, max_operations=1, max_tokens=1, timeout_s=min(max(timeout_s, 1), 300), model=model)
    return {"IMAGE": _text(picture()), "QUESTION": _text(QUESTION), "OPTIONS": _json(options)}


def _policy(timeout_s: float) -> Tensors:
    sampling = Sampling(
        request_id=f"{PROBE_ID}-{time.monotonic_ns()}", max_tokens=1, stream=False, deadline=time.time() + timeout_s
    )
    return {"PROMPT_IDS": np.zeros(1, np.int64), "SAMPLING": _json(sampling)}


def _visual_ops(timeout_s: float) -> Tensors:
    operation = Operation(operation=OperationName.ZOOM_IN, arguments={"region": [0, 0, 1, 1]})
    return {"IMAGE": _text(picture()), "OPERATION": _json(operation)}


_ASKING = ("prepare", "agent")
"""Models that are asked a question."""

_REQUESTS: dict[str, Callable[[float], Tensors]] = {
    "policy": _policy,
    "visual_ops": _visual_ops,
    "knn": lambda _: {"COMMAND": _json(KnnCommand(command="stats"))},
    "residency": lambda _: {"COMMAND": _json(ResidencyCommand(command="stats"))},
    "reward": lambda _: {"TRAJECTORY": _json(RewardRequest(actions=[]))},
    "vote": lambda _: {"BALLOT": _json(Ballot(answer="", confidence=0))},
}


def _fresh(before: Tensors) -> NDArray[np.object_]:
    """`REQUEST` as if it had been prepared now."""
    request = PreparedRequest.model_validate_json(before["REQUEST"].item())
    now = time.time()
    return _json(request.model_copy(update={"started_at": now, "deadline": now + request.options.timeout_s}))


def _finish(before: Tensors) -> Tensors:
    outcome = AgentOutcome(answer="", confidence=0, actions=[])
    request = {"IMAGE": _text(picture()), "REQUEST": _fresh(before), "OUTCOME": _json(outcome)}
    return {**request, "NEIGHBOURS": before["NEIGHBOURS"], "KEY": before["KEY"]}


_STEPS: dict[str, Callable[[Tensors], Tensors]] = {
    "recall": lambda before: {"REQUEST": _fresh(before), "RETRIEVAL_VIEW": before["RETRIEVAL_VIEW"]},
    "reason": lambda before: {"IMAGE": _text(picture()), "REQUEST": _fresh(before), "VIEWS": before["VIEWS"]},
    "finish": _finish,
}
