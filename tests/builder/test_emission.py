"""The emitted decoder against transformers' whole model: prompts with text and images, read whole, in chunks, in ragged
batches and token by token."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from builder.sources.emission.emit import emit
from builder.sources.emission.form import Form
from builder.sources.random_checkpoint import write_checkpoint
from python_backends.policy.embeddings import widened
from python_backends.policy.executors import open_decoder
from python_backends.policy.graph import DecoderGraph
from python_backends.policy.positions import mrope_positions
from tests.builder.test_random_checkpoint import SMALL_TEXT, SMALL_VISION
from tests.qwen3_checkpoint import write_qwen3_checkpoint

pytestmark = pytest.mark.slow
Floats = NDArray[np.float32]
GRID = (1, 12, 12)
TOKENS = 36
FAMILIES = ("qwen2_5_vl", "qwen3_vl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("emission")


def _checkpoint(folder: Path, family: str, tied: bool) -> Path:
    directory = folder / f"{family}-{tied}"
    if not directory.is_dir():
        if family == "qwen3_vl":
            return write_qwen3_checkpoint(directory, tied=tied)
        text = {**SMALL_TEXT, "vocab_size": 320, "tie_word_embeddings": tied}
        return write_checkpoint(directory, text, SMALL_VISION, 168, seed=5)
    return directory


def _artifact(checkpoint: Path, directory: Path, form: Form, **options: Any) -> Path:
    directory.mkdir(parents=True)
    emit(checkpoint, directory, form, **options)
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(checkpoint / name, directory / name)
    return directory


@lru_cache(maxsize=1)
def _model(checkpoint: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()


class Prompt:
    """Random text around images, with what transformers says of it.

    Attributes:
        ids: `[S]`.
        embeds: `[S, hidden]`, or wider by the features of its images.
        positions: `[3, S]`.
        logits: transformers', at every position `[S, vocabulary]`.
    """

    def __init__(self, checkpoint: Path, seed: int, text: int, images: int) -> None:
        model, rng = _model(checkpoint), np.random.default_rng(seed)
        image, start = model.config.image_token_id, model.config.vision_start_token_id
        words = rng.integers(20, 248, text)
        runs = [np.full(TOKENS, image) if i % 2 else np.array([start]) for i in range(2 * images)]
        self.ids = np.concatenate([words[:3], *runs, words[3:]]).astype(np.int64)
        tokens = torch.from_numpy(self.ids)[None]
        extra: dict[str, Any] = {}
        table = model.get_input_embeddings().weight.detach().numpy()
        self.embeds: Floats = table[self.ids]
        with torch.inference_mode():
            if images:
                pixels = torch.from_numpy(rng.standard_normal((images * 144, 3 * 2 * 14 * 14)).astype(np.float32))
                grids = torch.tensor([GRID] * images)
                kinds = (tokens == image).to(torch.int64)
                extra = {"pixel_values": pixels, "image_grid_thw": grids, "mm_token_type_ids": kinds}
                seen = model.model.visual(pixels, grid_thw=grids)
                deep = getattr(seen, "deepstack_features", None) or []
                visual = torch.cat([seen.pooler_output, *deep], dim=-1).numpy()
                self.embeds = widened(self.embeds, visual.shape[1])
                self.embeds[self.ids == image] = visual
            self.logits: Floats = model(input_ids=tokens, use_cache=False, **extra).logits[0].numpy()
        self.positions, self.following = mrope_positions(self.ids, [GRID] * images, image, 2)


def _near(got: Floats, wanted: Floats, least: float = 0.9999) -> None:
    cosine = (got * wanted).sum(-1) / np.linalg.norm(got, axis=-1) / np.linalg.norm(wanted, axis=-1)
    assert cosine.min() >= least
    if least >= 0.9999:
        np.testing.assert_array_equal(got.argmax(-1), wanted.argmax(-1))
        np.testing.assert_allclose(got, wanted, atol=2e-3 * np.abs(wanted).max())


def _decoded(graph: DecoderGraph, prompts: list[Prompt], cut: int) -> Floats:
    """Logits after `cut` tokens of each prompt, then after each of three tokens that follow there."""
    starts = graph.prefill(0, [p.embeds[:cut] for p in prompts], [p.positions[:, :cut] for p in prompts])
    steps = [starts]
    for t in range(3):
        tokens = np.array([p.ids[cut + t] for p in prompts])
        places = np.array([p.positions[0, cut + t] for p in prompts])
        steps.append(graph.decode(tokens, places, np.full(len(prompts), cut + t)).copy())
    return np.stack(steps, axis=1)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers(family: str, tied: bool, folder: Path, tmp_path: Path) -> None:
    checkpoint = _checkpoint(folder, family, tied)
    graph = open_decoder(_artifact(checkpoint, tmp_path / "one", Form()), slots=3, max_len=160, threads=1)
    prompts = [Prompt(checkpoint, seed, text, images) for seed, text, images in ((1, 30, 0), (2, 25, 1), (3, 20, 2))]
    together = graph.prefill(0, [p.embeds for p in prompts], [p.positions for p in prompts])
    _near(together, np.stack([p.logits[-1] for p in prompts]))
    for prompt in prompts:  # in chunks that cut an image in two, with logits of several positions
        graph.extend(0, 0, prompt.embeds[:21], prompt.positions[:, :21])
        rest = len(prompt.ids) - 21
        got = graph.extend(0, 21, prompt.embeds[21:], prompt.positions[:, 21:], logits=rest)
        _near(got, prompt.logits[21:])
    for prompt in prompts:
        cut = len(prompt.ids) - 4
        _near(_decoded(graph, [prompt], cut)[0], prompt.logits[cut - 1 : cut + 3])


def test_features_change_the_answer(folder: Path, tmp_path: Path) -> None:
    """An error in deepstack is no rounding: a gate on text alone would not see it."""
    checkpoint = _checkpoint(folder, "qwen3_vl", True)
    graph = open_decoder(_artifact(checkpoint, tmp_path / "one", Form()), slots=1, max_len=160, threads=1)
    prompt = Prompt(checkpoint, 4, 20, 1)
    without = graph.prefill(0, [prompt.embeds[:, : graph.config.hidden]], [prompt.positions])
    assert np.abs(without[0] - prompt.logits[-1]).max() > 0.1


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(
    ("form", "least"),
    [
        (Form(bits=16), 0.9999),
        (Form(bits=8), 0.998),
        (Form(bits=8, scheme="asymmetric"), 0.998),
        (Form(bits=4, scheme="k_quant"), 0.9),
        (Form(bits=4, scheme="symmetric"), 0.9),
        (Form(bits=8, excluded=("/lm_head/MatMul", "/model/layers.0/mlp/down_proj/MatMul")), 0.998),
    ],
    ids=["fp16", "int8", "int8-asymmetric", "int4-k", "int4", "excluded"],
)
def test_small_weights_are_near(form: Form, least: float, tied: bool, folder: Path, tmp_path: Path) -> None:
    checkpoint = _checkpoint(folder, "qwen3_vl", tied)
    artifact = _artifact(checkpoint, tmp_path / "one", form)
    graph = open_decoder(artifact, slots=2, max_len=160, threads=1)
    prompts = [Prompt(checkpoint, seed, text, images) for seed, text, images in ((1, 30, 0), (2, 25, 1))]
    for prompt in prompts:  # embedded with the artifact's own table
        is_image = prompt.ids == graph.config.image_token
        prompt.embeds[~is_image, : graph.config.hidden] = graph.embeddings[prompt.ids[~is_image]]
    wanted = np.stack([p.logits[-1] for p in prompts])
    got = graph.prefill(0, [p.embeds for p in prompts], [p.positions for p in prompts])
    cosine = (got * wanted).sum(-1) / np.linalg.norm(got, axis=-1) / np.linalg.norm(wanted, axis=-1)
    assert cosine.min() >= least
