"""Checkpoints of the served architecture with random weights: for timing at another size than the nano's, for tests.

They speak the nano's vocabulary and answer nonsense, always the same.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.sources.checkpoint import checkpoint_files

if TYPE_CHECKING:
    import torch

VIEW = 224
SEED = 11
TEXT = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 8,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "vocab_size": 8192,
}
VISION = {
    "depth": 8,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_heads": 8,
    "out_hidden_size": 768,
    "fullatt_block_indexes": [1, 3, 5, 7],
}
"""Together 89 million parameters, 56 of them in the decoder; a view of 224 pixels is four windows and 64 tokens."""
LOUDNESS = 1.5
"""Standard deviation of a logit."""


def random_checkpoint(directory: Path, *, tied: bool = True) -> Path:
    """The 89-million-parameter checkpoint in `directory`, written there unless it is there already.

    Args:
        directory: where it goes.
        tied: logits are made with the embedding table, as the nano's. Such a model of random weights likes what it has
            just read best, and writes its prompt's last token for ever; with a table of its own for the logits (95
            million parameters, the same work a token) what it writes depends on all that it has read.
    """
    if (directory / "pixelis.json").is_file() and checkpoint_files(directory):
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=directory.parent) as scratch:
        made = write_checkpoint(Path(scratch) / "made", {**TEXT, "tie_word_embeddings": tied}, VISION, VIEW, SEED)
        shutil.rmtree(directory, ignore_errors=True)
        made.rename(directory)
    return directory


def spread(model: Any, generator: torch.Generator) -> None:
    """Weights under which every layer says something, and no logit drowns the others.

    As they are initialised, all layers together change a token by a hundredth, and an error in one would not be seen.
    """
    import torch

    text = model.config.text_config
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.1, generator=generator)
            elif weight.dim() > 1:
                inputs = weight[0].numel()
                weight.normal_(0, inputs**-0.5, generator=generator)
        model.model.language_model.embed_tokens.weight.normal_(0, 1, generator=generator)
        if not model.config.tie_word_embeddings:
            model.lm_head.weight.normal_(0, 1, generator=generator)
        model.model.language_model.norm.weight.fill_(LOUDNESS * text.hidden_size**-0.5)


def write_checkpoint(
    directory: Path,
    text: dict[str, Any],
    vision: dict[str, Any],
    view: int,
    seed: int,
    weigh: Callable[[Any, torch.Generator], None] = spread,
) -> Path:
    """A Hugging Face directory with random weights, whole with tokenizer, preprocessor and profile.

    Args:
        directory: where it goes.
        text: what differs from the nano's text model.
        vision: what differs from its vision tower.
        view: pixels of the view's side.
        seed: of the weights.
        weigh: gives the model its weights.
    """
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    from builder.nano import model as nano

    config = nano.config()
    for part, changes in ((config.text_config, text), (config.vision_config, vision)):
        for name, value in changes.items():
            setattr(part, name, value)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings
    config.text_config.layer_types = ["full_attention"] * config.text_config.num_hidden_layers
    half = config.text_config.hidden_size // config.text_config.num_attention_heads // 2
    rotated = half // 4, (half - half // 4) // 2
    config.text_config.rope_parameters["mrope_section"] = [rotated[0], rotated[1], half - sum(rotated)]
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    weigh(model, torch.Generator().manual_seed(seed))
    nano.save(model, directory)
    _look_at(directory, view)
    return directory


def _look_at(directory: Path, view: int) -> None:
    """The view in the files that say it."""
    for name, changes in (
        ("preprocessor_config.json", {"min_pixels": view * view, "max_pixels": view * view}),
        ("pixelis.json", {"view": [view, view]}),
    ):
        path = directory / name
        path.write_text(
            json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}, indent=2) + "\n", encoding="utf-8"
        )
