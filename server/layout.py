"""Lays out a real Triton from the installed `nvidia-pytriton` wheel.

The wheel carries the server, the Python backend with one stub per Python version, and the local response cache; its
shared libraries lie in `nvidia_pytriton.libs` beside it. Triton wants `bin/ backends/ caches/` with the stub in
`backends/python/`, so a folder of links is made under the state folder, named after what it links to: it is made
once, appears by one rename (two processes may race), and another wheel or Python makes another folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from pixelis.errors import SetupError

WHEEL = "nvidia-pytriton"
_MEND = "pip install 'pixelis-serving[embedded]'."


@dataclass(frozen=True)
class Wheel:
    """The installed wheel.

    Attributes:
        root: `pytriton/tritonserver`.
        libraries: `nvidia_pytriton.libs`.
        version: of the distribution.
    """

    root: Path
    libraries: Path
    version: str

    @property
    def stub(self) -> Path:
        """The Python backend's stub for the running Python (may not exist)."""
        return self.root / "python_backend_stubs" / python_version() / "triton_python_backend_stub"

    def stubs(self) -> list[str]:
        """Python versions that the wheel has a stub for, oldest first."""
        folder = self.root / "python_backend_stubs"
        return sorted((p.name for p in folder.iterdir()), key=lambda v: [int(n) for n in v.split(".")])


@dataclass(frozen=True)
class Layout:
    """A laid-out Triton: `binary`, `backends`, `caches`; and folders for LD_LIBRARY_PATH, in order, if it needs any.

    There are no repository agents, and no folder of them: one would be code that a model's config names.
    """

    binary: Path
    backends: Path
    caches: Path
    library_path: tuple[Path, ...]

    @property
    def agents(self) -> Path:
        """Where repository agents would be."""
        return self.caches.with_name("repoagents")

    def environment(self) -> dict[str, str]:
        """PATH and LD_LIBRARY_PATH under which the server and its stubs find this interpreter's environment."""
        # The stub embeds Python: it takes its prefix, and so the virtual environment, from the first `python` on PATH.
        interpreter = str(Path(sys.executable).parent)
        found = {"PATH": os.pathsep.join([interpreter, os.environ.get("PATH", os.defpath)])}
        if self.library_path:
            found["LD_LIBRARY_PATH"] = os.pathsep.join(str(path) for path in self.library_path)
        return found


def python_version() -> str:
    """Major and minor version of the running Python."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def find_wheel() -> Wheel:
    """The installed wheel, without importing it.

    Raises:
        SetupError: it is not installed, or not whole.
    """
    found = util.find_spec("pytriton")
    if found is None or not found.submodule_search_locations:
        raise SetupError(f"`{WHEEL}` is not installed, so there is no Triton to start.", mend=_MEND)
    package = Path(found.submodule_search_locations[0])
    root, libraries = package / "tritonserver", package.parent / "nvidia_pytriton.libs"
    for needed in (root / "bin" / "tritonserver", libraries):
        if not needed.exists():
            mend = f"pip install --force-reinstall --no-deps {WHEEL}."
            raise SetupError(f"`{WHEEL}` is installed without {needed.name}.", mend=mend)
    return Wheel(root, libraries, metadata.version(WHEEL))


def of_installed(root: Path) -> Layout:
    """A whole Triton, as NGC's image has it in /opt/tritonserver; its libraries are where its image says.

    Raises:
        SetupError: there is none.
    """
    laid = Layout(root / "bin" / "tritonserver", root / "backends", root / "caches", ())
    for needed in (laid.binary, laid.backends / "python" / "libtriton_python.so"):
        if not needed.is_file():
            mend = "PIXELIS_SERVER__INSTALLED names a folder with bin/ and backends/; unset it for the wheel's."
            raise SetupError(f"{root} holds no Triton that runs Python models: there is no {needed}.", mend=mend)
    return laid


def _links(wheel: Wheel) -> dict[str, Path]:
    """Path in the layout -> file of the wheel."""
    python = wheel.root / "backends" / "python"
    links = {
        "bin/tritonserver": wheel.root / "bin" / "tritonserver",
        "backends/python/libtriton_python.so": python / "libtriton_python.so",
        "backends/python/triton_python_backend_utils.py": python / "triton_python_backend_utils.py",
        "backends/python/triton_python_backend_stub": wheel.stub,
    }
    for cache in sorted((wheel.root / "caches").iterdir()):
        links[f"caches/{cache.name}"] = cache
    return links


def _stamp(wheel: Wheel, links: dict[str, Path]) -> str:
    digest = hashlib.sha256(f"{wheel.version} {python_version()}".encode())
    for name, target in sorted(links.items()):
        status = target.stat()
        digest.update(f"{name} {target} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def lay_out(state: Path) -> Layout:
    """The layout of the wheel under `state/triton`, made when it is not there yet.

    Raises:
        SetupError: no wheel, no stub for this Python, or the state folder cannot be written.
    """
    wheel = find_wheel()
    if not wheel.stub.exists():
        known = ", ".join(wheel.stubs())
        mend = f"Make the environment with one of Python {known}."
        raise SetupError(f"`{WHEEL}` {wheel.version} has no stub for Python {python_version()}.", mend=mend)
    links = _links(wheel)
    folder = (state / "triton" / _stamp(wheel, links)).absolute()
    try:
        if not folder.exists():
            _make(folder, links)
    except OSError as error:
        mend = "Make it writable, or name another folder in PIXELIS_STATE."
        raise SetupError(f"The state folder {state} cannot be written: {error.strerror}.", mend=mend) from error
    return Layout(folder / "bin" / "tritonserver", folder / "backends", folder / "caches", library_path(wheel))


def _make(folder: Path, links: dict[str, Path]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    for name, target in links.items():
        link = draft / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    try:
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft)
        if not folder.exists():  # else another process was first, with the same content
            raise


def library_path(wheel: Wheel) -> tuple[Path, ...]:
    """The interpreter's own library folder first, so that the stub runs the very Python of this environment."""
    return Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"), wheel.libraries
