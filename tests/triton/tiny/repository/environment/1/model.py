"""Tells what a model process sees: its interpreter, its settings, its thread budget (as bytes of a JSON text)."""

import json
import os
import sys

import numpy as np
import triton_python_backend_utils as pb_utils

NAMES = ("PIXELIS_REPOSITORY", "PIXELIS_STATE", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")


class TritonPythonModel:
    def execute(self, requests):
        seen = {name: os.environ.get(name) for name in NAMES} | {"prefix": sys.prefix, "numpy": np.__version__}
        letters = np.frombuffer(json.dumps(seen).encode(), np.uint8).astype(np.float32)[None]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", letters)]) for _ in requests]
