"""A prompt of the policy's contract as one of vLLM's: text with one mark a picture, and the pictures.

Triton's vLLM backend takes text and no ids, and vLLM repeats a picture's mark once a visual token by itself. So ids
become text again, and vLLM cuts that into ids. What the tokenizer cut comes out the same; what the policy wrote itself
may have been cut otherwise, and then reads the same and is other ids (`Prompt.recut`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, LimitExceeded
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.positions import Grid, visual_tokens
from python_backends.policy.request import PolicyRequest, check_prompt, read_grids
from python_backends.policy.tokenizer import PolicyTokenizer
from python_backends.policy.vllm.engine import EngineFile
from python_backends.policy.vllm.pictures import Pictures
from python_backends.policy.vllm.pixels import to_picture


@dataclass(frozen=True)
class Prompt:
    """What vLLM is given.

    Attributes:
        text: with control tokens, and `<|image_pad|>` once a picture.
        pictures: PNG in base64, in order.
        length: tokens, visual ones among them.
        recut: whether vLLM will read other ids than the caller sent.
    """

    text: str
    pictures: list[bytes]
    length: int
    recut: bool


class Prompts:
    """Reads prompts of one checkpoint. For any number of threads.

    Args:
        directory: version folder of `policy`.
        config: its numbers.
        engine: what vLLM was started with.
    """

    def __init__(self, directory: Path, config: CheckpointConfig, engine: EngineFile) -> None:
        self._config, self._engine = config, engine
        self._tokenizer = PolicyTokenizer(directory)
        self._pictures = Pictures()

    def read(self, request: PolicyRequest) -> Prompt:
        """Text and pictures of a request.

        Raises:
            InvalidRequest: ids outside the vocabulary, or pictures that do not match the prompt.
            LimitExceeded: a longer prompt, or more pictures, than vLLM was started for.
        """
        ids = np.array(request.prompt_ids, np.int64)
        check_prompt(ids, self._config, self._engine.max_model_len - 1)  # vLLM wants room for a token
        grids = read_grids(request.grids)
        counts = [visual_tokens(grid, self._config.merge) for grid in grids]
        kept = self._once(ids, grids, counts)
        text = self._tokenizer.decode(ids[kept].tolist(), skip_special=False)
        recut = not np.array_equal(self._tokenizer.encode(text, counts), ids)
        return Prompt(text, self._shown(request.visual, grids, counts), len(ids), recut)

    def _once(self, ids: NDArray[np.int64], grids: list[Grid], counts: list[int]) -> NDArray[np.bool_]:
        """Which ids stay where every picture has one mark."""
        places = np.flatnonzero(ids == self._config.image_token)
        firsts = np.cumsum([0, *counts[:-1]])[: len(counts)]
        if any(frames > 1 for frames, _, _ in grids):
            raise InvalidRequest("vLLM's backend takes pictures, and no frames in pairs.", mend="Send them one by one.")
        if len(places) != sum(counts):
            raise InvalidRequest(f"The prompt has {len(places)} image tokens, GRIDS makes them {sum(counts)}.")
        kept = np.ones(len(ids), np.bool_)
        kept[places] = False
        for first, count in zip(firsts, counts, strict=True):
            if places[first + count - 1] - places[first] != count - 1:
                raise InvalidRequest("The image tokens of a picture do not lie one behind the other.")
            kept[places[first]] = True
        return kept

    def _shown(self, visual: NDArray[np.float32] | None, grids: list[Grid], counts: list[int]) -> list[bytes]:
        if len(grids) > self._engine.images:
            raise LimitExceeded(
                f"The conversation has {len(grids)} pictures, vLLM was started for {self._engine.images}.",
                mend="Send fewer, or build with a larger `--max-model-len`.",
            )
        patch, merge = self._engine.patch, self._config.merge
        wanted = (sum(counts), (patch * merge) ** 2 * 3)
        shape = (0, wanted[1]) if visual is None or not visual.size else visual.shape
        if shape != wanted:
            raise InvalidRequest(
                f"VISUAL has shape {list(shape)}, the prompt's image tokens make it {list(wanted)}.",
                mend="Send the pixels of all images in order, a square for each <|image_pad|>.",
            )
        if visual is None or not grids:
            return []
        ends = np.cumsum(counts)
        parts = [visual[end - count : end] for end, count in zip(ends, counts, strict=True)]
        return [
            self._pictures.encoded(to_picture(part, grid, patch, merge))
            for part, grid in zip(parts, grids, strict=True)
        ]
