"""The numbers of a text decoder that its graph is made of, from `config.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelis.errors import BuildError

FAMILIES = ("qwen2_5_vl", "qwen3_vl")


@dataclass(frozen=True)
class DecoderShape:
    """A Qwen2.5-VL or Qwen3-VL text decoder.

    Attributes:
        family: one of `FAMILIES`.
        vocabulary: width of the logits.
        hidden: width of a token between layers.
        inner: width inside the feed-forward part.
        layers: how many.
        heads: query heads of a layer.
        kv_heads: key and value heads of a layer.
        head_dim: width of a head.
        epsilon: of the normalisations.
        theta: base of the rotary frequencies.
        sections: frequencies that belong to time, row and column.
        interleaved: the three take turns (Qwen3-VL), instead of one block each.
        positions: that the rotary tables cover.
        tied: logits are made with the embedding table.
        deepstack: layers after which features of the vision tower are added (Qwen3-VL).
    """

    family: str
    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float
    theta: float
    sections: tuple[int, int, int]
    interleaved: bool
    positions: int
    tied: bool
    deepstack: int

    @property
    def qk_norms(self) -> bool:
        """Whether queries and keys are normalised, head by head."""
        return self.family == "qwen3_vl"

    @classmethod
    def load(cls, directory: Path) -> DecoderShape:
        """What the checkpoint in `directory` says, in the spelling of transformers 4 or 5.

        Raises:
            BuildError: another architecture, a field that is missing, or a variant that is not emitted.
        """
        try:
            config = json.loads((directory / "config.json").read_text())
            return cls._read(config)
        except (KeyError, ValueError, TypeError) as error:
            raise BuildError(
                f"config.json of {directory.name} does not describe a text decoder: {type(error).__name__} {error}.",
                mend="Take the config.json that belongs to the weights.",
            ) from error

    @classmethod
    def _read(cls, config: dict[str, Any]) -> DecoderShape:
        family = config["model_type"]
        # transformers 5 nests the text model; checkpoints saved by 4 keep its fields at the top
        text = {**config, **config.get("text_config", {})}
        rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
        _check(family, text, rope)
        heads = int(text["num_attention_heads"])
        time, row, column = rope["mrope_section"]
        layers = int(text["num_hidden_layers"])
        return cls(
            family=family,
            vocabulary=int(text["vocab_size"]),
            hidden=int(text["hidden_size"]),
            inner=int(text["intermediate_size"]),
            layers=layers,
            heads=heads,
            kv_heads=int(text["num_key_value_heads"]),
            head_dim=int(text.get("head_dim") or text["hidden_size"] // heads),
            epsilon=float(text["rms_norm_eps"]),
            theta=float(rope.get("rope_theta") or text["rope_theta"]),
            sections=(int(time), int(row), int(column)),
            interleaved=family == "qwen3_vl",
            positions=int(text["max_position_embeddings"]),
            tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
            deepstack=min(len(config["vision_config"].get("deepstack_visual_indexes", ())), layers),
        )


def _check(family: str, text: dict[str, Any], rope: dict[str, Any]) -> None:
    """Refuse what the emitted graph would answer wrongly.

    Raises:
        BuildError: such a variant.
    """
    kind = rope.get("rope_type", rope.get("type", "default"))
    windows = "sliding_attention" in (text.get("layer_types") or ()) or text.get("use_sliding_window", False)
    activation = text.get("hidden_act", "silu")
    for wrong, what in (
        (family not in FAMILIES, f"is a {family}"),
        (kind not in ("default", "mrope"), f"scales its rotary frequencies ({kind})"),
        (windows, "attends within a sliding window"),
        (activation != "silu", f"has {activation} in its feed-forward parts"),
    ):
        if wrong:
            raise BuildError(
                f"The text decoder {what}, for which no graph is written.",
                mend=f"Served are {' and '.join(FAMILIES)} with plain M-RoPE and full attention.",
            )
