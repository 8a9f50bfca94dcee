"""`policy`, as Triton loads it. What it does is in `python_backends/serving/policy.py`."""

from python_backends.serving.policy import Policy as TritonPythonModel

__all__ = ["TritonPythonModel"]
