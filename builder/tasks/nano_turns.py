"""Tasks of the vision tower and of the decoder: what the nano writes, turn by turn, in episodes that it has not seen.

An episode is a question about a held-out scene, the calls that answer it, what they found, and the answer. Each of its
turns is asked for with everything before it as it should be, and counts where every token is the most probable one: by
induction over its tokens that is the turn which greedy decoding writes. (An episode that goes on from its own calls
would be right or wrong as a whole, and cost a real OCR and segmentation a step; turns are several times as many.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builder.nano.episodes import Episode, make_episode, positions
from builder.nano.questions import FAMILIES
from builder.nano.questions import ask as question
from builder.nano.tokenizer import vocabulary
from builder.sources.task import Asked, Task
from python_backends.policy.profile import Profile

EPISODES = 500
FIRST_SEED = 620_000
"""Of the held-out scenes; the evaluation's and the calibration's are others."""
BATCH = 8
METRIC = "every token of the call or answer is the right one (greedy exact match)"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Turn:
    """A call or an answer: tokens `begin` to `end` of an episode, after `views` of its views."""

    episode: Episode
    begin: int
    end: int
    views: int


@lru_cache(maxsize=2)
def held_out(checkpoint: Path, count: int = EPISODES) -> tuple[Episode, ...]:
    """Episodes of all families in turn, each as it should be."""
    profile = Profile.load(checkpoint)
    asked = (question(FAMILIES[i % len(FAMILIES)], "held_out", FIRST_SEED + i) for i in range(count))
    return tuple(make_episode(one, profile, vary=False) for one in asked)


def turns_of(episode: Episode) -> Iterator[Turn]:
    """The turns of an episode that are the policy's."""
    pad = vocabulary().index("<|image_pad|>")
    each = episode.ids.count(pad) // len(episode.views)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], episode.learn, [False]]).astype(int)))
    for begin, end in edges.reshape(-1, 2):
        yield Turn(episode, int(begin), int(end), episode.ids[:begin].count(pad) // each)


class PolicyTurns(Task):
    """The decoder with its cache, in ragged batches, on visual tokens of the fp32 tower."""

    name = "nano-turns"
    metric = METRIC

    def __init__(self, checkpoint: Path, model: Callable[[], Any], count: int = EPISODES) -> None:
        self.checkpoint, self.model, self.count = checkpoint, model, count

    def reference_scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """transformers' model over whole episodes: every position at once, without a cache."""
        return TowerTurns(self.checkpoint, self.model, self.count).scores(self._tower)

    def _tower(self, inputs: Asked) -> Asked:
        import torch

        from builder.nano.model import vision_tokens

        with torch.inference_mode():
            return {"TOKENS": vision_tokens(self.model(), torch.from_numpy(inputs["VIEW"])).numpy()}

    def scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """1 for every turn that is written exactly."""
        turns = [turn for episode in held_out(self.checkpoint, self.count) for turn in turns_of(episode)]
        scores = np.zeros(len(turns))
        # Turns of about one length share a batch: fewer forced steps are for nothing.
        order = sorted(range(len(turns)), key=lambda i: (turns[i].end - turns[i].begin, turns[i].begin))
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            scores[part] = _written(ask, [turns[i] for i in part])
        return list(scores)


def _written(ask: Callable[[Asked], Asked], turns: Sequence[Turn]) -> list[float]:
    """Whether each turn is what the decoder writes, one batch."""
    answer = ask(_asked(turns))
    logits = np.concatenate([answer["PREFILL_LOGITS"][:, None], answer["STEP_LOGITS"]], axis=1)
    chosen = logits.argmax(axis=-1)
    wanted = [np.array(turn.episode.ids[turn.begin : turn.end]) for turn in turns]
    return [float((row[: len(target)] == target).all()) for row, target in zip(chosen, wanted, strict=True)]


def sample(checkpoint: Path, episodes: int = 4) -> Asked:
    """The turns of a few held-out episodes as one batch of the decoder (`builder.sources.decoder`)."""
    return _asked([turn for episode in held_out(checkpoint, episodes) for turn in turns_of(episode)][:BATCH])


def _asked(turns: Sequence[Turn]) -> Asked:
    """What the decoder is asked: prompts, views, and the turns' own tokens but the last, which follow."""
    prompts = [turn.episode.ids[: turn.begin] for turn in turns]
    views = np.zeros((len(turns), max(turn.views for turn in turns), *turns[0].episode.views[0].shape), np.uint8)
    for row, turn in enumerate(turns):
        views[row, : turn.views] = turn.episode.views[: turn.views]
    return {
        "PROMPT_IDS": _padded(prompts),
        "LENGTHS": np.array([len(prompt) for prompt in prompts]),
        "VIEWS": views,
        "IMAGES": np.array([turn.views for turn in turns]),
        "NEXT": _padded([turn.episode.ids[turn.begin : turn.end - 1] for turn in turns]),
    }


def _padded(rows: Sequence[Sequence[int] | NDArray[np.int64]]) -> NDArray[np.int64]:
    out = np.zeros((len(rows), max(len(row) for row in rows)), np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


class TowerTurns(Task):
    """The vision tower in front of transformers' fp32 decoder."""

    name = "nano-turns"
    metric = METRIC

    def __init__(self, checkpoint: Path, model: Callable[[], Any], count: int = EPISODES) -> None:
        self.checkpoint, self.model, self.count = checkpoint, model, count

    def scores(self, ask: Callable[[Asked], Asked]) -> list[float]:
        """1 for every turn that is written exactly."""
        episodes = held_out(self.checkpoint, self.count)
        order = sorted(range(len(episodes)), key=lambda i: len(episodes[i].ids))
        found: dict[int, list[float]] = {}
        for start in range(0, len(order), 2 * BATCH):
            part = order[start : start + 2 * BATCH]
            found.update(zip(part, self._batch(ask, [episodes[i] for i in part]), strict=True))
        return [score for i in range(len(episodes)) for score in found[i]]

    def _batch(self, ask: Callable[[Asked], Asked], episodes: Sequence[Episode]) -> list[list[float]]:
        """Scores of the turns of each episode."""
        import torch

        model, pad = self.model(), vocabulary().index("<|image_pad|>")
        views = np.stack([view for episode in episodes for view in episode.views])
        tokens = np.concatenate(
            [ask({"VIEW": views[start : start + BATCH]})["TOKENS"] for start in range(0, len(views), BATCH)]
        ).astype(np.float32)
        ids = torch.from_numpy(_padded([episode.ids for episode in episodes]))
        places = np.zeros((3, *ids.shape), np.int64)
        for row, episode in enumerate(episodes):
            places[:, row, : len(episode.ids)] = positions(episode.ids, pad)
        with torch.inference_mode():
            embeds = model.get_input_embeddings()(ids)
            embeds = embeds.masked_scatter((ids == pad)[..., None], torch.from_numpy(tokens))
            # Padding is on the right, so causal attention needs no mask.
            out = model.model.language_model(
                inputs_embeds=embeds, position_ids=torch.from_numpy(places), use_cache=False
            )
            chosen = model.lm_head(out.last_hidden_state).argmax(dim=-1).numpy()
        return [
            [float((row[t.begin - 1 : t.end - 1] == e.ids[t.begin : t.end]).all()) for t in turns_of(e)]
            for e, row in zip(episodes, chosen, strict=True)
        ]
