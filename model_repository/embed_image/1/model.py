"""`embed_image`, as Triton loads it. What it does is in `python_backends/serving/engine.py`."""

from python_backends.serving.engine import Engine as TritonPythonModel

__all__ = ["TritonPythonModel"]
