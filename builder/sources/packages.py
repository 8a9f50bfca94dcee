"""Weights that come inside installed packages: found without importing the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pixelis.errors import BuildError

MEND = "Install what the builder needs: pip install 'pixelis-serving[build]'."


def package_file(package: str, relative: str) -> Path:
    """The path of a file inside an installed package.

    Raises:
        BuildError: the package is not installed, or this version of it has no such file.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"The package `{package}` is not installed.", mend=MEND)
    path = Path(next(iter(spec.submodule_search_locations))) / relative
    if not path.is_file():
        raise BuildError(f"The installed `{package}` has no {relative}.", mend=MEND)
    return path
