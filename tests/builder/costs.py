"""Costs and rows made up of a few figures, for what chooses and reports."""

from __future__ import annotations

from builder.choosing.choose import Row
from builder.costing.cost import CaseCost, Cost, Memory
from builder.costing.timing import Timing

MIB = 2**20


def timing(ms: float, batch: int = 1) -> Timing:
    return Timing(
        p50_ms=ms, p90_ms=ms, p95_ms=ms, p99_ms=ms, low_ms=ms, high_ms=ms, throughput_per_s=1e3 * batch / ms, runs=5
    )


def case(name: str, batch: int, ms: float, original_ms: float) -> CaseCost:
    ratio = original_ms / ms
    return CaseCost(
        case=name,
        batch=batch,
        shape="X[1]",
        timing=timing(ms, batch),
        reference=timing(original_ms, batch),
        speedup=ratio,
        speedup_low=ratio,
        speedup_high=ratio,
    )


def memory(mib: float) -> Memory:
    ran = int((100 + mib) * MIB)
    return Memory(imported=100 * MIB, loaded=ran, ran=ran, pss_imported=100 * MIB, pss_ran=ran, peak=ran)


def cost(label: str, ms: float = 5, mib: float = 10, size: int = 1000, batch_8_ms: float = 20, **more: object) -> Cost:
    found = Cost(
        model="alpha",
        candidate=label,
        key=f"key-{label}",
        reference="eager",
        cases=[case("batch 1", 1, ms, 10), case("batch 8", 8, batch_8_ms, 40)],
        memory=memory(mib),
        reference_memory=memory(40),
        size_bytes=size,
        weight_bytes=size,
        reference_weight_bytes=2000,
    )
    return found.model_copy(update=more)


def row(label: str, drop: float | None = 0.0, **figures: object) -> Row:
    return Row(
        model="alpha",
        candidate=label,
        state="measured",
        verdict="pass",
        accuracy_drop=drop,
        cost=cost(label, **figures),  # type: ignore[arg-type]
    )
