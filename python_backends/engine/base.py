"""What every executor of an artifact looks like from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest

Tensors = dict[str, NDArray[np.generic]]
"""Named, batched arrays."""


_E = TypeVar("_E", bound="Engine")


@dataclass(frozen=True)
class TensorDescription:
    """Name, element type and shape of one input or output.

    Attributes:
        name: as in the artifact.
        dtype: numpy element type.
        shape: a number where the axis is fixed, else the name of the axis (axes of one name have one size).
    """

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype.name}[{', '.join(str(axis) for axis in self.shape)}]"


class Engine(ABC):
    """One loaded artifact. `run` may be called from several threads.

    Args:
        path: the artifact's main file.
        threads: threads of one run.
    """

    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]

    @abstractmethod
    def __init__(self, path: Path, threads: int) -> None: ...

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        """The artifact's outputs for `inputs`.

        Args:
            inputs: one array for each of `self.inputs`, of its element type and shape.

        Raises:
            InvalidRequest: a missing or unknown name, another element type, or a shape that does not fit.
            ServingError: the executor itself failed.
        """
        self.check(inputs)
        return self._run(inputs)

    def check(self, inputs: Mapping[str, NDArray[np.generic]]) -> None:
        """Hold `inputs` against the descriptions; nothing is cast or reshaped silently.

        Raises:
            InvalidRequest: see `run`.
        """
        wanted = {description.name for description in self.inputs}
        if wanted != inputs.keys():
            missing, unknown = sorted(wanted - inputs.keys()), sorted(inputs.keys() - wanted)
            raise InvalidRequest(
                f"Inputs do not fit the model: missing {missing}, unknown {unknown}.",
                mend=f"It takes {', '.join(map(str, self.inputs))}.",
            )
        axes: dict[str, int] = {}
        for description in self.inputs:
            _check_one(description, inputs[description.name], axes)

    @abstractmethod
    def _run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        """Run inputs that have been checked."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the artifact's memory; the engine cannot run afterwards."""

    def __enter__(self: _E) -> _E:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_one(wanted: TensorDescription, given: NDArray[np.generic], axes: dict[str, int]) -> None:
    """`given` against `wanted`; sizes of named axes are collected in `axes` and must agree between inputs."""
    if given.dtype != wanted.dtype:
        raise InvalidRequest(
            f"Input {wanted.name} is {given.dtype.name}, the model takes {wanted.dtype.name}.",
            mend="Cast it before the call.",
        )
    fits = given.ndim == len(wanted.shape) and all(
        size == axis if isinstance(axis, int) else axes.setdefault(axis, size) == size
        for size, axis in zip(given.shape, wanted.shape, strict=False)
    )
    if not fits:
        agreed = {axis: axes[axis] for axis in wanted.shape if isinstance(axis, str) and axis in axes}
        raise InvalidRequest(
            f"Input {wanted.name} has shape {list(given.shape)}, the model takes {wanted}.",
            mend=f"Named axes are already {agreed}." if agreed else None,
        )
