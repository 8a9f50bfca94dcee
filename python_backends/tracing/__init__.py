"""Spans: what a process did when, for `pixelis profile`.

Off but for the time that a profile asks for. Each process of a model writes the spans that it has seen end into a file
of its own; nothing is sent anywhere, and nothing waits. Which span began which crosses Triton as a parameter of the
request, so that the spans of all processes make one tree.
"""

from python_backends.tracing.recorder import NOBODY, Recorder, Span, recorder

__all__ = ["NOBODY", "Recorder", "Span", "recorder"]
