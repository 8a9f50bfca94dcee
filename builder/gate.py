"""Is the artifact still right?

First its numbers: the source's own answers are the truth. For every sample (several batch sizes, shapes and seeds)
and output the artifact is held to a tolerance of its precision; one request's answer must not depend on what else is in
its batch; names, types and shapes must be what the spec promises; a quantised weight may differ from the source's by
rounding alone. Then what it is for (`accuracy.py`): on each task its
mean score may not fall by more than is allowed. What fails is not published, and nothing can make it be.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builder.formats.base import Format
from builder.gating.accuracy import measure
from builder.gating.bisect import first_wrong
from builder.gating.compare import Difference, difference, worst
from builder.gating.known_scores import KnownScores
from builder.gating.plain import plain_graph
from builder.gating.verdict import OutputReport, TaskReport, Verdict, word_of
from builder.gating.weights import wrong_weights
from builder.model_spec import ModelSpec
from builder.sources.base import Answer, Source, Tensors
from pixelis.errors import PixelisError

__all__ = ["OutputReport", "TaskReport", "Verdict", "judge", "look"]

NUMPY: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
}
ROWS_ALONE = 3
"""How many of a batch's rows are asked again alone: the first, the middle, the last."""


class _Tally:
    """What one run of the gate collects."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.reasons: list[str] = []
        self.warnings: list[str] = []
        self.numeric = False
        self.tasks: list[TaskReport] = []
        self.source: dict[str, list[Difference]] = {}
        self.alone: dict[str, list[Difference]] = {}

    def fault(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)

    def compare(self, answers: Tensors, references: Tensors, into: dict[str, list[Difference]], where: str) -> None:
        """Every reference output; what is missing or of another form is a fault and is not measured."""
        for name, reference in references.items():
            problem = _form(answers.get(name), reference)
            if problem:
                self.fault(f"{name}: {problem} ({where})")
                continue
            measured = difference(answers[name], reference, self.spec.tolerance_of(name))
            into.setdefault(name, []).append(measured)
            if measured.kind == "float" and measured.max_abs is None:
                self.numeric = True
                side = "the source" if not np.isfinite(_floats(reference)).all() else "the artifact"
                self.fault(f"{name}: {side} answers NaN or infinity ({where})")

    def judge(self) -> dict[str, OutputReport]:
        """Reports by output, after writing down what is outside its tolerance."""
        reports = {}
        for name, differences in self.source.items():
            allowed = self.spec.tolerance_of(name)
            against, alone = worst(differences), worst(self.alone[name]) if name in self.alone else None
            reports[name] = OutputReport(against_source=against, alone=alone, allowed=allowed)
            for fault in against.faults(allowed):
                self.numeric = True
                self.fault(f"{name}: {fault}")
            for fault in alone.faults(allowed) if alone else ():
                self.fault(f"{name}: depends on the rest of its batch: {fault}")
            self.warnings += [f"{name}: {near}" for near in against.close_calls(allowed)]
        return reports


def judge(source: Source, directory: Path, spec: ModelSpec, references: Path | None = None) -> Verdict:
    """The artifact in `directory` against `source`.

    Args:
        source: the truth.
        directory: holds the artifact.
        spec: the model in the form that is judged.
        references: where the reference's scores are remembered between processes.

    Returns:
        The verdict with everything measured; `Verdict.demand` turns a failed one into an error.
    """
    started = time.perf_counter()
    tally = _Tally(spec)
    samples = source.samples()
    for reason in _coverage(samples, spec):
        tally.fault(reason)
    known = KnownScores(references, spec.kind, source.digest())
    outputs = _ask(source, directory, samples, tally, known)
    for reason in source.check(directory):
        tally.fault(reason)
    compared = _weights(source, directory, tally)
    return Verdict(
        passed=not tally.reasons,
        verdict=word_of(tally.reasons, tally.warnings),
        reasons=tally.reasons,
        warnings=tally.warnings,
        samples=len(samples),
        batch_sizes=sorted({_batch(sample) for sample in samples}),
        shapes=sorted({_shapes(sample) for sample in samples}),
        outputs=outputs,
        tasks=tally.tasks,
        weights=compared,
        first_wrong=first_wrong(source, directory, spec) if tally.numeric else None,
        elapsed_s=round(time.perf_counter() - started, 3),
    )


def _weights(source: Source, directory: Path, tally: _Tally) -> int:
    """Hold quantised weights of an ONNX graph against those of its source; how many constants were compared."""
    from builder.formats.onnx import MODEL_FILE

    spec = tally.spec
    if spec.format != "onnx" or spec.precision not in ("int8", "int4"):
        return 0
    with plain_graph(source, spec) as plain:
        faults, compared = wrong_weights(plain / MODEL_FILE, directory / MODEL_FILE)
    for fault in faults:
        tally.fault(fault)
    return compared


def look(form: Format, directory: Path) -> Verdict:
    """The verdict on an artifact that cannot run here: whether its structure is whole, and no word on its answers."""
    started = time.perf_counter()
    reasons = form.inspect(directory)
    warnings = [f"not executed here, so its answers were not compared: {form.not_executed}"]
    return Verdict(
        passed=not reasons,
        verdict=word_of(reasons, warnings),
        reasons=reasons,
        warnings=warnings,
        samples=0,
        batch_sizes=[],
        shapes=[],
        outputs={},
        not_executed=form.not_executed,
        elapsed_s=round(time.perf_counter() - started, 3),
    )


def _ask(
    source: Source, directory: Path, samples: list[Tensors], tally: _Tally, known: KnownScores
) -> dict[str, OutputReport]:
    """The artifact is loaded once, and asked everything: what is wrong in its numbers needs no task."""
    outputs: dict[str, OutputReport] = {}
    try:
        with source.opened(directory) as ask:
            for sample in samples:
                _one_sample(source, ask, sample, tally)
            outputs = tally.judge()
            if not tally.reasons:
                _all_tasks(source, ask, tally, known)
    except PixelisError as error:
        tally.fault(f"the artifact cannot be loaded: {error}")
    return outputs


def _all_tasks(source: Source, ask: Answer, tally: _Tally, known: KnownScores) -> None:
    if source.untasked:
        tally.warnings.append(source.untasked)
    try:
        tally.tasks = measure(source, ask, tally.spec.allowed_drops, known)
        for task in tally.tasks:
            if task.fault:
                tally.fault(task.fault)
            tally.warnings += [task.doubt] if task.doubt else []
    except PixelisError as error:
        tally.fault(f"no answer to a task: {error}")


def _one_sample(source: Source, ask: Answer, sample: Tensors, tally: _Tally) -> None:
    where = _shapes(sample)
    try:
        references = source.reference(sample)
        answers = ask(sample)
        tally.compare(answers, references, tally.source, where)
        for reason in _contract(answers, tally.spec):
            tally.fault(f"{reason} ({where})")
        batch = _batch(sample)
        if not (tally.spec.batch_invariant and batch > 1):
            return
        for row in sorted({0, batch // 2, batch - 1})[:ROWS_ALONE]:
            alone = ask({name: array[row : row + 1] for name, array in sample.items()})
            in_batch = {name: array[row : row + 1] for name, array in answers.items() if name in references}
            tally.compare(alone, in_batch, tally.alone, f"row {row} of {where} alone")
    except PixelisError as error:
        tally.fault(f"no answer for {where}: {error}")


def _coverage(samples: list[Tensors], spec: ModelSpec) -> list[str]:
    """A gate that sees one batch size, or one size of an axis that varies, proves nothing about the others."""
    if not samples:
        return ["the source has no samples, so nothing was compared"]
    found = []
    if spec.max_batch_size > 1 and spec.kind == "engine" and len({_batch(sample) for sample in samples}) < 2:
        found.append("the samples have a single batch size")
    for tensor in spec.inputs if spec.kind == "engine" else ():
        sizes = {sample[tensor.name].shape[1:] for sample in samples if tensor.name in sample}
        if -1 in tensor.dims and len(sizes) < 2:
            found.append(f"the samples have a single shape of {tensor.name}, whose size varies")
    return found


def _contract(answers: Tensors, spec: ModelSpec) -> list[str]:
    """Outputs against the spec's names, types and dims (engine models: Triton serves the artifact's own tensors)."""
    if spec.kind != "engine":
        return []
    found = [f"{name}: the spec knows no such output" for name in answers.keys() - {t.name for t in spec.outputs}]
    for tensor in spec.outputs:
        array = answers.get(tensor.name)
        if array is None:
            found.append(f"{tensor.name}: missing")
        elif array.dtype != NUMPY[tensor.dtype] or not _fits(array.shape[1:], tensor.dims):
            is_now, promised = f"{array.dtype.name}{list(array.shape[1:])}", f"{tensor.dtype}{list(tensor.dims)}"
            found.append(f"{tensor.name}: is {is_now}, the spec says {promised}")
    return found


def _fits(shape: tuple[int, ...], dims: tuple[int, ...]) -> bool:
    return len(shape) == len(dims) and all(dim in (-1, size) for size, dim in zip(shape, dims, strict=True))


def _form(answer: NDArray[np.generic] | None, reference: NDArray[np.generic]) -> str | None:
    if answer is None:
        return "missing"
    if answer.dtype != reference.dtype:
        return f"is {answer.dtype.name}, the source says {reference.dtype.name}"
    if answer.shape != reference.shape:
        return f"has shape {list(answer.shape)}, the source says {list(reference.shape)}"
    return None


def _floats(array: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.asarray(array, dtype=np.float64)


def _batch(sample: Tensors) -> int:
    return min(array.shape[0] for array in sample.values())


def _shapes(sample: Tensors) -> str:
    return ", ".join(f"{name}{list(array.shape)}" for name, array in sample.items())
