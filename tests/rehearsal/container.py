"""One container without a container engine: namespaces, a root over this machine's, and a cgroup for its memory."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.rehearsal.plan import Plan

LONGEST_PAUSE_S = 10.0
_MEMORY = Path("/sys/fs/cgroup/memory")
_WORLD = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {world}
mkdir {world}/upper {world}/work {root}
mount -t overlay overlay -o lowerdir=/,upperdir={world}/upper,workdir={world}/work {root}
mount -t proc proc {root}/proc
mount --rbind /dev {root}/dev
mount -t tmpfs -o size={shm} tmpfs {root}/dev/shm
{mounts}
cp {hosts} {root}/etc/hosts
hostname {name}
cd {root}
exec chroot {root} "$@"
"""


class Container:
    """Runs a plan, again whenever it ends by itself, as `restart: unless-stopped` has it.

    Args:
        plan: what it is made from.
        space: its network namespace.
        folder: of its own; `log` in it takes what it prints.
        hosts: a file with the names of all.
    """

    def __init__(self, plan: Plan, space: str, folder: Path, hosts: Path) -> None:
        self.plan, self._space, self._folder, self._hosts = plan, space, folder, hosts
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        self.restarts, self.code, self.since = 0, 0, time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        self._watching: threading.Thread | None = None

    def start(self) -> None:
        """From now on it runs."""
        self._over.clear()
        self._launch()
        self._watching = threading.Thread(target=self._watch, name=self.plan.name, daemon=True)
        self._watching.start()

    def stop(self) -> None:
        """SIGTERM to its first process, and SIGKILL to all of it after its grace; it is not started again."""
        self._over.set()
        process, first = self._process, self.pid
        if process is not None and process.poll() is None:
            if first is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(first, signal.SIGTERM)
            try:
                process.wait(self.plan.grace_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._watching is not None:
            self._watching.join()

    @property
    def pid(self) -> int | None:
        """Of its first process, as this machine counts."""
        if self._process is None or self._process.poll() is not None:
            return None
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self._process.pid).children()
            return int(children[0].pid) if children else None
        return None

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped it."""
        return self._over.is_set()

    def processes(self) -> list[psutil.Process]:
        """All of it."""
        first = self.pid
        if first is None:
            return []
        with contextlib.suppress(psutil.Error):
            one = psutil.Process(first)
            return [one, *one.children(recursive=True)]
        return []

    def entered(self, command: Sequence[str], timeout_s: float, said: bytes = b"") -> tuple[int, str]:
        """A command in it; how it ends and what it prints."""
        first = self.pid
        if first is None:
            return 1, f"service {self.plan.name!r} is not running\n"
        words = ["nsenter", "--target", str(first), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        try:
            done = subprocess.run(
                [*words, "--", *command],
                env=dict(self.plan.environment),
                input=said,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return 124, f"{(error.output or b'').decode(errors='replace')}\nno answer within {timeout_s:.0f} s\n"
        return done.returncode, done.stdout.decode(errors="replace")

    @property
    def cgroup(self) -> Path | None:
        """Where its memory is counted and bounded; none where this machine does not let us."""
        folder = _MEMORY / f"{self._space}"
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
        return folder if (folder / "memory.limit_in_bytes").exists() else None

    def bound(self, memory: int) -> None:
        """It may have so much memory from now on, as `docker update --memory` says."""
        assert self.cgroup is not None
        (self.cgroup / "memory.limit_in_bytes").write_text(str(memory))

    def used(self) -> int:
        """Bytes of memory of its processes, without what the kernel can take back."""
        if self.cgroup is None:
            return 0
        said = dict(line.split() for line in (self.cgroup / "memory.stat").read_text().splitlines())
        return int(said["total_rss"]) + int(said.get("total_shmem", 0))

    def forget(self) -> None:
        """Its cgroup goes too; it must have been stopped."""
        if self.cgroup is not None:
            with contextlib.suppress(OSError):
                self.cgroup.rmdir()

    def _launch(self) -> None:
        world = self._folder / "world"
        world.mkdir(exist_ok=True)
        root = world / "root"
        lines = [_mount(source, f"{root}{target}") for source, target in self.plan.mounts]
        script = _WORLD.format(
            world=shlex.quote(str(world)),
            root=shlex.quote(str(root)),
            shm=self.plan.shm,
            mounts="\n".join(lines),
            hosts=shlex.quote(str(self._hosts)),
            name=self.plan.hostname,
        )
        if self.cgroup is not None:
            self.bound(self.plan.memory or -1)
        apart = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        counted = f"echo 0 >{self.cgroup / 'cgroup.procs'}; " if self.cgroup is not None else ""
        first = ["sh", "-c", f'{counted}exec "$@"', "sh", "ip", "netns", "exec", self._space]
        words = [*first, *apart, "sh", "-c", script, "sh", *self.plan.command]
        self.since = time.monotonic()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                words,
                env=dict(self.plan.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _watch(self) -> None:
        pause_s = 0.1
        while True:
            assert self._process is not None
            code = self._process.wait()
            self.code = code if code >= 0 else 128 - code
            pause_s = 0.1 if time.monotonic() - self.since > 10 else min(LONGEST_PAUSE_S, 2 * pause_s)
            self.since = time.monotonic()
            if self._over.wait(pause_s):
                return
            self.restarts += 1
            self._launch()


def _mount(source: str, target: str) -> str:
    """A line of shell. What is mounted over /tmp hides nothing of ours: later lines put it there again."""
    there, make = shlex.quote(target), f"mkdir -p {shlex.quote(target)}"
    if source.startswith("tmpfs:"):
        options = source.removeprefix("tmpfs:")
        return f"{make}; mount -t tmpfs {f'-o {options}' if options else ''} tmpfs {there}"
    if Path(source).is_file():
        make = f"mkdir -p {shlex.quote(str(Path(target).parent))}; touch {there} 2>/dev/null || true"
    return f"{make}; mount --rbind {shlex.quote(source)} {there}"
