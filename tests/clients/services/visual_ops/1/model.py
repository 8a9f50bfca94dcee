"""`visual_ops`: the arguments as the result, or as the reason why not."""

import hashlib
import json

import numpy as np
import triton_python_backend_utils as pb_utils

from pixelis.schema import GroupResult, Operation, OperationGroup, OperationResult


class TritonPythonModel:
    def execute(self, requests):
        return [self._one(request) for request in requests]

    def _one(self, request):
        images = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy().ravel()
        raw = pb_utils.get_input_tensor_by_name(request, "OPERATION").as_numpy().ravel()[0]
        if "operations" in json.loads(raw):
            group = OperationGroup.model_validate_json(raw)
            result = GroupResult(results=[self._result(images, asked) for asked in group.operations])
        else:
            result = self._result(images, Operation.model_validate_json(raw))
        text = np.array([[result.model_dump_json().encode()]], np.object_)
        return pb_utils.InferenceResponse([pb_utils.Tensor("RESULT", text)])

    def _result(self, images, asked):
        result = OperationResult(operation=asked.operation, elapsed_ms=2.0)
        if "bad" in asked.arguments:
            result.error = "Point (150, 60) is outside image bounds (100x100)"
        else:
            digests = [hashlib.sha256(image).hexdigest() for image in images]
            result.result = {**asked.arguments, "digests": digests, "index": asked.image_index}
        return result
