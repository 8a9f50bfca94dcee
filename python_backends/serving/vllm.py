"""The two models of a checkpoint that vLLM decodes: a thin policy, and views for visual tokens."""

from __future__ import annotations

from collections.abc import Sequence

from pixelis.errors import PixelisError
from pixelis.settings import settings
from python_backends.adapter import UnaryModel, log_info
from python_backends.policy.vllm.bls import Bls
from python_backends.policy.vllm.carrier import Carrier
from python_backends.policy.vllm.grpc_streams import Grpc
from python_backends.policy.vllm.pixels import read_unit, to_tokens
from python_backends.policy.vllm.runtime import VllmRuntime
from python_backends.rows import Row, Tensors
from python_backends.serving.policy import Policy


class VllmPolicy(Policy):
    """As `Policy`, with vLLM's backend behind it."""

    def opened(self) -> VllmRuntime:
        """See `Policy.opened`. vLLM may still be loading: it is asked with the first turn."""
        config = settings()
        address = config.vllm.address or f"{config.server.host}:{config.server.grpc_port}"
        carrier: Carrier = Grpc(address) if config.vllm.carrier == "grpc" else Bls(self.caller)
        runtime = VllmRuntime(self.directory, carrier, config.vllm)
        arguments = runtime.engine.arguments
        how = f"gRPC at {address}" if config.vllm.carrier == "grpc" else "BLS, a turn at a time"
        log_info(
            f"{self.name}: {arguments.model} in vLLM on {arguments.tensor_parallel_size} x "
            f"{arguments.pipeline_parallel_size} GPUs, {arguments.max_model_len} tokens, by {how}"
        )
        return runtime


class Pixels(UnaryModel):
    """`VIEW` -> `TOKENS`: its pixels, a square of them for each visual token."""

    def setup(self) -> None:
        """Read how large a square is."""
        self._unit = read_unit(self.directory)

    def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        """Each by itself: there is nothing to be shared."""
        answers: list[Tensors | BaseException] = []
        for row in rows:
            try:
                answers.append({"TOKENS": to_tokens(row.array("VIEW")[None], self._unit)[0]})
            except PixelisError as error:
                answers.append(error)
        return answers
