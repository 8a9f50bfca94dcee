"""Takes a secret off the command line of a process that has read it.

Triton takes the key of its restricted interfaces there and nowhere else, and every user of a machine may read the
command lines of all its processes. Whoever has that key may send Triton the code of a model to run. Only the standard
library: the supervisor runs without site-packages.
"""

from __future__ import annotations

from pathlib import Path

_ARG_START, _ARG_END = 45, 46
"""Of /proc/PID/stat, counted from the state of the process: where its arguments lie (proc(5), fields 48 and 49)."""


def hide(pid: int, secret: str) -> bool:
    """Overwrite `secret` in the arguments of a child process, wherever it is.

    Args:
        pid: of the process; it must have read its arguments, and not look at them again.
        secret: what nobody is to see.

    Returns:
        Whether it is not there any more. It stays where the kernel lets nobody write into a child's memory.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            line = memory.read(end - start)
            at = line.find(secret.encode())
            while at >= 0:
                memory.seek(start + at)
                memory.write(b"*" * len(secret))
                at = line.find(secret.encode(), at + len(secret))
        return secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError, OverflowError):
        return False
