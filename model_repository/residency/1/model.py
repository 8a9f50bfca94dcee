"""`residency`, as Triton loads it. What it does is in `python_backends/serving/residency.py`."""

from python_backends.serving.residency import Residency as TritonPythonModel

__all__ = ["TritonPythonModel"]
