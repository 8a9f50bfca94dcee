"""The Python client, synchronous and asyncio, and the commands `pixelis ask` and `pixelis ops`.

connection.py     what both clients have in common: addresses, tries
shared.py         large images to a server of this machine
answer.py         a result that notebook.py shows
client.py, aio.py --(Call: wire.py)--> rpc.py (gRPC) or rest.py (HTTP, binary tensors, SSE) --> Triton
                                        errors come back through faults.py as `pixelis.errors`
"""

from __future__ import annotations

from clients.aio import AsyncPixelisClient
from clients.answer import Answer
from clients.client import PixelisClient

__all__ = ["Answer", "AsyncPixelisClient", "PixelisClient"]
