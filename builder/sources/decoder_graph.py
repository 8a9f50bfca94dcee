"""The decoder's graph and embedding table in each precision, from onnxruntime-genai's model builder.

Where that is wrong or takes too much memory, the same nodes are emitted instead (`builder.sources.emission.choice`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from builder.candidate import Candidate
from builder.sources.emission.candidate import write_emitted
from builder.sources.emission.choice import ruled_out
from builder.tolerance import Precision
from pixelis.errors import BuildError
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import SCALE, TABLE

if TYPE_CHECKING:
    import onnx

GRAPH = "model.onnx"
LAST_IN_8_BITS, K_QUANT = "matmul_mixed_precision=last_matmul:int8", "algo_config=k_quant"
"""The vocabulary's projection in 8 bits, and scales by llama.cpp's k-quant search: in 4 bits and blocks of 128 they
lose 0.3 points of the nano's turns where plain rounding loses 0.6."""
ACCURACY_LEVEL = 4
"""Of MatMulNBits: activations are rounded to int8, a scale for each block of a row, so that integers are multiplied."""


def write_decoder(checkpoint: Path, directory: Path, candidate: Candidate) -> list[str]:
    """Write `model.onnx` and the embedding table in the candidate's precision into `directory`.

    Weights of 8 and 4 bits are the model builder's own; fp16 and dynamic int8 are made from its fp32 graph, because on
    a CPU it fuses attention in single precision only.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: the model builder failed, or there is no such form.
    """
    from builder.formats.onnx import save

    weights = candidate.quantization == "weights"
    if candidate.quantization == "static":
        raise BuildError("The decoder is not built with static scales.", mend="Build it as int8 with dynamic ones.")
    why = ruled_out(checkpoint) or _other_blocks(candidate)
    if why:
        done = write_emitted(checkpoint, directory, candidate, why)
        return [*done, write_table(checkpoint, directory, "int8")] if candidate.quantization == "dynamic" else done
    model = _model_builder(checkpoint, candidate)
    keep_chosen_positions(model)
    save(model, directory / GRAPH)
    form = candidate.precision if weights else "fp32"
    done = [f"onnxruntime-genai model builder: {form}, attention and normalisations fused", *_words(candidate)]
    if candidate.precision == "fp16":
        from builder.formats.onnx_fp16 import to_half

        cache = tuple(v.name for v in (*model.graph.input, *model.graph.output) if "key" in v.name or "value" in v.name)
        done += to_half(directory / GRAPH, candidate.optimization.exclude_nodes, shrunk=cache)
    elif candidate.quantization == "dynamic":
        from builder.formats.onnx_convert import quantise

        done += quantise(directory / GRAPH, candidate.optimization)
    return [*done, write_table(checkpoint, directory, candidate.precision)]


def _other_blocks(candidate: Candidate) -> str:
    """Why the model builder's blocks are not those that the candidate asks for; empty = they are."""
    asked = candidate.optimization.block_scales
    return "" if asked == "auto" else f"its blocks would not be {asked}"


def keep_chosen_positions(model: onnx.ModelProto) -> None:
    """Let the vocabulary projection see some positions alone: a new input `logits_at` INT64 `[batch_size, chosen]`.

    Logits of every prompt position would be gigabytes for a real vocabulary. Prefill and decoding read one of a row;
    checking a draft reads one for each of its tokens. `logits` becomes `[batch_size, chosen, vocabulary]`.

    Raises:
        BuildError: the graph has no projection called `logits`.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    head = next((node for node in graph.node if "logits" in node.output), None)
    if head is None or head.op_type not in ("MatMul", "MatMulNBits"):
        raise BuildError("The model builder's graph does not end in a MatMul that makes `logits`.")
    graph.input.append(helper.make_tensor_value_info("logits_at", TensorProto.INT64, ["batch_size", "chosen"]))
    graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), "logits_at_axis"))
    column = helper.make_node("Unsqueeze", ["logits_at", "logits_at_axis"], ["logits_at_column"], "logits_at/column")
    gather = helper.make_node(
        "GatherND", [head.input[0], "logits_at_column"], ["chosen_hidden"], "logits_at/gather", batch_dims=1
    )
    head.input[0] = "chosen_hidden"
    place = list(graph.node).index(head)
    graph.node.insert(place, gather)
    graph.node.insert(place, column)
    logits = next(value for value in graph.output if value.name == "logits")
    logits.type.tensor_type.shape.dim[1].dim_param = "chosen"
    del graph.value_info[:]


def _model_builder(checkpoint: Path, candidate: Candidate) -> onnx.ModelProto:
    """onnxruntime-genai's model builder as a process of its own: its memory ends with it.

    Raises:
        BuildError: it failed; the message carries its last line.
    """
    import onnx

    options, precision = ["exclude_embeds=true", "hf_token=false"], "fp32"
    if candidate.quantization == "weights":
        config, precision = candidate.optimization, candidate.precision
        options += [f"block_size={config.group_size}", f"accuracy_level={ACCURACY_LEVEL}"]
        if precision == "int4":
            options += [LAST_IN_8_BITS, *([K_QUANT] if _pairs_of_blocks(checkpoint, config.group_size) else [])]
        if config.exclude_nodes:
            options.append(f"nodes_to_exclude={','.join(config.exclude_nodes)}")
    with tempfile.TemporaryDirectory(prefix="pixelis-decoder-") as scratch:
        output = Path(scratch)
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", checkpoint.name]
        command += ["-i", str(checkpoint), "-o", scratch, "-p", precision, "-e", "cpu", "-c", str(output / "cache")]
        command += ["--extra_options", *options]
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        done = subprocess.run(command, env=offline, capture_output=True, text=True, check=False)
        if done.returncode or not (output / GRAPH).is_file():
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
            raise BuildError(
                f"onnxruntime-genai's model builder failed ({done.returncode}): {lines[-1][:300]}.",
                mend="Install the build extra: pip install 'pixelis-serving[build]'.",
            )
        return onnx.load(str(output / GRAPH))


def _pairs_of_blocks(checkpoint: Path, block: int) -> bool:
    """Whether every matrix has an even number of blocks: the k-quant search fails to pack the zero points of others."""
    text = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    text = {**text, **text.get("text_config", {})}
    rows = CheckpointConfig.load(checkpoint)
    heads = rows.head_dim * int(text["num_attention_heads"])
    return all(-(-width // block) % 2 == 0 for width in (rows.hidden, heads, int(text["intermediate_size"])))


def _words(candidate: Candidate) -> list[str]:
    if candidate.quantization != "weights":
        return []
    bits = 8 if candidate.precision == "int8" else 4
    blocks = f"{bits} bits in blocks of {candidate.optimization.group_size}"
    blocks += " (the vocabulary's projection 8)" if bits == 4 else ""
    return [f"MatMulNBits: {blocks}, accuracy level {ACCURACY_LEVEL} (activations in int8, a scale a block)"]


def write_table(checkpoint: Path, directory: Path, precision: Precision) -> str:
    """Write the embedding table, no larger than weights in `precision` ask for; what it is, in words.

    bf16 has fewer digits than fp16, which holds its numbers exactly from 6e-5 on.
    """
    from builder.formats.onnx_tables import rows_as_int8

    table = _embedding_table(checkpoint)
    if precision == "fp32":
        np.save(directory / TABLE, table)
        return "embedding table: fp32"
    if precision in ("fp16", "bf16"):
        np.save(directory / TABLE, table.astype(np.float16))
        return "embedding table: fp16"
    rows, scale = rows_as_int8(table)
    np.save(directory / TABLE, rows)
    np.save(directory / SCALE, scale)
    return "embedding table: int8, a scale a row"


def _embedding_table(checkpoint: Path) -> NDArray[np.float32]:
    """`embed_tokens.weight` of the text model `[vocabulary, hidden]`, read from the safetensors alone."""
    from safetensors import safe_open

    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as weights:
            for key in weights.keys():  # noqa: SIM118 - not a dict
                if key.endswith("embed_tokens.weight"):
                    table: NDArray[np.float32] = weights.get_tensor(key).float().numpy()
                    return table
    raise BuildError(f"{checkpoint.name} has no embed_tokens.weight.", mend="Save the checkpoint whole.")
