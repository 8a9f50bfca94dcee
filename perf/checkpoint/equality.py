"""Part `equality`: the artifacts that are served write what `transformers.generate` writes, token for token.

Both in fp32 and greedily. The visual tokens of pictures and clips are those of the built `vision_encoder` (of a
checkpoint whose profile shows frames one by one, it is built as if they were read in pairs), the text is decoded by the
built `policy`: once a prompt alone and read whole, once many at a time and read in small chunks between the steps,
with drafts and with what prompts have in common kept.
"""

from __future__ import annotations

import json
import queue
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builder.candidate import Candidate
from builder.formats import open_format
from builder.sources.decoder import Decoder
from builder.sources.vision_encoder import VisionEncoder
from perf.checkpoint.part import Asked, Found
from perf.checkpoint.prompts import FRAMES, KINDS, Prompt, clip_seconds, held_out_prompts
from perf.checkpoint.reference import Reference, Written
from pixelis.errors import PixelisError
from pixelis.schema import Claim, PolicyEvent, Sampling
from python_backends.engine.onnxruntime_engine import open_session
from python_backends.policy.profile import Profile
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime

NAME = "equality"
CHUNK = 16
"""Tokens of a prompt that are read at once, where it is read in chunks; a picture of the nano has 36."""
_WHOLE = 1 << 20
WAYS: dict[str, tuple[int, dict[str, Any]]] = {
    "whole, alone": (_WHOLE, {"slots": 1, "speculation": False, "prefix_bytes": 0}),
    "in chunks, together": (CHUNK, {"slots": 8}),
}
"""How prompts are decoded: tokens read at once, and the runtime's limits."""
_MAX_LEN = 1024
Seen = Sequence[NDArray[np.float32] | None]
"""Visual tokens `[n, hidden]` of each prompt; none of a text."""


def equality(asked: Asked) -> Found:
    """Generate with both, and compare."""
    prompts = held_out_prompts(asked.checkpoint, asked.prompts)
    reference = Reference(asked.checkpoint, asked.threads)
    with tempfile.TemporaryDirectory(prefix="pixelis-equality-") as scratch:
        asked.watch(NAME, "building fp32")
        policy, encoder = (Path(scratch) / name for name in ("policy", "vision_encoder"))
        form = Candidate(format="onnx")
        open_format("onnx").export(Decoder(asked.checkpoint), policy, form)
        paired = reading_pairs(asked.checkpoint, Path(scratch) / "checkpoint")
        open_format("onnx").export(VisionEncoder(paired), encoder, form)
        seen = visual(prompts, encoder, asked.threads)
        asked.watch(NAME, "transformers.generate")
        wanted = [reference.generate(prompt, asked.tokens) for prompt in prompts]
        got = {}
        for way in WAYS:
            asked.watch(NAME, f"the runtime: {way}")
            got[way] = decode(policy, prompts, seen, way, asked.tokens, asked.threads)
    return compared(prompts, wanted, got)


def compared(prompts: Sequence[Prompt], wanted: Sequence[Written], got: dict[str, list[list[int]]]) -> Found:
    """A row for each way and kind of prompt, a claim for each way."""
    rows, claims = [], []
    for way, written in got.items():
        both = list(zip(prompts, wanted, written, strict=True))
        for kind in KINDS:
            mine = [(theirs, ours) for prompt, theirs, ours in both if prompt.kind == kind]
            if mine:
                rows.append({"row": NAME, "way": way, "prompts of": kind, **_figures(mine)})
        equal = sum(theirs.tokens == ours for _, theirs, ours in both)
        claims.append(
            Claim(
                claim=f"prompts whose greedy tokens are all transformers', read {way}",
                target=len(prompts),
                measured=equal,
                unit="prompts",
                met=equal == len(prompts),
            )
        )
    return Found(rows, claims)


def decode(policy: Path, prompts: Sequence[Prompt], seen: Seen, way: str, count: int, threads: int) -> list[list[int]]:
    """Tokens of each prompt by the runtime on the artifact in `policy`, decoded in one of `WAYS`."""
    chunk, limits = WAYS[way]
    with PolicyRuntime(policy, threads=threads, max_len=_MAX_LEN, **limits) as runtime:
        runtime._scheduler._pacing.chunk = lambda decoding: chunk  # type: ignore[method-assign]
        endings: list[queue.SimpleQueue[list[int]]] = []
        for number, (prompt, tokens) in enumerate(zip(prompts, seen, strict=True)):
            grids = np.array(prompt.grids, np.int32).reshape(-1)
            apart = clip_seconds(2) if prompt.clip else None
            sampling = Sampling(request_id=f"{NAME}-{number}", max_tokens=count, stream=False, patch_seconds=apart)
            endings.append(queue.SimpleQueue())
            runtime.submit(PolicyRequest(prompt.ids, tokens, grids, sampling), _taking(endings[-1]))
        return [ending.get() for ending in endings]


def _taking(ending: queue.SimpleQueue[list[int]]) -> Callable[[PolicyEvent | PixelisError], None]:
    def take(event: PolicyEvent | PixelisError) -> None:
        # an error is an answer that equals no other; there is one event where nothing streams
        ending.put([] if isinstance(event, PixelisError) else event.tokens)

    return take


def reading_pairs(checkpoint: Path, twin: Path) -> Path:
    """`checkpoint`, or where its profile shows frames one by one, `twin`: its files, with a profile that says pairs."""
    if Profile.load(checkpoint).video == "pairs":
        return checkpoint
    twin.mkdir(parents=True)
    for path in checkpoint.iterdir():
        (twin / path.name).symlink_to(path.absolute())
    profile, said = twin / "pixelis.json", checkpoint / "pixelis.json"
    known = json.loads(said.read_text(encoding="utf-8")) if said.is_file() else {}
    profile.unlink(missing_ok=True)
    profile.write_text(json.dumps({**known, "video": "pairs", "video_frames": FRAMES}), encoding="utf-8")
    return twin


def visual(prompts: Sequence[Prompt], encoder: Path, threads: int) -> Seen:
    """Visual tokens of each prompt by the built tower in `encoder`, which reads pairs."""
    session = open_session(encoder / "model.onnx", threads)
    made: list[NDArray[np.float32] | None] = []
    for prompt in prompts:
        tokens = session.run(["TOKENS"], {"VIEW": prompt.seen})[0] if len(prompt.views) else None
        made.append(None if tokens is None else tokens.reshape(-1, tokens.shape[-1]))
    return made


def _figures(pairs: Sequence[tuple[Written, list[int]]]) -> dict[str, Any]:
    before = sum(
        next((i for i, (a, b) in enumerate(zip(theirs.tokens, ours, strict=False)) if a != b), len(theirs.tokens))
        for theirs, ours in pairs
    )
    tokens = sum(len(theirs.tokens) for theirs, _ in pairs)
    return {
        "prompts": len(pairs),
        "equal": sum(theirs.tokens == ours for theirs, ours in pairs),
        "tokens": tokens,
        "equal tokens": before,
        "distinct answers": len({tuple(theirs.tokens) for theirs, _ in pairs}),
        "least margin": round(min(min(theirs.margins) for theirs, _ in pairs), 5),
    }
