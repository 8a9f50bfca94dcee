"""LoRA adapters merged into a checkpoint: PEFT's arithmetic, untouched shards untouched, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from builder.checkpoints import lora
from builder.checkpoints.checks import check_checkpoint
from builder.checkpoints.lora import MERGED, merge_adapter
from builder.checkpoints.weights import INDEX, Weights, canonical
from builder.sources.checkpoint import NANO
from pixelis.errors import BuildError
from tests.full_width import write_full_width

R, ALPHA = 4, 6
Arrays = dict[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen2.5-VL with the old names, in bf16, in several shards, its tables apart."""
    return write_full_width(
        tmp_path_factory.mktemp("base") / "model",
        "qwen2.5-vl-7b",
        text={
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 512,
            "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        },
        vision={"hidden_size": 32, "intermediate_size": 48, "num_heads": 2},
        shard=120_000,
    )


def pair(weights: Weights, module: str, rank: int = R, seed: int = 0) -> Arrays:
    out, inside = weights.shape(f"{module}.weight")
    rng = np.random.default_rng(seed)
    return {
        f"base_model.model.{module}.lora_A.weight": rng.standard_normal((rank, inside)).astype(np.float32),
        f"base_model.model.{module}.lora_B.weight": rng.standard_normal((out, rank)).astype(np.float32),
    }


def adapter(directory: Path, tensors: Arrays, **config: object) -> Path:
    directory.mkdir()
    save_file(tensors, directory / "adapter_model.safetensors")
    said = {"peft_type": "LORA", "r": R, "lora_alpha": ALPHA, "target_modules": ["q_proj"], **config}
    (directory / "adapter_config.json").write_text(json.dumps(said))
    return directory


def added(tensors: Arrays, module: str, scale: float) -> np.ndarray[Any, Any]:
    """Written out: the sum over the rank, in double precision."""
    a, b = (tensors[f"base_model.model.{module}.lora_{side}.weight"].astype(np.float64) for side in "AB")
    return scale * np.einsum("or,ri->oi", b, a)


Q, UP, QKV = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj", "visual.blocks.1.attn.qkv"


def test_every_target_is_the_sum_rounded_once_and_nothing_else_changes(base: Path, tmp_path: Path) -> None:
    weights = Weights(base)
    tensors = pair(weights, Q) | pair(weights, UP, seed=1) | pair(weights, QKV, seed=2)
    made = merge_adapter(base, adapter(tmp_path / "adapter", tensors), tmp_path / "out")
    assert (made.pairs, made.replaced, made.notes) == (3, 0, ())
    after = Weights(made.directory)
    assert after.names == weights.names
    for module in (Q, UP, QKV):
        before = weights[f"{module}.weight"].astype(np.float64)
        exact = before + added(tensors, module, ALPHA / R)
        got = after[f"{module}.weight"]
        assert got.dtype == ml_dtypes.bfloat16
        np.testing.assert_allclose(got.astype(np.float64), exact, rtol=2**-8, atol=1e-6)
        assert (got != weights[f"{module}.weight"]).any()
    for name in set(weights.names) - {f"{module}.weight" for module in (Q, UP, QKV)}:
        assert after[name].tobytes() == weights[name].tobytes()
    check_checkpoint(made.directory)


def test_shards_that_nothing_changes_are_the_same_file(base: Path, tmp_path: Path) -> None:
    weights = Weights(base)
    made = merge_adapter(base, adapter(tmp_path / "adapter", pair(weights, Q)), tmp_path / "out")
    changed = weights.file(f"{Q}.weight")
    assert len(weights.shards) > 3
    for name in weights.shards:
        same = (base / name).stat().st_ino == (made.directory / name).stat().st_ino
        assert same == (name != changed)
    assert made.written == (base / changed).stat().st_size
    assert (made.directory / INDEX).read_bytes() == (base / INDEX).read_bytes()
    said = json.loads((made.directory / MERGED).read_text())
    assert (said["base"], said["pairs"]) == ("model", 1)
    assert not (base / MERGED).exists()


def test_blocks_of_rows_make_the_same(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = adapter(tmp_path / "adapter", pair(Weights(base), UP))
    whole = merge_adapter(base, there, tmp_path / "whole")
    monkeypatch.setattr(lora, "_BLOCK", 7 * 64)
    blocks = merge_adapter(base, there, tmp_path / "blocks")
    name = Weights(base).file(f"{UP}.weight")
    first, second = (Weights(made.directory)[f"{UP}.weight"].astype(np.float32) for made in (whole, blocks))
    np.testing.assert_allclose(first, second, rtol=2**-8)
    assert (whole.directory / name).stat().st_size == (blocks.directory / name).stat().st_size


def test_scales_of_patterns_and_of_rank_stabilised_lora(base: Path, tmp_path: Path) -> None:
    weights = Weights(base)
    tensors = pair(weights, Q) | pair(weights, UP, rank=2)
    config = {"use_rslora": True, "rank_pattern": {"up_proj": 2}, "alpha_pattern": {r"1\.mlp\.up_proj": 3}}
    after = Weights(merge_adapter(base, adapter(tmp_path / "a", tensors, **config), tmp_path / "out").directory)
    for module, scale in ((Q, ALPHA / R**0.5), (UP, 3 / 2**0.5)):
        exact = weights[f"{module}.weight"].astype(np.float64) + added(tensors, module, scale)
        np.testing.assert_allclose(after[f"{module}.weight"].astype(np.float64), exact, atol=0.06, rtol=2**-8)


def test_names_of_newer_libraries_mean_the_same(base: Path, tmp_path: Path) -> None:
    weights = Weights(base)
    old = pair(weights, Q)
    now = canonical(f"{Q}.weight").removesuffix(".weight")
    new = {name.replace(Q, now).replace(".weight", ".default.weight"): value for name, value in old.items()}
    first = merge_adapter(base, adapter(tmp_path / "old", old), tmp_path / "first")
    second = merge_adapter(base, adapter(tmp_path / "new", new), tmp_path / "second")
    name = weights.file(f"{Q}.weight")
    assert (first.directory / name).read_bytes() == (second.directory / name).read_bytes()


def test_embeddings_and_modules_that_were_trained_whole(base: Path, tmp_path: Path) -> None:
    weights, rng = Weights(base), np.random.default_rng(3)
    table, head = weights["model.embed_tokens.weight"], weights["lm_head.weight"]
    a = rng.standard_normal((R, len(table))).astype(np.float32)
    b = rng.standard_normal((table.shape[1], R)).astype(np.float32)
    new = rng.standard_normal(head.shape).astype(np.float32)
    tensors = {
        "base_model.model.model.embed_tokens.lora_embedding_A": a,
        "base_model.model.model.embed_tokens.lora_embedding_B": b,
        "base_model.model.lm_head.weight": new,
        f"base_model.model.{Q}.bias": rng.standard_normal(64).astype(np.float32),
    }
    config = {"modules_to_save": ["lm_head"], "bias": "lora_only"}
    made = merge_adapter(base, adapter(tmp_path / "a", tensors, **config), tmp_path / "out")
    assert (made.pairs, made.replaced) == (1, 2)
    after = Weights(made.directory)
    assert np.array_equal(after["lm_head.weight"], new.astype(ml_dtypes.bfloat16))
    exact = table.astype(np.float64) + (b.astype(np.float64) @ a).T * ALPHA / R
    np.testing.assert_allclose(after["model.embed_tokens.weight"].astype(np.float64), exact, atol=0.06, rtol=2**-8)


def test_an_adapter_brings_its_profile_and_not_its_tokenizer(base: Path, tmp_path: Path) -> None:
    there = adapter(tmp_path / "adapter", pair(Weights(base), Q))
    before = (base / "pixelis.json").read_text()
    (there / "pixelis.json").write_text('{"dialect": "pixel_reasoner"}')
    (there / "tokenizer.json").write_text("{}")
    made = merge_adapter(base, there, tmp_path / "out")
    assert (made.directory / "pixelis.json").read_text() == '{"dialect": "pixel_reasoner"}'
    assert (base / "pixelis.json").read_text() == before
    assert "another tokenizer.json" in made.notes[0]


def test_an_untrained_adapter_is_said_to_be_one(base: Path, tmp_path: Path) -> None:
    tensors = pair(Weights(base), Q)
    tensors[f"base_model.model.{Q}.lora_B.weight"][:] = 0
    made = merge_adapter(base, adapter(tmp_path / "adapter", tensors), tmp_path / "out")
    assert "adds nothing" in made.notes[0]
    assert Weights(made.directory)[f"{Q}.weight"].tobytes() == Weights(base)[f"{Q}.weight"].tobytes()


PREFIX = f"base_model.model.{Q}"


def _wide(rows: int, columns: int) -> np.ndarray[Any, Any]:
    return np.ones((rows, columns), np.float32)


@pytest.mark.parametrize(
    ("config", "tensors", "says"),
    [
        ({"use_dora": True}, {}, "DoRA"),
        ({"peft_type": "LOHA"}, {}, "is a LOHA"),
        ({"init_lora_weights": "pissa_niter_4"}, {}, "does not fit the published one"),
        ({"layer_replication": [[0, 1]]}, {}, "repeated layers"),
        ({"r": None}, {}, "no `r`"),
        ({"r": 8}, {}, "rank 8"),
        ({}, {f"{PREFIX}.lora_magnitude_vector": _wide(1, 64)}, "no part of a plain LoRA"),
        ({}, {f"{PREFIX}.lora_B.weight": _wide(80, R)}, r"adds \[80, 64\]"),
        ({}, {"base_model.model.lm_head.weight": _wide(600, 64)}, r"brings lm_head.weight as \[600, 64\]"),
        ({}, {"base_model.model.model.layers.7.mlp.up_proj.lora_A.weight": _wide(R, 64)}, "alone"),
        (
            {},
            {
                "base_model.model.model.layers.7.mlp.up_proj.lora_A.weight": _wide(R, 64),
                "base_model.model.model.layers.7.mlp.up_proj.lora_B.weight": _wide(96, R),
            },
            "which the checkpoint does not have",
        ),
        ({}, {f"{PREFIX}.lora_A.weight": np.ones((R, 64), np.int8)}, "is I8"),
    ],
)
def test_what_cannot_be_merged_is_refused_and_leaves_nothing(
    base: Path, tmp_path: Path, config: dict[str, object], tensors: Arrays, says: str
) -> None:
    there = adapter(tmp_path / "adapter", pair(Weights(base), Q) | tensors, **config)
    with pytest.raises(BuildError, match=says) as caught:
        merge_adapter(base, there, tmp_path / "out")
    assert caught.value.mend
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_pickles_missing_files_and_tied_tables_are_refused(base: Path, tmp_path: Path) -> None:
    there = adapter(tmp_path / "adapter", pair(Weights(base), Q))
    (there / "adapter_model.safetensors").rename(there / "adapter_model.bin")
    with pytest.raises(BuildError, match="pickled"):
        merge_adapter(base, there, tmp_path / "out")
    (there / "adapter_model.bin").unlink()
    with pytest.raises(BuildError, match=r"adapter_model\.safetensors is missing"):
        merge_adapter(base, there, tmp_path / "out")
    rows, width = Weights(NANO).shape("model.language_model.embed_tokens.weight")
    tensors = {
        "base_model.model.lm_head.lora_A.weight": np.ones((R, width), np.float32),
        "base_model.model.lm_head.lora_B.weight": np.ones((rows, R), np.float32),
    }
    with pytest.raises(BuildError, match="one table cannot become two"):
        merge_adapter(NANO, adapter(tmp_path / "head", tensors), tmp_path / "out")


def test_a_destination_that_is_there_is_not_written_over(base: Path, tmp_path: Path) -> None:
    there = adapter(tmp_path / "adapter", pair(Weights(base), Q))
    (tmp_path / "out").mkdir()
    with pytest.raises(BuildError, match="is there already"):
        merge_adapter(base, there, tmp_path / "out")


def test_the_library_itself_merges_to_the_same(tmp_path: Path) -> None:
    """PEFT's own adapter of the nano, merged by PEFT and by us (runs where PEFT is installed)."""
    peft = pytest.importorskip("peft")
    import torch

    from builder.sources.checkpoint import load_model

    torch.manual_seed(0)
    config = peft.LoraConfig(
        r=R,
        lora_alpha=ALPHA,
        target_modules=["q_proj", "v_proj", "down_proj", "qkv"],
        rank_pattern={"down_proj": 2},
        use_rslora=True,
        init_lora_weights=False,
    )
    model = peft.get_peft_model(load_model(NANO), config)
    model.save_pretrained(tmp_path / "adapter")
    made = merge_adapter(NANO, tmp_path / "adapter", tmp_path / "out")
    merged = model.merge_and_unload()
    ours = load_file(made.directory / "model.safetensors")
    theirs = {name: value.detach().numpy() for name, value in merged.state_dict().items()}
    load_model.cache_clear()  # PEFT has changed the model that is kept
    assert made.pairs > 8
    for name, value in ours.items():
        # the nano's file is in half precision, and so is what is merged from it
        np.testing.assert_allclose(value, theirs[canonical(name)], rtol=2**-10, atol=1e-6, err_msg=name)
