"""int8 by NNCF: quantised operators from calibration samples, or small weights alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from builder.optimization import OptimizationConfig
from builder.sources.base import Source, Tensors
from pixelis.errors import BuildError


def quantise(model: Any, source: Source, settings: OptimizationConfig) -> Any:
    """Static int8: weights per channel, activations with ranges from the source's calibration samples.

    Raises:
        BuildError: there are no samples, or they are not what the model takes.
    """
    import nncf

    samples = source.calibration()[: settings.calibration_samples or None]
    check_samples(model, source.name, samples)
    signed = settings.activations == "QInt8"
    advanced = nncf.AdvancedQuantizationParameters(
        activations_quantization_params=nncf.quantization.advanced_parameters.QuantizationParameters(
            signedness_to_force=True if signed else None
        ),
        weights_quantization_params=nncf.quantization.advanced_parameters.QuantizationParameters(
            per_channel=settings.per_channel
        ),
    )
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(samples, lambda sample: {name: np.ascontiguousarray(sample[name]) for name in sample}),
            subset_size=len(samples),
            model_type=nncf.ModelType.TRANSFORMER if is_transformer(model) else None,
            ignored_scope=_ignored(settings),
            advanced_parameters=advanced,
        )


def compress(model: Any, source: Source, settings: OptimizationConfig) -> Any:
    """int8 weights with a scale and a zero point for every channel; arithmetic stays in floats."""
    import nncf

    with _quiet():
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=_ignored(settings))


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


def check_samples(model: Any, name: str, samples: list[Tensors]) -> None:
    """Calibration samples against the model's inputs.

    Raises:
        BuildError: there are none, or a name, type or shape does not fit.
    """
    if not samples:
        raise BuildError(
            f"`{name}` has no calibration samples.", mend="Let its source's calibration() return some, or build fp32."
        )
    for index, sample in enumerate(samples):
        for port in model.inputs:
            wanted, array = port.get_any_name(), sample.get(port.get_any_name())
            shape, kind = port.get_partial_shape(), port.get_element_type()
            if array is None or not shape.compatible(_shape(array)) or kind.to_dtype() != array.dtype:
                given = "missing" if array is None else f"{array.dtype.name}{list(array.shape)}"
                raise BuildError(
                    f"Calibration sample {index} of `{name}` does not fit: {wanted} is {given}, "
                    f"the model takes {kind.get_type_name()}{shape}.",
                    mend="Mend the source's calibration().",
                )


def _shape(array: Any) -> Any:
    import openvino

    return openvino.PartialShape(list(array.shape))


def _ignored(settings: OptimizationConfig) -> Any:
    import nncf

    if not (settings.exclude_nodes or settings.exclude_operators):
        return None
    return nncf.IgnoredScope(names=list(settings.exclude_nodes), types=list(settings.exclude_operators))


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
