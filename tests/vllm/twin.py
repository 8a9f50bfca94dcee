"""What Triton's vLLM backend does, as a Python model: the same inputs, outputs, errors and cancelling.

From its sources (triton-inference-server/vllm_backend, `src/model.py`, `src/utils/request.py`, 2026) and its README.
Behind it is `decoding.Engine`. What it was asked is written to `asked.jsonl` beside `model.json`.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from PIL import Image

from tests.vllm.decoding import Engine, Parameters, Token

PACE = "pace_s"
"""Parameter of config.pbtxt: seconds that a token takes at least."""


class Twin:
    """Loaded as `TritonPythonModel`."""

    def initialize(self, args: dict[str, str]) -> None:
        folder = Path(args["model_repository"]) / args["model_version"]
        config = json.loads(args["model_config"])
        assert pb_utils.using_decoupled_model_transaction_policy(config)
        self._engine = Engine(json.loads((folder / "model.json").read_text(encoding="utf-8")))
        self._record = folder / "asked.jsonl"
        self._pace = float(config["parameters"].get(PACE, {"string_value": "0"})["string_value"])
        self._lock = threading.Lock()

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            tensors = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
            threading.Thread(target=self._infer, args=(tensors, request.get_response_sender()), daemon=True).start()

    def _infer(self, tensors: dict[str, Any], sender: Any) -> None:
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        try:
            self._generate(tensors, sender, final)
        except Exception as error:
            said = pb_utils.TritonError(f"Error generating stream: {error}")
            sender.send(pb_utils.InferenceResponse(output_tensors=[_text("text_output", "N/A")], error=said), final)

    def _generate(self, tensors: dict[str, Any], sender: Any, final: int) -> None:
        stream = bool(tensors.get("stream", [False])[0])
        if stream and not tensors.get("exclude_input_in_output", [True])[0]:
            raise ValueError("When streaming, `exclude_input_in_output` = False is not allowed.")
        prompt, said = tensors["text_input"][0].decode(), tensors["sampling_parameters"][0].decode()
        images = [_picture(one) for one in tensors.get("image", [])]
        noted = {"prompt": prompt, "parameters": json.loads(said), "images": [one.size for one in images]}
        sent, whole, cancelled = 0, [], False
        for token in self._engine.generate(prompt, images, Parameters(**json.loads(said))):
            time.sleep(self._pace)
            if sender.is_cancelled():
                cancelled = True
                break
            whole.append(token)
            if stream:
                last = token.finish is not None
                sender.send(self._response(tensors, [token], token.text[sent:]), final if last else 0)
                sent = len(token.text)
        self._note({**noted, "stream": stream, "tokens": len(whole), "cancelled": cancelled})
        if cancelled:
            error = pb_utils.TritonError("Request was cancelled", pb_utils.TritonError.CANCELLED)
            sender.send(pb_utils.InferenceResponse(error=error), final)
        elif not stream:
            sender.send(self._response(tensors, whole, whole[-1].text), final)

    def _response(self, tensors: dict[str, Any], tokens: list[Token], text: str) -> Any:
        made = [_text("text_output", text)]
        if tensors.get("return_finish_reason", [False])[0]:
            made.append(_text("finish_reason", str(tokens[-1].finish)))
        if tensors.get("return_logprobs", [False])[0]:
            said = [{one.token: {"logprob": one.logprob, "rank": 1, "decoded_token": ""}} for one in tokens]
            made.append(_text("logprobs", json.dumps(said)))
        return pb_utils.InferenceResponse(output_tensors=made)

    def _note(self, line: dict[str, Any]) -> None:
        with self._lock, self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _picture(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded.decode()))).convert("RGB")


def _text(name: str, value: str) -> Any:
    return pb_utils.Tensor(name, np.array([value.encode()], np.object_))
