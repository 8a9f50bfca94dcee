"""What a model is timed on: batch sizes, and every bucket of the axes that vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from builder.model_spec import ModelSpec
from builder.sources.base import Source, Tensors
from pixelis.errors import BuildError

BATCHES = (1, 4, 8, 16, 32, 64, 128)
LENGTH = 256
"""Tokens of the prompt that is prefilled, and past which is decoded."""
MEASURED = ("engine", "policy")
"""Kinds of model whose forms have a forward pass to time."""


@dataclass(frozen=True)
class Case:
    """One shape of request.

    Attributes:
        name: for instance `batch 4`.
        batch: items of one call.
        inputs: of an engine model its tensors; of the policy PROMPT `[B, S]`, or TOKENS `[B]` and PAST `[1]`.
    """

    name: str
    batch: int
    inputs: Tensors

    @property
    def shape(self) -> str:
        """For a reader: every input with its shape."""
        return ", ".join(f"{name}{list(array.shape)}" for name, array in self.inputs.items())


def batch_sizes(largest: int) -> list[int]:
    """1, 4, 8 and so on up to `largest`, and `largest` itself."""
    return sorted({size for size in BATCHES if size <= largest} | {max(largest, 1)})


def cases(spec: ModelSpec, source: Source, *, buckets: bool = True) -> list[Case]:
    """Every batch size at the shape of the source's first sample, then batch 1 at every bucket.

    Raises:
        BuildError: a model that has no forward pass to time.
    """
    if spec.kind == "policy":
        return policy_cases(spec, source)
    if spec.kind not in MEASURED:
        raise BuildError(f"{spec.name} has no forward pass to time.", mend="Leave it out of --models.")
    sample = source.samples()[0]
    found = [Case(f"batch {size}", size, _rows(sample, size)) for size in batch_sizes(spec.max_batch_size)]
    return found + (_buckets(spec, sample) if buckets else [])


def batched_inputs(spec: ModelSpec, source: Source, size: int) -> Tensors:
    """Inputs of a batch of `size`: of the first sample's shape, or one more token for `size` requests."""
    if spec.kind == "policy":
        return next(case.inputs for case in policy_cases(spec, source, (size,)) if "TOKENS" in case.inputs)
    return _rows(source.samples()[0], size)


def policy_cases(spec: ModelSpec, source: Source, decoded: Sequence[int] = (1, 8)) -> list[Case]:
    """Prefill of one prompt, and one more token for 1 and for 8 requests behind such a prompt."""
    from builder.sources.decoder import Decoder
    from python_backends.policy.checkpoint import CheckpointConfig

    if not isinstance(source, Decoder):
        raise BuildError(f"{spec.name} is not made of a decoder.", mend="Its source must be builder.sources.decoder.")
    config = CheckpointConfig.load(source.checkpoint)
    length = min(LENGTH, config.max_positions - 1)
    rng = np.random.default_rng(0)
    plain = [token for token in range(config.vocabulary) if token != config.image_token]

    def tokens(*shape: int) -> NDArray[np.int64]:
        return rng.choice(np.array(plain, np.int64), shape)

    past = np.array([length])
    return [
        Case(f"prefill {length}", 1, {"PROMPT": tokens(1, length)}),
        *(Case(f"decode batch {n}", n, {"TOKENS": tokens(n), "PAST": past}) for n in decoded),
    ]


def _buckets(spec: ModelSpec, sample: Tensors) -> list[Case]:
    count = max((len(sizes) for sizes in spec.buckets.values()), default=0)
    found = []
    for i in range(count):
        sizes = {name: known[min(i, len(known) - 1)] for name, known in spec.buckets.items()}
        one = {name: _sized(spec, name, array[:1], sizes.get(name)) for name, array in sample.items()}
        found.append(Case(f"bucket {' '.join(str(size) for size in dict.fromkeys(sizes.values()))}", 1, one))
    return found


def _sized(spec: ModelSpec, name: str, array: NDArray[np.generic], size: int | None) -> NDArray[np.generic]:
    """`array` with every axis that varies cut or repeated to `size`."""
    tensor = next((tensor for tensor in spec.inputs if tensor.name == name), None)
    if tensor is None or size is None:
        return np.ascontiguousarray(array)
    for axis, (dim, length) in enumerate(zip(tensor.dims, spec.shape(tensor, size), strict=True), 1):
        if dim == -1:
            array = np.take(array, np.arange(length) % array.shape[axis], axis=axis)
    return np.ascontiguousarray(array)


def _rows(sample: Tensors, size: int) -> Tensors:
    return {name: np.ascontiguousarray(array[np.arange(size) % len(array)]) for name, array in sample.items()}
