"""Several servers with the same experiences: one log in Redis Streams, which each of them applies in its order.

replica.py  writes through the log, and applies what others wrote
stream.py   the log in Redis              wire.py    an entry in it
checks.py   whether Redis keeps what it says it has
"""

from __future__ import annotations

from python_backends.experience.replicas.replica import Replica
from python_backends.experience.replicas.stream import Stream

__all__ = ["Replica", "Stream"]
