"""Who calls whom: ensembles and BLS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from builder.rules.base import Finding, Rule, Subject, dtype_name, error

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

MEND = "Mend the step in builder/spec.py and run `pixelis build`."


class _Wire(NamedTuple):
    """A tensor on its way through an ensemble."""

    origin: str
    dtype: str
    dims: tuple[int, ...]
    optional: bool


def _wire(origin: str, entry: object, optional: bool = False) -> _Wire:
    return _Wire(origin, dtype_name(entry.data_type), tuple(entry.dims), optional)  # type: ignore[attr-defined]


def children(subject: Subject) -> Iterator[Finding]:
    """Every model that is called by BLS is in the repository."""
    for spec in subject.known.models:
        if spec.name not in subject.configs:
            continue
        for call in spec.calls:
            if call.model not in subject.configs:
                message = f"It calls {call.model}, which is not in the repository."
                yield error(spec.name, "children", message, "Run `pixelis build`.")


def ensembles(subject: Subject) -> Iterator[Finding]:
    """Every tensor of every step has an origin, of the same type and dims; every output is made."""
    for name, given in subject.configs.items():
        if given.HasField("ensemble_scheduling"):
            for message in _ensemble(given, subject.configs):
                yield error(name, "ensemble", message, MEND)


def _ensemble(ensemble: ModelConfig, configs: dict[str, ModelConfig]) -> Iterator[str]:
    wires = {entry.name: _wire("the request", entry, entry.optional) for entry in ensemble.input}
    used: set[str] = set()
    for step in ensemble.ensemble_scheduling.step:
        child = configs.get(step.model_name)
        if child is None:
            yield f"The step {step.model_name} is not in the repository."
            continue
        if child.model_transaction_policy.decoupled:
            yield f"The step {step.model_name} is decoupled: the ensemble would refuse unary calls."
        used.update(step.input_map.values())
        yield from _inputs(child, step.input_map, wires)
        outputs = {entry.name: entry for entry in child.output}
        for name, wire in step.output_map.items():
            if name not in outputs:
                yield f"{step.model_name} has no output {name}."
            else:
                wires[wire] = _wire(step.model_name, outputs[name])
    for entry in ensemble.output:
        if entry.name not in wires or wires[entry.name].origin == "the request":
            yield f"No step makes the output {entry.name}."
        elif not _fit(wires[entry.name], _wire("", entry)):
            yield _mismatch(entry.name, "the ensemble", _wire("", entry), wires[entry.name])
    for unused in sorted({entry.name for entry in ensemble.input} - used):
        yield f"No step takes the input {unused}."


def _inputs(child: ModelConfig, mapped: dict[str, str], wires: dict[str, _Wire]) -> Iterator[str]:
    known = {entry.name: entry for entry in child.input}
    for name in mapped.keys() - known.keys():
        yield f"{child.name} has no input {name}."
    for name, entry in known.items():
        if name not in mapped:
            if not entry.optional:
                yield f"The input {name} of {child.name} is not mapped."
            continue
        wire = wires.get(mapped[name])
        if wire is None:
            yield f"{mapped[name]}, which {child.name} takes as {name}, is made by no earlier step."
        elif not _fit(wire, _wire("", entry)):
            yield _mismatch(name, child.name, _wire("", entry), wire)
        elif wire.optional and not entry.optional:
            yield f"{mapped[name]} is optional, but {child.name} needs {name}."


def _fit(made: _Wire, taken: _Wire) -> bool:
    """One type, and dims that can agree."""
    pairs = zip(made.dims, taken.dims, strict=False)
    return (
        made.dtype == taken.dtype
        and len(made.dims) == len(taken.dims)
        and all(a == b or -1 in (a, b) for a, b in pairs)
    )


def _mismatch(name: str, taker: str, taken: _Wire, made: _Wire) -> str:
    takes, makes = f"{taken.dtype}{list(taken.dims)}", f"{made.dtype}{list(made.dims)}"
    return f"{taker} takes {name} as {takes}, {made.origin} makes it {makes}."


RULES: tuple[Rule, ...] = (children, ensembles)
