"""Part `serve`: the whole pipeline on a real Triton, with the checkpoint's vision encoder and policy.

Pictures go through the served `vision_encoder`, prompts through the served `policy`, greedily; then transformers, in
single precision, reads each prompt with what was written behind it, and every token must be the one that it finds
likeliest. After that whole questions are asked, as users ask them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.building.build import build as run_build
from builder.checkpoints.checks import check_checkpoint
from builder.checkpoints.using import settings_of
from builder.nano.questions import ask as question_about
from builder.nano.render import render
from builder.sources.decoder import Decoder
from clients.client import PixelisClient
from perf.checkpoint.part import Asked, Found, claim
from perf.checkpoint.prompts import Prompt, held_out_prompts
from perf.ports import free_ports
from pixelis.errors import BuildError, PixelisError
from pixelis.schema import PolicyEvent, Sampling
from server.control import Control
from server.embedded import EmbeddedTriton

NAME = "serve"
QUESTIONS = 3
"""Asked of the pipeline: each is at least one turn, and a turn of a large checkpoint takes its time."""
TURN_TOKENS, OPERATIONS = 24, 2
READY_S, ANSWER_S = 900.0, 300.0


@dataclass(frozen=True)
class _Turn:
    """One prompt, as it was continued."""

    prompt: Prompt
    tokens: list[int]
    encoder_s: float
    policy_s: float


def serve(asked: Asked) -> Found:
    """Build what is not built yet, serve, decode, ask.

    Raises:
        BuildError: the checkpoint cannot be built from, or a gate did not pass.
    """
    checkpoint = check_checkpoint(asked.checkpoint.absolute())
    prompts = [one for one in held_out_prompts(checkpoint.directory, 4 * asked.prompts) if not one.clip]
    with (
        tempfile.TemporaryDirectory(prefix="pixelis-serve-") as scratch,
        settings_of(checkpoint.directory) as values,
    ):
        repository = Path(scratch) / "repository"
        report = run_build((), repository=repository, state=values.state.absolute(), watch=asked.watch)
        if report.failed:
            raise BuildError(f"{report.failed[0].model}: {report.failed[0].reason}")
        server = free_ports().model_copy(update={"ready_timeout_s": READY_S})
        own = {"state": Path(scratch) / "state", "repository": repository, "server": server}
        triton = EmbeddedTriton(config=values.model_copy(update=own))
        asked.watch(NAME, "starting Triton")
        started = time.perf_counter()
        triton.start()
        ready_s = time.perf_counter() - started
        try:
            turns = _turns(triton, prompts[: asked.prompts], asked)
            questions = _questions(triton, asked)
        finally:
            triton.stop()
        likeliest = [_likeliest(Decoder(checkpoint.directory), turn, asked) for turn in turns]
    rows = [
        {
            "row": NAME,
            "prompt": turn.prompt.kind,
            "prompt tokens": len(turn.prompt.ids),
            "tokens": len(turn.tokens),
            "as transformers": found,
            "encoder s": round(turn.encoder_s, 3),
            "policy s": round(turn.policy_s, 3),
        }
        for turn, found in zip(turns, likeliest, strict=True)
    ]
    written = sum(len(turn.tokens) for turn in turns)
    return Found(
        rows=[{"row": f"{NAME} start", "ready s": round(ready_s, 1)}, *rows, *questions],
        claims=[
            claim(
                "tokens that Triton wrote greedily, the likeliest to transformers in fp32",
                written,
                sum(likeliest),
                "tokens",
                0 < written == sum(likeliest),
            ),
            claim(
                "questions that the pipeline answered",
                QUESTIONS,
                sum(not row["error"] for row in questions),
                "questions",
                not any(row["error"] for row in questions),
            ),
        ],
    )


def _turns(triton: EmbeddedTriton, prompts: Sequence[Prompt], asked: Asked) -> list[_Turn]:
    control, turns = Control(triton.grpc_url), []
    try:
        for number, prompt in enumerate(prompts):
            asked.watch(NAME, f"prompt {number + 1} of {len(prompts)}")
            begun = time.perf_counter()
            seen = _seen(control, prompt.views)
            looked = time.perf_counter()
            sampling = Sampling(
                request_id=f"{NAME}-{number}", max_tokens=asked.tokens, stream=False, deadline=time.time() + ANSWER_S
            )
            inputs: dict[str, NDArray[Any]] = {
                "PROMPT_IDS": prompt.ids,
                "VISUAL": seen,
                "GRIDS": np.array(prompt.grids, np.int32).reshape(-1),
                "SAMPLING": np.array([sampling.model_dump_json().encode()], object),
            }
            if not len(prompt.views):
                del inputs["VISUAL"], inputs["GRIDS"]
            answer = control.stream("policy", inputs, ANSWER_S)
            event = PolicyEvent.model_validate_json(answer["EVENT"].reshape(-1)[0])
            turns.append(_Turn(prompt, list(event.tokens), looked - begun, time.perf_counter() - looked))
    finally:
        control.close()
    return turns


def _seen(control: Control, views: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Visual tokens `[n, width]` of pictures, one after the other."""
    if not len(views):
        return np.zeros((0, 0), np.float32)
    tokens = control.infer("vision_encoder", {"VIEW": views}, ANSWER_S)["TOKENS"]
    return np.ascontiguousarray(tokens.reshape(-1, tokens.shape[-1]))


def _likeliest(decoder: Decoder, turn: _Turn, asked: Asked) -> int:
    """How many of the written tokens transformers finds likeliest, each after those before it."""
    asked.watch(NAME, f"transformers reads a prompt of {len(turn.prompt.ids)} tokens")
    whole = np.append(turn.prompt.ids, turn.tokens[:-1]).astype(np.int64)
    logits = decoder.logits(whole, turn.prompt.views, len(turn.tokens))
    return int((logits.argmax(-1) == np.array(turn.tokens)).sum())


def _questions(triton: EmbeddedTriton, asked: Asked) -> list[dict[str, Any]]:
    """A row for each question to the pipeline."""
    rows: list[dict[str, Any]] = []
    with PixelisClient(triton.grpc_url) as client:
        for seed in range(QUESTIONS):
            asked.watch(NAME, f"question {seed + 1} of {QUESTIONS}")
            question = question_about("colour", "held_out", seed)
            picture = bytes(cv2.imencode(".png", render(question.scene)[..., ::-1])[1])
            started, error, steps = time.perf_counter(), "", 0
            try:
                result = client.ask(
                    picture,
                    question.text,
                    max_tokens=TURN_TOKENS,
                    max_operations=OPERATIONS,
                    timeout_s=ANSWER_S,
                    use_cache=False,
                )
                steps, error = len(result.trajectory), "; ".join(result.provenance.reasons)
            except PixelisError as failure:
                error = str(failure)
            seconds = round(time.perf_counter() - started, 2)
            rows.append({"row": f"{NAME} question", "steps": steps, "seconds": seconds, "error": error})
    return rows
