"""Executable pixel operations: one file an operation, `operate` runs any of them."""

from __future__ import annotations

from python_backends.visual_ops.operate import OPERATIONS, operate

__all__ = ["OPERATIONS", "operate"]
