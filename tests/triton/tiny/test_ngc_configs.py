"""What a real server accepts of the configs for a full image: the backend is the Python one here, the rest as written.

Loading runs every warm-up request, so Triton itself holds their names, shapes and types against the model's inputs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import tritonclient.grpc as grpc

from builder.triton_config import parse, text
from pixelis.settings import Server, Settings
from server.embedded import EmbeddedTriton
from tests.builder.golden import HERE
from tests.marked import long
from tests.triton.tiny.conftest import GRPC, HTTP, METRICS

pytestmark = pytest.mark.triton

ZEROS = """
import json
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.config = json.loads(args["model_config"])

    def execute(self, requests):
        return [pb_utils.InferenceResponse(list(self.zeros(request))) for request in requests]

    def zeros(self, request):
        rows = request.inputs()[0].as_numpy().shape[0]
        for output in self.config["output"]:
            shape = [rows, *(1 if int(size) < 0 else int(size) for size in output["dims"])]
            kind = pb_utils.triton_string_to_numpy(output["data_type"])
            yield pb_utils.Tensor(output["name"], np.zeros(shape, kind))
"""


def substituted(path: Path) -> str:
    """The config with the one backend that the embedded server has; what only the other backends read stays in it."""
    made = parse(path.read_text())
    made.name = path.stem.replace("-", "_")
    made.platform, made.backend, made.default_model_filename = "", "python", ""
    made.cc_model_filenames.clear()
    for group in made.instance_group:
        group.kind = group.KIND_CPU
    return text(made)


@pytest.mark.parametrize("format_name", ["onnx", long("openvino"), long("torchscript"), long("tensorrt")])
def test_the_server_takes_the_configs_of_a_full_image(config: Settings, tmp_path: Path, format_name: str) -> None:
    engines = sorted((HERE / "ngc").glob(f"*-{format_name}.pbtxt"))
    assert len(engines) >= 6
    for path in engines:
        folder = tmp_path / "repository" / path.stem.replace("-", "_")
        (folder / "2").mkdir(parents=True)
        (folder / "2" / "model.py").write_text(ZEROS)
        (folder / "config.pbtxt").write_text(substituted(path))
    server = Server(http_port=HTTP, grpc_port=GRPC, metrics_port=METRICS, exit_timeout_s=2, watchdog=False)
    settings = Settings(state=config.state, repository=tmp_path / "repository", server=server)
    triton = EmbeddedTriton(config=settings).start()
    try:
        with grpc.InferenceServerClient(triton.grpc_url) as client:
            for path in engines:
                wanted, name = parse(path.read_text()), path.stem.replace("-", "_")
                taken = client.get_model_config(name).config
                assert taken.model_warmup == wanted.model_warmup
                assert (taken.optimization.graph, dict(taken.parameters)) == (
                    wanted.optimization.graph,
                    dict(wanted.parameters),
                )
                assert (taken.max_batch_size, list(taken.input)) == (wanted.max_batch_size, list(wanted.input))
        assert "failed to run warmup" not in triton.log.read_text().lower()
    finally:
        triton.stop()
