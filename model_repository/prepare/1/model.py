"""`prepare`, as Triton loads it. What it does is in `python_backends/serving/steps.py`."""

from python_backends.serving.steps import Prepare as TritonPythonModel

__all__ = ["TritonPythonModel"]
