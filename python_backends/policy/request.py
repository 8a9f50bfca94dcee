"""A request for a continuation, and how it is made ready for the graph."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, LimitExceeded, PixelisError
from pixelis.schema import PolicyEvent, Sampling
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import EmbeddingTable
from python_backends.policy.grammar import CallGrammar, CallGuide
from python_backends.policy.positions import Grid, mrope_positions

EventSink = Callable[[PolicyEvent | PixelisError], None]
"""Takes a request's events in order; the last one has a `finish` or is an error.

It is called in the decoding thread and must not wait.
"""

Finish = Literal["stop", "length", "cancelled", "deadline"]


@dataclass(frozen=True)
class PolicyRequest:
    """What `policy` is asked.

    Attributes:
        prompt_ids: `[S]`, the image token repeated once a visual token.
        visual: visual tokens of all images in order `[n, hidden]`; none for a prompt without images.
        grids: patch grid (frames, rows, columns) of each image, `[images, 3]` or flattened.
        sampling: how to continue, and the request's id.
    """

    prompt_ids: NDArray[np.int64]
    visual: NDArray[np.float32] | None
    grids: NDArray[np.int32]
    sampling: Sampling


@dataclass(eq=False)
class Sequence:
    """A request on its way through the scheduler.

    Attributes:
        embeds: prompt embeddings `[S, hidden]`, visual tokens in place.
        positions: M-RoPE positions of the prompt `[3, S]`.
        next_position: position of the first generated token.
        limit: tokens that may be generated.
        stops: ids that end the sequence; the one that does is part of the result.
        guide: keeps its tool calls readable; none = every token may come.
    """

    sampling: Sampling
    sink: EventSink
    embeds: NDArray[np.float32]
    positions: NDArray[np.int64]
    next_position: int
    limit: int
    stops: frozenset[int]
    guide: CallGuide | None = None
    failed: PixelisError | None = None
    arrived: float = field(default_factory=time.monotonic)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens of the prompt."""
        return len(self.embeds)

    @property
    def deadline(self) -> float:
        """Seconds since the epoch; infinite without one."""
        return math.inf if self.sampling.deadline is None else self.sampling.deadline

    def ending(self, token: int) -> Finish | None:
        """Why the sequence ends with `token`, which is its newest; none if it goes on."""
        if token in self.stops:
            return "stop"
        return "length" if len(self.tokens) >= self.limit else None


def prepare(
    request: PolicyRequest,
    sink: EventSink,
    config: CheckpointConfig,
    embeddings: EmbeddingTable,
    max_len: int,
    grammar: CallGrammar | None = None,
) -> Sequence:
    """Check `request` and place its tokens, in the caller's thread.

    Raises:
        InvalidRequest: ids outside the vocabulary, visual tokens or grids that do not match the prompt, sampling
            that is not there, or a grammar that the checkpoint is decoded without.
        LimitExceeded: the prompt is longer than a row of the cache.
    """
    ids = np.asarray(request.prompt_ids, np.int64)
    _check_prompt(ids, config, max_len)
    _check_sampling(request.sampling)
    positions, following = mrope_positions(ids, _grids(request.grids), config.image_token, config.merge)
    embeds = embeddings[ids]
    is_image = ids == config.image_token
    if request.visual is not None and request.visual.size:
        _check_visual(request.visual, int(is_image.sum()), config.hidden)
        embeds[is_image] = request.visual
    elif is_image.any():
        raise InvalidRequest(f"The prompt has {int(is_image.sum())} image tokens and no visual tokens came with it.")
    ends = frozenset() if request.sampling.ignore_end else config.end_ids
    stops = ends | frozenset(request.sampling.stop_ids)
    return Sequence(
        sampling=request.sampling,
        sink=sink,
        embeds=embeds,
        positions=positions,
        next_position=following,
        # the last token generated is never read back, so it needs no place in the cache
        limit=min(request.sampling.max_tokens, max_len - len(ids) + 1),
        stops=stops,
        guide=_grammar(request.sampling, grammar).guide(stops) if request.sampling.grammar else None,
    )


def _check_prompt(ids: NDArray[np.int64], config: CheckpointConfig, max_len: int) -> None:
    if ids.ndim != 1 or ids.size == 0:
        raise InvalidRequest(f"PROMPT_IDS has shape {list(ids.shape)}.", mend="Send at least one token id, [S].")
    if ids.size > max_len:
        raise LimitExceeded(
            f"The prompt has {ids.size} tokens, the policy reads at most {max_len}.",
            mend="Send fewer or smaller images, or a shorter conversation.",
        )
    if ids.min() < 0 or ids.max() >= config.vocabulary:
        raise InvalidRequest(
            f"PROMPT_IDS has ids from {ids.min()} to {ids.max()}, the vocabulary has 0 to {config.vocabulary - 1}.",
            mend="Use the tokenizer.json of the policy that is served.",
        )


def _check_sampling(sampling: Sampling) -> None:
    if sampling.temperature != 0:
        raise InvalidRequest(
            f"Temperature {sampling.temperature:g}: this policy decodes greedily, sampling is not there yet.",
            mend="Send temperature 0.",
        )


def _grammar(sampling: Sampling, grammar: CallGrammar | None) -> CallGrammar:
    if grammar is None:
        raise InvalidRequest("This checkpoint is decoded without a grammar.", mend='Send `"grammar": false`.')
    return grammar


def _check_visual(visual: NDArray[np.float32], wanted: int, hidden: int) -> None:
    if visual.shape != (wanted, hidden):
        raise InvalidRequest(
            f"VISUAL has shape {list(visual.shape)}, the prompt's image tokens make it [{wanted}, {hidden}].",
            mend="Send the tokens of all images in order, one for each <|image_pad|>.",
        )
    if not np.isfinite(visual).all():
        raise InvalidRequest("VISUAL has values that are not finite.")


def _grids(flat: NDArray[np.int32]) -> list[Grid]:
    flat = np.asarray(flat)
    if flat.size % 3:
        raise InvalidRequest(f"GRIDS has {flat.size} numbers.", mend="Send (frames, rows, columns) for each image.")
    return [(int(t), int(h), int(w)) for t, h, w in flat.reshape(-1, 3)]
