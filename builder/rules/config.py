"""config.pbtxt against the spec, and against what Triton is known to do with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from builder.model_spec import ModelSpec, TensorSpec
from builder.rules.base import Finding, Rule, Subject, dtype_name, error
from builder.storing.layout import as_served
from builder.triton_config import QUEUE_POLICIES, config, text
from pixelis.errors import BuildError
from pixelis.settings import settings

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

REBUILD = "Run `pixelis build`: it writes config.pbtxt from builder/spec.py."
COMMANDS = {"knn"}
"""Models whose optional inputs tell kinds of request apart, which are not meant to share a batch."""


def _each(subject: Subject) -> Iterator[tuple[ModelSpec, ModelConfig]]:
    for spec in subject.known.models:
        if spec.name in subject.configs:
            yield spec, subject.configs[spec.name]


def as_written(subject: Subject) -> Iterator[Finding]:
    """The committed text is what the spec says now."""
    for spec, _ in _each(subject):
        served, files = as_served(subject.store, spec)
        try:
            wanted = text(config(served, subject.target, files=files))
        except BuildError as problem:
            yield error(spec.name, "config-drift", problem.message, problem.mend or REBUILD)
            continue
        if subject.printed[spec.name] != wanted:
            yield error(spec.name, "config-drift", "config.pbtxt is not what the spec says.", REBUILD)


def contract(subject: Subject) -> Iterator[Finding]:
    """Names, types, dims, optional and ragged of every tensor are the public contract's."""
    for spec, given in _each(subject):
        if given.name != spec.name:
            yield error(spec.name, "contract", f"config.pbtxt is named {given.name!r}.", REBUILD)
        for side, wanted, have in (("input", spec.inputs, given.input), ("output", spec.outputs, given.output)):
            by_name = {entry.name: entry for entry in have}
            for name in by_name.keys() - {tensor.name for tensor in wanted}:
                yield error(spec.name, "contract", f"The {side} {name} is not in the contract.", REBUILD)
            for tensor in wanted:
                problem = _tensor(tensor, by_name.get(tensor.name), side)
                if problem:
                    yield error(spec.name, "contract", f"The {side} {tensor.name} {problem}.", REBUILD)


def _tensor(wanted: TensorSpec, given: object, side: str) -> str | None:
    if given is None:
        return "is missing"
    dtype, dims = dtype_name(given.data_type), tuple(given.dims)  # type: ignore[attr-defined]
    if (dtype, dims) != (wanted.dtype, wanted.dims):
        return f"is {dtype}{list(dims)}, the contract says {wanted.dtype}{list(wanted.dims)}"
    if side == "input" and given.optional != wanted.optional:  # type: ignore[attr-defined]
        return "must be optional" if wanted.optional else "must not be optional"
    return None


def batching(subject: Subject) -> Iterator[Finding]:
    """Batchable models say how large and how patient; decoupled ones say that they are."""
    for spec, given in _each(subject):
        if given.max_batch_size != spec.max_batch_size:
            message = f"max_batch_size is {given.max_batch_size}, the spec says {spec.max_batch_size}."
            yield error(spec.name, "batching", message, REBUILD)
        if spec.batchable and not given.HasField("dynamic_batching"):
            yield error(spec.name, "batching", "It is batchable and has no dynamic_batching.", REBUILD)
        if given.model_transaction_policy.decoupled != spec.decoupled:
            word = "must" if spec.decoupled else "must not"
            yield error(spec.name, "batching", f"It {word} be decoupled.", REBUILD)


def queue_policy(subject: Subject) -> Iterator[Finding]:
    """No queue policy: any one stalls the dynamic batcher in quanta of about 500 ms."""
    for spec, given in _each(subject):
        found = [field.name for field, _ in given.dynamic_batching.ListFields() if field.name in QUEUE_POLICIES]
        if found:
            mend = "Remove them; use two copies of the model and a rate limiter, or shed load in front of Triton."
            yield error(
                spec.name, "queue-policy", f"{', '.join(found)} stalls the batcher for about 500 ms at a time.", mend
            )


def ragged(subject: Subject) -> Iterator[Finding]:
    """A size that varies is ragged or padded to buckets, or requests of different sizes never share a batch."""
    for spec, given in _each(subject):
        wanted = {tensor.name for tensor in spec.inputs if tensor.ragged}
        for entry in given.input:
            varies = -1 in entry.dims and spec.batchable
            if entry.name in wanted and not entry.allow_ragged_batch:
                yield error(spec.name, "ragged", f"{entry.name} must allow a ragged batch.", REBUILD)
            elif varies and not entry.allow_ragged_batch and entry.name not in spec.buckets:
                message = f"{entry.name} varies in size, and requests of different sizes will not share a batch."
                yield error(spec.name, "ragged", message, "Make it ragged, or state its buckets, in builder/spec.py.")
            elif entry.allow_ragged_batch and entry.name not in wanted:
                yield error(spec.name, "ragged", f"{entry.name} must not be ragged.", REBUILD)


def options(subject: Subject) -> Iterator[Finding]:
    """Requests with and without an optional input never share a batch: only OPTIONS may be one, which clients send."""
    for spec, given in _each(subject):
        names = {entry.name for entry in given.input}
        if "QUESTION" in names and "OPTIONS" not in names:
            mend = "Add OPTIONS (optional, BYTES [1]) to the model in builder/spec.py."
            yield error(spec.name, "options", "It takes a QUESTION and no OPTIONS.", mend)
        for entry in given.input:
            if entry.optional and entry.name != "OPTIONS" and spec.max_batch_size and spec.name not in COMMANDS:
                message = f"{entry.name} is optional: requests with and without it will not share a batch."
                yield error(spec.name, "options", message, "Make it required in builder/spec.py.")


def instances(subject: Subject) -> Iterator[Finding]:
    """`knn` is one process, and no Python model multiplies by the number of GPUs."""
    for spec, given in _each(subject):
        count = sum(group.count for group in given.instance_group)
        if spec.kind == "knn" and count != 1:
            message = f"It has {count} instances, and each would have an index of its own."
            yield error(spec.name, "instances", message, f"Exactly one. {REBUILD}")
        elif not subject.native(spec) and count != spec.instances:
            yield error(spec.name, "instances", f"It has {count} instances, the spec says {spec.instances}.", REBUILD)
        kinds = {group.Kind.Name(group.kind) for group in given.instance_group}
        if not subject.native(spec) and kinds - {"KIND_CPU"}:
            message = f"Instances are of {', '.join(sorted(kinds))}: one for every GPU, not {spec.instances}."
            yield error(spec.name, "instances", message, REBUILD)


def version_policy(subject: Subject) -> Iterator[Finding]:
    """Triton serves the newest version, so that publishing is one rename and no config changes."""
    for spec, given in _each(subject):
        if given.version_policy.latest.num_versions != 1:
            yield error(spec.name, "version-policy", "The version policy is not latest(1).", REBUILD)


def waiting(subject: Subject) -> Iterator[Finding]:
    """The queue delays on every path, as the configs have them, stay under the ceiling together."""
    ceiling = settings().batching.max_wait_time_ms
    delays = {
        name: given.dynamic_batching.max_queue_delay_microseconds
        for name, given in subject.configs.items()
        if subject.known[name].batchable
    }
    models = [
        m.model_copy(update={"queue_delay_us": delays.get(m.name, m.queue_delay_us)}) for m in subject.known.models
    ]
    actual = subject.known.model_copy(update={"models": tuple(models)})
    for name in actual.names:
        total = actual.waiting_us(name) / 1000
        if total > ceiling:
            message = f"A request can wait {total:g} ms in queues along its path, the ceiling is {ceiling:g} ms."
            yield error(name, "waiting", message, "Lower queue_delay_us in builder/spec.py and run `pixelis build`.")


RULES: tuple[Rule, ...] = (
    as_written,
    contract,
    batching,
    queue_policy,
    ragged,
    options,
    instances,
    version_policy,
    waiting,
)
