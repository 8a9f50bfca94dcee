"""Each way in which a checkpoint can be wrong: said at once, with a way to mend it, and nothing left behind."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from builder.checkpoints.checks import check_checkpoint
from builder.checkpoints.weights import INDEX
from builder.sources.checkpoint import NANO
from pixelis.errors import BuildError
from tests.builder.checkpoints.test_architecture import small

SHAPES = ("qwen2.5-vl-7b", "qwen3-vl-8b")


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("templates")
    return {shape: small(root / shape, shape) for shape in SHAPES}


@pytest.fixture
def directory(templates: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(templates["qwen2.5-vl-7b"], tmp_path / "it")


@pytest.fixture(autouse=True)
def _untouched(tmp_path: Path) -> Iterator[None]:
    """No check writes anything."""
    yield
    assert {path.name for path in tmp_path.iterdir()} <= {"it", "elsewhere"}


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def shards(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.safetensors"))


def single(directory: Path, edit: Callable[[dict[str, np.ndarray]], None]) -> None:
    """All weights in one file, after an edit."""
    values: dict[str, np.ndarray] = {}
    for path in shards(directory):
        values |= {name: value.copy() for name, value in load_file(path).items()}
        path.unlink()
    (directory / INDEX).unlink()
    edit(values)
    save_file(values, directory / "model.safetensors")


def refused(directory: Path, said: str) -> None:
    with pytest.raises(BuildError, match=said) as caught:
        check_checkpoint(directory)
    assert caught.value.mend


@pytest.mark.parametrize("shape", SHAPES)
def test_a_whole_directory_passes_without_a_word(templates: dict[str, Path], shape: str) -> None:
    found = check_checkpoint(templates[shape])
    assert found.warnings == ()
    assert found.weights.total_bytes == 2 * sum(int(np.prod(found.weights.shape(name))) for name in found.weights)


def test_the_nano_passes() -> None:
    assert check_checkpoint(NANO).architecture.family == "qwen2_5_vl"


def test_what_is_wanted_and_not_needed_is_a_word_of_warning(directory: Path) -> None:
    for name in ("generation_config.json", "pixelis.json", "chat_template.jinja"):
        (directory / name).unlink()
    assert len(check_checkpoint(directory).warnings) == 3


def test_no_directory(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "is no directory")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_a_missing_file(directory: Path, name: str) -> None:
    (directory / name).unlink()
    refused(directory, f"lacks {name}")


def test_a_missing_shard(directory: Path) -> None:
    shards(directory)[1].unlink()
    refused(directory, r"model-00002-of-\d+\.safetensors is missing")


def test_a_truncated_shard(directory: Path) -> None:
    path = shards(directory)[0]
    path.write_bytes(path.read_bytes()[:-10])
    refused(directory, "is cut off")


def test_a_wrong_dtype(directory: Path) -> None:
    def edit(values: dict[str, np.ndarray]) -> None:
        values["lm_head.weight"] = values["lm_head.weight"].astype(np.int8)

    single(directory, edit)
    refused(directory, r"lm_head\.weight is I8")


def test_more_layers_than_weights(directory: Path) -> None:
    change(directory / "config.json", num_hidden_layers=3)
    refused(directory, r"lack .*layers\.2\..* and \d+ more")


def test_more_weights_than_layers(directory: Path) -> None:
    change(directory / "config.json", num_hidden_layers=1)
    refused(directory, r"have .*layers\.1\..*knows nothing of")


def test_another_shape(directory: Path) -> None:
    change(directory / "config.json", intermediate_size=80)
    refused(directory, r"is \[96, 64\], and config\.json makes it \[80, 64\]")


def test_an_unknown_architecture(directory: Path) -> None:
    change(directory / "config.json", architectures=["Qwen3VLMoeForConditionalGeneration"])
    refused(directory, "Qwen3VLMoeForConditionalGeneration, which is not served")


def test_a_quantised_checkpoint(directory: Path) -> None:
    change(directory / "config.json", quantization_config={"quant_method": "awq", "bits": 4})
    refused(directory, r"quantised already \(awq\)")


def test_a_vocabulary_that_is_too_small(directory: Path) -> None:
    change(directory / "config.json", vocab_size=100)

    def edit(values: dict[str, np.ndarray]) -> None:
        for name in ("lm_head.weight", "model.embed_tokens.weight"):
            values[name] = values[name][:100]

    single(directory, edit)
    refused(directory, r"has a token \d+, and the model 100 rows")


def test_pictures_under_another_number(directory: Path) -> None:
    change(directory / "config.json", image_token_id=9)
    refused(directory, r"token 9 for <\|image_pad\|>")


def test_a_tokenizer_without_turns(directory: Path) -> None:
    path = directory / "tokenizer.json"
    path.write_text(path.read_text().replace("<|im_end|>", "<|im_stop|>"))
    refused(directory, r"no <\|im_end\|>")


def test_a_tokenizer_that_is_none(directory: Path) -> None:
    (directory / "tokenizer.json").write_text("{}")
    refused(directory, r"tokenizer\.json is not readable")


def test_an_end_that_the_model_cannot_say(directory: Path) -> None:
    change(directory / "generation_config.json", eos_token_id=[3, 70_000])
    refused(directory, "token 70000")


def test_another_preprocessor(directory: Path) -> None:
    change(directory / "preprocessor_config.json", patch_size=16)
    refused(directory, r"patch_size 16, and config\.json 14")
    change(directory / "preprocessor_config.json", patch_size=14, image_mean=None)
    refused(directory, "no image_mean of 3 numbers")


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ('{"view": [224, 200]}', "224x200 is not made of whole visual tokens"),
        ('{"view": [0, 0]}', "view.0: Input should be greater"),
        ('{"view": [28, 28]}', "784 pixels, and the checkpoint's processor makes pictures of 3136"),
        ('{"vieww": [224, 224]}', "not understood: vieww"),
        ('{"dialect": "klingon"}', "klingon"),
        ("{", "not understood"),
    ],
)
def test_a_profile_that_does_not_fit(directory: Path, profile: str, said: str) -> None:
    (directory / "pixelis.json").write_text(profile)
    refused(directory, said)


def test_a_pickle_is_never_opened(directory: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("the pickle was read",))

    for path in [*shards(directory), directory / INDEX]:
        path.unlink()
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    refused(directory, r"pickled \(pytorch_model\.bin\)")


def test_a_pickle_beside_safetensors_does_no_harm(directory: Path) -> None:
    (directory / "training_args.bin").write_bytes(b"\x80")
    assert check_checkpoint(directory).warnings == ()


@pytest.mark.parametrize("which", ["model-00001", "config.json"])
def test_a_link_out_of_the_folder(directory: Path, which: str) -> None:
    elsewhere = directory.with_name("elsewhere")
    elsewhere.mkdir()
    path = next(path for path in directory.iterdir() if path.name.startswith(which))
    path.rename(elsewhere / path.name)
    path.symlink_to(elsewhere / path.name)
    refused(directory, "is a link out of")


def test_a_link_within_the_folder_does_no_harm(directory: Path) -> None:
    (directory / "chat_template.jinja").rename(directory / "template.jinja")
    (directory / "chat_template.jinja").symlink_to("template.jinja")
    assert check_checkpoint(directory).warnings == ()


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer_config.json"])
def test_remote_code(directory: Path, name: str) -> None:
    change(directory / name, auto_map={"AutoModel": "modeling_qwen.QwenModel"})
    refused(directory, "auto_map")


def test_an_adapter_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "adapter_config.json").write_text("{}")
    refused(tmp_path / "it", "LoRA adapter")


def test_a_head_of_its_own_beside_tied_embeddings_is_left_out(directory: Path) -> None:
    change(directory / "config.json", tie_word_embeddings=True)
    assert "ties it" in check_checkpoint(directory).warnings[0]


def test_what_training_added_is_left_out(directory: Path) -> None:
    single(directory, lambda values: values.update({"v_head.summary.weight": np.zeros((1, 64), np.float32)}))
    assert check_checkpoint(directory).warnings == ("not read: v_head.summary.weight",)
