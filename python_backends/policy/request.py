"""A request for a continuation, and how it is made ready for the graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, LimitExceeded, PixelisError
from pixelis.schema import Sampling
from python_backends.policy.calls.vocabulary import Vocabulary
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.content import Content, prompt_content, text_content
from python_backends.policy.embeddings import EmbeddingTable, widened
from python_backends.policy.grammar import CallGrammar, CallGuide
from python_backends.policy.positions import Grid, mrope_positions, visual_tokens
from python_backends.policy.sampling_plan import Plan
from python_backends.policy.sampling_stop import StopTexts
from python_backends.policy.written import EventSink, Written


@dataclass(frozen=True)
class PolicyRequest:
    """What `policy` is asked.

    Attributes:
        prompt_ids: `[S]`, the image token repeated once a visual token.
        visual: visual tokens of all images in order `[n, hidden]`, features for the layers behind each where the
            checkpoint has them (`CheckpointConfig.visual_width`); none for a prompt without images.
        grids: patch grid (frames, rows, columns) of each image, `[images, 3]` or flattened.
        sampling: how to continue, and the request's id.
    """

    prompt_ids: NDArray[np.int64]
    visual: NDArray[np.float32] | None
    grids: NDArray[np.int32]
    sampling: Sampling


@dataclass(eq=False, kw_only=True)
class Sequence(Written):
    """A request on its way through the scheduler.

    Attributes:
        ids: prompt `[S]`.
        embeds: prompt embeddings `[S, hidden]`, visual tokens in place; wider by their features where it has images.
        positions: M-RoPE positions of the prompt `[3, S]`.
        content: what the prompt's cache follows from `[S, 2]`.
        next_position: position of the first generated token.
        guide: keeps its tool calls readable; none = every token may come.
        plan: how its tokens are drawn; none = the likeliest comes.
        read: tokens of `known` that its row holds, while it is not decoding.
    """

    ids: NDArray[np.int64]
    embeds: NDArray[np.float32]
    positions: NDArray[np.int64]
    content: Content
    next_position: int
    guide: CallGuide | None = None
    plan: Plan | None = None
    failed: PixelisError | None = None
    read: int = 0

    @property
    def length(self) -> int:
        """Tokens of the prompt."""
        return len(self.embeds)

    @property
    def known(self) -> int:
        """Tokens that its row holds before the next decode step: the newest token is read by that step."""
        return len(self.embeds) + max(len(self.tokens) - 1, 0)

    def take(self, token: int, logprob: float, now: float) -> None:
        """See `Written.take`."""
        super().take(token, logprob, now)
        if self.plan is not None:
            self.plan.took(token)

    def stops_at(self, token: int) -> bool:
        """Whether the newest token ends it; inside a call, what would end free text is a part of the call."""
        return token in self.stops and not (self.guide is not None and self.guide.inside)

    def history(self) -> NDArray[np.int64]:
        """Ids of the prompt and of what was generated."""
        return np.concatenate([self.ids, np.array(self.tokens, np.int64)])

    def known_content(self) -> Content:
        """Content of all that `known` counts."""
        ids = np.array(self.tokens[:-1], np.int64)
        if not len(ids):
            return self.content
        return np.concatenate([self.content, text_content(ids, self.places(self.length, self.known))])

    def places(self, start: int, stop: int) -> NDArray[np.int64]:
        """Positions `[3, stop - start]` of tokens, generated ones included."""
        prompt = self.positions[:, start:stop]
        first = max(start, self.length) - self.length
        made = np.arange(first, max(stop - self.length, first), dtype=np.int64) + self.next_position
        return np.concatenate([prompt, np.tile(made, (3, 1))], axis=1)

    def embedded(self, start: int, stop: int, table: EmbeddingTable) -> NDArray[np.float32]:
        """Embeddings `[stop - start, hidden]` of tokens, generated ones included."""
        prompt = self.embeds[start:stop]
        made = self.tokens[max(start - self.length, 0) : max(stop - self.length, 0)]
        if not made:
            return prompt
        return np.concatenate([prompt, widened(table[np.array(made, np.int64)], prompt.shape[1])])


def prepare(
    request: PolicyRequest,
    sink: EventSink,
    config: CheckpointConfig,
    embeddings: EmbeddingTable,
    max_len: int,
    grammar: CallGrammar | None = None,
    vocabulary: Vocabulary | None = None,
) -> Sequence:
    """Check `request` and place its tokens, in the caller's thread.

    Raises:
        InvalidRequest: ids outside the vocabulary, visual tokens or grids that do not match the prompt, a grammar that
            the checkpoint is decoded without, or stop texts where nobody knows what its tokens say.
        LimitExceeded: the prompt is longer than a row of the cache, or a video in it lasts too long.
    """
    ids = np.array(request.prompt_ids, np.int64)
    check_prompt(ids, config, max_len)
    grids = read_grids(request.grids)
    positions, following = _positions(ids, grids, request.sampling.patch_seconds, config)
    embeds = embeddings[ids]
    is_image = ids == config.image_token
    visual = None
    if request.visual is not None and request.visual.size:
        visual = request.visual
        _check_visual(visual, int(is_image.sum()), config.visual_width)
        embeds = widened(embeds, config.visual_width)
        embeds[is_image] = visual
    elif is_image.any():
        raise InvalidRequest(f"The prompt has {int(is_image.sum())} image tokens and no visual tokens came with it.")
    ends = frozenset() if request.sampling.ignore_end else config.end_ids
    stops = ends | frozenset(request.sampling.stop_ids)
    # the last token generated is never read back, so it needs no place in the cache
    limit = min(request.sampling.max_tokens, max_len - len(ids) + 1, config.max_positions - following + 1)
    return Sequence(
        sampling=request.sampling,
        sink=sink,
        ids=ids,
        embeds=embeds,
        positions=positions,
        content=prompt_content(ids, positions, is_image, visual, [visual_tokens(g, config.merge) for g in grids]),
        next_position=following,
        limit=limit,
        stops=stops,
        guide=_grammar(grammar).guide(stops, limit, len(grids)) if request.sampling.grammar else None,
        plan=Plan.of(request.sampling, ids),
        stopping=StopTexts(spelt(vocabulary), request.sampling.stop) if request.sampling.stop else None,
    )


def check_prompt(ids: NDArray[np.int64], config: CheckpointConfig, max_len: int) -> None:
    """Raises `InvalidRequest` or `LimitExceeded` where a prompt cannot be read."""
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


def _positions(
    ids: NDArray[np.int64], grids: list[Grid], patch_seconds: float | None, config: CheckpointConfig
) -> tuple[NDArray[np.int64], int]:
    step = 1.0 if patch_seconds is None else config.tokens_per_second * patch_seconds
    positions, following = mrope_positions(ids, grids, config.image_token, config.merge, step=step)
    if following > config.max_positions:  # only time can be ahead of the tokens
        raise LimitExceeded(
            f"The prompt ends at position {following}, the policy knows {config.max_positions}.",
            mend="Send a shorter video, or say more frames a second (`fps`).",
        )
    return positions, following


def _grammar(grammar: CallGrammar | None) -> CallGrammar:
    if grammar is None:
        raise InvalidRequest("This checkpoint is decoded without a grammar.", mend='Send `"grammar": false`.')
    return grammar


def spelt(vocabulary: Vocabulary | None) -> Vocabulary:
    """What tokens say. Raises `InvalidRequest` where nobody knows."""
    if vocabulary is None:
        raise InvalidRequest(
            "Stop texts cannot be found: the checkpoint's tokenizer is of a kind whose tokens are not known.",
            mend="Send no `stop`.",
        )
    return vocabulary


def _check_visual(visual: NDArray[np.float32], wanted: int, width: int) -> None:
    if visual.shape != (wanted, width):
        raise InvalidRequest(
            f"VISUAL has shape {list(visual.shape)}, the prompt's image tokens make it [{wanted}, {width}].",
            mend="Send the tokens of all images in order, one for each <|image_pad|>.",
        )
    if not np.isfinite(visual).all():
        raise InvalidRequest("VISUAL has values that are not finite.")


def read_grids(flat: NDArray[np.int32]) -> list[Grid]:
    """The grid of each image. Raises `InvalidRequest`."""
    flat = np.asarray(flat)
    if flat.size % 3:
        raise InvalidRequest(f"GRIDS has {flat.size} numbers.", mend="Send (frames, rows, columns) for each image.")
    return [(int(t), int(h), int(w)) for t, h, w in flat.reshape(-1, 3)]
