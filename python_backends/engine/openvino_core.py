"""OpenVINO's core: one in a process, for as long as the process lives.

The CPU plugin of every core gives the thread that loads it a stack for signals and, when it goes, puts back the one
that it found. Of two cores the one that goes last puts back the stack of the one that went first, which is no longer
mapped; the next signal that Python handles then ends the process with SIGSEGV.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def openvino_core() -> Any:
    """The core of this process. Settings belong to the call that needs them (`compile_model`'s third argument): a
    property set here holds for everyone.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    import openvino

    return openvino.Core()
