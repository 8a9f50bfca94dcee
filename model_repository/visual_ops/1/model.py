"""`visual_ops`, as Triton loads it. What it does is in `python_backends/serving/visual_ops.py`."""

from python_backends.serving.visual_ops import VisualOps as TritonPythonModel

__all__ = ["TritonPythonModel"]
