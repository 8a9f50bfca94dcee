"""`finish`, as Triton loads it. What it does is in `python_backends/serving/steps.py`."""

from python_backends.serving.steps import Finish as TritonPythonModel

__all__ = ["TritonPythonModel"]
