"""The first process of a container with `init: true`: hands SIGTERM on, and takes in orphans."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Until its child has ended; as that ended."""
    child = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
