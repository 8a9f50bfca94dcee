"""The language model as onnxruntime-genai's own model builder makes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pixelis.errors import BuildError

INT8 = ("block_size=32", "accuracy_level=4")
"""As the policy's own int8 form with scales by block: activations are rounded too, so that integers are multiplied."""


def write_genai(text: Path, directory: Path, precision: str, threads: int) -> None:
    """Write the folder that `onnxruntime_genai.Model` opens.

    Args:
        text: see `models.text`.
        directory: where it goes.
        precision: fp32 or int8.
        threads: of one step, a setting of the folder.

    Raises:
        BuildError: the model builder failed.
    """
    options = ["hf_token=false", *(INT8 if precision == "int8" else ())]
    with TemporaryDirectory(prefix="pixelis-genai-") as cache:
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", text.name, "-i", str(text)]
        command += ["-o", str(directory), "-p", precision, "-e", "cpu", "-c", cache, "--extra_options", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    path = directory / "genai_config.json"
    if done.returncode or not path.is_file():
        last = (done.stderr.strip().splitlines() or ["no output"])[-1][:300]
        raise BuildError(f"onnxruntime-genai's model builder failed ({done.returncode}): {last}.")
    config = json.loads(path.read_text())
    session = config["model"]["decoder"]["session_options"]
    session.update(intra_op_num_threads=threads, inter_op_num_threads=1)
    # None can be switched off, so it is an id that hardly anything generates; a shorter answer would be seen.
    config["model"]["eos_token_id"] = config["model"]["vocab_size"] - 1
    path.write_text(json.dumps(config, indent=2))
