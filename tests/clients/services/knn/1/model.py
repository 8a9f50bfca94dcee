"""`knn` over a real store of eight-wide keys in memory-backed files."""

import tempfile
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

from pixelis.errors import PixelisError
from pixelis.schema import Experience, KnnCommand
from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore, KnnRequest, execute


class TritonPythonModel:
    def initialize(self, args):
        self._folder = tempfile.TemporaryDirectory()
        self._store = ExperienceStore(Path(self._folder.name), Retrieval(cold_start_threshold=0), width=8)
        for i in range(4):
            made = Experience(experience_id="", question="?", answer=str(i), confidence=0.9, created_at=time.time())
            self._store.insert(made, np.eye(8, dtype=np.float32)[i])

    def execute(self, requests):
        replies = execute(self._store, [self._request(request) for request in requests])
        return [self._response(reply) for reply in replies]

    def _request(self, request):
        def tensor(name):
            found = pb_utils.get_input_tensor_by_name(request, name)
            return None if found is None else found.as_numpy()[0]

        key, k, command = tensor("KEY"), tensor("K"), tensor("COMMAND")
        parsed = None if command is None else KnnCommand.model_validate_json(command[0])
        return KnnRequest(key=key, k=None if k is None else int(k[0]), command=parsed)

    def _response(self, reply):
        if isinstance(reply, PixelisError):
            return pb_utils.InferenceResponse([], pb_utils.TritonError(reply.wire()))
        ids = np.array([[i.encode() for i in reply.ids]], np.object_).reshape(1, len(reply.ids))
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("IDS", ids),
                pb_utils.Tensor("SCORES", reply.scores[np.newaxis]),
                pb_utils.Tensor("RESULT", np.array([[reply.result.model_dump_json().encode()]], np.object_)),
            ]
        )

    def finalize(self):
        self._store.close()
        self._folder.cleanup()
