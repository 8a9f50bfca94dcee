"""The embedded Triton: starts it, waits until it is ready, stops it and leaves nothing behind.

with EmbeddedTriton(models=["embed_image"]) as triton:
    ...  # triton.http_url, triton.grpc_url, triton.metrics_url, triton.log
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from pixelis.errors import SetupError
from pixelis.settings import Settings, settings
from server import checks, launch, layout, remains, repository
from server.control import Control
from server.health import Health
from server.log import StartLog, note, tail
from server.mirror import mirror
from server.stubs import Roll
from server.supervisor import Task
from server.verifying import verify_all
from server.watchdog import Watchdog

POLL_S = 0.05
KILL_AFTER_S = 3.0
"""Seconds beyond Triton's own exit timeout until it is killed."""


@dataclass(frozen=True)
class Progress:
    """How far a start is.

    Attributes:
        total: models to load (an ensemble's steps count when Triton adds them).
        loaded: those that are ready.
        elapsed_s: since the start.
    """

    total: int
    loaded: tuple[str, ...]
    elapsed_s: float


class EmbeddedTriton:
    """One tritonserver in its own process group, under a supervisor that outlives a crash of this process.

    Args:
        repository: model repository; None means the settings'.
        models: what the context manager starts; None means every model of the repository.
        http_port: None means the settings'.
        grpc_port: None means the settings'.
        metrics_port: None means the settings'.
        arguments: more arguments for tritonserver.
        config: settings; None means this process's.
        say: takes what the watchdog says, beside the log.
    """

    def __init__(
        self,
        repository: Path | str | None = None,
        *,
        models: Sequence[str] | None = None,
        http_port: int | None = None,
        grpc_port: int | None = None,
        metrics_port: int | None = None,
        arguments: Sequence[str] = (),
        config: Settings | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config or settings()
        server = self.config.server
        self.source = self.repository = Path(repository or self.config.repository).absolute()
        self.models = models
        self.arguments = tuple(arguments)
        self.ports = launch.Ports(
            server.host,
            http_port or server.http_port,
            grpc_port or server.grpc_port,
            metrics_port or server.metrics_port,
        )
        self.state = self.config.state.absolute()
        self.log = self.state / "logs" / f"triton-{self.ports.http}.log"
        self.server_id = self.key = ""
        self.health: Health | None = None
        self._say = say
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None

    @property
    def http_url(self) -> str:
        """`host:port` of the HTTP protocol."""
        return f"{self.ports.host}:{self.ports.http}"

    @property
    def grpc_url(self) -> str:
        """`host:port` of gRPC."""
        return f"{self.ports.host}:{self.ports.grpc}"

    @property
    def metrics_url(self) -> str:
        """URL of the Prometheus metrics."""
        return f"http://{self.ports.host}:{self.ports.metrics}/metrics"

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def start(
        self,
        models: Sequence[str] | None = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> EmbeddedTriton:
        """Starts it and returns when every model is ready.

        Args:
            models: names to load, and with them what they call; None means those of the constructor, or all.
            progress: called now and then while models load.
            timeout_s: None means `server.ready_timeout_s` of the settings.

        Raises:
            SetupError: a package, library or port that does not fit, an unbuilt repository, a model that does not
                load (named, with the reason out of the log), or no readiness in time. Nothing is left running.
            IntegrityError: a model that is not what was published (`server.verify`).
            NotFound: a model that the repository does not have.
        """
        if self.running:
            raise SetupError(f"This Triton already runs on {self.http_url}.", mend="Stop it first.")
        wanted = models if models is not None else self.models
        chosen = repository.closure(self.source, wanted)
        repository.require_built(chosen)
        if self.config.server.verify:
            verify_all(chosen, self.state)
        self._check(sum(model.stubs for model in chosen))
        if self.config.server.read_only:  # the ports are free, so nobody serves out of that folder
            self.repository = mirror(self.source, self.state / "repositories" / str(self.ports.http))
            chosen = repository.closure(self.repository, wanted)
        self._launch([model.name for model in chosen])
        try:
            self._await_ready(len(chosen), progress, timeout_s or self.config.server.ready_timeout_s)
            self._watch(chosen)
            self._say_exposure()
        except BaseException:
            self.stop()
            raise
        return self

    def _check(self, stubs: int) -> None:
        for finding in checks.triton(self.config.server.installed):
            finding.raise_if_missing()
        self._make_room()
        checks.shared_memory(stubs).raise_if_missing()
        for name, number in self.ports.named():
            checks.port(name, self.ports.host, number).raise_if_missing()

    def _make_room(self) -> None:
        """Sweeps what dead servers left, and waits for one on our ports that is already about to end."""
        folder, ours = self.state / "servers", {number for _, number in self.ports.named()}
        end = time.monotonic() + self.config.server.exit_timeout_s + KILL_AFTER_S
        remains.clean(folder)
        while time.monotonic() < end:
            ending = [one for one in remains.records(folder).values() if one.alive and one.stopping]
            if not any(ours & set(one.ports) for one in ending):
                return
            time.sleep(POLL_S)

    def _launch(self, names: list[str]) -> None:
        installed = self.config.server.installed
        laid = layout.lay_out(self.state) if installed is None else layout.of_installed(installed)
        self.server_id = f"{remains.PREFIX}{self.ports.http}-{secrets.token_hex(4)}-"
        self.key = remains.write_key(self.state / "servers", self.server_id)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        self.log.touch(mode=0o600)
        task = Task(
            server_id=self.server_id,
            command=[*self._command(laid, names), *self.arguments],
            environment=launch.environment(laid, self.repository, self.config, self.server_id, self.ports, self.key),
            ports=[number for _, number in self.ports.named()],
            log=str(self.log),
            records=str(self.state / "servers"),
            grace_s=self.config.server.exit_timeout_s + KILL_AFTER_S,
            repository=str(self.repository),
            secret=self.key,
        )
        self._supervisor = _supervise(task, self.log)

    def _command(self, laid: layout.Layout, names: list[str]) -> list[str]:
        server, every = self.config.server, repository.scan(self.repository)
        return launch.command(
            laid,
            self.repository,
            names,
            self.ports,
            self.server_id,
            server.exit_timeout_s,
            self.key,
            swapping=server.model_memory_bytes is not None or any(model.on_demand for model in every),
            shared_memory=server.shared_memory,
        )

    def _watch(self, models: Sequence[repository.Model]) -> None:
        """Starts the watchdog, unless the settings say that there is none."""
        server = self.config.server
        if not server.watchdog:
            return
        self.health = Health(self.state / "health", self.ports.http, [model.name for model in models if model.stubs])
        self._watchdog = Watchdog(
            Control(self.grpc_url, self.key),
            models,
            self._model,
            Roll(self.server_id, {model.name: model.stubs for model in models}),
            self.health,
            self._note,
            interval_s=server.watchdog_interval_s,
            hung_after_s=server.hung_after_s,
            load_timeout_s=server.ready_timeout_s,
            state=self.state,
            server_id=self.server_id,
            verify=server.verify,
        )
        self._watchdog.start()

    def _say_exposure(self) -> None:
        found = checks.exposure(self.ports.host)
        if found.level != "ok":
            self._note(f"{found.detail} {found.mend}")

    def _model(self, name: str) -> repository.Model:
        return repository.scan(self.repository, [name])[0]

    def _note(self, line: str) -> None:
        note(self.log, line)
        if self._say is not None:
            self._say(line)

    def _await_ready(self, total: int, progress: Callable[[Progress], None] | None, timeout_s: float) -> None:
        begin, log = time.monotonic(), StartLog(self.log)
        while True:
            ended = not self.running
            log.read()
            if log.failed or ended:
                raise self._failure(log)
            elapsed = time.monotonic() - begin
            if progress is not None:
                progress(Progress(max(total, len(log.loading)), tuple(log.loaded), elapsed))
            if len(log.loaded) >= total and self.ready():
                return
            if elapsed > timeout_s:
                waiting = ", ".join(sorted(set(log.loading) - set(log.loaded))) or "the server itself"
                mend = f"Its log is {self.log}; PIXELIS_SERVER__READY_TIMEOUT_S allows more time."
                raise SetupError(f"Triton is not ready after {timeout_s:.0f} s; still loading: {waiting}.", mend=mend)
            time.sleep(POLL_S)

    def _failure(self, log: StartLog) -> SetupError:
        if log.failed:
            name, reason = next(iter(log.failed.items()))
            mend = f"The whole log is {self.log}; `pixelis serve --models ...` starts without it."
            return SetupError(f"The model `{name}` does not load: {reason.rstrip('.')}.", mend=mend)
        if log.port_taken:
            return SetupError(
                f"Another process took a port: {log.fatal}.", mend="Choose others: --http-port, --grpc-port."
            )
        reason = (log.fatal or tail(self.log)).rstrip(".")
        return SetupError(f"Triton ended while it started: {reason}.", mend=f"The whole log is {self.log}.")

    def ready(self) -> bool:
        """Whether the server answers that it and every model it loaded are ready."""
        connection = http.client.HTTPConnection(self.ports.host, self.ports.http, timeout=2)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Waits until it ends by itself.

        Returns:
            Its exit code (128 + signal when it was killed), or None when it still runs after `timeout_s`.
        """
        if self._supervisor is None:
            return 0
        try:
            return self._supervisor.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Stops it: SIGTERM, after the exit timeout SIGKILL to the group, then no region, stub or record is left."""
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.stop()
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        assert supervisor.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            supervisor.stdin.close()
        try:
            supervisor.wait(self.config.server.exit_timeout_s + KILL_AFTER_S + 5)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        # Nothing to do unless the supervisor itself was killed.
        remains.sweep(self.server_id)
        remains.forget(self.state / "servers" / f"{self.server_id}.json")

    def __enter__(self) -> EmbeddedTriton:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _supervise(task: Task, log: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parent.parent)
    code = f"import sys; sys.path.insert(0, {root!r}); from server.supervisor import main; main()"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
    process.stdin.flush()
    return process
