"""`pixelis`, as one echoing model with the ensemble's tensors."""

import sys
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

sys.path.insert(0, str(Path(__file__).parents[2]))
import echo

from pixelis.schema import Options


def _elements(request, name):
    return list(pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel())


class TritonPythonModel:
    def execute(self, requests):
        return [self._one(request) for request in requests]

    def _one(self, request):
        question = _elements(request, "QUESTION")[0].decode()
        try:
            options = Options.parse(_elements(request, "OPTIONS")[0])
            result = echo.answer(_elements(request, "IMAGE"), question, options, request.request_id())
        except Exception as error:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(echo.wire(error)))
        text = "garbage" if question == "garbage" else result.model_dump_json()
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("ANSWER", np.array([[result.answer.encode()]], np.object_)),
                pb_utils.Tensor("CONFIDENCE", np.array([[result.confidence]], np.float32)),
                pb_utils.Tensor("RESULT", np.array([[text.encode()]], np.object_)),
            ]
        )
