"""Settings that are called otherwise today: for whoever brings a file of an older version along."""

from __future__ import annotations

RENAMED = {
    "retrieval.search_cache_bytes": "cache.search.bytes",
}
"""Old name -> what it is called now. A name is never given away again."""
