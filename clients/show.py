"""Steps, answers and timings on a terminal."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pixelis.schema import Action, Event, OperationResult, PipelineResult

_LONG = 160


class Steps:
    """Shows a stream of events as they happen.

    Args:
        console: where to; tokens are shown only where somebody watches.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._in_line = False

    def show(self, event: Event) -> None:
        """One event."""
        if event.event == "token":
            if self._console.is_terminal and event.text:
                self._console.out(event.text, style="dim", end="", highlight=False)
                self._in_line = True
            return
        self._break()
        if event.event == "tool_call" and event.operation is not None:
            call(self._console, event.step, event.operation.operation.value, event.operation.arguments)
        elif event.event == "observation" and event.observation is not None:
            observed(self._console, event.observation)
        elif event.event == "observation":  # a call that could not be read: there is no operation, only the reason
            self._console.print(f"   [red]{escape(event.text)}[/]", highlight=False)
        elif event.event == "answer" and event.result is not None:
            summary(self._console, event.result)

    def _break(self) -> None:
        if self._in_line:
            self._console.out("")
        self._in_line = False


def result(console: Console, found: PipelineResult) -> None:
    """A whole result: its steps, then what `summary` says."""
    operations = [action for action in found.trajectory if action.operation is not None]
    for step, action in enumerate(operations, 1):
        _action(console, step, action)
    summary(console, found)


def call(console: Console, step: int, operation: str, arguments: dict[str, Any]) -> None:
    """A visual operation that begins."""
    console.print(f"[bold]{step:>2}[/] [cyan]{operation}[/] {escape(brief(arguments))}", highlight=False)


def observed(console: Console, found: OperationResult) -> None:
    """What it found, or why it could not."""
    said = f"[red]{escape(found.error)}[/]" if found.error is not None else escape(brief(found.result))
    console.print(f"   {said} [dim]{found.elapsed_ms:.1f} ms[/]", highlight=False)


def summary(console: Console, found: PipelineResult) -> None:
    """Answer, confidence, where they come from, and how long each stage took."""
    console.print(f"[bold green]{escape(found.answer)}[/]  confidence {found.confidence:.3f}", highlight=False)
    for line in origin(found):
        console.print(f"  [dim]{escape(line)}[/]", highlight=False)
    console.print(timings(found.timings_ms))


def origin(found: PipelineResult) -> list[str]:
    """Lines that say where an answer comes from."""
    source = found.provenance
    lines = [f"agent: {source.agent_answer!r}, confidence {source.agent_confidence:.3f}"]
    if source.reason is not None:
        lines.append(f"vote: {source.reason}")
        if source.decided_by is not None:
            lines.append(f"decided by {source.decided_by}")
    elif source.neighbours:
        lines.append(f"vote: {source.strategy.value}, {len(source.neighbours)} neighbours")
    if found.reward is not None:
        lines.append(f"reward: {found.reward.total:.3f}")
    if source.learned is not None:
        lines.append(f"learned as {source.learned}")
    lines += [f"done without: {reason}" for reason in source.reasons]
    if found.from_cache:
        lines.append("from the cache")
    return lines


def timings(stages: dict[str, float]) -> Table:
    """Milliseconds a stage, in the order they came, and beside a stage those of its parts (`stage.part`)."""
    table = Table(show_header=False, box=None, padding=(0, 0, 0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for stage in stages:
        if "." in stage:
            continue
        inside = {name.partition(".")[2]: ms for name, ms in stages.items() if name.startswith(f"{stage}.")}
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in inside.items())
        table.add_row(stage, f"{stages[stage]:.1f} ms", parts)
    return table


def brief(fields: dict[str, Any]) -> str:
    """An object on one line, long ones cut."""
    line = json.dumps(fields, ensure_ascii=False)
    return line if len(line) <= _LONG else f"{line[: _LONG - 3]}..."


def _action(console: Console, step: int, action: Action) -> None:
    assert action.operation is not None
    call(console, step, action.operation.value, action.arguments)
    observed(
        console,
        OperationResult(
            operation=action.operation, result=action.result, error=action.error, elapsed_ms=action.elapsed_ms
        ),
    )
