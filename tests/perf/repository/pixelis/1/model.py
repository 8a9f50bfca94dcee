"""Takes what `pixelis` takes, and fails a request whose tensors are not what the real one could read."""

import io
import json

import numpy as np
import triton_python_backend_utils as pb_utils
from PIL import Image


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        first = {
            name: pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()[0]
            for name in ("IMAGE", "QUESTION", "OPTIONS")
        }
        try:
            Image.open(io.BytesIO(first["IMAGE"])).load()
            assert len(first["QUESTION"].decode().split()) > 2
            assert json.loads(first["OPTIONS"])["use_cache"] is False
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(repr(error)))
        return pb_utils.InferenceResponse([pb_utils.Tensor("ANSWER", np.array([[b"yes"]], object))])
