"""Train the nano on generated scenes that never repeat. Resumable: the state is written every `save_every` steps."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from builder.nano import model as nano
from builder.nano import tokenizer as nano_tokenizer
from builder.nano.episodes import Episode, positions, training_episode
from pixelis.draft import draft
from python_backends.policy.profile import Profile


@dataclass(frozen=True)
class Cycle:
    """A one-cycle learning-rate schedule from `begin` to `end`; the next cycle may begin before it ends."""

    begin: int
    end: int
    rate: float


@dataclass(frozen=True)
class Recipe:
    """What a training run is: two stages, two families of questions and then all."""

    seed: int = 1
    steps: int = 12750
    widen: int = 5000
    """Step at which the second stage begins; the optimiser starts anew with it."""
    cycles: tuple[Cycle, ...] = (
        Cycle(0, 3200, 1e-3), Cycle(2250, 4200, 7e-4), Cycle(4200, 5000, 8e-4), Cycle(5000, 9000, 8e-4),
        Cycle(8250, 9500, 5e-4),
        Cycle(9500, 10250, 5e-4), Cycle(10250, 12750, 5e-4),
    )  # fmt: skip
    shape_weight: float = 4.0
    """Of the shape among the lessons, from `shape_weight_from` on."""
    shape_weight_from: int = 4200
    batch: int = 32
    warmup: float = 0.05
    auxiliary_weight: float = 1.0
    look_weight: float = 0.5
    look_from: int = 500
    """Step from which one attention head is taught where to look; before it there is little to see."""
    look_again_from: int = 1750
    """Step from which a head of the last layer is taught the same."""
    copy_from: int = 1250
    """Step from which another head is taught to look at what it copies."""
    listen_from: int = 2250
    """Step from which a head of the second layer is taught to look at the word that says what is meant."""
    understand_from: int = 2750
    """Step from which the first coordinate counts by itself, and the second layer must say which word is meant."""
    shape_from: int = 3250
    """Step from which the shape counts by itself, not as one of many heads."""
    count_more: tuple[int, int] = (8250, 9500)
    """Steps from which counting, the hardest, is every third and every second question."""
    count_from: int = 6500
    """Step from which colour counts by itself as shape does, the third layer must say how many there are still to
    count, and whether there is one more weighs `decision_weight` in the loss."""
    coordinate_weight: float = 3.0
    """Of a coordinate in the loss; every other token counts 1."""
    decision_weight: float = 6.0
    save_every: int = 250
    threads: int = 1
    stop_after: int | None = None
    """End this run after so many steps; the schedule stays that of `steps`."""


def collate(episodes: list[Episode], image_token: int, pad: int) -> dict[str, Tensor]:
    """Episodes as one right-padded batch (see `model.forward`), with `labels [M]` for the logits there."""
    width = max(len(e.ids) for e in episodes)
    ids = np.full((len(episodes), width), pad, np.int64)
    learn = np.zeros((len(episodes), width), bool)
    place = np.zeros((3, len(episodes), width), np.int64)
    copies = [(b, *pair) for b, episode in enumerate(episodes) for pair in episode.copies]
    deciding = [(b, *pair) for b, episode in enumerate(episodes) for pair in episode.decisions]
    looking = [(b, look) for b, episode in enumerate(episodes) for look in episode.looks]
    looks = np.zeros((len(looking), width), bool)
    rows, targets = [], []
    for b, episode in enumerate(episodes):
        n = len(episode.ids)
        ids[b, :n] = episode.ids
        learn[b, : n - 1] = episode.learn[1:]
        place[:, b, :n] = positions(episode.ids, image_token)
        first = episode.ids.index(image_token)
        rows.append(b * width + first + np.arange(len(episode.targets)))
        targets.append(episode.targets)
    for i, (b, look) in enumerate(looking):
        first = episodes[b].ids.index(image_token)
        looks[i, first : first + len(look.cells)] = look.cells
    labels = np.roll(ids, -1, axis=1)[learn]
    arrays = {
        "ids": ids, "learn": learn, "positions": place, "labels": labels, "target_rows": np.concatenate(rows),
        "targets": np.concatenate(targets), "views": np.stack([v for e in episodes for v in e.views]),
        "looks": looks, "writes": np.array([(b, look.at) for b, look in looking], np.int64).reshape(-1, 2),
        "first": np.array([look.first for _, look in looking], bool),
        "after": np.array([look.after for _, look in looking], np.int64),
        "decides": np.array([(b, at) for b, at, _ in deciding], np.int64).reshape(-1, 2),
        "left": np.array([left for _, _, left in deciding], np.int64),
        "copies": np.array(copies, np.int64).reshape(-1, 3),
        "words": np.array([e.word for e in episodes], np.int64),
    }  # fmt: skip
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def parts_of(episodes: list[Episode]) -> list[list[Episode]]:
    """Episodes of about the same length together: one padded batch for each wastes little on padding."""
    parts: dict[str, list[Episode]] = {"label": [], "count": [], "": []}
    for episode in episodes:
        parts[episode.family if episode.family in parts else ""].append(episode)
    return [part for part in parts.values() if part]


class Episodes(IterableDataset[list[dict[str, Tensor]]]):
    """Batches from step `start` on; step and seed fix every scene."""

    def __init__(self, recipe: Recipe, start: int) -> None:
        self.recipe, self.start = recipe, start

    def __iter__(self) -> Iterator[list[dict[str, Tensor]]]:
        torch.set_num_threads(1)
        vocabulary = nano_tokenizer.vocabulary()
        image, pad = vocabulary.index("<|image_pad|>"), vocabulary.index("<|endoftext|>")
        profile = Profile.model_validate(nano.PROFILE)
        for step in range(self.start, self.recipe.steps):
            base = self.recipe.seed * 100_000_000 + step * self.recipe.batch
            stage = sum(step >= begin for begin in (self.recipe.widen, *self.recipe.count_more))
            episodes = [training_episode("train", base + i, profile, stage) for i in range(self.recipe.batch)]
            yield [collate(part, image, pad) for part in parts_of(episodes)]


def _optimiser(parameters: list[Any], recipe: Recipe) -> Any:
    return torch.optim.AdamW(parameters, lr=recipe.cycles[0].rate, betas=(0.9, 0.98), weight_decay=0.01)


def _schedule(optimiser: Any, recipe: Recipe, step: int) -> Any:
    """The learning-rate cycle that `step` is in, as far as it is."""
    cycle = [c for c in recipe.cycles if c.begin <= step][-1]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        cycle.rate,
        total_steps=cycle.end - cycle.begin + 1,
        pct_start=recipe.warmup,
        cycle_momentum=False,
    )
    schedule.last_epoch = step - cycle.begin
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `get_lr` wants to be called by `step`; here the schedule is entered midway
        rates = schedule.get_lr()
    for group, now in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = now
    return schedule


def _load(path: Path, model: Any, heads: nano.Heads, optimiser: Any) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    heads.load_state_dict(state["heads"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _store(path: Path, step: int, model: Any, heads: nano.Heads, optimiser: Any) -> None:
    state = {
        "step": step, "model": model.state_dict(), "heads": heads.state_dict(),
        "optimiser": optimiser.state_dict(),
    }  # fmt: skip
    with draft(path) as beside:
        torch.save(state, beside)


def _backward(model: Any, heads: nano.Heads, parts: list[dict[str, Tensor]], recipe: Recipe, step: int) -> list[float]:
    """Accumulate the gradient of one step.

    Returns:
        Loss, losses of the heads, of the look and of the copy, token and coordinate accuracy: means over the parts.
    """
    means = np.zeros(13)
    vocabulary = nano_tokenizer.vocabulary()
    first, last = vocabulary.index(str(nano_tokenizer.BINS[0])), vocabulary.index(str(nano_tokenizer.BINS[-1]))
    whole = sum(len(batch["ids"]) for batch in parts)
    for batch in parts:
        share = len(batch["ids"]) / whole
        with torch.autocast("cpu", torch.bfloat16):
            logits, auxiliary, look, copy = nano.forward(model, batch, heads)
        coordinate = (batch["labels"] >= first) & (batch["labels"] <= last)
        weights = 1.0 + (recipe.coordinate_weight - 1.0) * coordinate
        if step > recipe.count_from:
            decides = torch.zeros_like(batch["learn"])
            decides[batch["decides"][:, 0], batch["decides"][:, 1]] = True
            weights = weights + (recipe.decision_weight - 1.0) * decides[batch["learn"]]
        losses = torch.nn.functional.cross_entropy(logits.float(), batch["labels"], reduction="none")
        main = (losses * weights).sum() / weights.sum()
        lessons = (
            (look[0], recipe.look_from),
            (look[1], recipe.look_again_from),
            (look[2], recipe.listen_from),
            (look[3], recipe.understand_from),
            (look[4], recipe.understand_from),
            (look[5], recipe.shape_from),
            ((recipe.shape_weight - 1) * look[5], recipe.shape_weight_from),
            (recipe.shape_weight * look[6], recipe.count_from),
            (look[7], recipe.count_from),
            (copy, recipe.copy_from),
        )
        taught = torch.stack([lesson for lesson, start in lessons if step > start] or [look[0] * 0]).sum()
        (share * (main + recipe.auxiliary_weight * auxiliary + recipe.look_weight * taught)).backward()
        hit = (logits.argmax(-1) == batch["labels"]).float()
        scores = [
            main.item(),
            auxiliary.item(),
            *look.tolist(),
            copy.item(),
            hit.mean().item(),
            hit[coordinate].mean().item(),
        ]
        means += np.array(scores) * share
    return list(means)


def train(recipe: Recipe, state: Path, checkpoint: Path, report: Any = print) -> None:
    """Train, write the checkpoint every `save_every` steps and at the end.

    Args:
        recipe: the run.
        state: folder of the resumable state.
        checkpoint: Hugging Face directory to write.
        report: called with one JSON line every 25 steps.
    """
    torch.set_num_threads(recipe.threads)
    state.mkdir(parents=True, exist_ok=True)
    model, heads = nano.create(recipe.seed), nano.Heads()
    model.set_attn_implementation("eager")
    parameters = [*model.parameters(), *heads.parameters()]
    optimiser = _optimiser(parameters, recipe)
    path = state / "state.pt"
    start = _load(path, model, heads, optimiser)
    schedule = _schedule(optimiser, recipe, start)
    batches = DataLoader(Episodes(recipe, start), batch_size=None, num_workers=1, prefetch_factor=4)
    began, sums = time.time(), np.zeros(14)
    model.train()
    for step, parts in enumerate(batches, start + 1):
        optimiser.zero_grad(set_to_none=True)
        sums += [*_backward(model, heads, parts, recipe, step), 1]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step == recipe.widen:
            optimiser = _optimiser(parameters, recipe)
        if step == recipe.widen or step in {cycle.begin for cycle in recipe.cycles}:
            schedule = _schedule(optimiser, recipe, step)
        if step % 25 == 0:
            looked = ("look", "look_again", "listen", "first", "understand", "shape", "colour", "left")
            names = ("loss", "auxiliary", *looked, "copy", "token_accuracy", "coordinate_accuracy")
            line = {"step": step, **dict(zip(names, (sums[:13] / sums[13]).tolist(), strict=True))}
            report(json.dumps({**line, "seconds_per_step": (time.time() - began) / (step - start)}))
            sums[:] = 0
        if step % recipe.save_every == 0 or step == recipe.steps:
            _store(path, step, model, heads, optimiser)
            nano.save(model, checkpoint)
            (checkpoint / "training.json").write_text(
                json.dumps({"step": step, **asdict(recipe)}, indent=2) + "\n", encoding="utf-8"
            )
        if step == recipe.stop_after:
            return
