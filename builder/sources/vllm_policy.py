"""`policy` and `vision_encoder` where vLLM decodes: the checkpoint's small files, and none of its weights.

The gate asks of the policy's files that a prompt comes through: the text that vLLM is given is cut into the prompt's
ids, and its pictures are the views, bit by bit. What vLLM makes of them is not asked here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.sources.base import Answer, Source, Tensors
from builder.sources.checkpoint import checkpoint_directory, checkpoint_files
from builder.sources.decoder import Decoder
from builder.sources.pictures import scene
from pixelis.errors import SetupError
from pixelis.schema import Sampling
from python_backends.policy import conversation
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.geometry import Geometry, Size
from python_backends.policy.positions import visual_tokens
from python_backends.policy.profile import Profile
from python_backends.policy.request import PolicyRequest
from python_backends.policy.tokenizer import PolicyTokenizer
from python_backends.policy.vllm.engine import FILE, EngineFile
from python_backends.policy.vllm.pixels import read_unit, to_picture, to_tokens, write_unit
from python_backends.policy.vllm.prompt import Prompts

PROFILE = "pixelis.json"


class VllmFiles(Source):
    """Tokenizer, configuration and profile of a checkpoint, and `engine.json`.

    A sample is a prompt, PROMPT_IDS `[1, S]`, and its pictures, VIEWS `[1, V, H, W, 3]` uint8; the answer has both as
    vLLM will have them.

    Args:
        checkpoint: Hugging Face directory.
        engine: an `EngineFile` as JSON.
    """

    name: ClassVar[str] = "policy"

    def __init__(self, checkpoint: str, engine: str) -> None:
        self._given, self._engine = Path(checkpoint), engine

    @property
    def checkpoint(self) -> Path:
        """The directory in use."""
        return checkpoint_directory(self._given)

    def files(self) -> Sequence[Path]:
        """The checkpoint's: with other weights it is another policy, and nothing that was cached is its own."""
        return checkpoint_files(self.checkpoint)

    def beside(self) -> dict[str, Path]:
        """See `Source.beside`."""
        return Decoder(self.checkpoint).beside()

    def export_onnx(self, directory: Path) -> None:
        """The files; the profile says that frames of a video are pictures, because vLLM's backend takes no other."""
        self.write_beside(directory)
        path = directory / PROFILE
        said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        path.write_text(json.dumps({**said, "video": "frames"}, indent=2) + "\n", encoding="utf-8")
        (directory / FILE).write_text(self._engine + "\n", encoding="utf-8")

    def samples(self) -> list[Tensors]:
        """Prompts with one picture and with two, one of another view where there is one, and of a later turn."""
        profile, tokenizer = Profile.load(self.checkpoint), PolicyTokenizer(self.checkpoint)
        first, last = profile.sizes[0], profile.sizes[-1]
        return [
            self._sample(tokenizer, conversation.opening(profile, "What is written on the red label?", 1), [first]),
            self._sample(tokenizer, conversation.opening(profile, "Which shows a star? <b>", 2), [last] * 2),
            self._sample(
                tokenizer,
                conversation.opening(profile, "How many shapes are there?", 1)
                + conversation.tool_call("ZOOM_IN", {"region": [14, 21, 70, 63]})
                + conversation.tool_response('{"text": "Quay"}', images=1),
                [first] * 2,
            ),
        ]

    def _sample(self, tokenizer: PolicyTokenizer, text: str, sizes: list[Size]) -> Tensors:
        unit = Geometry.load(self.checkpoint).factor
        counts = [(width // unit) * (height // unit) for width, height in sizes]
        shown = [scene(width, height, seed=i) for i, (width, height) in enumerate(sizes)]
        return {"PROMPT_IDS": tokenizer.encode(text, counts)[None], "VIEWS": np.stack(shown)[None]}

    def reference(self, inputs: Tensors) -> Tensors:
        """Ids and views of the sample."""
        return {"PROMPT_IDS": inputs["PROMPT_IDS"].astype(np.int64), "VIEWS": inputs["VIEWS"].astype(np.uint8)}

    @contextmanager
    def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
        """What a prompt is when it has been text."""
        config, engine = CheckpointConfig.load(directory), EngineFile.load(directory)
        prompts, tokenizer = Prompts(directory, config, engine), PolicyTokenizer(self.checkpoint)
        unit = engine.patch * config.merge

        def answer(inputs: Tensors) -> Tensors:
            ids, views = inputs["PROMPT_IDS"][0].astype(np.int64), inputs["VIEWS"][0].astype(np.uint8)
            grid = (1, views.shape[1] // engine.patch, views.shape[2] // engine.patch)
            tokens, grids = np.concatenate(to_tokens(views, unit)), np.array([grid] * len(views), np.int32)
            prompt = prompts.read(PolicyRequest(ids, tokens, grids, Sampling(request_id="gate")))
            cut = tokenizer.encode(prompt.text, [visual_tokens(grid, config.merge)] * len(views))
            return {"PROMPT_IDS": cut[None], "VIEWS": np.stack([_decoded(one) for one in prompt.pictures])[None]}

        yield answer

    def check(self, directory: Path) -> list[str]:
        """What vLLM was asked for is what is written, and the profile shows pictures."""
        try:
            written = EngineFile.load(directory)
        except SetupError as error:
            return [error.message]
        found = [] if written == EngineFile.model_validate_json(self._engine) else [f"{FILE} is of another build"]
        return [*found, *(["the profile shows frames in pairs"] if Profile.load(directory).video != "frames" else [])]


class VllmPixels(Source):
    """How large a visual token's square is: all that `vision_encoder` must know.

    Args:
        checkpoint: Hugging Face directory.
    """

    name: ClassVar[str] = "vision_encoder"

    def __init__(self, checkpoint: str) -> None:
        self._given = Path(checkpoint)

    @property
    def checkpoint(self) -> Path:
        """The directory in use."""
        return checkpoint_directory(self._given)

    def files(self) -> Sequence[Path]:
        """What says how pictures are cut."""
        names = ("config.json", "preprocessor_config.json", PROFILE)
        return [self.checkpoint / name for name in names if (self.checkpoint / name).is_file()]

    def export_onnx(self, directory: Path) -> None:
        """Write it."""
        write_unit(directory, Geometry.load(self.checkpoint).factor)

    def samples(self) -> list[Tensors]:
        """Noise of every view's size, alone and three together."""
        rng = np.random.default_rng(0)
        return [
            {"VIEW": rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)}
            for width, height in Profile.load(self.checkpoint).sizes
            for count in (1, 3)
        ]

    def reference(self, inputs: Tensors) -> Tensors:
        """The pixels, as the policy puts them together again."""
        return {"PIXELS": inputs["VIEW"].astype(np.uint8)}

    @contextmanager
    def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
        """There and back."""
        unit = read_unit(directory)

        def answer(inputs: Tensors) -> Tensors:
            views: NDArray[np.uint8] = inputs["VIEW"].astype(np.uint8)
            grid = (1, views.shape[1] // unit, views.shape[2] // unit)
            return {"PIXELS": np.stack([to_picture(tokens, grid, unit, 1) for tokens in to_tokens(views, unit)])}

        yield answer


def _decoded(picture: bytes) -> NDArray[np.uint8]:
    """A PNG in base64 as pixels, RGB."""
    file = np.frombuffer(base64.b64decode(picture), np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)
