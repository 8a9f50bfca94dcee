"""Makes the baselines' models, once for a checkpoint: `python -m perf.policy.models.make SYSTEM CHECKPOINT OUT`.

A process of its own, because PyTorch and converters need memory that nobody measured should hold.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from builder.sources.checkpoint import checkpoint_files
from pixelis.errors import BuildError, PixelisError, SetupError, from_wire

PACKAGES = {
    "onnxruntime-genai": ("onnxruntime-genai", "transformers"),
    "openvino-genai": ("openvino-genai", "openvino-tokenizers", "openvino", "transformers"),
}
"""Systems that read a form of their own, and what makes it."""
ROOT = Path(__file__).resolve().parents[3]


def baseline_model(system: str, checkpoint: Path, precision: str, threads: int, state: Path) -> Path:
    """The folder that `system` reads, from the state folder or made now.

    Raises:
        SetupError: a package is missing, or it is not measured in `precision`.
        BuildError: it cannot be made.
    """
    if precision not in ("fp32", "int8"):
        raise SetupError(f"{system} is not measured in {precision}.", mend="Measure it in fp32 or int8.")
    folder = state / "bench" / "policy" / f"{system}-{precision}-{_digest(system, checkpoint, threads)}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=folder.parent) as scratch:
        made = Path(scratch) / "made"
        command = [sys.executable, "-m", "perf.policy.models.make", system, str(checkpoint), str(made)]
        command += ["--precision", precision, "--threads", str(threads)]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout.strip().splitlines() or [""])[-1]
            if not said:
                last = (done.stderr.strip().splitlines() or ["no output"])[-1][:300]
                raise BuildError(f"Making the model of {system} failed ({done.returncode}): {last}.")
            raise from_wire(said)
        made.rename(folder)
    return folder


def _digest(system: str, checkpoint: Path, threads: int) -> str:
    """Of everything that the folder depends on.

    Raises:
        SetupError: a package is missing.
    """
    told = hashlib.sha256(str(threads).encode())
    for name in PACKAGES[system]:
        try:
            told.update(f"{name}=={version(name)}".encode())
        except PackageNotFoundError:
            mend = "Install what it needs: pip install 'pixelis-serving[bench]'."
            raise SetupError(f"{system} needs the package {name}, which is not installed.", mend=mend) from None
    for path in checkpoint_files(checkpoint):
        told.update(path.read_bytes())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        told.update(path.read_bytes())
    return told.hexdigest()[:32]


def make(system: str, checkpoint: Path, out: Path, precision: str, threads: int) -> None:
    """Make it here."""
    from perf.policy.models.text import write_text_model

    with tempfile.TemporaryDirectory(prefix="pixelis-text-") as scratch:
        text = Path(scratch) / "text"
        write_text_model(checkpoint, text)
        if system == "openvino-genai":
            from perf.policy.models.openvino_ir import write_openvino

            write_openvino(text, out, precision)
        else:
            from perf.policy.models.genai import write_genai

            write_genai(text, out, precision, threads)


def main() -> int:
    """Entry point of the child; an error is the last line of stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=sorted(PACKAGES))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    try:
        make(arguments.system, arguments.checkpoint, arguments.out, arguments.precision, arguments.threads)
    except PixelisError as error:
        print(" ".join(error.wire().split()))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
