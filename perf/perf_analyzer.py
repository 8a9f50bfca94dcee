"""Gets the real `perf_analyzer` and runs it: the one on PATH, as in Triton's SDK image, else one out of a wheel.

The binary of 2.50 lies inside the wheel `tritonclient==2.50.0` tagged `manylinux1_x86_64` (later ones need glibc
2.38); the client library in that wheel is not installed, only the program is unpacked under `state/tools`. It is linked
against `libb64.so.0d` and `libcudart.so.12`, which the pytriton wheel carries under hashed names: they are linked
beside it under the names it asks for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.standstill import Standstill
from pixelis.errors import ServingError, SetupError, Unavailable

PROGRAM, VERSION = "perf_analyzer", "2.50.0"
REQUIREMENT = f"tritonclient=={VERSION}"
PLATFORM = "manylinux1_x86_64"
LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}
MENDS = {
    "libb64.so.0d": "apt-get install libb64-0d.",
    "libcudart.so.12": "pip install 'pixelis-serving[embedded]' (its Triton carries one).",
}


ATTEMPTS = 3
LOOK_S = 1.0
"""Seconds between two looks at whether it stands still."""


@dataclass(frozen=True)
class PerfAnalyzer:
    """The program.

    Attributes:
        binary: of it.
        libraries: a folder with those that it does not find by itself; none = it finds all.
        version: as it says.
    """

    binary: Path
    libraries: Path | None
    version: str

    def run(self, arguments: Sequence[str], timeout_s: float) -> str:
        """Runs it; its printed report. It is run again where it stands still: see `Standstill`.

        Raises:
            Unavailable: the server does not answer.
            ServingError: requests failed, or it did not end in time; with its own reason.
        """
        ends = time.monotonic() + timeout_s
        for _ in range(ATTEMPTS):
            done = self._once(arguments, ends)
            if done is None:
                continue
            if done.returncode not in (0, 2):  # 2: unstable windows, which --request-count does not judge by
                raise _failure(done.stdout + done.stderr)
            return done.stdout
        mend = "Ask for fewer requests: --request-count."
        if time.monotonic() < ends:
            raise ServingError(f"perf_analyzer stood still {ATTEMPTS} times.", mend=mend)
        raise ServingError(f"perf_analyzer did not end within {timeout_s:.0f} s.", mend=mend)

    def _once(self, arguments: Sequence[str], ends: float) -> subprocess.CompletedProcess[str] | None:
        """One run; none where it was ended because it stood still, or time was up."""
        command = [str(self.binary), *arguments]
        pipes: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "errors": "replace",
        }
        with subprocess.Popen(command, env=self.environment(), **pipes) as process:
            try:
                still = Standstill(process.pid)
                while True:
                    try:
                        said, told = process.communicate(timeout=LOOK_S)
                        return subprocess.CompletedProcess(command, process.returncode, said, told)
                    except subprocess.TimeoutExpired:
                        if still.over() or time.monotonic() > ends:
                            return None
            finally:
                process.kill()

    def environment(self) -> dict[str, str]:
        """This process's environment with the library folder first."""
        if self.libraries is None:
            return dict(os.environ)
        paths = [str(self.libraries), os.environ.get("LD_LIBRARY_PATH", "")]
        return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(path for path in paths if path)}


def _failure(text: str) -> ServingError:
    patterns = (r"had error: (.*)", r"^(?:error|Error): (.*)", r"(failed to .*)")  # the most telling first
    said = [found[1] for pattern in patterns if (found := re.search(pattern, text, re.MULTILINE))]
    reason = said[0].strip() if said else text.strip()[-200:]
    if re.search(r"connect|unavailable|server is not (live|ready)", reason, re.IGNORECASE):
        return Unavailable(
            f"No server answers perf_analyzer: {reason.rstrip('.')}.", mend="Start one: `pixelis serve`."
        )
    return ServingError(f"perf_analyzer failed: {reason.rstrip('.')}.")


def obtain(state: Path) -> PerfAnalyzer:
    """The program on PATH, else the one in `state/tools`, fetched upon first use.

    Raises:
        SetupError: it cannot be fetched, or a library that it needs is missing.
    """
    found = shutil.which(PROGRAM)
    if found is not None:
        return PerfAnalyzer(Path(found), None, _version(found))
    tools = state.absolute() / "tools" / f"{PROGRAM}-{VERSION}"
    if not (tools / "perf_analyzer").exists():
        _fetch(tools)
    _link_libraries(tools / "lib")
    tool = PerfAnalyzer(tools / PROGRAM, tools / "lib", VERSION)
    _require_libraries(tool)
    return tool


def _version(program: str) -> str:
    """What it says of itself; it may be one that says nothing of the kind."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    said = re.search(r"Version (\S+)", done.stdout + done.stderr)
    return said[1].rstrip(",") if said else "unknown"


def _fetch(tools: Path) -> None:
    tools.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tools.parent, prefix=".draft-") as folder:
        draft = Path(folder)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--platform", PLATFORM, "--dest", str(draft), REQUIREMENT]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(draft.glob("*.whl"))
        if done.returncode != 0 or not wheels:
            reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            mend = f"Put the program of that wheel (data/bin/perf_analyzer) at {tools / 'perf_analyzer'}."
            raise SetupError(f"perf_analyzer cannot be fetched ({REQUIREMENT}, {PLATFORM}): {reason}.", mend=mend)
        program = draft / "out" / "perf_analyzer"
        program.parent.mkdir()
        with zipfile.ZipFile(wheels[0]) as wheel:
            member = next(name for name in wheel.namelist() if name.endswith("/bin/perf_analyzer"))
            with wheel.open(member) as source, program.open("wb") as target:
                shutil.copyfileobj(source, target)
        program.chmod(0o755)
        tools.mkdir(exist_ok=True)
        program.rename(tools / "perf_analyzer")


def _link_libraries(folder: Path) -> None:
    """Links what the pytriton wheel has; what it does not have may still come from the system."""
    from server.layout import find_wheel

    try:
        carried = find_wheel().libraries
    except SetupError:
        return
    folder.mkdir(exist_ok=True)
    for name, pattern in LIBRARIES.items():
        link, found = folder / name, next(iter(sorted(carried.glob(pattern))), None)
        if found is None or (link.is_symlink() and link.readlink() == found):
            continue
        draft = folder / f".{name}.{os.getpid()}"
        draft.symlink_to(found)
        draft.replace(link)


def _require_libraries(tool: PerfAnalyzer) -> None:
    environment = {**tool.environment(), "LD_TRACE_LOADED_OBJECTS": "1"}
    listed = subprocess.run([str(tool.binary)], env=environment, capture_output=True, text=True, check=False)
    absent = re.findall(r"^\s*(\S+) => not found", listed.stdout, re.MULTILINE)
    if absent:
        mend = " ".join(MENDS.get(name, "Install the system package that carries it.") for name in absent)
        raise SetupError(f"perf_analyzer needs {', '.join(absent)}, which is missing.", mend=mend)
