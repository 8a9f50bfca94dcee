"""int8 by NNCF: quantised operators from calibration samples, or small weights alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from builder.formats.onnx_nodes import chosen_nodes
from builder.formats.openvino_saturation import saturates
from builder.optimization import OptimizationConfig
from builder.sources.base import Tensors
from pixelis.errors import BuildError


def quantise(model: Any, samples: Sequence[Tensors], settings: OptimizationConfig, left: Sequence[Any]) -> Any:
    """Static int8: activations with ranges from `samples`, weights per channel, in 7 bits where sums of 8 are cut.

    Args:
        model: in fp32.
        samples: calibration inputs that fit it.
        settings: how.
        left: nodes of `model` that stay in fp32.
    """
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters

    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE if saturates() else None,
        activations_quantization_params=QuantizationParameters(
            signedness_to_force=True if settings.activations == "QInt8" else None
        ),
        weights_quantization_params=QuantizationParameters(per_channel=settings.per_channel),
    )
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(samples, lambda sample: {name: np.ascontiguousarray(sample[name]) for name in sample}),
            subset_size=len(samples),
            model_type=nncf.ModelType.TRANSFORMER if is_transformer(model) else None,
            ignored_scope=_ignored(settings, left),
            advanced_parameters=advanced,
        )


def compress(model: Any, settings: OptimizationConfig, left: Sequence[Any]) -> Any:
    """int8 weights with a scale and a zero point for every channel; arithmetic stays in floats."""
    import nncf

    with _quiet():
        mode = nncf.CompressWeightsMode.INT8_ASYM
        return nncf.compress_weights(model, mode=mode, ignored_scope=_ignored(settings, left))


def left_out(model: Any, graph: Path, settings: OptimizationConfig) -> list[Any]:
    """Nodes of the converted `model` that `exclude_nodes` means; it speaks of nodes of the ONNX file `graph`.

    Raises:
        BuildError: one of them means no node.
    """
    import onnx

    loaded = onnx.load(str(graph), load_external_data=False).graph
    chosen = chosen_nodes(loaded, settings.exclude_nodes)
    # the converter calls a node that makes an output of the graph by that output
    names = {name: {node.name, *node.output} for node in loaded.node for name in [node.name] if name in chosen}
    found: dict[str, list[Any]] = {name: [] for name in names}
    for node in model.get_ops():
        # a node with a bias becomes two, the first of which has the weights and this ending
        called = node.get_friendly_name().removesuffix("/WithoutBiases")
        for name, known in names.items():
            if called in known and node.get_type_name() not in ("Constant", "Result"):
                found[name].append(node)
    gone = sorted(name for name, nodes in found.items() if not nodes)
    if gone:
        raise BuildError(
            f"OpenVINO has no node left of {', '.join(gone[:3])}, which should stay in fp32.",
            mend="The converter folded it: leave it out of `exclude_nodes`.",
        )
    return [node for nodes in found.values() for node in nodes]


def is_transformer(model: Any) -> bool:
    """Whether it has attention: a product of two tensors neither of which is a weight."""
    for node in model.get_ops():
        if node.get_type_name() == "ScaledDotProductAttention":
            return True
        if node.get_type_name() == "MatMul" and not any(_constant(value.get_node()) for value in node.input_values()):
            return True
    return False


def _constant(node: Any) -> bool:
    """Whether a node's value is in the file: a constant, perhaps widened, scaled or reshaped."""
    while node.get_type_name() in ("Convert", "Multiply", "Subtract", "Reshape", "Transpose", "Unsqueeze"):
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _ignored(settings: OptimizationConfig, left: Sequence[Any]) -> Any:
    import nncf

    if not (left or settings.exclude_operators):
        return None
    names = sorted(node.get_friendly_name() for node in left)  # as they are called now
    return nncf.IgnoredScope(names=names, types=list(settings.exclude_operators))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without NNCF's progress bars and remarks on other frameworks."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
