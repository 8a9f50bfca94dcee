"""Part `build`: the vision encoder and the policy, built in fp32 as `pixelis build --checkpoint` builds them.

Into a cache and a repository of their own, so that nothing is taken from an earlier build. What was planned is held
against what was used, memory against the budget (1.3 x the largest shard + 2 GiB), and the gate's figures are told.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from builder.building.build import build as run_build
from builder.checkpoints.account import Account, Taken
from builder.checkpoints.checks import check_checkpoint
from builder.checkpoints.plan import MADE, plan
from builder.checkpoints.room import check_room
from builder.checkpoints.using import settings_of
from builder.spec import pipeline
from builder.store import Store
from builder.storing.manifest import Manifest
from perf.checkpoint.part import Asked, Found, claim
from pixelis.errors import BuildError
from pixelis.schema import Claim
from pixelis.settings import settings

NAME = "build"
COSINE = 0.9999
WITHIN = 0.15
"""How far an estimate may be off, as a share of what was used."""


def build(asked: Asked) -> Found:
    """Plan, build, compare.

    Raises:
        BuildError: the checkpoint cannot be built from, there is no room, or a gate did not pass.
    """
    checkpoint = check_checkpoint(asked.checkpoint.absolute())
    settings().state.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".tmp-bench-", dir=settings().state.absolute()) as scratch,
        settings_of(checkpoint.directory) as values,
    ):
        state, repository = Path(scratch) / "state", Path(scratch) / "repository"
        known = pipeline()
        made = plan(checkpoint, known, MADE, {name: [known[name].candidate] for name in MADE}, values, published=True)
        check_room(made, state)
        account = Account(made, (state / "builds", repository))
        report = run_build(MADE, repository=repository, state=state, watch=asked.watch)
        if report.failed:
            raise BuildError(f"{report.failed[0].model}: {report.failed[0].reason}")
        taken = account.close()
        manifests = [Store(repository, state).manifest(name) for name in MADE]
    budget = 1.3 * checkpoint.weights.largest_shard + 2 * 2**30
    return Found(
        rows=[_row(manifest) for manifest in manifests],
        claims=[*_gates(manifests), *_takings(taken, budget)],
    )


def _row(manifest: Manifest) -> dict[str, Any]:
    outputs = {
        name: {key: getattr(report.against_source, key) for key in ("max_abs", "mean_abs", "cosine", "argmax")}
        for name, report in manifest.gate.outputs.items()
    }
    return {
        "row": NAME,
        "model": manifest.model,
        "form": manifest.candidate.label,
        "gate": manifest.gate.verdict,
        "bytes": manifest.size_bytes,
        **{f"{stage} s": seconds for stage, seconds in manifest.seconds.items()},
        **{f"{name} {key}": value for name, figures in outputs.items() for key, value in figures.items()},
    }


def _gates(manifests: list[Manifest]) -> list[Claim]:
    claims = []
    for manifest in manifests:
        found = [report.against_source for report in manifest.gate.outputs.values()]
        cosine = min((one.cosine for one in found if one.cosine is not None), default=0.0)
        agreed = min((one.argmax for one in found if one.argmax is not None), default=0.0)
        claims += [
            claim(f"{manifest.model}: least cosine to transformers in fp32", COSINE, cosine, "", cosine >= COSINE),
            claim(
                f"{manifest.model}: arg-max as transformers', pictures among the prompts",
                1,
                agreed,
                "share",
                agreed == 1,
            ),
        ]
    return claims


def _takings(taken: Taken, budget: float) -> list[Claim]:
    said, used = taken.plan, taken.used
    claims = [
        claim(
            "memory of the largest process of the build, against 1.3 x the largest shard + 2 GiB",
            round(budget / 2**30, 3),
            round(used.memory_bytes / 2**30, 3),
            "GiB",
            used.memory_bytes <= budget,
        )
    ]
    for what, planned, real in (
        ("memory", said.memory_bytes, used.memory_bytes),
        ("disk", said.disk_bytes, used.disk_bytes),
    ):
        off = abs(planned - real) / max(real, 1)
        claims.append(claim(f"planned {what} off what was used", WITHIN, round(off, 4), "share", off <= WITHIN))
    return claims
