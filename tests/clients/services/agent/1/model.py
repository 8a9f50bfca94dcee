"""`agent`: the same answer, as events. It notices when its request is cancelled, and counts that."""

import sys
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

sys.path.insert(0, str(Path(__file__).parents[2]))
import echo

from pixelis.errors import PixelisError
from pixelis.schema import Event, Operation, OperationResult, Options


def _elements(request, name):
    return list(pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel())


class TritonPythonModel:
    def initialize(self, args):
        family = pb_utils.MetricFamily(
            name="pixelis_test_cancelled_total", description="cancelled", kind=pb_utils.MetricFamily.COUNTER
        )
        self._family, self._cancelled = family, family.Metric(labels={})

    def execute(self, requests):
        for request in requests:
            self._stream(request, request.get_response_sender())

    def _stream(self, request, sender):
        question = _elements(request, "QUESTION")[0].decode()
        try:
            options = Options.parse(_elements(request, "OPTIONS")[0])
            for event in self._events(request, question, options):
                if sender.is_cancelled():
                    self._cancelled.increment(1)
                    break
                text = np.array([event.model_dump_json().encode()], np.object_)
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("EVENT", text)]))
        except Exception as error:
            if question.startswith("fail"):  # an error in mid-stream, as Triton's own
                sender.send(pb_utils.InferenceResponse([], pb_utils.TritonError(echo.wire(error))))
            else:
                code = error.code if isinstance(error, PixelisError) else "serving"
                event = Event(event="error", code=code, text=str(error))
                text = np.array([event.model_dump_json().encode()], np.object_)
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("EVENT", text)]))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _events(self, request, question, options):
        yield Event(event="token", text="Looking. ")
        if question.startswith("forever"):
            while True:
                time.sleep(0.02)
                yield Event(event="token", text="x" * 9)
        for step, (name, arguments) in enumerate(echo.OPERATIONS, 1):
            yield Event(event="tool_call", step=step, operation=Operation(operation=name, arguments=arguments))
            found = OperationResult(operation=name, result=arguments, elapsed_ms=1.5)
            yield Event(event="observation", step=step, observation=found)
        result = echo.answer(_elements(request, "IMAGE"), question, options, request.request_id())
        yield Event(event="answer", text=result.answer, result=result)
