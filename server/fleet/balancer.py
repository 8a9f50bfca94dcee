"""nginx before the replicas: its configuration out of `deploy/nginx/`, and a change of who takes requests."""

from __future__ import annotations

import os
import shutil
import signal
import string
import subprocess
import time
from collections.abc import Sequence

import psutil

from pixelis.draft import replace_text
from pixelis.errors import SetupError
from server.fleet.part import Part
from server.fleet.places import Places, deployed
from server.fleet.replica import Replica, status

POLL_S = 0.05
_NOBODY = "server 127.0.0.1:9 down;"
"""nginx takes no empty list."""


class Balancer:
    """nginx of a fleet.

    Args:
        places: of the fleet.

    Raises:
        SetupError: there is no nginx here.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._folder = places.folder("nginx")
        binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if binary is None:
            raise SetupError("nginx is not installed.", mend="apt-get install nginx.")
        self._command = [binary, "-p", f"{self._folder.absolute()}/", "-c", "nginx.conf", "-e", "stderr"]
        environment = {"PATH": os.environ.get("PATH", "")}
        log = places.log("nginx")
        # Workers of root's would become somebody who may not write into our folder.
        command = [*self._command, "-g", f"daemon off;{' user root;' if os.geteuid() == 0 else ''}"]
        # SIGQUIT lets open requests end; SIGTERM would cut them off.
        self.part = Part("nginx", command, environment, log, self._answers, signal.SIGQUIT, places.config.drain_s)

    def write(self, serving: Sequence[Replica]) -> None:
        """Its configuration, with `serving` behind it.

        Raises:
            SetupError: nginx does not take it.
        """
        config = self._places.config
        values = {
            "PIXELIS_HTTP_LISTEN": f"{config.host}:{config.port}",
            "PIXELIS_GRPC_LISTEN": f"{config.host}:{config.grpc_port}",
            "PIXELIS_GATEWAYS": _servers([one.gateway_url for one in serving]),
            "PIXELIS_TRITONS": _servers([one.grpc_url for one in serving]),
        }
        template = deployed("nginx/pixelis.conf.template").read_text(encoding="utf-8")
        place = self._folder / "conf.d"
        place.mkdir(exist_ok=True)
        shutil.copyfile(deployed("nginx/nginx.conf"), self._folder / "nginx.conf")
        # What nginx calls variables, `$host`, are not ours and stay.
        replace_text(place / "pixelis.conf", string.Template(template).safe_substitute(values))
        tried = subprocess.run([*self._command, "-t"], capture_output=True, text=True, check=False)
        if tried.returncode:
            raise SetupError(f"nginx does not take its configuration: {tried.stderr.strip()[-300:]}")

    def change(self, serving: Sequence[Replica]) -> None:
        """From now on new requests go to `serving`; those under way stay where they are."""
        self.write(serving)
        if self.part.process is not None and self.part.pid is not None:
            self.part.process.send_signal(signal.SIGHUP)

    def workers(self) -> set[int]:
        """Its processes that carry requests."""
        if self.part.pid is None:
            return set()
        try:
            return {child.pid for child in psutil.Process(self.part.pid).children()}
        except psutil.NoSuchProcess:
            return set()

    def await_gone(self, workers: set[int], timeout_s: float) -> bool:
        """Whether all that they carried has ended within the time."""
        end = time.monotonic() + timeout_s
        while workers & self.workers():
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        return True

    def _answers(self) -> bool:
        config = self._places.config
        return status(config.port, "/health/nginx", config.host) == 200


def _servers(urls: Sequence[str]) -> str:
    return " ".join(f"server {url} max_fails=1 fail_timeout=2s;" for url in urls) or _NOBODY
