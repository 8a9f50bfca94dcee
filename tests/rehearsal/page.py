"""Pages of docs/runbook.md: the commands that show a thing, and those that mend it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.tools import ROOT

BIN = Path(__file__).with_name("bin")
NOT_RUN = (2, 70, 126, 127)
"""How a shell, our engine or `pixelis` end that do not know a command or its options."""
COMMAND_S = 180.0
"""Longer than any block may take."""


@dataclass(frozen=True)
class Page:
    """Of an alert.

    Attributes:
        alert: its name.
        shows: block of commands, as it stands.
        mends: the same.
    """

    alert: str
    shows: str
    mends: str


def pages() -> dict[str, Page]:
    """By alert."""
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    found = {}
    for alert, page in re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", text):
        if "**Shows it.**" in page:
            shows, mends = (re.findall(r"(?ms)^```\n(.*?)^```", part) for part in page.split("**Mends it.**"))
            (shown,), (mended,) = shows, mends
            found[alert] = Page(alert, shown, mended)
    return found


@dataclass(frozen=True)
class Hand:
    """Somebody who types what the runbook says.

    Attributes:
        folder: of docker-compose.yml.
        socket: of the engine.
    """

    folder: Path
    socket: Path

    def types(self, block: str, *, looks: bool = False) -> str:
        """What it prints.

        Args:
            block: of commands.
            looks: a command may end otherwise than with 0, as one does that shows what is wrong.

        Raises:
            AssertionError: a command of it fails.
        """
        told = {
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "REHEARSAL": str(self.socket),
            "REHEARSAL_PYTHON": sys.executable,
            "PIXELIS_STATE": os.environ.get("PIXELIS_STATE", str(ROOT / ".pixelis")),
        }
        done = subprocess.run(
            ["bash", *([] if looks else ["-e"]), "-c", block],
            cwd=self.folder,
            env=told,
            input="y\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        unknown = "is not a docker command" in done.stdout or "no such service" in done.stdout
        fine = not unknown and done.returncode not in NOT_RUN if looks else done.returncode == 0
        assert fine, f"exit {done.returncode} of\n{block}\n{done.stdout}"
        return done.stdout
