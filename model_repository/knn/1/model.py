"""`knn`, as Triton loads it. What it does is in `python_backends/serving/knn.py`."""

from python_backends.serving.knn import Knn as TritonPythonModel

__all__ = ["TritonPythonModel"]
