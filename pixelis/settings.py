"""Typed configuration in one place.

Every field can be set by an environment variable `PIXELIS_<SECTION>__<FIELD>` (for instance
`PIXELIS_SERVER__HTTP_PORT=9000`) or by a TOML file named in `PIXELIS_CONFIG`; the environment wins. Below both is
`<state>/tuned.toml`, where `pixelis tune pipeline --apply` leaves what it found.
A serving process reads the same settings as the command line, because both inherit the environment.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from pixelis.cache_config import Cache
from pixelis.errors import SetupError
from pixelis.fleet_config import Fleet
from pixelis.gateway_config import Gateway
from pixelis.index_config import IndexConfig, Live
from pixelis.json_text import LONGEST, reason
from pixelis.operations_config import Operations
from pixelis.renamed import RENAMED

TUNED = "tuned.toml"
"""In the state folder: settings that were found by measuring, below the environment and `PIXELIS_CONFIG`."""
_STATE = Path(".pixelis")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Limits(_Section):
    """What one request may carry."""

    image_bytes: int = Field(20 * 2**20, ge=1, description="encoded bytes of one image")
    image_pixels: int = Field(50_000_000, ge=1, description="pixels of one image")
    frames: int = Field(64, ge=1, description="images or frames of one request")
    question_bytes: int = Field(8 * 2**10, ge=1, description="UTF-8 bytes of the question")


class Batching(_Section):
    """Dynamic batching, as written into every batchable model's config.pbtxt."""

    max_batch_size: int = Field(8, ge=1, le=128)
    max_wait_time_ms: float = Field(
        50.0,
        ge=0,
        description="ceiling on waiting for company over the whole path, shared by its stages; "
        "an idle model dispatches at once",
    )


class Scheduling(_Section):
    """How Triton runs one model, as written into its config.pbtxt; what is none is as builder/spec.py says."""

    instances: int | None = Field(None, ge=1, le=64, description="processes; `knn` and `residency` have one")
    queue_delay_us: int | None = Field(None, ge=0, description="waiting for company, idle or not")


class Decoding(_Section):
    """What the policy's runtime may take."""

    slots: int = Field(16, ge=1, description="sequences decoded together, at most; more wait their turn")
    max_len: int = Field(2048, ge=2, description="tokens of prompt and continuation, at most the checkpoint's")
    cache_bytes: int = Field(
        2**30, ge=1, description="keys and values of sequences being answered; fewer slots where they do not fit"
    )
    prefix_bytes: int = Field(
        2**28, ge=0, description="keys and values of prompts read before, for those that begin alike; 0 = none is kept"
    )
    max_waiting: int = Field(256, ge=1, description="ordinary requests that may wait; as many urgent ones more")
    inter_token_ms: float | None = Field(
        None, gt=0, description="held by reading less at a time and by decoding fewer together; none = whatever comes"
    )
    speculation: bool = Field(True, description="draft from the sequence itself while one is alone and it pays")


class Vllm(_Section):
    """The policy, where it was built for vLLM (`pixelis build --policy-runtime vllm`)."""

    carrier: Literal["grpc", "bls"] = Field(
        "grpc",
        description="how turns get to vLLM: by the server's own gRPC, tokens as they are written; or inside the "
        "server, a turn at a time, without a way to cancel it there",
    )
    address: str | None = Field(None, description="host:port of that gRPC; none = as `server` says")
    in_flight: int = Field(256, ge=1, description="turns that vLLM is handed at once; one more is refused")


class Replicas(_Section):
    """A log in Redis Streams, by which several servers hold the same experiences."""

    url: SecretStr | None = Field(
        None, description="redis://:PASSWORD@HOST:PORT/0, or rediss:// for TLS: a Redis of its own; none = no replicas"
    )
    stream: str = Field("pixelis:experiences", min_length=1, description="its name in that Redis")
    connect_timeout_s: float = Field(1.0, gt=0)
    read_timeout_s: float = Field(1.0, gt=0, description="a change waits so long for Redis, at most")


class Retrieval(_Section):
    """Experiences: retrieval, voting and learning."""

    capacity: int = Field(10_000, ge=1)
    cold_start_threshold: int = Field(100, ge=0)
    visual_weight: float = Field(0.7, ge=0, le=1, description="share of the visual side of a key")
    min_vote_similarity: float = Field(
        0.9999, ge=-1, le=1, description="by `pixelis tune votes`: a label with another word on it is 0.9995 alike"
    )
    min_votes: int = Field(3, ge=1)
    confidence_threshold: float = Field(0.5, ge=0, le=1, description="strategy `confidence` drops votes under it")
    learn_confidence: float = Field(0.7, ge=0, le=1, description="agent confidence from which an answer is learned")
    confirmed_similarity: float = Field(
        0.9999, ge=-1, le=1, description="from here on a confirmed experience is of the same picture and question"
    )
    duplicate_similarity: float = Field(
        0.999, ge=-1, le=2, description="the same answer, so alike, is counted and not stored again; 2 = never"
    )
    index: IndexConfig | None = Field(None, description="none = what `pixelis tune knn --write` chose, else exact")
    retune: bool = Field(True, description="choose another index in the background whenever it has grown twofold")
    recall: float = Field(0.95, gt=0, le=1, description="recall@10 that an index must reach to be chosen")
    live: Live = Field(default_factory=Live, description="when the index is built again while it is searched")
    embed_ahead: bool = Field(
        True, description="embed a trajectory's states while the policy writes on: the reward needs them at the end"
    )
    feedback_requests: int = Field(1000, ge=0, description="newest requests with `read_only: false` that take feedback")
    replicas: Replicas = Field(default_factory=Replicas, description="other servers with the same experiences")


class Server(_Section):
    """The embedded Triton."""

    host: str = "127.0.0.1"
    http_port: int = Field(8000, ge=1, le=65535)
    grpc_port: int = Field(8001, ge=1, le=65535)
    metrics_port: int = Field(8002, ge=1, le=65535)
    ready_timeout_s: float = Field(180.0, gt=0)
    exit_timeout_s: int = Field(5, ge=1)
    watchdog: bool = Field(True, description="notice dead and hung models, and load them again")
    watchdog_interval_s: float = Field(
        10.0,
        gt=0,
        description="between two inferences that ask an idle model whether it lives; a death is seen at once",
    )
    model_memory_bytes: int | None = Field(
        None,
        ge=1,
        description="what all checkpoints may take in memory together; those of least recent use are unloaded, and "
        "loaded again on demand; none = no limit, what was loaded stays",
    )
    shared_memory: bool = Field(
        True,
        description="clients of this machine may hand over images in shared memory; false = not without the key: "
        "where others have accounts on it",
    )
    verify: bool = Field(True, description="hold every version against the digests of its manifest before it is loaded")
    hung_after_s: float = Field(
        30.0, gt=0, description="a model that answers nobody for so long, with a request waiting, is loaded again"
    )
    installed: Path | None = Field(
        None, description="folder of a whole Triton, such as /opt/tritonserver of NGC's image; none = the wheel's"
    )
    read_only: bool = Field(
        False, description="nothing is written into the repository: it is served through links in the state folder"
    )


class Threads(_Section):
    """Thread budget: every process gets a number, none takes what it finds.

    `intra_op` is what one model's session may use. `total` bounds what the machine gives in all.
    """

    intra_op: int = Field(1, ge=1)
    total: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)


class Ngc(_Section):
    """What is written for a full Triton image (`pixelis build --target ngc`)."""

    accelerator: Literal["none", "tensorrt", "openvino"] = Field(
        "none", description="what ONNX Runtime hands ONNX models on to: TensorRT on a GPU, OpenVINO on a CPU"
    )


class Settings(BaseSettings):
    """Everything that can be configured. `pixelis doctor --json` prints the values in force."""

    model_config = SettingsConfigDict(
        env_prefix="PIXELIS_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    limits: Limits = Field(default_factory=Limits)
    batching: Batching = Field(default_factory=Batching)
    scheduling: dict[str, Scheduling] = Field(default_factory=dict, description="by model; `pixelis build` writes it")
    cache: Cache = Field(default_factory=Cache)
    decoding: Decoding = Field(default_factory=Decoding)
    operations: Operations = Field(default_factory=Operations)
    gateway: Gateway = Field(default_factory=Gateway)
    fleet: Fleet = Field(default_factory=Fleet)
    retrieval: Retrieval = Field(default_factory=Retrieval)
    server: Server = Field(default_factory=Server)
    threads: Threads = Field(default_factory=Threads)
    ngc: Ngc = Field(default_factory=Ngc)
    vllm: Vllm = Field(default_factory=Vllm)
    checkpoint: Path | None = Field(
        None, description="Hugging Face directory that the policy is built from; none = the nano that comes along"
    )
    repository: Path = Field(Path("model_repository"), description="the Triton model repository")
    state: Path = Field(_STATE, description="logs, build cache, persisted experiences")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the TOML file, then what was tuned."""
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        path = os.environ.get("PIXELIS_CONFIG")
        if path:
            sources += (_file(settings_cls, Path(path)),)
        return (*sources, _Tuned(settings_cls))


class _Tuned(PydanticBaseSettingsSource):
    """`<state>/tuned.toml`, where there is one; which state, the sources before have said."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: the file is read as a whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """What it says."""
        state = self.current_state.get("state") or _STATE
        if not isinstance(state, (str, Path)):
            return {}  # what is wrong with it is said when all of it is checked
        path = Path(state) / TUNED
        try:
            return TomlConfigSettingsSource(self.settings_cls, path)() if path.is_file() else {}
        except (OSError, ValueError, RecursionError) as error:
            mend = "Mend it, or remove it: then nothing is tuned."
            raise SetupError(f"{str(path)[:LONGEST]} cannot be read: {reason(error)}.", mend=mend) from None


def _file(settings_cls: type[BaseSettings], path: Path) -> PydanticBaseSettingsSource:
    """The TOML file as a source. Raises `SetupError` where it is none; pydantic passes over a file that is absent."""
    mend = "Mend it, or unset PIXELIS_CONFIG."
    try:
        if not path.is_file():
            raise SetupError(f"PIXELIS_CONFIG names {path}, and there is no such file.", mend=mend)
        return TomlConfigSettingsSource(settings_cls, path)
    except (OSError, ValueError, RecursionError) as error:
        raise SetupError(
            f"{str(path)[:LONGEST]}, which PIXELIS_CONFIG names, cannot be read: {reason(error)}.", mend=mend
        ) from None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SetupError: the environment or the file of `PIXELIS_CONFIG` holds something that is no setting.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        parts = [str(part)[:80] for part in first["loc"][:8]]
        name, variable = ".".join(parts), f"PIXELIS_{'__'.join(parts).upper()}"
        mend = f"It comes from {variable}, from the file in PIXELIS_CONFIG, or from {TUNED} in the state folder."
        if name in RENAMED:
            raise SetupError(f"The setting {name} is called {RENAMED[name]} now.", mend=f"Rename it. {mend}") from None
        raise SetupError(f"The setting {name} is wrong: {first['msg']}.", mend=mend) from None
    except (SettingsError, RecursionError) as error:  # a whole section as JSON that is none
        raise SetupError(
            f"The settings cannot be read: {reason(error)}.", mend="Use PIXELIS_<SECTION>__<FIELD>."
        ) from None
