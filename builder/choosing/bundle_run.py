"""Runs the models of this folder: numpy and the executor that bundle.json names, and nothing else.

    python run.py                                    what is here
    python run.py --check                            every model against the answer that was recorded when it was built
    python run.py embed_image --input IMAGE=picture.npy --output answer.npz
    python run.py policy --input PROMPT_IDS=ids.npy --steps 16

Inputs are .npy files, batch first. The policy takes PROMPT_IDS `[S]` and, for images, VISUAL `[n, hidden]` (answers of
vision_encoder) with GRIDS `[images, 3]`; it continues greedily and answers TOKENS and the first token's LOGITS.
The code in `lib` is the very code that served these models when they were judged.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
WITHIN = 1e-3
"""How far an answer may be from the recorded one, relative to its largest number: another CPU rounds otherwise."""
Tensors = dict[str, Any]


def catalogue() -> dict[str, Any]:
    """`bundle.json`: what is here."""
    found: dict[str, Any] = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
    return found


def run(name: str, inputs: Tensors, threads: int = 1, steps: int = 8) -> Tensors:
    """The answer of the model `name` to one request."""
    entry = next((one for one in catalogue()["models"] if one["model"] == name), None)
    if entry is None:
        raise SystemExit(f"There is no model {name!r} here. `python {Path(__file__).name}` lists them.")
    directory = HERE / "models" / name
    if entry["kind"] == "policy":
        return decode(directory, inputs, threads, steps)
    from python_backends.engine import load_engine

    with load_engine(directory, threads) as engine:
        return dict(engine.run(inputs))


def decode(directory: Path, inputs: Tensors, threads: int, steps: int) -> Tensors:
    """What the policy in `directory` writes after a prompt, greedily, `steps` tokens at most."""
    from python_backends.policy.executors import open_decoder
    from python_backends.policy.positions import mrope_positions

    ids = inputs["PROMPT_IDS"].astype(np.int64)
    graph = open_decoder(directory, 1, len(ids) + steps, threads)
    config = graph.config
    grids = [(int(f), int(h), int(w)) for f, h, w in inputs.get("GRIDS", [])]
    embeds = np.array(graph.embeddings[ids])
    if grids:
        embeds[ids == config.image_token] = inputs["VISUAL"]
    positions, following = mrope_positions(ids, grids, config.image_token, config.merge)
    logits = np.array(graph.prefill(0, [embeds], [positions]))
    tokens = [int(logits[0].argmax())]
    while len(tokens) < steps and tokens[-1] not in config.end_ids:
        at = len(tokens) - 1
        one = graph.decode(np.array(tokens[-1:]), np.array([following + at]), np.array([len(ids) + at]))
        tokens.append(int(one[0].argmax()))
    return {"TOKENS": np.array(tokens), "LOGITS": logits}


def check(name: str, threads: int) -> list[str]:
    """In what the model's answer differs from the recorded one."""
    kept = np.load(HERE / "models" / name / "sample.npz")
    inputs = {key[3:]: kept[key] for key in kept.files if key.startswith("in.")}
    expected = {key[4:]: kept[key] for key in kept.files if key.startswith("out.")}
    steps = len(expected["TOKENS"]) if "TOKENS" in expected else 1
    answer, faults = run(name, inputs, threads, steps), []
    for key, wanted in expected.items():
        given = answer.get(key)
        if given is None or given.shape != wanted.shape or given.dtype != wanted.dtype:
            faults.append(f"{key} has another form")
        elif np.issubdtype(wanted.dtype, np.floating):
            error, size = float(np.abs(given - wanted).max()), float(np.abs(wanted).max())
            if not error <= WITHIN * max(size, 1.0):
                faults.append(f"{key} is off by {error:.3g}")
        elif not np.array_equal(given, wanted):
            faults.append(f"{key} differs in {int((given != wanted).sum())} places")
    return faults


def main(argv: Sequence[str] | None = None) -> int:
    """See the module's docstring; the exit status is 0, or 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--output", type=Path, metavar="FILE", help="an .npz of the outputs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8, help="tokens that the policy writes")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    sys.path.insert(0, str(HERE / "lib"))
    models = catalogue()["models"]
    if arguments.check:
        faults = {one["model"]: check(one["model"], arguments.threads) for one in models}
        for name, found in faults.items():
            print(f"{name}: {'; '.join(found) or 'answers as it did when it was built'}")
        return 1 if any(faults.values()) else 0
    if not arguments.model:
        for one in models:
            takes, gives = ", ".join(one["inputs"]), ", ".join(one["outputs"])
            print(f"{one['model']} ({one['candidate']}, {one['executor']}): {takes} -> {gives}")
        return 0
    pairs = (text.partition("=") for text in arguments.input)
    inputs = {name: np.load(path, allow_pickle=False) for name, _, path in pairs}
    answer = run(arguments.model, inputs, arguments.threads, arguments.steps)
    for name, array in answer.items():
        print(f"{name}: {array.dtype}{list(array.shape)} {np.array2string(array.ravel()[:6], precision=4)}")
    if arguments.output:
        np.savez(arguments.output, **answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
