"""`SAMPLING` as vLLM's `SamplingParams`, in the JSON that Triton's vLLM backend reads (`sampling_parameters`).

    temperature, top_p, top_k, min_p, repetition_penalty, stop, seed, max_tokens   the same words
    stop_ids and the checkpoint's end tokens   stop_token_ids
    ignore_end                                 ignore_eos, and no end tokens among stop_token_ids
    grammar                                    structured_outputs: see `structure`
    deadline, priority, stream                 not vLLM's: the first is kept to by `runtime`, the second has no effect

vLLM takes a temperature above 0 and below 0.01 for 0.01. Log-probabilities are asked for with 0 beside the token's own:
that is how its id comes back, for the backend answers with text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pixelis.schema import Sampling


def parameters(sampling: Sampling, ends: Iterable[int], limit: int, structure: str | None = None) -> str:
    """The JSON.

    Args:
        sampling: as it was asked for.
        ends: ids that end the turn.
        limit: tokens that may be written.
        structure: a structural tag; none = every token may come.
    """
    said: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "repetition_penalty": sampling.repetition_penalty,
        "max_tokens": limit,
        "stop_token_ids": sorted(ends),
        "ignore_eos": sampling.ignore_end,
        "logprobs": 0,
    }
    optional = {"top_k": sampling.top_k, "min_p": sampling.min_p, "stop": sampling.stop}
    said |= {name: value for name, value in optional.items() if value}
    if sampling.seed is not None:
        said["seed"] = sampling.seed
    if structure is not None:  # a JSON text inside the JSON, and the tag another one inside that: so it is read
        said["structured_outputs"] = json.dumps({"structural_tag": structure})
    return json.dumps(said)
