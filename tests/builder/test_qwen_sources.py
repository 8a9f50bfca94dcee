"""The vision tower and the decoder against transformers' own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from builder.candidate import Candidate
from builder.sources.checkpoint import checkpoint_directory
from builder.sources.decoder import Decoder
from builder.sources.pictures import scene
from builder.sources.vision_encoder import VisionEncoder
from builder.sources.vision_tower import FixedGridTower
from pixelis.errors import BuildError
from python_backends.engine import load_engine
from tests.marked import long


def _tower(full: list[int], seed: int = 0) -> object:
    """A random tower with windows of 112 pixels, in which the layers `full` see everything."""
    import torch
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

    torch.manual_seed(seed)
    config = Qwen2_5_VLVisionConfig(
        depth=3, hidden_size=64, intermediate_size=96, num_heads=4, out_hidden_size=48, fullatt_block_indexes=full
    )
    tower = Qwen2_5_VisionTransformerPretrainedModel(config).eval()
    with torch.no_grad():
        for weight in tower.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    return tower


@pytest.mark.parametrize(
    ("width", "height"),
    [(112, 112), (168, 168), (224, 224), (280, 140), (56, 196)],
    ids=["one window", "ragged windows", "four equal windows", "wide", "tall"],
)
def test_the_fixed_grid_tower_equals_transformers(width: int, height: int) -> None:
    import torch
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tower = _tower(full=[1])
    processor = Qwen2VLImageProcessorPil(min_pixels=width * height, max_pixels=width * height)
    views = np.stack([scene(width, height, seed) for seed in range(3)])
    batch = processor(images=list(views), return_tensors="pt")
    fixed = FixedGridTower(tower, width, height, processor.image_mean, processor.image_std).eval()
    with torch.inference_mode():
        wanted = tower(batch["pixel_values"], grid_thw=batch["image_grid_thw"]).pooler_output  # type: ignore[operator]
        got = fixed(torch.from_numpy(views))
    assert got.shape == (3, width * height // 28**2, 48)
    torch.testing.assert_close(got.reshape(wanted.shape), wanted, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("side", [pytest.param(168, id="ragged windows"), long(224, id="equal windows")])
def test_windows_survive_the_export(side: int, tmp_path: Path) -> None:
    import torch

    from builder.formats.onnx import export_module

    fixed = FixedGridTower(_tower(full=[1]), side, side, [0.5] * 3, [0.5] * 3).eval()
    views = np.stack([scene(side, side, seed) for seed in range(5)])
    path = tmp_path / "model.onnx"
    export_module(fixed, [torch.from_numpy(views[:2])], ("VIEW",), ("TOKENS",), {"VIEW": {0: "batch"}}, path)
    with torch.inference_mode():
        wanted = fixed(torch.from_numpy(views)).numpy()
    engine = load_engine(tmp_path, threads=1)
    np.testing.assert_allclose(engine.run({"VIEW": views})["TOKENS"], wanted, atol=1e-5)
    np.testing.assert_allclose(engine.run({"VIEW": views[:1]})["TOKENS"], wanted[:1], atol=1e-5)


@pytest.fixture(scope="module")
def encoder_artifact(random_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("vision_encoder")
    VisionEncoder(random_checkpoint).export_onnx(directory)
    return directory


def test_the_exported_encoder_equals_transformers(random_checkpoint: Path, encoder_artifact: Path) -> None:
    source = VisionEncoder(random_checkpoint)
    samples = source.samples()
    assert [len(sample["VIEW"]) for sample in samples] == [1, 3, 8, 3, 4]
    for sample in samples:
        got, wanted = source.answer(encoder_artifact, sample)["TOKENS"], source.reference(sample)["TOKENS"]
        assert got.shape == wanted.shape == (len(sample["VIEW"]), 36, 192)
        np.testing.assert_allclose(got, wanted, atol=1e-5 * max(1.0, float(np.abs(wanted).max())))


def test_the_encoders_graph_is_what_the_contract_says(encoder_artifact: Path) -> None:
    import onnx

    engine = load_engine(encoder_artifact, threads=1)
    assert str(engine.inputs[0]).endswith("uint8[batch, 168, 168, 3]")
    graph = onnx.shape_inference.infer_shapes(onnx.load(str(encoder_artifact / "model.onnx"))).graph
    ranks = [len(value.type.tensor_type.shape.dim) for value in graph.value_info]
    assert max(ranks) <= 7


def test_a_view_of_broken_tokens_is_refused(random_checkpoint: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(random_checkpoint, tmp_path / "copy")
    (copy / "pixelis.json").write_text('{"view": [168, 150]}')
    with pytest.raises(BuildError, match=r"168x150.*multiples of 28"):
        VisionEncoder(copy).module()


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_the_decoder_equals_transformers(random_checkpoint: Path, policy_artifact: Path, batch: int) -> None:
    source = Decoder(random_checkpoint)
    sample = next(s for s in source.samples() if len(s["LENGTHS"]) == batch)
    got, wanted = source.answer(policy_artifact, sample), source.reference(sample)
    assert set(got) == set(wanted) == {"PREFILL_LOGITS", "STEP_LOGITS"}
    for name, value in wanted.items():
        assert np.abs(value).max() > 1, "logits without spread prove nothing"
        np.testing.assert_allclose(got[name], value, atol=2e-5 * np.abs(value).max())
        np.testing.assert_array_equal(got[name].argmax(-1), value.argmax(-1))


def test_the_samples_have_images_and_ragged_lengths(random_checkpoint: Path) -> None:
    sample = Decoder(random_checkpoint).samples()[-1]
    assert len(set(sample["LENGTHS"].tolist())) > 3
    assert set(sample["IMAGES"].tolist()) >= {0, 1, 2}


def test_the_policy_folder_is_complete(policy_artifact: Path) -> None:
    names = {path.name for path in policy_artifact.iterdir()}
    assert names >= {"model.onnx", "embed_tokens.npy", "tokenizer.json", "config.json", "pixelis.json"}
    assert "model.onnx.data" not in names


def test_optimising_the_decoder_leaves_it_right(random_checkpoint: Path, policy_artifact: Path, tmp_path: Path) -> None:
    import shutil

    from builder.formats.onnx import OnnxFormat

    copy = shutil.copytree(policy_artifact, tmp_path / "copy")
    OnnxFormat().optimise(copy, Candidate(format="onnx"))
    source = Decoder(random_checkpoint)
    sample = source.samples()[1]
    wanted = source.reference(sample)["STEP_LOGITS"]
    np.testing.assert_allclose(source.answer(copy, sample)["STEP_LOGITS"], wanted, atol=2e-5 * np.abs(wanted).max())


def test_a_missing_checkpoint_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"lacks config.json.*PIXELIS_CHECKPOINT"):
        checkpoint_directory(tmp_path)


def test_a_changed_weight_changes_the_digest(random_checkpoint: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(random_checkpoint, tmp_path / "copy")
    assert Decoder(copy).digest() == Decoder(random_checkpoint).digest()
    weights = next(copy.glob("*.safetensors"))
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert Decoder(copy).digest() != Decoder(random_checkpoint).digest()
    assert VisionEncoder(copy).digest() != VisionEncoder(random_checkpoint).digest()
