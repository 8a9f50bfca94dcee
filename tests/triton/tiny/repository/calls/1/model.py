"""A service that says that it calls `echo`."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._echo(request) for request in requests]

    def _echo(self, request):
        inputs = [pb_utils.get_input_tensor_by_name(request, "IN")]
        called = pb_utils.InferenceRequest(model_name="echo", requested_output_names=["OUT"], inputs=inputs).exec()
        return pb_utils.InferenceResponse(called.output_tensors())
