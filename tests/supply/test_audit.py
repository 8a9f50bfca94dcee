"""pip-audit against a database of our own, which speaks as osv.dev does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.supply.audit import main

LOCKED = "idna==3.20 --hash=sha256:{0}\nzipp==4.1.2 --hash=sha256:{0}\n".format("0" * 64)
FAULT = {
    "id": "PYSEC-0000-1",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "details": "of a test",
    "affected": [
        {
            "package": {"name": "zipp", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "4.2"}]}],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """Knows of one fault, of whichever package `faulty` names."""

    faulty = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = {"vulns": [FAULT]} if asked["package"]["name"] == type(self).faulty else {}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def database() -> Iterator[tuple[str, tuple[str, ...]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "ours", ("-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/v1/query")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text(LOCKED)
    return path


NOBODY = ("nobody", ("-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query"))


@pytest.mark.parametrize(("faulty", "code"), [("", 0), ("zipp", 1)])
def test_what_a_database_knows(
    database: tuple[str, tuple[str, ...]],
    lock: Path,
    faulty: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Osv, "faulty", faulty)
    assert main([NOBODY, database], lock) == code
    said = capsys.readouterr().out
    assert "nobody was not asked: " in said
    assert "ours knows 2 packages" in said
    assert ("zipp 4.1.2: PYSEC-0000-1, mended in 4.2" in said) == bool(code)
    assert "NOTHING WAS AUDITED" not in said


def test_where_no_database_answers_that_is_said(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([NOBODY], lock) == 0
    assert "NOTHING WAS AUDITED" in capsys.readouterr().out
