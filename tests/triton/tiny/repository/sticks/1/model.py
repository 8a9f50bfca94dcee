"""A bad service: asked with 13 it never answers, nor does it answer anybody else; with 2 it takes its time."""

import threading
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            asked = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()
            if asked.ravel()[0] == 13:
                threading.Event().wait()
            if asked.ravel()[0] == 2:
                time.sleep(0.5)
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", asked)]))
        return answers
