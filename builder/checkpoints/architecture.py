"""What config.json says of a checkpoint, typed: the same for transformers 4's flat spelling and 5's nested one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pixelis.errors import BuildError
from pixelis.json_text import read_object, reason

Family = Literal["qwen2_5_vl", "qwen3_vl"]
FAMILIES: dict[str, Family] = {
    "Qwen2_5_VLForConditionalGeneration": "qwen2_5_vl",
    "Qwen3VLForConditionalGeneration": "qwen3_vl",
}
"""Architectures that are served, by the name of their class in transformers."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_Part):
    """The text decoder.

    Attributes:
        mrope_section: pairs of a head's channels that turn with time, height and width; together `head_dim / 2`.
        interleaved: the three kinds alternate along the channels (Qwen3-VL) instead of lying one behind the other.
        qkv_bias: queries, keys and values have biases (Qwen2.5).
        qk_norm: queries and keys are normalised, a head at a time (Qwen3).
        tied: logits are made with the embedding table.
    """

    vocabulary: int = Field(ge=1)
    hidden: int = Field(ge=1)
    intermediate: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=2, multiple_of=2)
    max_positions: int = Field(ge=1)
    rms_eps: float = Field(gt=0)
    rope_theta: float = Field(gt=0)
    mrope_section: tuple[int, int, int]
    interleaved: bool
    qkv_bias: bool
    qk_norm: bool
    tied: bool

    @model_validator(mode="after")
    def _consistent(self) -> Text:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads are not a multiple of {self.kv_heads} key-value heads")
        if sum(self.mrope_section) != self.head_dim // 2:
            raise ValueError(f"mrope_section {list(self.mrope_section)} is not half of head_dim {self.head_dim}")
        return self

    @property
    def token_values(self) -> int:
        """Numbers in the keys and values of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim


class Vision(_Part):
    """The vision tower.

    Attributes:
        patch, temporal_patch: pixels of a patch's side; frames that are one patch.
        merge: patches merged into one visual token, along one side.
        out_hidden: width of a visual token.
        window: pixels of an attention window's side; none = every block attends to everything (Qwen3-VL).
        full_attention: blocks that attend to everything all the same.
        deepstack: blocks whose output is added to the first text layers, one each (Qwen3-VL); empty = none.
        positions: entries of the learned position table (Qwen3-VL); none = rotary positions alone.
        tokens_per_second: of M-RoPE's time axis (Qwen2.5-VL).
    """

    depth: int = Field(ge=1)
    hidden: int = Field(ge=1)
    intermediate: int = Field(ge=1)
    heads: int = Field(ge=1)
    channels: int = Field(ge=1)
    patch: int = Field(ge=1)
    temporal_patch: int = Field(ge=1)
    merge: int = Field(ge=1)
    out_hidden: int = Field(ge=1)
    window: int | None = None
    full_attention: tuple[int, ...] = ()
    deepstack: tuple[int, ...] = ()
    positions: int | None = None
    tokens_per_second: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Vision:
        if self.hidden % self.heads:
            raise ValueError(f"the tower's width {self.hidden} is not a multiple of its {self.heads} heads")
        for name, blocks in (
            ("fullatt_block_indexes", self.full_attention),
            ("deepstack_visual_indexes", self.deepstack),
        ):
            if any(not 0 <= block < self.depth for block in blocks):
                raise ValueError(f"{name} {list(blocks)} names blocks that a tower of {self.depth} has not")
        if self.positions is not None and int(self.positions**0.5) ** 2 != self.positions:
            raise ValueError(f"num_position_embeddings {self.positions} is no square")
        return self

    @property
    def unit(self) -> int:
        """Pixels of a visual token's side: both sides of a picture are multiples of it."""
        return self.patch * self.merge


class Architecture(_Part):
    """A checkpoint's family and numbers.

    Attributes:
        dtype: in which it says it was saved; none = it does not say.
    """

    family: Family
    text: Text
    vision: Vision
    image_token: int = Field(ge=0)
    video_token: int = Field(ge=0)
    vision_start: int = Field(ge=0)
    vision_end: int = Field(ge=0)
    dtype: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Architecture:
        if self.vision.out_hidden != self.text.hidden:
            raise ValueError(f"visual tokens are {self.vision.out_hidden} wide and text tokens {self.text.hidden}")
        if len(self.vision.deepstack) > self.text.layers:
            raise ValueError(f"{len(self.vision.deepstack)} deepstack levels for {self.text.layers} text layers")
        return self

    @property
    def named(self) -> str:
        """Its family as people call it."""
        return "Qwen2.5-VL" if self.family == "qwen2_5_vl" else "Qwen3-VL"


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object.

    Raises:
        BuildError: it is not there, or holds something else.
    """
    try:
        return read_object(path)
    except FileNotFoundError:
        mend = "Name a Hugging Face directory that is whole, as `save_pretrained` writes it."
        raise BuildError(f"{path.name} is missing in {path.parent}.", mend=mend) from None
    except (OSError, ValueError) as error:
        raise BuildError(f"{path.name} is not readable: {reason(error)}.", mend="Fetch it again.") from None


def read_architecture(directory: Path) -> Architecture:
    """What config.json in `directory` says.

    Raises:
        BuildError: it is missing, broken, contradicts itself, or is of an architecture that is not served.
    """
    config = read_json(directory / "config.json")
    family = _family(config)
    try:
        # transformers 4 keeps the text model's fields at the top, and `text_config` beside them since 4.52
        text = {**config, **(config.get("text_config") or {})}
        vision = config["vision_config"]
        return Architecture(
            family=family,
            text=_text(family, config, text),
            vision=_vision(family, vision),
            image_token=config["image_token_id"],
            video_token=config["video_token_id"],
            vision_start=config["vision_start_token_id"],
            vision_end=config["vision_end_token_id"],
            dtype=next((one[key] for one in (config, text) for key in ("dtype", "torch_dtype") if one.get(key)), None),
        )
    except KeyError as error:
        raise BuildError(f"config.json lacks {error.args[0]}.", mend="Take it from the model's own page.") from None
    except ValidationError as error:
        mend = "Take it from the model's own page."
        raise BuildError(f"config.json contradicts itself: {reason(error)}.", mend=mend) from None
    except (TypeError, AttributeError, ValueError, ZeroDivisionError, OverflowError) as error:
        message = f"config.json is not of a {family} checkpoint: {reason(error)}."
        raise BuildError(message, mend="Take it from the model's own page.") from None


def _family(config: dict[str, Any]) -> Family:
    given = config.get("architectures") or []
    named = [str(name) for name in (given if isinstance(given, list) else [given])]
    for name in named:
        if name in FAMILIES:
            return FAMILIES[name]
    said = ", ".join(named) if named else f"model_type {config.get('model_type')}"
    raise BuildError(
        f"The checkpoint is a {said[:200]}, which is not served.",
        mend=f"Served are {' and '.join(FAMILIES)}: fine-tunes of Qwen2.5-VL and Qwen3-VL (dense, not -MoE).",
    )


def _text(family: Family, config: dict[str, Any], text: dict[str, Any]) -> Text:
    rope = {**(text.get("rope_scaling") or {}), **(text.get("rope_parameters") or {})}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "mrope"):
        mend = "Take the scaling out of config.json: positions up to max_position_embeddings need none."
        raise BuildError(f"config.json scales positions by `{kind}`, which is not served.", mend=mend)
    if text.get("use_sliding_window"):
        mend = "Set use_sliding_window to false; Qwen's own checkpoints do not use it."
        raise BuildError(
            "config.json wants sliding-window attention in the text model, which is not served.", mend=mend
        )
    if text.get("hidden_act", "silu") != "silu":
        raise BuildError(f"config.json wants the activation {text['hidden_act']}; served is silu.", mend="Use Qwen's.")
    if family == "qwen3_vl" and text.get("attention_bias"):
        raise BuildError("config.json wants attention_bias, which is not served for Qwen3-VL.", mend="Use Qwen's.")
    heads, hidden = text["num_attention_heads"], text["hidden_size"]
    theta = rope.get("rope_theta", text.get("rope_theta", 1e6 if family == "qwen2_5_vl" else 5e6))
    return Text(
        vocabulary=text["vocab_size"],
        hidden=hidden,
        intermediate=text["intermediate_size"],
        layers=text["num_hidden_layers"],
        heads=heads,
        kv_heads=text.get("num_key_value_heads") or heads,
        head_dim=text.get("head_dim") or hidden // heads,
        max_positions=text["max_position_embeddings"],
        rms_eps=text.get("rms_norm_eps", 1e-6),
        rope_theta=theta,
        mrope_section=tuple(rope["mrope_section"]),
        interleaved=bool(rope.get("mrope_interleaved", family == "qwen3_vl")),
        qkv_bias=family == "qwen2_5_vl",
        qk_norm=family == "qwen3_vl",
        tied=bool(config.get("tie_word_embeddings") or text.get("tie_word_embeddings")),
    )


def _vision(family: Family, vision: dict[str, Any]) -> Vision:
    common = {
        "depth": vision["depth"],
        "hidden": vision["hidden_size"],
        "intermediate": vision["intermediate_size"],
        "heads": vision["num_heads"],
        "channels": vision.get("in_channels", vision.get("in_chans", 3)),
        "patch": _side(vision.get("patch_size", vision.get("spatial_patch_size"))),
        "temporal_patch": _side(vision["temporal_patch_size"]),
        "merge": vision["spatial_merge_size"],
        "out_hidden": vision["out_hidden_size"],
    }
    if family == "qwen2_5_vl":
        return Vision(
            **common,
            window=vision["window_size"],
            full_attention=tuple(vision["fullatt_block_indexes"]),
            tokens_per_second=vision.get("tokens_per_second", 4),
        )
    return Vision(
        **common,
        deepstack=tuple(vision["deepstack_visual_indexes"]),
        positions=vision["num_position_embeddings"],
    )


def _side(value: Any) -> Any:
    """transformers 5 allows a list of equal sides."""
    if isinstance(value, (list, tuple)):
        if len(set(value)) != 1:
            raise ValueError(f"patches of {value} are no squares")
        return value[0]
    return value
