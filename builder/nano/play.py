"""What the nano experienced on training scenes, run through the pipeline itself.

Gives the experiences that a fresh index starts with, and the transitions that the dynamics network is trained on. Only
episodes with a right answer become experiences (on training scenes it is known); every episode gives its transitions.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builder.nano import dynamics
from builder.nano.calibration import Judged
from builder.nano.pictures import encoded, media
from builder.nano.questions import FAMILIES, Question, ask
from builder.nano.words import Split
from pixelis.errors import BuildError
from pixelis.schema import AgentOutcome, Experience, Options, RewardRequest
from pixelis.settings import Settings
from python_backends.artifacts import artifact
from python_backends.experience.priority import priority
from python_backends.images import DecodedImages
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.models import Floats
from python_backends.pipeline.prepare import Preparer
from python_backends.pipeline.reason import Reasoner, outcome_of
from python_backends.pipeline.states import state_keys
from python_backends.reward.action import action_embedding, image_index
from python_backends.reward.total import compute
from python_backends.reward.trajectory import visual

SEEDS = Path(__file__).parent / "seeds"
FIRST_SEED = 900_000_000
"""Training scenes from here on: the same generator, words and photographs as in training, not the same scenes."""


@dataclass(frozen=True)
class Lived:
    """One episode: what was asked, how it went, and the state keys `[visual steps + 1, 1664]` along the way."""

    question: Question
    outcome: AgentOutcome
    states: Floats

    @property
    def right(self) -> bool:
        """Whether the answer is the scene's."""
        return self.question.right(self.outcome.answer)

    def actions(self) -> NDArray[np.float32]:
        """Embeddings `[visual steps, 16]`."""
        size = self.question.scene.size
        return np.stack([action_embedding(a, size) for a in visual(self.outcome.actions)])


def judge(lived: list[Lived]) -> list[Judged]:
    """What calibration learns from; an episode without an answer has no log-probability and is left out."""
    return [
        Judged(one.outcome.answer_logprob, one.outcome.call_logprob or 0.0, one.right)
        for one in lived
        if one.outcome.answer_logprob is not None
    ]


def summary(one: Lived) -> dict[str, Any]:
    """One episode in a line: question, both answers, how sure, and how it went."""
    return {
        "family": one.question.family,
        "seed": one.question.scene.seed,
        "question": one.question.text,
        "right_answer": one.question.answer,
        "answer": one.outcome.answer,
        "right": one.right,
        "confidence": one.outcome.confidence,
        "answer_logprob": one.outcome.answer_logprob,
        "call_logprob": one.outcome.call_logprob,
        "operations": [action.operation for action in one.outcome.actions if action.operation],
    }


class Player:
    """Plays questions through `prepare` and `reason` in this process, on the artifacts of a repository."""

    def __init__(self, config: Settings, models: LocalModels) -> None:
        self._models = models
        self._decoded = DecodedImages()
        voice = Voice.load(artifact(config.repository, "policy"))
        self._profile = voice.profile
        self._prepare = Preparer(voice.profile, config.limits, self._decoded)
        self._reason = Reasoner(models, voice, self._decoded)
        self._weight = config.retrieval.visual_weight

    def play(self, question: Question) -> Lived:
        """One episode, start to end."""
        options = Options(timeout_s=120, **media(question)).model_dump_json().encode()
        prepared = self._prepare(encoded(question), question.text.encode(), options)
        outcome = outcome_of(self._reason.run(prepared.images, prepared.request, prepared.views))
        pictures = [self._decoded.get(image) for image in prepared.images]
        states = state_keys(
            self._models, self._profile, pictures, question.text, outcome.actions, time.time() + 120, self._weight
        )
        return Lived(question, outcome, states)


def play_scenes(
    config: Settings, scenes: int, done: Callable[[], None], split: Split = "train", first_seed: int = FIRST_SEED
) -> Iterator[Lived]:
    """One episode a scene, families in turn, with an index of its own that is thrown away."""
    with TemporaryDirectory() as state, LocalModels(config.model_copy(update={"state": Path(state)})) as models:
        player = Player(config, models)
        for i in range(scenes):
            yield player.play(ask(FAMILIES[i % len(FAMILIES)], split, first_seed + i))
            done()


def train_dynamics(lived: list[Lived], seed: int, path: Path = dynamics.WEIGHTS) -> dynamics.DynamicsReport:
    """Train on every transition and write weights and report; an episode is held out whole."""
    moved = [(i, one) for i, one in enumerate(lived) if len(one.states) > 1]
    if not moved:
        raise BuildError("No episode took a visual step.", mend="Train the nano first: `pixelis nano train`.")
    states = np.concatenate([one.states[:-1] for _, one in moved])
    after = np.concatenate([one.states[1:] for _, one in moved])
    actions = np.concatenate([one.actions() for _, one in moved])
    episodes = np.concatenate([np.full(len(one.states) - 1, i) for i, one in moved])
    weights, report = dynamics.train(states, actions, after, seed, episodes)
    dynamics.save_weights(weights, path)
    path.with_suffix(".json").write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
    return report


def write(lived: list[Lived], directory: Path = SEEDS) -> int:
    """Write `experiences.jsonl` and `keys.npy` (fp16) of the episodes that were right; how many."""
    import torch

    network = dynamics.load()

    def predict(states: Floats, actions: Floats) -> Floats:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(states), torch.from_numpy(actions)).numpy(), np.float32)

    directory.mkdir(parents=True, exist_ok=True)
    kept = [one for one in lived if one.right]
    lines = [_experience(one, predict).model_dump_json() for one in kept]
    (directory / "experiences.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    np.save(directory / "keys.npy", np.stack([one.states[0] for one in kept]).astype(np.float16))
    return len(kept)


def _experience(one: Lived, predict: Callable[[Floats, Floats], Floats]) -> Experience:
    outcome, scene = one.outcome, one.question.scene
    request = RewardRequest(
        actions=outcome.actions,
        states=one.states.tolist(),
        image_sizes=[scene.size] * (1 + max((image_index(a) for a in outcome.actions), default=0)),
        answer=outcome.answer,
        reference_answer=one.question.answer,
    )
    reward = compute(request, predict).total
    return Experience(
        experience_id=f"nano-{one.question.family}-{scene.seed}",
        question=one.question.text,
        answer=outcome.answer,
        trajectory=outcome.actions,
        confidence=outcome.confidence,
        reward=reward,
        priority=priority(outcome.confidence, reward),
        created_at=0.0,
    )
