"""The policy as `transformers` runs it: `generate`, greedy, over the whole conversation, the vision tower inside."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from builder.sources.checkpoint import load_model, load_processor
from pixelis.errors import InvalidRequest, LimitExceeded
from pixelis.schema import PolicyEvent, Sampling
from pixelis.settings import Decoding
from python_backends.pipeline.models import Floats, Views
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.grammar import CallGrammar, CallGuide
from python_backends.policy.profile import Profile


class PlainPolicy:
    """One checkpoint; safe to call from several threads.

    Args:
        directory: Hugging Face directory.
    """

    def __init__(self, directory: Path) -> None:
        self._config = CheckpointConfig.load(directory)
        self._model = load_model(directory)
        self._model.set_attn_implementation("sdpa")
        self._processor = load_processor(directory)
        self._grammar = CallGrammar(directory, self._config) if Profile.load(directory).grammar else None
        self._max_len = min(Decoding().max_len, self._config.max_positions)
        self._own = threading.local()

    def patches(self, views: Views, deadline: float) -> Floats:
        """What the checkpoint's image processor makes of views, grouped by visual token.

        The tower runs inside `generate`, so what stands for an image's visual tokens until then is its patches; the
        processor puts the patches that become one token next to each other.

        Args:
            views: `[n, H, W, 3]`.
            deadline: not looked at; this does not wait for anything.

        Returns:
            `[n, tokens, patches of a token * values of a patch]`.
        """
        made = self._processor(images=list(views), return_tensors="np")
        pixels: Floats = made["pixel_values"]
        return pixels.reshape(len(views), -1, self._config.merge**2 * pixels.shape[-1])

    def turn(
        self,
        prompt: NDArray[np.int64],
        patches: Floats,
        grids: NDArray[np.int32],
        sampling: Sampling,
        cancelled: Callable[[], bool],
    ) -> PolicyEvent:
        """One turn, as a single event.

        Args:
            prompt: `[length]`, the image token repeated once a visual token.
            patches: all images' rows of `patches()`, in order.
            grids: `[images * 3]`, (t, h, w) in patches.
            sampling: how to continue; its deadline ends the turn.
            cancelled: asked after every token.

        Raises:
            InvalidRequest: sampling other than greedy.
            LimitExceeded: the prompt is longer than what is served.
        """
        self._check(prompt, sampling)
        ends = self._config.end_ids | frozenset(sampling.stop_ids)
        limit = min(sampling.max_tokens, self._max_len - len(prompt) + 1)
        stopped = _Stopped(sampling.deadline, cancelled)
        with torch.inference_mode():
            out = self._twin().generate(
                **self._inputs(prompt, patches, grids),
                do_sample=False,
                max_new_tokens=limit,
                eos_token_id=sorted(ends),
                pad_token_id=min(ends),
                return_dict_in_generate=True,
                output_logits=True,
                logits_processor=self._guided(ends, limit, len(grids) // 3) if sampling.grammar else [],
                stopping_criteria=[stopped],
            )
            tokens = out.sequences[0, len(prompt) :]
            logprobs = torch.cat(out.logits).log_softmax(dim=1).gather(1, tokens[:, None])[:, 0]
        written: list[int] = tokens.tolist()
        finish = "stop" if written and written[-1] in ends else stopped.reason or "length"
        return PolicyEvent.model_validate({"tokens": written, "logprobs": logprobs.tolist(), "finish": finish})

    def _guided(self, ends: frozenset[int], limit: int, images: int) -> list[_Guided]:
        return [_Guided(self._grammar.guide(ends, limit, images))] if self._grammar else []

    def _check(self, prompt: NDArray[np.int64], sampling: Sampling) -> None:
        if sampling.temperature != 0 or sampling.repetition_penalty != 1:
            raise InvalidRequest(
                "The plain policy decodes greedily.", mend="Send `temperature` 0 and no `repetition_penalty`."
            )
        if len(prompt) > self._max_len:
            raise LimitExceeded(f"The prompt has {len(prompt)} tokens, the policy reads at most {self._max_len}.")

    def _inputs(self, prompt: NDArray[np.int64], patches: Floats, grids: NDArray[np.int32]) -> dict[str, Any]:
        ids = torch.from_numpy(prompt)[None]
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": (ids == self._config.image_token).int(),
            "pixel_values": torch.from_numpy(patches.reshape(len(patches) * self._config.merge**2, -1)),
            "image_grid_thw": torch.from_numpy(grids.reshape(-1, 3).astype(np.int64)),
        }

    def _twin(self) -> Any:
        """This thread's model: the same weights, but its own `rope_deltas`, which `generate` keeps in the model."""
        if not hasattr(self._own, "model"):
            twin = copy.copy(self._model)
            twin._modules = dict(self._model._modules)
            twin.model = copy.copy(self._model.model)
            self._own.model = twin
        return self._own.model


class _Guided:
    """Leaves of the scores what the grammar of tool calls chooses. See `transformers.LogitsProcessor`."""

    def __init__(self, guide: CallGuide) -> None:
        self._guide = guide

    def __call__(self, ids: Any, scores: Any) -> Any:
        """Scores `[1, vocabulary]`; `generate` keeps the logits from before, of which the confidence is made."""
        liked = int(scores[0].argmax())
        chosen, _ = self._guide.choose(scores[0].numpy(), liked, 0.0)
        return (
            scores
            if chosen == liked
            else torch.full_like(scores, -torch.inf).index_fill_(1, torch.tensor([chosen]), 0.0)
        )


class _Stopped:
    """Stops `generate` at a deadline or on a cancel, and says which it was."""

    def __init__(self, deadline: float | None, cancelled: Callable[[], bool]) -> None:
        self._deadline = deadline
        self._cancelled = cancelled
        self.reason: str | None = None

    def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:
        """See `transformers.StoppingCriteria`."""
        if self._cancelled():
            self.reason = "cancelled"
        elif self._deadline is not None and time.time() > self._deadline:
            self.reason = "deadline"
        return torch.full((len(ids),), self.reason is not None)
