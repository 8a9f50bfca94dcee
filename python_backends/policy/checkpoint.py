"""The numbers of a policy artifact that decoding needs, from the files beside its graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from pixelis.errors import SetupError
from pixelis.json_text import read_object, reason

Whole = Annotated[int, Field(ge=1, le=2**31 - 1)]

END_OF_TURN = "<|im_end|>"


@dataclass(frozen=True)
class CheckpointConfig:
    """What `config.json`, `generation_config.json` and `tokenizer.json` say.

    Attributes:
        vocabulary: width of the logits.
        hidden: width of an embedding.
        layers: decoder layers.
        kv_heads: key-value heads of a layer.
        head_dim: width of one head.
        max_positions: positions that the rotary tables cover.
        image_token: id of `<|image_pad|>`.
        merge: patches merged into one visual token, along one side.
        end_ids: ids that end a turn.
        tokens_per_second: positions of a second of a video (Qwen2.5-VL).
        deepstack: features that a visual token brings for the first layers, besides its embedding (Qwen3-VL).
    """

    vocabulary: Whole
    hidden: Whole
    layers: Whole
    kv_heads: Whole
    head_dim: Whole
    max_positions: Whole
    image_token: int
    merge: Whole
    end_ids: frozenset[int]
    deepstack: int = 0
    tokens_per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 4

    @property
    def visual_width(self) -> int:
        """Numbers of a visual token: its embedding, and the features behind it."""
        return self.hidden * (1 + self.deepstack)

    @property
    def token_bytes(self) -> int:
        """Bytes of keys and values of one token, in fp32."""
        return 2 * self.layers * self.kv_heads * self.head_dim * 4

    @classmethod
    def load(cls, directory: Path) -> CheckpointConfig:
        """Read the files in `directory` (a version folder or a checkpoint).

        Raises:
            SetupError: a file is missing, or lacks a field.
        """
        try:
            config = read_object(directory / "config.json")
            # transformers 5 nests the text model; checkpoints saved by 4 keep its fields at the top
            text = {**config, **config.get("text_config", {})}
            heads, hidden = text["num_attention_heads"], text["hidden_size"]
            return _CONFIG.validate_python(
                {
                    "vocabulary": text["vocab_size"],
                    "hidden": hidden,
                    "layers": text["num_hidden_layers"],
                    "kv_heads": text["num_key_value_heads"],
                    "head_dim": text.get("head_dim") or hidden // heads,
                    "max_positions": text["max_position_embeddings"],
                    "image_token": config["image_token_id"],
                    "merge": config["vision_config"]["spatial_merge_size"],
                    "end_ids": _end_ids(directory, config, text),
                    "tokens_per_second": config["vision_config"].get("tokens_per_second", 4),
                    "deepstack": len(config["vision_config"].get("deepstack_visual_indexes") or ()),
                }
            )
        except (OSError, KeyError, ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise SetupError(
                f"The policy artifact {directory.name} is not complete: {type(error).__name__} {reason(error)}.",
                mend="Build it again with `pixelis build policy`.",
            ) from error


def _end_ids(directory: Path, config: dict[str, Any], text: dict[str, Any]) -> frozenset[int]:
    """End tokens of all the files that may name them: a base checkpoint's config forgets the end of a turn."""
    generation = directory / "generation_config.json"
    named = [config.get("eos_token_id"), text.get("eos_token_id")]
    if generation.exists():
        named.append(read_object(generation).get("eos_token_id"))
    found: set[int] = set()
    for value in named:
        found.update(value if isinstance(value, list) else [value] if isinstance(value, int) else [])
    added = read_object(directory / "tokenizer.json").get("added_tokens", [])
    found.update(token["id"] for token in added if token["content"] == END_OF_TURN)
    return frozenset(found)


_CONFIG = TypeAdapter(CheckpointConfig)
