"""transformers' own model on memory-mapped weights: the truth for checkpoints that do not fit into memory in fp32.

The modules are transformers'; in place of the text model's matrices stand ones that read theirs from the file, some
rows at a time, and multiply in single precision. The vision tower is there in full, because it is exported from.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from builder.checkpoints.architecture import read_architecture
from builder.checkpoints.expected import EMBEDDING, HEAD
from builder.checkpoints.weights import Weights

CHUNK = 16 << 20
"""Numbers of a matrix that are in memory in fp32 at once."""


def load_mapped(directory: Path) -> Any:
    """The checkpoint's model in eval mode, single precision. What it answers is what the loaded one answers.

    Raises:
        BuildError: the weights are not readable.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    weights = Weights(directory)
    config = AutoConfig.from_pretrained(directory, local_files_only=True)
    with _parameters_nowhere():
        model = AutoModelForImageTextToText.from_config(config)
    text = model.model.language_model
    text.embed_tokens = MappedEmbedding(weights, EMBEDDING)
    model.lm_head = MappedLinear(weights, EMBEDDING if read_architecture(directory).text.tied else HEAD)
    for layer, block in enumerate(text.layers):
        for name, module in list(block.named_modules()):
            if isinstance(module, nn.Linear):
                stem = f"model.language_model.layers.{layer}.{name}"
                parent, _, own = name.rpartition(".")
                setattr(block.get_submodule(parent), own, MappedLinear(weights, f"{stem}.weight", f"{stem}.bias"))
    for name in [name for name, _ in model.named_parameters()]:
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, nn.Parameter(single(weights[name]), requires_grad=False))
    weights.release()
    return model.eval()


class MappedEmbedding(nn.Module):
    """Rows of a table in a file.

    Args:
        weights: hold it.
        name: of the table `[vocabulary, hidden]`.
    """

    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()
        self._table = weights[name]

    def forward(self, ids: Tensor) -> Tensor:
        """`[..., hidden]` in fp32."""
        return single(self._table[ids.numpy()])


class MappedLinear(nn.Module):
    """A product with a matrix in a file.

    Args:
        weights: hold it.
        name: of the matrix `[out, in]`.
        bias: name of the bias `[out]`; there may be none of that name.
    """

    def __init__(self, weights: Weights, name: str, bias: str = "") -> None:
        super().__init__()
        self._weights, self._matrix = weights, weights[name]
        self._bias = single(weights[bias]) if bias in weights else None

    def forward(self, values: Tensor) -> Tensor:
        """`[..., in]` to `[..., out]`."""
        outputs, inputs = self._matrix.shape
        rows = max(1, CHUNK // inputs)
        product = values.new_empty((*values.shape[:-1], outputs))
        for start in range(0, outputs, rows):
            part = single(self._matrix[start : start + rows])
            product[..., start : start + rows] = values @ part.T
            self._weights.release()
        return product if self._bias is None else product + self._bias


def single(values: np.ndarray[Any, Any]) -> Tensor:
    """A copy as a tensor in fp32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the file cannot be written to: it is copied
        if values.dtype.name == "bfloat16":
            return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16).to(torch.float32, copy=True)
        return torch.from_numpy(values).to(torch.float32, copy=True)


@contextmanager
def _parameters_nowhere() -> Iterator[None]:
    """Parameters take no memory; buffers (rotary frequencies) are made as ever."""
    register = nn.Module.register_parameter

    def nowhere(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        shadow = None if parameter is None else nn.Parameter(parameter.to("meta"), requires_grad=False)
        register(module, name, shadow)

    nn.Module.register_parameter = nowhere
    try:
        yield
    finally:
        nn.Module.register_parameter = register
