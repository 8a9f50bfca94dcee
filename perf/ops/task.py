"""Operations with labels: what a workload of `pixelis bench ops` is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pixelis.schema import Operation, OperationResult


@dataclass(frozen=True)
class Task:
    """One operation, and how its result is judged.

    Attributes:
        operation: what is asked.
        measure: what `judge` measures, in words (`lines read exactly`).
        judge: the result -> 0 (wrong) to 1 (right), by a label from a generator or a package.
    """

    operation: Operation
    measure: str
    judge: Callable[[OperationResult], float]


@dataclass(frozen=True)
class Request:
    """Independent operations on the same images.

    Attributes:
        images: encoded.
        tasks: what is asked of them.
        again: whether all of it was asked before.
    """

    images: tuple[bytes, ...]
    tasks: tuple[Task, ...]
    again: bool = False
