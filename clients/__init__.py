"""The Python client, synchronous and asyncio, and the commands `pixelis ask` and `pixelis ops`.

client.py, aio.py --(Call: wire.py)--> rpc.py (gRPC) or rest.py (HTTP, binary tensors, SSE) --> Triton
                                        errors come back through faults.py as `pixelis.errors`
"""

from __future__ import annotations

from clients.aio import AsyncPixelisClient
from clients.client import PixelisClient

__all__ = ["AsyncPixelisClient", "PixelisClient"]
