"""The nano: a `Qwen2_5_VLForConditionalGeneration` of about three million parameters, and how it is run in training.

Training does not go through the vision tower's own `forward`, which loops over images: every view has the same grid and
every layer full attention, so a batch of views is one call per layer (`vision_tokens`). A test holds both equal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from builder.nano import tokenizer as nano_tokenizer
from builder.nano.palette import COLOURS, SHAPES
from builder.nano.scenes import VIEW

PATCH = 14
MERGE = 2
GRID = VIEW // PATCH
SIDE = GRID // MERGE
TOKENS = SIDE * SIDE
"""Visual tokens of one view."""

VOCABULARY = 248
PROFILE = {
    "coordinates": "view_pixels",
    "view": [VIEW, VIEW],
    "system": None,
    "crop_as_image": True,
    "observation_fields": {
        "ZOOM_IN": {},
        "READ_TEXT": {"text": "text"},
        "GET_PROPERTIES": {"color": "color.name"},
        "SEGMENT_OBJECT_AT": {"area": "area"},
        "TRACK_OBJECT": {"left_by": "left_by"},
    },
    "video_frames": 1,
}


def config() -> Any:
    """`Qwen2_5_VLConfig` of the nano."""
    from transformers import Qwen2_5_VLConfig

    ids = {t: i for i, t in enumerate(nano_tokenizer.vocabulary())}
    if len(ids) > VOCABULARY:
        raise AssertionError(f"{len(ids)} tokens do not fit a vocabulary of {VOCABULARY}")
    text = {
        "vocab_size": VOCABULARY, "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4,
        "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        "tie_word_embeddings": True, "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }  # fmt: skip
    vision = {
        "depth": 4, "hidden_size": 128, "intermediate_size": 256, "num_heads": 4, "out_hidden_size": 192,
        "patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": 2, "window_size": 112,
        "fullatt_block_indexes": [0, 1, 2, 3],
    }  # fmt: skip
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=True,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )


def create(seed: int) -> Any:
    """A nano with random weights."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(seed)
    return Qwen2_5_VLForConditionalGeneration(config())


class Heads(nn.Module):
    """Auxiliary heads of training, thrown away afterwards: what every image token of a scene's view covers.

    Trained on tokens alone, a nano learns the form of its calls within minutes and then guesses coordinates for a long
    time. The heads make the tokens say what a call needs: colour, shape and, relative to the token, the edges of the
    thing that covers it (from the tower, which knows no absolute position), then row, column and the edges as they
    would be written (from the language model's second layer).
    """

    def __init__(self, hidden: int = 192) -> None:
        super().__init__()
        kinds, edges = [len(COLOURS) + 1, len(SHAPES) + 2], len(nano_tokenizer.BINS)
        self.tower = [*kinds, *[2 * edges] * 4]
        self.inside = [SIDE, SIDE, *kinds, *[edges] * 4]
        self.from_tower = nn.Linear(hidden, sum(self.tower))
        self.from_inside = nn.Linear(hidden, sum(self.inside))
        self.meant = nn.Linear(hidden, VOCABULARY)
        self.after = nn.Linear(hidden, edges + 1)
        self.left = nn.Linear(hidden, 5)

    def understood(self, inside: Tensor, words: Tensor, after: Tensor) -> Tensor:
        """How little the second layer's output, as the third will see it, says what is meant.

        Args:
            inside: `[N, hidden]`, at the positions that write coordinates.
            words: `[N]`, token ids of the words.
            after: `[N]`, where counting had come to (see `episodes.Look`).

        Returns:
            the loss for the word, plus the one for the place in the count.
        """
        seen = inside.float() * torch.rsqrt(inside.float().pow(2).mean(dim=-1, keepdim=True) + 1e-6)
        loss = nn.functional.cross_entropy(self.meant(seen).float(), words)
        if bool((after >= 0).any()):
            loss = loss + nn.functional.cross_entropy(self.after(seen).float(), after)
        return loss

    def forward(self, tower: Tensor, inside: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean cross-entropy over all heads, and the sums over the two that say the shape and the two of the colour.

        Args:
            tower: visual tokens `[N, hidden]`.
            inside: the second layer's output at the same tokens `[N, hidden]`.
            targets: `[N, 8]`: row, column, colour, shape and the edges x1, y1, x2, y2 in bins (-100 where nothing is).
        """
        edges = targets[:, 4:]
        cell = 4 * targets[:, [1, 0, 1, 0]]
        relative = torch.where(edges < 0, edges, edges - cell + len(nano_tokenizer.BINS))
        losses = [
            *_cross_entropies(self.from_tower(tower), self.tower, torch.cat([targets[:, 2:4], relative], dim=1)),
            *_cross_entropies(self.from_inside(inside), self.inside, targets),
        ]
        n = len(self.tower)
        return torch.stack(losses).mean(), losses[1] + losses[n + 3], losses[0] + losses[n + 2]

    def to_count(self, state: Tensor, left: Tensor) -> Tensor:
        """How little the third layer's output `[N, hidden]` says how many there are still to count (`left [N]`)."""
        seen = state.float() * torch.rsqrt(state.float().pow(2).mean(dim=-1, keepdim=True) + 1e-6)
        return nn.functional.cross_entropy(self.left(seen).float(), left)


def _cross_entropies(logits: Tensor, classes: list[int], targets: Tensor) -> list[Tensor]:
    parts = logits.float().split(classes, dim=-1)
    return [nn.functional.cross_entropy(part, targets[:, i]) for i, part in enumerate(parts)]


def _look(attention: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """How little the first head of a layer looks at the meant thing where it should.

    Args:
        attention: `[B, heads, S, S]` (needs eager attention).
        batch: `writes [N, 2]`, row and position that write, and `looks [N, S]`, where the thing's image tokens are.

    Returns:
        `[N]`.
    """
    row, at = batch["writes"].unbind(dim=1)
    return -torch.log((attention[row, 0, at].float() * batch["looks"]).sum(dim=-1) + 1e-4)


def _listen(attention: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """How little the first head of a layer looks at the word that says which thing is meant (`words [B]`)."""
    row, at = batch["writes"].unbind(dim=1)
    return -torch.log(attention[row, 0, at, batch["words"][row]].float() + 1e-4).mean()


def _copy(attention: Tensor, copies: Tensor) -> Tensor:
    """How little another head looks at the token that it is about to copy. copies: `[n, 3]`, row, from, to."""
    row, writes, reads = copies.unbind(dim=1)
    return -torch.log(attention[row, 1, writes, reads].float() + 1e-4).mean()


def patchify(views: Tensor) -> Tensor:
    """Qwen's patches of views: `[N, VIEW, VIEW, 3]` uint8 to `[N * GRID^2, 3 * 2 * PATCH^2]`, in merge order."""
    x = (views.float() / 255.0 - 0.5) / 0.5
    n = x.shape[0]
    x = x.reshape(n, SIDE, MERGE, PATCH, SIDE, MERGE, PATCH, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
    x = x.reshape(n * GRID * GRID, 3, 1, PATCH, PATCH).expand(-1, -1, 2, -1, -1)
    return x.reshape(n * GRID * GRID, -1)


def vision_tokens(model: Any, views: Tensor) -> Tensor:
    """Visual tokens `[N, TOKENS, hidden]` of views, one attention call per layer."""
    from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as qwen

    tower = model.model.visual
    n, s = views.shape[0], GRID * GRID
    kernel = tower.patch_embed.proj.weight
    hidden = nn.functional.linear(patchify(views), kernel.reshape(kernel.shape[0], -1))
    grid = torch.tensor([[1, GRID, GRID]])
    positions = qwen.get_vision_position_ids(grid, MERGE)
    cos, sin = (p.repeat(n, 1) for p in tower.rotary_pos_emb(hidden[:s], positions))
    for block in tower.blocks:
        attention = block.attn
        qkv = attention.qkv(block.norm1(hidden)).reshape(n * s, 3, attention.num_heads, -1)
        q, k, v = qkv.permute(1, 0, 2, 3).unbind(0)
        q, k = qwen.apply_rotary_pos_emb_vision(q, k, cos, sin)
        q, k, v = (t.reshape(n, s, attention.num_heads, -1).transpose(1, 2) for t in (q, k, v))
        # Written out: on a CPU the fused kernel's backward pass costs three times as much at this size.
        weights = torch.softmax((q.to(v.dtype) * q.shape[-1] ** -0.5) @ k.to(v.dtype).transpose(-1, -2), dim=-1)
        mixed = weights.to(v.dtype) @ v
        hidden = hidden + attention.proj(mixed.transpose(1, 2).reshape(n * s, -1))
        hidden = hidden + block.mlp(block.norm2(hidden))
    tokens: Tensor = tower.merger(hidden).reshape(n, TOKENS, -1)
    return tokens


def forward(model: Any, batch: dict[str, Tensor], heads: Heads | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits where a token is to be learnt `[M, vocabulary]`, and the losses of the heads, of the look (`[8]`: third
    layer, fourth layer, the word listened to, the first coordinate alone, the word understood, the
    shape seen, the colour seen, how many there are still to count) and of the copy.

    Args:
        batch: `ids [B, S]`, `positions [3, B, S]`, `views [N, VIEW, VIEW, 3]`, `learn [B, S]` (the *next* token
            counts), `looks` and `writes` (see `_look`), `first [N]` (the thing is chosen there), `after [N]`,
            `decides [D, 2]` and `left [D]` (see `to_count`),
            `copies` (see `_copy`), `words [B]`, `targets [K, 8]` and
            `target_rows [K]` (flat indexes of image tokens). Padding is on the right, so causal
            attention needs no mask.
        heads: the auxiliary heads; none skips them.
    """
    image_token = model.config.image_token_id
    ids = batch["ids"]
    embeds = model.get_input_embeddings()(ids)
    visual = vision_tokens(model, batch["views"]).to(embeds.dtype)
    at = ids == image_token
    embeds = embeds.masked_scatter(at[..., None], visual)
    kept: dict[str, Tensor] = {}
    layers = model.model.language_model.layers
    hooks = [
        layers[1].register_forward_hook(
            lambda _m, _i, out: kept.update(inside=out[0] if isinstance(out, tuple) else out)
        ),
        layers[2].register_forward_hook(
            lambda _m, _i, out: kept.update(deep=out[0] if isinstance(out, tuple) else out)
        ),
        layers[1].self_attn.register_forward_hook(lambda _m, _i, out: kept.update(second=out[1])),
        layers[2].self_attn.register_forward_hook(lambda _m, _i, out: kept.update(third=out[1])),
        layers[3].self_attn.register_forward_hook(lambda _m, _i, out: kept.update(fourth=out[1])),
    ]
    try:
        out = model.model.language_model(inputs_embeds=embeds, position_ids=batch["positions"], use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    logits = model.lm_head(out.last_hidden_state[batch["learn"]])
    auxiliary = copy = understood = shape = colour = left = logits.new_zeros((), dtype=torch.float32)
    look = logits.new_zeros(4, dtype=torch.float32)
    if heads is not None:
        rows = batch["target_rows"]
        tower, inside = (x.reshape(-1, x.shape[-1])[rows] for x in (embeds, kept["inside"]))
        auxiliary, shape, colour = heads(tower, inside, batch["targets"])
        looks = [_look(kept[layer], batch) for layer in ("third", "fourth")]
        # The first coordinate decides which thing it is; the others only have to stay with it.
        first = batch["first"]
        look = torch.stack(
            [*(x.mean() for x in looks), _listen(kept["second"], batch), sum(x[first].mean() for x in looks)]
        )
        copy = _copy(kept["third"], batch["copies"]) if len(batch["copies"]) else copy
        row, at = batch["writes"].unbind(dim=1)
        words = ids[row, batch["words"][row]]
        understood = heads.understood(kept["inside"][row, at], words, batch["after"])
        if len(batch["decides"]):
            row, at = batch["decides"].unbind(dim=1)
            left = heads.to_count(kept["deep"][row, at], batch["left"])
    return logits, auxiliary, torch.cat([look, torch.stack([understood, shape, colour, left])]), copy


def save(model: Any, directory: Path) -> None:
    """Write a Hugging Face directory: config, fp16 safetensors, tokenizer, chat template, preprocessor, profile."""
    import copy

    directory.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).half().save_pretrained(directory)
    nano_tokenizer.save(directory)
    preprocessor = {
        "image_processor_type": "Qwen2VLImageProcessor", "patch_size": PATCH, "temporal_patch_size": 2,
        "merge_size": MERGE, "min_pixels": VIEW * VIEW, "max_pixels": VIEW * VIEW,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    (directory / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n", encoding="utf-8")
    (directory / "pixelis.json").write_text(json.dumps(PROFILE, indent=2) + "\n", encoding="utf-8")
