"""Linear layers in int8: weights are quantised now, activations at every run, over the range that they have then."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING

from builder.optimization import OptimizationConfig
from pixelis.errors import BuildError

if TYPE_CHECKING:
    import torch


def dynamic(module: torch.nn.Module, config: OptimizationConfig, name: str) -> torch.nn.Module:
    """A copy of `module` with its Linear layers quantised.

    Args:
        module: in single precision.
        config: `per_channel`, and `exclude_nodes`: names of layers that stay, as `named_modules` calls them.
        name: the model, for errors.

    Raises:
        BuildError: it has no Linear layer, or no layer of an excluded name.
    """
    import torch
    from torch.ao.quantization import default_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic

    layers = {place for place, part in module.named_modules() if isinstance(part, torch.nn.Linear)}
    unknown = sorted(set(config.exclude_nodes) - layers)
    if unknown:
        raise BuildError(
            f"`{name}` has no Linear layer called {', '.join(unknown)}.",
            mend=f"It has {', '.join(sorted(layers)) or 'none'}.",
        )
    wanted = sorted(layers - set(config.exclude_nodes))
    if not wanted:
        raise BuildError(
            f"`{name}` has no Linear layer to quantise, and PyTorch quantises no other at run time.",
            mend="Build it in another precision.",
        )
    how = per_channel_dynamic_qconfig if config.per_channel else default_dynamic_qconfig
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream moves it to another package
        found: torch.nn.Module = quantize_dynamic(copy.deepcopy(module), dict.fromkeys(wanted, how))
    return found
