"""The events of an outcome that is known: what a stream says of an answer from the cache."""

from __future__ import annotations

from collections.abc import Iterator

from pixelis.errors import InvalidOperation
from pixelis.schema import Action, AgentOutcome, Event, Operation, OperationResult


def replay(outcome: AgentOutcome, stream: bool) -> Iterator[Event]:
    """What happened, a step at a time; with `stream`, thoughts and the answer as a `token` event each."""
    step = 0
    for action in outcome.actions:
        if action.type == "VISUAL_OPERATION":
            step += 1
            yield from _operated(action, step)
        elif stream and action.text:
            yield Event(event="token", step=step, text=action.text)


def _operated(action: Action, step: int) -> Iterator[Event]:
    if action.operation is None:
        yield Event(event="observation", step=step, text=action.error or "", code=InvalidOperation.code)
        return
    arguments = dict(action.arguments)
    index = arguments.pop("image_index", 0)
    operation = Operation(operation=action.operation, arguments=arguments, image_index=index)
    result = OperationResult(
        operation=action.operation,
        result=action.result,
        error=action.error,
        elapsed_ms=action.elapsed_ms,
        resolution=action.resolution,
        looks=action.looks,
        skipped=action.skipped,
    )
    yield Event(event="tool_call", step=step, text=action.text, operation=operation)
    yield Event(event="observation", step=step, operation=operation, observation=result)
