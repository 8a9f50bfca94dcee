"""What the caches save through Triton: the last step of a request with ten operations, new and seen before."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tritonclient import grpc

from perf.cache.episodes import PICTURE, SIDE, STEPS, actions, question, rewarded
from perf.ports import free_ports
from pixelis.schema import (
    AgentOutcome,
    Claim,
    Options,
    PipelineResult,
    PreparedRequest,
    RecallOutcome,
    Reward,
)
from pixelis.settings import Settings
from python_backends.experience.key import WIDTH
from server.embedded import EmbeddedTriton


def served(config: Settings, rounds: int, watch: Callable[[str], None]) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Rows and claims: milliseconds of the model `reward` (states given), and of `finish` (states, reward, vote).

    Every trajectory is asked for once as a new one and then again.

    Raises:
        NotFound: the models are not built.
    """
    with tempfile.TemporaryDirectory(prefix="pixelis-cache-") as folder:
        own = config.model_copy(
            update={"state": Path(folder), "repository": config.repository.absolute(), "server": free_ports()}
        )
        triton = EmbeddedTriton(config=own)
        watch("served: starting Triton")
        triton.start(["finish"])
        try:
            with grpc.InferenceServerClient(triton.grpc_url) as client:
                watch("served: reward")
                alone = _twice(lambda i: _reward(client, i), rounds)
                watch("served: finish")
                whole = _twice(lambda i: _finish(client, i), rounds)
        finally:
            triton.stop()
    rows, claims = [], []
    for model, (new, again) in (("reward", alone), ("finish", whole)):
        row = {"row": "served", "model": model, "steps": STEPS, "new_p50_ms": new, "again_p50_ms": again}
        rows.append({**row, "ratio": round(new / again, 2)})
    text = f"reward end to end through Triton (`finish`), {STEPS} steps: times as fast when seen before"
    ratio = whole[0] / whole[1]
    claims.append(Claim(claim=text, target=3.0, measured=round(ratio, 2), unit="x", met=ratio >= 3))
    return rows, claims


def _twice(ask: Callable[[int], None], rounds: int) -> tuple[float, float]:
    """Median milliseconds of new trajectories, and of the same again."""
    ask(10**7)
    times = np.empty((2, rounds))
    for again in (0, 1):
        for i in range(rounds):
            started = time.perf_counter()
            ask(10 * i)
            times[again, i] = time.perf_counter() - started
    new, seen = np.median(times, axis=1) * 1e3
    return round(float(new), 2), round(float(seen), 2)


def _reward(client: grpc.InferenceServerClient, number: int) -> None:
    text = rewarded(number).model_dump_json().encode()
    answer = client.infer("reward", [_bytes("TRAJECTORY", text)])
    found = Reward.model_validate_json(answer.as_numpy("RESULT").reshape(-1)[0])
    if found.reason is not None or len(found.curiosity_steps) != STEPS:
        raise AssertionError(f"no whole reward: {found.reason}")


def _finish(client: grpc.InferenceServerClient, number: int) -> None:
    rng = np.random.default_rng(number)
    outcome = AgentOutcome(answer="red", confidence=0.9, actions=actions(number))
    now = time.time()
    request = PreparedRequest(
        request_id=f"r{number}",
        question=question(number),
        options=Options(k=0),
        digest="0" * 64,
        sizes=[(SIDE, SIDE)],
        started_at=now,
        deadline=now + 60,
    )
    key = rng.standard_normal(WIDTH).astype(np.float32)
    encoded = bytes(cv2.imencode(".jpg", PICTURE)[1])
    tensors = [
        _bytes("IMAGE", encoded),
        _bytes("REQUEST", request.model_dump_json().encode()),
        _bytes("NEIGHBOURS", RecallOutcome(reason="no_retrieval").model_dump_json().encode()),
        _bytes("OUTCOME", outcome.model_dump_json().encode()),
    ]
    tensors.append(grpc.InferInput("KEY", [1, WIDTH], "FP32"))
    tensors[-1].set_data_from_numpy(key[None])
    answer = client.infer("finish", tensors)
    result = PipelineResult.model_validate_json(answer.as_numpy("RESULT").reshape(-1)[0])
    if result.provenance.reasons or result.reward is None or len(result.reward.curiosity_steps) != STEPS:
        raise AssertionError(f"no whole result: {result.provenance.reasons}")


def _bytes(name: str, value: bytes) -> grpc.InferInput:
    made = grpc.InferInput(name, [1, 1], "BYTES")
    made.set_data_from_numpy(np.array([[value]], object))
    return made
