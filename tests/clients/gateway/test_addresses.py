"""Which addresses of images may be fetched at all."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from clients.gateway import pictures
from clients.gateway.addresses import allowed
from pixelis.errors import InvalidRequest
from pixelis.gateway_config import Gateway
from pixelis.settings import Limits

HOSTS = ["cdn.example.org", "*.pictures.example", "own.example:8443", "[2606:4700::1111]", "93.184.216.34"]


@pytest.mark.parametrize(
    "text",
    [
        "http://cdn.example.org/a.png",
        "https://CDN.Example.ORG:443/a.png?size=1#part",
        "https://cdn.example.org:80/",
        "https://a.pictures.example/x",
        "https://a.b.pictures.example/x",
        "https://own.example:8443/",
        "https://[2606:4700::1111]/a",
        "http://93.184.216.34/a",
    ],
)
def test_listed_hosts(text: str) -> None:
    found = allowed(text, HOSTS).url
    assert found.fragment == ""
    assert pictures.decode([text], Limits(), HOSTS) == [allowed(text, HOSTS)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://example.org/", "not fetched from the host"),
        ("https://cdn.example.org.evil.example/", "not fetched from the host"),
        ("https://evilcdn.example.org/", "not fetched from the host"),
        ("https://cdn.example.org./", "not fetched from the host"),
        ("https://pictures.example/", "not fetched from the host"),
        ("https://evilpictures.example/", "not fetched from the host"),
        ("https://cdn.example.org:8443/", "not fetched from the host"),
        ("https://own.example/", "not fetched from the host"),
        ("http://127.0.0.1/", "not fetched from the host"),
        ("http://2130706433/", "not fetched from the host"),
        ("http://[::1]/", "not fetched from the host"),
        ("https://cdn.example.org%2f@evil.example/", "name or a password"),
        ("https://name:word@cdn.example.org/", "name or a password"),
        ("https://name@cdn.example.org/", "name or a password"),
        ("https://evil.example#@cdn.example.org/", "not fetched from the host"),
        ("https://evil.example?@cdn.example.org/", "not fetched from the host"),
        ("https://evil.example\\@cdn.example.org/", "none that can be fetched"),
        ("https://cdn.example.org/\u00e4", "none that can be fetched"),
        ("https://cdn.ex\u0430mple.org/", "none that can be fetched"),
        ("https://cdn.example.org/a b", "none that can be fetched"),
        ("https://cdn.example.org/a\r\nHost: evil", "none that can be fetched"),
        ("https://cdn.example.org:99999/", "none that can be fetched"),
        ("https://", "none that can be fetched"),
        ("https:///a", "none that can be fetched"),
        ("https://[::1]:443@", "none that can be fetched"),
        ("https://cdn.example.org/" + "a" * 5000, "none that can be fetched"),
        ("ftp://cdn.example.org/a", "not fetched"),
        ("file:///etc/passwd", "not fetched"),
    ],
)
def test_all_others_are_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        pictures.decode([text], Limits(), HOSTS)


def test_a_list_is_of_hosts() -> None:
    assert Gateway(image_hosts=HOSTS, image_networks=["10.0.0.0/8"]).image_hosts == HOSTS
    assert Gateway().image_hosts == Gateway().image_networks == []
    for wrong in ("*", "*.", "https://a.example", "a.example/x", "a b", "*.*.example", "", "::1", "[gg::1]", "a:b"):
        with pytest.raises(ValidationError):
            Gateway(image_hosts=[wrong])
    with pytest.raises(ValidationError):
        Gateway(image_networks=["10.0.0.1/8"])
