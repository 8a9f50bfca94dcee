"""Does this machine fit: the checks that `serve` makes before it starts, and that `doctor` prints.

Each gives a `Finding`; one that is not `ok` names its mend. Versions are read from package metadata: nothing heavy
is imported.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from pixelis.errors import SetupError
from server import layout, remains

REGION_BYTES = 2**20
"""Shared memory that a stub takes at its start; it grows with the requests."""


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`.

    Attributes:
        name: what was looked at.
        level: `ok`, `warning` (works, with a cost), or `missing` (does not work).
        detail: what was found.
        mend: what to do about it; given unless `ok`.
    """

    name: str
    level: Literal["ok", "warning", "missing"]
    detail: str
    mend: str | None = None

    def raise_if_missing(self) -> None:
        """Raises `SetupError` when what was looked at is missing."""
        if self.level == "missing":
            raise SetupError(self.detail, mend=self.mend)


def triton(installed: Path | None) -> Iterator[Finding]:
    """The server itself: the wheel and what it needs beside it, or the installed one, whose image has all of that."""
    if installed is not None:
        yield whole(installed)
        return
    found = wheel()
    yield found
    yield numpy()
    if found.level == "ok":
        yield libraries()


def whole(root: Path) -> Finding:
    """A whole Triton in a folder."""
    try:
        return Finding("triton", "ok", f"{layout.of_installed(root).binary}, installed")
    except SetupError as error:
        return Finding("triton", "missing", error.message, error.mend)


def wheel() -> Finding:
    """The wheel and its stub for the running Python."""
    try:
        found = layout.find_wheel()
    except SetupError as error:
        return Finding("triton", "missing", error.message, error.mend)
    if not found.stub.exists():
        known = ", ".join(found.stubs())
        detail = f"`{layout.WHEEL}` {found.version} has no stub for Python {layout.python_version()}."
        return Finding("triton", "missing", detail, f"Make the environment with one of Python {known}.")
    return Finding("triton", "ok", f"{layout.WHEEL} {found.version}, stub for Python {layout.python_version()}")


def numpy() -> Finding:
    """numpy must be < 2: with 2.x the 2.51 stub gives back empty tensors without an error."""
    try:
        version = metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return Finding("numpy", "missing", "numpy is not installed.", "pip install 'numpy<2'.")
    if int(version.split(".")[0]) >= 2:
        detail = (
            f"numpy {version} does not fit the embedded Triton: its Python backend returns empty tensors with numpy 2."
        )
        return Finding("numpy", "missing", detail, "pip install 'numpy<2'.")
    return Finding("numpy", "ok", f"numpy {version}")


def libraries() -> Finding:
    """Shared libraries of the server, the Python backend and its stub, as the loader resolves them."""
    found = layout.find_wheel()
    backend = found.root / "backends" / "python" / "libtriton_python.so"
    path = layout.library_path(found)
    absent = sorted(
        {name for file in (found.root / "bin/tritonserver", backend, found.stub) for name in _absent(file, path)}
    )
    if not absent:
        return Finding("libraries", "ok", "every shared library of the server and its stub is found")
    return Finding("libraries", "missing", f"Missing shared library: {', '.join(absent)}.", _library_mend(absent))


def _absent(file: Path, path: tuple[Path, ...]) -> list[str]:
    """Needed libraries of an ELF file that the loader does not find."""
    # The loader itself answers (`ldd` is a script around this); a library is listed as a preload of a program.
    environment = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_LIBRARY_PATH": os.pathsep.join(map(str, path))}
    program = str(file)
    if file.suffix == ".so":
        environment["LD_PRELOAD"], program = program, "/bin/true"
    listed = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    return re.findall(r"^\s*(\S+) => not found", listed.stdout, re.MULTILINE)


def _library_mend(absent: list[str]) -> str:
    for name in absent:
        python = re.match(r"libpython(3\.\d+)\.so", name)
        if python:
            return f"apt-get install libpython{python[1]}, or use a Python that was built with --enable-shared."
    if any(name.startswith(("libz.", "libexpat.", "libstdc++", "libgcc")) for name in absent):
        return "apt-get install zlib1g libexpat1 libstdc++6 libgcc-s1."
    return f"pip install --force-reinstall --no-deps {layout.WHEEL}."


def shared_memory(instances: int) -> Finding:
    """/dev/shm has room for `instances` stubs, and for requests with pictures in flight."""
    if not remains.SHM.is_dir():
        return Finding("shared memory", "missing", "There is no /dev/shm.", "Mount a tmpfs at /dev/shm.")
    free = shutil.disk_usage(remains.SHM).free
    mend = "Give it more: `docker run --shm-size=1g`, or `mount -o remount,size=1g /dev/shm`."
    detail = f"/dev/shm has {free / 2**20:.0f} MiB free for {instances} stubs"
    if free < (instances + 32) * REGION_BYTES:
        return Finding("shared memory", "missing", f"{detail}, which is too little to start.", mend)
    if free < 256 * 2**20:
        return Finding("shared memory", "warning", f"{detail}: requests with large pictures may fail.", mend)
    return Finding("shared memory", "ok", detail)


def exposure(host: str) -> Finding:
    """Whether Triton listens on this machine alone: it knows no callers, and one malformed body can end it."""
    try:
        alone = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        alone = False  # a name, which may lead anywhere
    if alone:
        return Finding("exposure", "ok", f"Triton listens on {host}, where this machine alone reaches it")
    detail = f"Triton listens on {host}, where others may reach it without a key, a limit or encryption."
    mend = "Set PIXELIS_SERVER__HOST=127.0.0.1, and serve others by `pixelis gateway`."
    return Finding("exposure", "warning", detail, mend)


def port(name: str, host: str, number: int) -> Finding:
    """Whether a port is free to listen on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            detail = f"The {name} port {number} on {host} is not free: {error.strerror}{_holder(number)}."
            return Finding(f"{name} port", "missing", detail, f"Stop what holds it, or choose another: --{name}-port.")
    return Finding(f"{name} port", "ok", f"{host}:{number} is free")


def _holder(number: int) -> str:
    """Who listens, as far as this user may know."""
    import psutil

    try:
        listening = [c for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == number]
        process = psutil.Process(next(c.pid for c in listening if c.pid))
        return f" ({process.name()}, process {process.pid}, listens there)"
    except (psutil.Error, StopIteration):
        return ""
