"""What a PyTorch artifact does not say of itself: `engine.json` beside it, as the builder wrote it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pixelis.errors import SetupError
from pixelis.json_text import read_object
from python_backends.engine.base import TensorDescription

SETTINGS = "engine.json"
_REBUILD = "Build it again with `pixelis build`."


@dataclass(frozen=True)
class TorchSettings:
    """Names, element types and shapes; and what machine the code is for.

    Attributes:
        device: where it computes: `cpu`, or `cuda`, the first GPU.
        graphs: runs are captured as CUDA graphs, one for each shape that comes.
        features: CPU features that the artifact's native code may use; empty where it has none.
        limits: by input, how many rows the table has that its values index.
        longest: by name of an axis, how long it may be.
    """

    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    features: frozenset[str] = frozenset()
    limits: dict[str, int] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)
    device: str = "cpu"
    graphs: bool = False

    @classmethod
    def read(cls, directory: Path) -> TorchSettings:
        """The settings in `directory`.

        Raises:
            SetupError: there are none, or they are not the builder's.
        """
        try:
            said = read_object(directory / SETTINGS)
            inputs, outputs = (tuple(map(_tensor, said[side])) for side in ("inputs", "outputs"))
            limits, longest = (
                {str(k): int(v) for k, v in said.get(name, {}).items()} for name in ("limits", "longest")
            )
            features, graphs = frozenset(said.get("features", ())), bool(said.get("graphs"))
            return cls(inputs, outputs, features, limits, longest, str(said.get("device", "cpu")), graphs)
        except FileNotFoundError:
            raise SetupError(f"There is no {SETTINGS} beside the artifact.", mend=_REBUILD) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise SetupError(f"{SETTINGS} is damaged ({type(error).__name__}).", mend=_REBUILD) from None

    def write(self, directory: Path) -> None:
        """Write `engine.json` into `directory`."""
        said: dict[str, Any] = {
            side: [
                {"name": tensor.name, "dtype": tensor.dtype.name, "shape": list(tensor.shape)}
                for tensor in getattr(self, side)
            ]
            for side in ("inputs", "outputs")
        }
        further: dict[str, Any] = {"features": sorted(self.features), "limits": self.limits, "longest": self.longest}
        if self.device != "cpu":
            further |= {"device": self.device, "graphs": self.graphs}
        said.update({name: value for name, value in further.items() if value})
        (directory / SETTINGS).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _tensor(said: dict[str, Any]) -> TensorDescription:
    shape = said["shape"]
    if not all(isinstance(axis, int | str) for axis in shape):
        raise ValueError(shape)
    return TensorDescription(str(said["name"]), np.dtype(said["dtype"]), tuple(shape))
