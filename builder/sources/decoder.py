"""`policy`: the checkpoint's text decoder, as a graph of ONNX Runtime's fused operators or as TorchScript, and what
decoding needs beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from builder.candidate import Candidate
from builder.sources.base import Answer, Source, Tensors
from builder.sources.checkpoint import UNTASKED, checkpoint_directory, checkpoint_files, is_nano, load_model
from builder.sources.pictures import scene
from builder.sources.task import Task
from builder.sources.vision_encoder import VisionEncoder, visual_features
from pixelis.errors import BuildError
from python_backends.policy import conversation
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import EmbeddingTable, widened
from python_backends.policy.positions import mrope_positions, visual_tokens
from python_backends.policy.profile import Profile
from python_backends.policy.tokenizer import PolicyTokenizer

if TYPE_CHECKING:
    from python_backends.policy.graph import DecoderGraph

_BESIDE = ("tokenizer.json", "config.json", "generation_config.json", "pixelis.json", "dialect.yaml")
STEPS = 3
"""Tokens after the prompt in a sample."""
_QUESTIONS = (
    ("What is written on the red label?", 1),
    ("What colour is the star?", 1),
    ("Which of the two pictures shows a blue circle?", 2),
    ("How many shapes are there?", 0),
)


class Decoder(Source):
    """Prompts with images to logits: after the prompt, and after each token that follows.

    Inputs of a sample (rows are requests, padded on the right):
        PROMPT_IDS `[B, S]`, LENGTHS `[B]`, VIEWS `[B, V, H, W, 3]` uint8, IMAGES `[B]` (views in use), NEXT `[B, T]`.
    Outputs:
        PREFILL_LOGITS `[B, vocabulary]`, STEP_LOGITS `[B, T, vocabulary]`.

    Args:
        checkpoint: Hugging Face directory; none = see `checkpoint_directory`.
    """

    name: ClassVar[str] = "policy"
    native_precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16", "int8", "int4")
    native_scripts: ClassVar[tuple[str, ...]] = ("fp32", "bf16")

    def __init__(self, checkpoint: Path | None = None) -> None:
        self._given = checkpoint

    @property
    def checkpoint(self) -> Path:
        """The directory in use."""
        return checkpoint_directory(self._given)

    def files(self) -> Sequence[Path]:
        """The checkpoint's files."""
        return checkpoint_files(self.checkpoint)

    def samples(self) -> list[Tensors]:
        """Ragged prompts with none, one and two images and of a later turn, in batches of 1, 3 and 8; and turns of
        held-out episodes, where the checkpoint is the nano."""
        from builder.tasks.nano_turns import sample

        return [*(self._sample(batch) for batch in (1, 3, 8)), *([sample(self.checkpoint)] if self.nano else [])]

    def reference(self, inputs: Tensors) -> Tensors:
        """transformers' whole model on each request alone: no padding, no cache, its own vision tower."""
        prefill, step = [], []
        for row, length in enumerate(inputs["LENGTHS"]):
            ids = inputs["PROMPT_IDS"][row, :length]
            views = inputs["VIEWS"][row, : int(inputs["IMAGES"][row])].astype(np.uint8)
            following = inputs["NEXT"][row]
            whole = np.append(ids, following).astype(np.int64)
            logits = self.logits(whole, views, len(following) + 1)
            prefill.append(logits[0])
            step.append(logits[1:])
        return {"PREFILL_LOGITS": np.stack(prefill), "STEP_LOGITS": np.stack(step)}

    def logits(self, ids: NDArray[np.int64], views: NDArray[np.uint8], last: int) -> NDArray[np.float32]:
        """transformers' logits after each of the last tokens of a prompt, in fp32.

        Args:
            ids: `[S]`, the image token once for each visual token.
            views: `[V, H, W, 3]`, its pictures.
            last: how many positions.

        Returns:
            `[last, vocabulary]`.
        """
        import torch

        model = load_model(self.checkpoint)
        tokens = torch.from_numpy(ids)[None]
        extra: dict[str, Any] = {}
        if len(views):
            pixels, grids = VisionEncoder(self.checkpoint).pixels(views)
            # M-RoPE needs to be told which tokens are of an image; without it the logits are wrong and nothing says so.
            kinds = (tokens == model.config.image_token_id).to(torch.int64)
            extra = {"pixel_values": pixels, "image_grid_thw": grids, "mm_token_type_ids": kinds}
        with torch.inference_mode():
            out = model(input_ids=tokens, use_cache=False, logits_to_keep=last, **extra)
        logits: NDArray[np.float32] = out.logits[0].numpy()
        return logits

    @contextmanager
    def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
        """The artifact in the runner that will serve it: a whole ragged batch at once, then step by step.

        Mapped weights that were used leave this process's memory again, or judging would take more than building.
        """
        from builder.checkpoints.trim import trimmed

        with trimmed(directory):
            yield _Runner(self.checkpoint, directory, threads)

    def feeds(self, directory: Path, inputs: Tensors) -> list[Tensors]:
        """The prompts of a sample with an empty cache, as the graph takes them; of a single one, the step after it."""
        return _Runner(self.checkpoint, directory, 1).feeds(inputs)

    def tasks(self) -> list[Task]:
        """The nano's turns; nobody knows the right ones of another checkpoint."""
        from builder.tasks.nano_turns import PolicyTurns

        return [PolicyTurns(self.checkpoint, lambda: load_model(self.checkpoint))] if self.nano else []

    @property
    def nano(self) -> bool:
        """Whether right answers are known."""
        return is_nano(self.checkpoint)

    @property
    def untasked(self) -> str:
        """See `Source.untasked`."""
        return "" if self.nano else UNTASKED

    def export_onnx(self, directory: Path) -> None:
        """`export_native` in fp32."""
        self.export_native(directory, Candidate(format="onnx"))

    def export_native(self, directory: Path, candidate: Candidate) -> list[str]:
        """Write the decoder in the candidate's format and precision, and the files that serving needs beside it."""
        if candidate.format == "torchscript":
            self._check_features()
            from builder.sources.decoder_script import write_script as write
        else:
            from builder.sources.decoder_graph import write_decoder as write

        done = write(self.checkpoint, directory, candidate)
        self.write_beside(directory)
        return done

    def openvino_model(self, directory: Path, candidate: Candidate) -> Any:
        """See `Source.openvino_model`."""
        from builder.sources.decoder_graph import write_table
        from builder.sources.decoder_openvino import decoder_model

        self._check_features()
        write_table(self.checkpoint, directory, candidate.precision)
        self.write_beside(directory)
        return decoder_model(load_model(self.checkpoint))

    def _check_features(self) -> None:
        """Refuse a checkpoint whose vision tower feeds the first layers too, which only the ONNX graph takes.

        Raises:
            BuildError: it is one.
        """
        if CheckpointConfig.load(self.checkpoint).deepstack:
            raise BuildError(
                "Only the ONNX graph of a Qwen3-VL decoder takes its deepstack features.",
                mend="Build it with `--formats onnx`.",
            )

    def beside(self) -> dict[str, Path]:
        """The checkpoint's own files."""
        return {name: self.checkpoint / name for name in _BESIDE if (self.checkpoint / name).is_file()}

    def _sample(self, batch: int) -> Tensors:
        profile, tokenizer = Profile.load(self.checkpoint), PolicyTokenizer(self.checkpoint)
        width, height = profile.view
        _, grids = VisionEncoder(self.checkpoint).pixels(np.zeros((1, height, width, 3), np.uint8))
        per_image = visual_tokens(tuple(grids[0].tolist()), CheckpointConfig.load(self.checkpoint).merge)
        rng = np.random.default_rng(batch)
        prompts, images = [], []
        for i in range(batch):
            question, count = _QUESTIONS[i % len(_QUESTIONS)]
            text = conversation.opening(profile, question, count)
            if i >= len(_QUESTIONS):  # a later turn: a call, and what came back
                text += conversation.tool_call("ZOOM_IN", {"region": [14, 21, 70, 63]})
                text += conversation.tool_response('{"text": "Quay"}', images=1)
                count += 1
            prompts.append(tokenizer.encode(text, [per_image] * count))
            images.append(count)
        ids = np.zeros((batch, max(map(len, prompts))), np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = prompt
        views = np.zeros((batch, max(images), height, width, 3), np.uint8)
        for row, count in enumerate(images):
            for i in range(count):
                views[row, i] = scene(width, height, seed=100 * batch + 10 * row + i)
        return {
            "PROMPT_IDS": ids,
            "LENGTHS": np.array([len(prompt) for prompt in prompts]),
            "VIEWS": views,
            "IMAGES": np.array(images),
            "NEXT": rng.choice(tokenizer.encode("What colour is the star? 42"), (batch, STEPS)),
        }


class _Runner:
    """`DecoderGraph` on prompts whose visual tokens are those of transformers' tower; see `Decoder`."""

    def __init__(self, checkpoint: Path, directory: Path, threads: int) -> None:
        self._checkpoint, self._directory, self._threads = checkpoint, directory, threads
        self._graph: DecoderGraph | None = None
        self._seen: dict[bytes, tuple[NDArray[np.float32], tuple[int, int, int]]] = {}

    def __call__(self, inputs: Tensors) -> Tensors:
        lengths, following = inputs["LENGTHS"].astype(np.int64), inputs["NEXT"].astype(np.int64)
        graph = self._fitting(len(lengths), int(lengths.max()) + following.shape[1])
        embeds, places, after = self._prompts(inputs, graph.embeddings, graph.config)
        prefill = graph.prefill(0, embeds, places)
        steps = [graph.decode(token, np.array(after) + t, lengths + t).copy() for t, token in enumerate(following.T)]
        shape = (len(lengths), len(steps), prefill.shape[-1])
        return {"PREFILL_LOGITS": prefill, "STEP_LOGITS": np.stack(steps, axis=1) if steps else np.zeros(shape, "f")}

    def feeds(self, inputs: Tensors) -> list[Tensors]:
        """What `prefill` binds, with a cache of length 0, and what `decode` binds."""
        from python_backends.engine.onnxruntime_engine import open_session
        from python_backends.policy.executors.ragged import padded

        config = CheckpointConfig.load(self._directory)
        table = EmbeddingTable.load(self._directory, config)
        embeds, places, after = self._prompts(inputs, table, config)
        together, positions, lengths = padded([widened(part, config.visual_width) for part in embeds], places)
        count, width = together.shape[:2]
        empty = np.zeros((count, config.kv_heads, 0, config.head_dim), np.float32)
        names = [f"{i}.{part}" for i in range(config.layers) for part in ("key", "value")]
        mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
        prompt: Tensors = {"position_ids": positions, "attention_mask": mask}
        features = [np.ascontiguousarray(part) for part in np.split(together, 1 + config.deepstack, axis=-1)[1:]]
        prompt |= {f"deepstack.{i}": feature for i, feature in enumerate(features)}
        prompt |= {"inputs_embeds": np.ascontiguousarray(together[..., : config.hidden])}
        prompt |= {"logits_at": lengths[:, None] - 1, **{f"past_key_values.{name}": empty for name in names}}
        if count > 1:  # a ragged cache is the runner's to lay out
            return [prompt]
        session = open_session(self._directory / "model.onnx", 1)
        cache = session.run([f"present.{name}" for name in names], prompt)
        step: Tensors = {f"past_key_values.{name}": past for name, past in zip(names, cache, strict=True)}
        step |= {"inputs_embeds": table[inputs["NEXT"][:, :1].astype(np.int64)], "logits_at": np.zeros((1, 1), int)}
        step |= {f"deepstack.{i}": np.zeros((1, 1, config.hidden), np.float32) for i in range(config.deepstack)}
        step |= {"position_ids": np.full((3, 1, 1), after[0]), "attention_mask": np.ones((1, width + 1), np.int64)}
        return [prompt, step]

    def _prompts(
        self, inputs: Tensors, table: EmbeddingTable, config: CheckpointConfig
    ) -> tuple[list[NDArray[np.float32]], list[NDArray[np.int64]], list[int]]:
        """Embeddings `[S, hidden]` and positions `[3, S]` of each prompt, and the position after it."""
        embeds, places, after = [], [], []
        for row, length in enumerate(inputs["LENGTHS"].astype(np.int64)):
            ids = inputs["PROMPT_IDS"][row, :length].astype(np.int64)
            views = inputs["VIEWS"][row, : int(inputs["IMAGES"][row])].astype(np.uint8)
            seen = [self._visual(view) for view in views]
            embedded = table[ids]
            if seen:
                embedded = widened(embedded, config.visual_width)
                embedded[ids == config.image_token] = np.concatenate([tokens for tokens, _ in seen])
            place, then = mrope_positions(ids, [grid for _, grid in seen], config.image_token, config.merge)
            embeds.append(embedded)
            places.append(place)
            after.append(then)
        return embeds, places, after

    def _fitting(self, rows: int, length: int) -> DecoderGraph:
        """A graph with room; a larger one takes the place of one that is too small."""
        from python_backends.policy.executors import open_decoder

        held = self._graph
        if held is None or held.slots < rows or held.max_len < min(length, held.config.max_positions):
            rows, length = max(rows, held.slots if held else 0), max(length, held.max_len if held else 0)
            self._graph = held = None  # before another one is there: two would take the weights' memory twice
            self._graph = held = open_decoder(self._directory, rows, length, threads=self._threads)
        return held

    def _visual(self, view: NDArray[np.uint8]) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
        """Tokens of a view and its grid, by transformers' tower; each view is looked at once."""
        key = view.tobytes()
        if key not in self._seen:
            pixels, grids = VisionEncoder(self._checkpoint).pixels(view[None])
            tokens = visual_features(load_model(self._checkpoint), pixels, grids)
            self._seen[key] = tokens, tuple(grids[0].tolist())
        return self._seen[key]
