"""Which tests on real servers may run beside each other: `make test` runs two at a time."""

from __future__ import annotations

from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent


def together(nodeid: str) -> str:
    """What runs in one process, as it shares ports: a folder with a conftest.py and all below it, else a file."""
    path = Path(nodeid.split("::")[0])
    folders = [one for one in reversed(path.parents) if (TESTS.parent / one / "conftest.py").is_file()]
    return str((*(one for one in folders if one != Path(TESTS.name)), path)[0])


class Servers(LoadScopeScheduling):
    """`--dist loadgroup`: xdist's own groups are lost with pytest 9.2, where a mark changes no node's name."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)
