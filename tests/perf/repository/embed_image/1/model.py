"""Takes what `embed_image` takes."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._embed(request) for request in requests]

    def _embed(self, request):
        image = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy()
        if image.std() < 1:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("an image without content"))
        return pb_utils.InferenceResponse([pb_utils.Tensor("EMBEDDING", np.full((1, 1280), image.mean(), np.float32))])
