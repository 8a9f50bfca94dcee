"""`make audit`: is a fault known of what a server is installed from. Exit 1 where one is.

pip-audit asks a database for every package of the lock. Where none answers, or one that knows no package, it says that
nothing was found; that is not the same as none being there, so here it is said.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.supply.packages import LOCK

DATABASES = (("PyPI", ("-s", "pypi")), ("OSV", ("-s", "osv")))


@dataclass
class Audit:
    """What one database said.

    Attributes:
        asked: packages that it knows.
        unknown: those that it does not know.
        faults: a line each.
        failed: why it could not be asked.
    """

    asked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    failed: str = ""


def audit(database: Sequence[str], lock: Path = LOCK, timeout_s: int = 15) -> Audit:
    """Ask one database; `database` are pip-audit's arguments."""
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", *database, *options, "--timeout", str(timeout_s), "-r", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Audit(failed=(done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    made = Audit()
    for one in found:
        if "skip_reason" in one:
            made.unknown.append(one["name"])
            continue
        made.asked.append(one["name"])
        for fault in one["vulns"]:
            mended = ", ".join(fault["fix_versions"]) or "no version yet"
            made.faults.append(f"{one['name']} {one['version']}: {fault['id']}, mended in {mended}")
    return made


def main(databases: Sequence[tuple[str, Sequence[str]]] = DATABASES, lock: Path = LOCK) -> int:
    """Ask the databases in turn until one answers; the exit code."""
    for name, arguments in databases:
        made = audit(arguments, lock)
        if not made.asked:
            reason = made.failed or f"it knows none of {len(made.unknown)} packages"
            print(f"{name} was not asked: {reason}")
            continue
        print(f"{name} knows {len(made.asked)} packages of {lock.name}; faults of {len(made.faults)} are known.")
        if made.unknown:
            print(f"It does not know {', '.join(made.unknown)}.")
        print("\n".join(made.faults), end="\n" if made.faults else "")
        return 1 if made.faults else 0
    print("NOTHING WAS AUDITED: no database of faults can be reached from here.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
