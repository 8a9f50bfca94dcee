"""Images fetched by address, on real sockets; only the resolver is a test's own."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from clients.gateway.addresses import allowed
from clients.gateway.fetching import Fetcher, Purse
from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded, PixelisError
from pixelis.gateway_config import Gateway
from pixelis.settings import Limits
from tests.clients.gateway.hosts import PNG, Host, Names, hosting

T = TypeVar("T")

LOOPBACK = ["127.0.0.1/32"]
NAME = "pictures.example"


def fetched(
    path: str,
    names: Names,
    *more: str,
    networks: list[str] = LOOPBACK,
    purse: int = 10**6,
    after: Callable[[Host], Awaitable[T]] | None = None,
    **changes: Any,
) -> list[bytes]:
    """What comes of `http://pictures.example:PORT/path` (and more), where a host is on 127.0.0.1."""

    async def run() -> list[bytes]:
        async with hosting() as host:
            told = {"image_hosts": [f"{NAME}:{host.port}"], "image_networks": networks, "image_timeout_s": 2.0}
            config = Gateway.model_validate(told | changes)
            fetcher = Fetcher(config, Limits(image_bytes=10_000), names)
            texts = [f"http://{NAME}:{host.port}/{one}".replace("PORT", str(host.port)) for one in (path, *more)]
            try:
                found = await fetcher.all([allowed(text, config.image_hosts) for text in texts], Purse(purse))
            finally:
                await fetcher.close()
                if after is not None:
                    await after(host)
            return found

    return asyncio.run(run())


def test_an_image_with_no_word_of_who_asks() -> None:
    heads: list[str] = []

    async def after(host: Host) -> None:
        heads.extend(head.replace(str(host.port), "PORT") for head in host.heads)

    names = Names(["127.0.0.1"])
    assert fetched("a.png?b=%2F", names, after=after) == [PNG]
    assert names.asked == [NAME]
    lines = heads[0].split("\r\n")
    assert lines[:2] == ["GET /a.png?b=%2F HTTP/1.1", f"Host: {NAME}:PORT"]
    assert {line.partition(":")[0] for line in lines[2:] if line} == {"Accept", "Accept-Encoding", "User-Agent"} | (
        {"Connection"} & {line.partition(":")[0] for line in lines}
    )


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "fe80::1", "ff02::1"]
)
def test_a_name_that_leads_inward_is_not_connected_to(address: str) -> None:
    asked: list[str] = []

    async def after(host: Host) -> None:
        asked.extend(host.heads)

    with pytest.raises(InvalidRequest) as caught:
        fetched("a", Names([address]), networks=[], after=after)
    assert "not a public one" in str(caught.value)
    assert address not in str(caught.value)
    assert asked == []


def test_of_several_addresses_only_those_that_may_are_connected_to() -> None:
    assert fetched("a", Names(["10.1.2.3", "127.0.0.1"])) == [PNG]
    with pytest.raises(InvalidRequest, match="not a public one"):
        fetched("a", Names(["10.1.2.3", "127.0.0.2", "::1"]))


def test_a_name_that_changes_its_mind_is_asked_once() -> None:
    """DNS rebinding: what is judged and what is connected to is one answer of the resolver."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    assert fetched("a", names) == [PNG]
    assert names.asked == [NAME]
    with pytest.raises(InvalidRequest, match="not a public one"):  # each hop is looked up, and judged, anew
        fetched("to//a", Names(["127.0.0.1"], ["127.0.0.2"]))


def test_redirects_within_the_list_are_followed_a_few_times() -> None:
    assert fetched("to//a", Names(["127.0.0.1"])) == [PNG]
    assert fetched(f"to/http://{NAME}:PORT/to//to//a", Names(["127.0.0.1"])) == [PNG]
    with pytest.raises(InvalidImage, match="3 redirects"):
        fetched("round/", Names(["127.0.0.1"]))


@pytest.mark.parametrize(
    "target",
    [
        "http://internal.example/secret",
        "http://127.0.0.1:PORT/secret",
        "http://[::1]:PORT/secret",
        f"http://{NAME}:1/secret",
        f"http://u:p@{NAME}:PORT/secret",
        "file:///etc/passwd",
        "gopher://internal.example/",
        "http://[secret",
    ],
)
def test_redirects_out_of_the_list_are_not(target: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        fetched(f"to/{target}", Names(["127.0.0.1"]))
    assert "redirects" in str(caught.value)
    assert "secret" not in str(caught.value) + "internal" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("status/404", "does not give it"),
        ("status/500", "does not give it"),
        ("status/300", "does not give it"),
        ("garbage", "does not speak HTTP"),
        ("claims/9999", "does not speak HTTP"),
        ("heads", "does not speak HTTP"),
    ],
)
def test_what_a_host_answers_is_not_told(path: str, said: str) -> None:
    with pytest.raises(InvalidImage) as caught:
        fetched(path, Names(["127.0.0.1"]))
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not any(number in str(caught.value) for number in ("404", "500", "300"))


@pytest.mark.parametrize("path", ["slow", "silent"])
def test_a_slow_host_is_left(path: str) -> None:
    begun = time.monotonic()

    async def after(host: Host) -> None:
        await asyncio.sleep(0.3)
        assert host.closed == 1

    with pytest.raises(InvalidImage, match=r"longer than 0\.4 s"):
        fetched(path, Names(["127.0.0.1"]), image_timeout_s=0.4, after=after)
    assert time.monotonic() - begun < 2


def test_redirects_share_the_time() -> None:
    with pytest.raises(InvalidImage, match=r"longer than 0\.4 s"):
        fetched("to//to//slow", Names(["127.0.0.1"]), image_timeout_s=0.4)


def test_a_name_that_is_not_resolved_in_time_is_left() -> None:
    class Asleep(Names):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
            await asyncio.sleep(5)

    with pytest.raises(InvalidImage, match=r"longer than 0\.2 s"):
        fetched("a", Asleep(["127.0.0.1"]), image_timeout_s=0.2)


def test_too_many_bytes_are_not_read() -> None:
    async def after(host: Host) -> None:
        await asyncio.sleep(0.2)
        assert host.closed == 1

    with pytest.raises(LimitExceeded, match="more than 10000 bytes"):
        fetched("endless", Names(["127.0.0.1"]), after=after)
    with pytest.raises(LimitExceeded, match="more than 10000 bytes"):
        fetched("claims/10001", Names(["127.0.0.1"]))


def test_a_request_has_so_many_bytes_in_all() -> None:
    assert fetched("a", Names(["127.0.0.1"]), "b", purse=2 * len(PNG)) == [PNG, PNG]
    with pytest.raises(LimitExceeded, match="images of a request"):
        fetched("a", Names(["127.0.0.1"]), "b", purse=2 * len(PNG) - 1)


def test_a_host_that_is_not_there() -> None:
    class Lost(Names):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
            raise OSError("no such name: secret")

    with pytest.raises(InvalidImage, match="cannot be reached") as caught:
        fetched("a", Lost(["127.0.0.1"]))
    assert "secret" not in str(caught.value)

    async def closed() -> None:
        config = Gateway(image_hosts=[f"{NAME}:9"], image_networks=LOOPBACK)
        fetcher = Fetcher(config, Limits(), Names(["127.0.0.1"]))
        try:
            await fetcher.all([allowed(f"http://{NAME}:9/", config.image_hosts)], Purse(1))
        finally:
            await fetcher.close()

    with pytest.raises(InvalidImage, match="cannot be reached"):
        asyncio.run(closed())


def test_over_tls_the_name_is_what_must_be_certified(tmp_path: Path) -> None:
    serves, believes = certified(tmp_path, NAME)

    async def run(name: str) -> list[bytes]:
        async with hosting(serves) as host:
            config = Gateway(image_hosts=[f"*.example:{host.port}", f"{NAME}:{host.port}"], image_networks=LOOPBACK)
            fetcher = Fetcher(config, Limits(), Names(["127.0.0.1"]), believes)
            try:
                address = allowed(f"https://{name}:{host.port}/a", config.image_hosts)
                return await fetcher.all([address], Purse(1000))
            finally:
                await fetcher.close()

    assert asyncio.run(run(NAME)) == [PNG]
    with pytest.raises(InvalidImage, match="no certificate"):
        asyncio.run(run("other.example"))


def test_plain_http_is_not_followed_from_tls(tmp_path: Path) -> None:
    serves, believes = certified(tmp_path, NAME)

    async def run() -> None:
        async with hosting(serves) as host:
            config = Gateway(image_hosts=[NAME, f"{NAME}:{host.port}"], image_networks=LOOPBACK)
            fetcher = Fetcher(config, Limits(), Names(["127.0.0.1"]), believes)
            try:
                target = f"https://{NAME}:{host.port}/to/http://{NAME}/a"
                await fetcher.all([allowed(target, config.image_hosts)], Purse(1000))
            finally:
                await fetcher.close()

    with pytest.raises(InvalidRequest, match="redirects"):
        asyncio.run(run())


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What serves as `name`, and what believes it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    serves = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serves.load_cert_chain(certificate, key)
    return serves, ssl.create_default_context(cafile=str(certificate))


def test_one_that_fails_ends_the_others() -> None:
    begun = time.monotonic()
    with pytest.raises(PixelisError, match="does not give it"):
        fetched("slow", Names(["127.0.0.1"]), "status/404", image_timeout_s=5)
    assert time.monotonic() - begun < 2
