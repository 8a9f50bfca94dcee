"""HTTPS with a certificate of our own making."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from clients.gateway.opening import certificates
from pixelis.errors import SetupError
from pixelis.gateway_config import Gateway
from tests.clients.gateway.conftest import PORT, Served
from tests.clients.gateway.test_gateway import body

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl (apt-get install openssl)")


def pair(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    """A certificate for this machine's loopback, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "1"]
    named = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [*made, *named, "-keyout", str(key), "-out", str(certificate), *(more or ("-nodes",))]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.mark.triton
def test_it_answers_over_tls_alone(gateways: Served, tmp_path: Path) -> None:
    certificate, key = pair(tmp_path, "ours")
    other, _ = pair(tmp_path, "other")
    with gateways(certificate=certificate, certificate_key=key):
        trusting = ssl.create_default_context(cafile=str(certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", PORT, timeout=20, context=trusting)
        connection.request("POST", "/infer", json.dumps(body("Sure?")), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["answer"]) == (200, "Sure?")
        connection.close()
        doubting = ssl.create_default_context(cafile=str(other))
        with pytest.raises(ssl.SSLCertVerificationError):
            http.client.HTTPSConnection("127.0.0.1", PORT, timeout=20, context=doubting).request("GET", "/health")
        plain = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
        plain.request("GET", "/health")
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.getresponse()
        plain.close()


def test_what_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    certificate, key = pair(tmp_path, "ours")
    _, foreign = pair(tmp_path, "other")
    _, locked = pair(tmp_path, "locked", "-passout", "pass:word")
    both, none = tmp_path / "both.pem", tmp_path / "none.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    none.write_text("no PEM")
    certificates(Gateway(certificate=certificate, certificate_key=key))
    certificates(Gateway(certificate=both))
    certificates(Gateway())
    for given, with_key, why in (
        (certificate, foreign, "key values mismatch"),
        (certificate, tmp_path / "absent", "no such file"),
        (tmp_path / "absent", key, "no such file"),
        (tmp_path, key, "cannot be used"),
        (certificate, locked, "without a password"),
        (certificate, none, "cannot be used"),
        (none, key, "cannot be used"),
        (certificate, None, "cannot be used"),
        (None, key, "no certificate for it"),
    ):
        with pytest.raises(SetupError, match=f"(?s){why}"):
            certificates(Gateway(certificate=given, certificate_key=with_key))


def test_the_command_ends_with_the_reason(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pixelis", "gateway", "--workers", "2", "--port", "18135"]
    certificate, _ = pair(tmp_path, "ours")
    _, foreign = pair(tmp_path, "other")
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PIXELIS_GATEWAY__CERTIFICATE": str(certificate),
        "PIXELIS_GATEWAY__CERTIFICATE_KEY": str(foreign),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: The certificate" in done.stderr
    assert "key values mismatch" in done.stderr
    assert done.stderr.count("\n") == 1
