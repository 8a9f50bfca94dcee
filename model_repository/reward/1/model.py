"""`reward`, as Triton loads it. What it does is in `python_backends/serving/services.py`."""

from python_backends.serving.services import Reward as TritonPythonModel

__all__ = ["TritonPythonModel"]
