"""`agent`, as Triton loads it. What it does is in `python_backends/serving/agent.py`."""

from python_backends.serving.agent import Agent as TritonPythonModel

__all__ = ["TritonPythonModel"]
