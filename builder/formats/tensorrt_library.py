"""Which TensorRT is here: the classic one, which builds for the GPU at hand, or TensorRT-RTX, which builds without one.

Polygraphy speaks to both; which one is decided by an environment variable before its TensorRT module is imported.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from pixelis.errors import SetupError

Flavour = Literal["classic", "rtx"]
RTX_TARGETS = ("SM86", "SM89", "SM120")
"""Compute capabilities that a TensorRT-RTX engine is built for ahead of time."""
_MODULES: dict[Flavour, str] = {"classic": "tensorrt", "rtx": "tensorrt_rtx"}


@dataclass(frozen=True)
class Library:
    """TensorRT and Polygraphy, imported.

    Attributes:
        trt: the module `tensorrt` or `tensorrt_rtx`.
        polygraphy: the module `polygraphy.backend.trt`.
    """

    flavour: Flavour
    trt: Any
    polygraphy: Any

    @property
    def version(self) -> str:
        """Name and version, for the manifest."""
        name = "tensorrt" if self.flavour == "classic" else "tensorrt-rtx"
        return f"{name} {self.trt.__version__}"


def flavour() -> Flavour | None:
    """Classic TensorRT where it is installed, else TensorRT-RTX, else none. Nothing is imported."""
    return next((name for name, module in _MODULES.items() if importlib.util.find_spec(module)), None)


def library() -> Library:
    """The library of `flavour`, imported.

    Raises:
        SetupError: neither is installed.
    """
    found = flavour()
    if found is None:
        raise SetupError(
            "The format tensorrt needs tensorrt or tensorrt-rtx, neither of which is installed.",
            mend="pip install 'pixelis-serving[tensorrt]' (TensorRT-RTX builds without a GPU)",
        )
    if found == "rtx":
        os.environ["POLYGRAPHY_USE_TENSORRT_RTX"] = "1"
    trt = import_module(_MODULES[found])
    from polygraphy import config
    from polygraphy.logger import G_LOGGER

    config.USE_TENSORRT_RTX = found == "rtx"  # where somebody imported Polygraphy before the variable was set

    G_LOGGER.module_severity = G_LOGGER.ERROR
    return Library(found, trt, import_module("polygraphy.backend.trt"))
