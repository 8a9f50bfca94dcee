"""What images of docker-compose.yml bring, with programs of this machine: words of the command, and variables."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.tools import ROOT

PATH = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EXPORTERS = ("prometheus-node-exporter", "prometheus-redis-exporter")
PROGRAMS = ("docker-compose", "nginx", "redis-server", "prometheus", *_EXPORTERS)
_FILL = """
for one in /etc/nginx/templates/*.template; do
  names=$(env | sed -n 's/^\\(PIXELIS_[A-Z_]*\\)=.*/${\\1}/p' | tr '\\n' ' ')
  envsubst "$names" <"$one" >"/etc/nginx/conf.d/$(basename "$one" .template)"
done
exec "$@"
"""
"""nginx's image fills its templates first; this is `NGINX_ENVSUBST_FILTER`."""


@dataclass(frozen=True)
class Image:
    """What an image brings.

    Attributes:
        before: words in front of the service's command.
        command: where the service has none.
        environment: of its own.
    """

    before: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


def image(name: str) -> Image | None:
    """By a service's `image`; none = it is not run here."""
    return _IMAGES.get(name.partition(":")[0])


def _ours(stage: str) -> dict[str, str]:
    """`ENV` of a stage of deploy/Dockerfile, but for where things of the image lie."""
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    (part,) = re.findall(rf"(?ms)^FROM \S+ AS {stage}$(.*?)(?=^FROM|\Z)", text)
    joined = part.replace("\\\n", " ")
    said = " ".join(re.findall(r"(?m)^ENV (.+)$", joined))
    found = {name: value.strip("'") for name, value in re.findall(r"(\w+)=('[^']*'|\S+)", said)}
    return {name: value for name, value in found.items() if name not in ("PATH", "PIXELIS_SERVER__INSTALLED")}


def _python() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "HOME": "/tmp", "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}


def _of(stage: str, command: str) -> Image:
    told = tuple({**_ours("base" if stage == "gateway" else stage), **_ours(stage), **_python()}.items())
    return Image((sys.executable, "-m", "pixelis"), (command,), told)


_IMAGES = {
    "pixelis/triton": _of("triton", "serve"),
    "pixelis/gateway": _of("gateway", "gateway"),
    "redis": Image(),
    "nginxinc/nginx-unprivileged": Image(("sh", "-c", _FILL, "sh")),
    "oliver006/redis_exporter": Image(command=("prometheus-redis-exporter",)),
    "prom/node-exporter": Image(("prometheus-node-exporter",)),
    "prom/prometheus": Image(("prometheus",)),
}
