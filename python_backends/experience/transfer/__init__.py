"""Experiences in files of two formats, out of and into a directory."""

from __future__ import annotations

from python_backends.experience.transfer.export import export
from python_backends.experience.transfer.files import FORMATS, format_of
from python_backends.experience.transfer.load import Imported, load

__all__ = ["FORMATS", "Imported", "export", "format_of", "load"]
