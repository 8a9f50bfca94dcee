"""Artifacts of real models, for tests that do not care when they were made."""

from __future__ import annotations

import shutil
from pathlib import Path

from builder.formats import open_format
from builder.model_spec import ModelSpec
from builder.sources.base import Source
from builder.store import SHIM, Store
from builder.storing.key import build_key
from builder.storing.manifest import MANIFEST
from pixelis.settings import settings


def exported(spec: ModelSpec, source: Source, folder: Path) -> Path:
    """`folder` with what `spec` makes of `source`: the published artifact where it was made of exactly this."""
    store = Store(settings().repository, settings().state)
    version = store.latest(spec.name)
    whole = version is not None and not store.faults(spec.name, version)
    if version is not None and whole and store.manifest(spec.name, version).key == build_key(spec, source.digest()):
        ignored = shutil.ignore_patterns(SHIM, MANIFEST, "__pycache__")
        shutil.copytree(store.folder(spec.name, version), folder, ignore=ignored, dirs_exist_ok=True)
        return folder
    form = open_format(spec.format)
    form.export(source, folder, spec.candidate)
    form.optimise(folder, spec.candidate)
    return folder
