"""How Triton is started: its command line and its environment."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, SecretStr

from pixelis.settings import TUNED, Settings, settings
from server.checks import REGION_BYTES
from server.layout import Layout
from server.remains import MARK

KEY_NAME = "pixelis-repository-key"
"""Header that opens the model-repository API over HTTP; over gRPC it is `triton-grpc-protocol-` and this."""

RESTRICTED = ("model-repository", "trace", "logging")
"""What of Triton's API needs the key: loading code, and where what passes through is written to."""

_NOT_PASSED = ("PYTHONPATH", "AIP_MODE", "AIP_STORAGE_URI")
"""Variables by which Triton would serve Vertex AI instead of us, and models from elsewhere too."""

STUB_TIMEOUT_S = 120
"""How long a stub may take to come up: twenty start at once, on two cores, and Triton's default is 30."""


MALLOC_ARENAS = "2"
"""Of glibc in each process, unless the environment says otherwise. By itself it makes eight a core, and the server's
hundreds of threads scatter what they take over all of them: more memory, and no less time (docs/reliability.md).
"""


@dataclass(frozen=True)
class Ports:
    """Where it listens, on one host."""

    host: str
    http: int
    grpc: int
    metrics: int

    def named(self) -> list[tuple[str, int]]:
        """Name and number of each."""
        return [("http", self.http), ("grpc", self.grpc), ("metrics", self.metrics)]


def command(
    layout: Layout,
    repository: Path,
    models: Sequence[str],
    ports: Ports,
    server_id: str,
    exit_timeout_s: int,
    key: str,
    *,
    swapping: bool = False,
    shared_memory: bool = True,
) -> list[str]:
    """Triton's command line: explicit model control, no auto-complete, one host for all three ports.

    What is `RESTRICTED` needs `key` on both protocols, and without `shared_memory` clients' regions do too. Triton
    takes it on its command line only, from which the supervisor removes it again (`hiding`).

    Where models come and go while it serves (`swapping`) the server is ready as long as it answers: by default it is
    not, for whoever asks, while any model is loading or unloading.
    """
    restricted = ",".join([*RESTRICTED, *(() if shared_memory else ("shared-memory",))])
    line = [
        str(layout.binary),
        f"--model-repository={repository}",
        f"--backend-directory={layout.backends}",
        f"--cache-directory={layout.caches}",
        f"--repoagent-directory={layout.agents}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
        f"--exit-timeout-secs={exit_timeout_s}",
        f"--http-restricted-api={restricted}:{KEY_NAME}={key}",
        f"--grpc-restricted-protocol={restricted}:{KEY_NAME}={key}",
        f"--backend-config=python,shm-region-prefix-name={server_id}",
        f"--backend-config=python,shm-default-byte-size={REGION_BYTES}",
        f"--backend-config=python,stub-timeout-seconds={STUB_TIMEOUT_S}",
        f"--allow-gpu-metrics={'true' if Path('/dev/nvidiactl').exists() else 'false'}",
    ]
    if swapping:
        line.append("--strict-readiness=false")
    for name, number in ports.named():
        line += [f"--{name}-address={ports.host}", f"--{name}-port={number}"]
    return line + [f"--load-model={model}" for model in models]


def environment(
    layout: Layout, repository: Path, config: Settings, server_id: str, ports: Ports, key: str
) -> dict[str, str]:
    """The environment of the server and its stubs: this process's, the settings as absolute paths, a thread budget, and
    where and by which key a model of it (`residency`) has others loaded.
    """
    variables = {"MALLOC_ARENA_MAX": MALLOC_ARENAS}
    variables.update((name, value) for name, value in os.environ.items() if name not in _NOT_PASSED)
    _tell(variables, config)
    variables.update(layout.environment())
    variables.update(
        {
            MARK: server_id,
            "PIXELIS_REPOSITORY": str(repository),
            "PIXELIS_STATE": str(config.state.absolute()),
            "OMP_NUM_THREADS": str(config.threads.intra_op),
            "OMP_WAIT_POLICY": "PASSIVE",
            "PIXELIS_CONTROL_URL": f"{ports.host}:{ports.http}",
            "PIXELIS_REPOSITORY_KEY": key,
            "PIXELIS_SERVER__VERIFY": str(config.server.verify).lower(),
            "PYTHONUNBUFFERED": "1",  # what a model prints reaches the log at once
        }
    )
    if "PIXELIS_CONFIG" in variables:
        variables["PIXELIS_CONFIG"] = str(Path(variables["PIXELIS_CONFIG"]).absolute())
    return variables


def _tell(variables: dict[str, str], config: Settings) -> None:
    """Sections of `config` that the stubs would not read by themselves, off this environment and its files.

    Not `server`: where a server listens is on its command line.
    """
    own = _read_there(config)
    for name in Settings.model_fields:
        section = getattr(config, name)
        if name == "server" or not isinstance(section, BaseModel) or section == getattr(own, name):
            continue
        variable = f"PIXELIS_{name}".upper()
        for known in [one for one in variables if one.upper().startswith(f"{variable}__")]:
            del variables[known]  # one field there goes before the whole section
        variables[variable] = json.dumps(section.model_dump(), default=_plain)


def _read_there(config: Settings) -> Settings:
    """What a process finds whose state folder is that of `config`, which may hold other tuned settings than ours."""
    own = settings()
    here, there = own.state.absolute(), config.state.absolute()
    if here == there or not any((folder / TUNED).is_file() for folder in (here, there)):
        return own
    return Settings(state=there)


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
