"""What others have left where caches look: none of it is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixelis.cache_config import RedisTier as Config
from pixelis.settings import Settings
from python_backends.caching.counts import TierCounts
from python_backends.caching.operating import stats
from python_backends.caching.orders import FOLDER, Order, Orders
from python_backends.caching.redis_tier import RedisTier


@pytest.mark.parametrize("text", [b"[" * 20_000, b"\xff", b"{", b"[]", b'{"prefix": 1}'])
def test_an_order_that_is_none_is_passed_over(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FOLDER).mkdir()
    orders = Orders(tmp_path, 0)
    (tmp_path / FOLDER / "17.json").write_bytes(text)
    (tmp_path / FOLDER / "18.json").write_text("{}", encoding="utf-8")
    (tmp_path / FOLDER / "\N{SUPERSCRIPT TWO}.json").write_text("{}", encoding="utf-8")
    assert orders.new() == [Order()]
    assert Orders(tmp_path, 0).new() == [Order()]


def test_counts_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "caches" / "stats"
    folder.mkdir(parents=True)
    (folder / "a.json").write_bytes(b"[" * 20_000)
    (folder / "b.json").write_text('{"hits": 1}', encoding="utf-8")
    assert stats(Settings(state=tmp_path))["processes"] == {"b": {"hits": 1}}


class Scanned:
    """A Redis in which somebody has put a name that is no text."""

    config = Config(namespace="pixelis")

    def ask(self, work: Callable[[Any], Any], _: TierCounts) -> Any:
        return work(self)

    def scan(self, *_: object) -> tuple[int, list[bytes]]:
        return 0, [b"pixelis:image:\xff:00", b"pixelis:image:embed_image-3:00"]

    def unlink(self, *names: str) -> int:
        return len(names)


def test_a_name_that_is_no_text_is_cleared_with_the_others() -> None:
    tier = RedisTier(Scanned(), "image", None)  # type: ignore[arg-type]
    assert tier.clear("image") == 2
