"""One system in a process of its own: `python -m perf.policy.worker SYSTEM MODEL`. Loads come in, runs go out.

Frames as in `perf.plain.frames`; a frame's one blob is a `Load` in, a `Run` out. It ends when its input is closed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from perf.plain.frames import read_frame, write_frame
from perf.policy.drive import drive
from perf.policy.load import Load
from perf.policy.systems.base import System
from pixelis.errors import PixelisError

BATCH = 16


def open_system(asked: argparse.Namespace) -> System:
    """The system that was asked for; its packages are imported now."""
    name, model, slots, threads = asked.system, asked.model, asked.slots, asked.threads
    if name.startswith("transformers"):
        from perf.policy.systems.transformers_system import Transformers

        return Transformers(model, BATCH if name.endswith("batch") else 1, threads)
    if name == "onnxruntime-genai":
        from perf.policy.systems.genai_system import GenAI

        return GenAI(model, BATCH)
    if name == "openvino-genai":
        from perf.policy.systems.openvino_system import OpenVino

        return OpenVino(model, asked.precision, slots, threads, **asked.limits)
    if name == "pixelis-padded":
        from perf.policy.systems.padded import Padded

        return Padded(model, BATCH, threads, asked.limits["max_len"])
    if asked.device == "cuda":
        from perf.policy.systems.gpu import require_gpu

        require_gpu()
    from perf.policy.systems.runtime import Runtime

    return Runtime(model, threads, calling=asked.calling, slots=slots, **asked.limits)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system")
    parser.add_argument("model", type=Path)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--slots", type=int, default=BATCH)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--limits", type=json.loads, default={})
    parser.add_argument("--calling", action="store_true")
    asked = parser.parse_args()
    # What libraries print must not get between the frames: they get stderr, the frames a descriptor of their own.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        system = open_system(asked)
    except PixelisError as error:
        write_frame(out, {"fatal": error.wire()})
        return 1
    write_frame(out, {"ready": True})
    while (frame := read_frame(sys.stdin.buffer)) is not None:
        run = drive(system, Load.model_validate_json(frame[1][0]))
        write_frame(out, {}, [run.model_dump_json().encode()])
    system.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
