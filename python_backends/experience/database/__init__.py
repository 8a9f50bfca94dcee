"""The experiences on disk: one SQLite file.

schema.py    tables and migrations          connect.py  opening, and what an error of SQLite means
digests.py   checksums of rows              writes.py   entries and what they change, in one transaction
reads.py     what the file holds            check.py    what is wrong with it
"""

from __future__ import annotations

from python_backends.experience.database.check import faults
from python_backends.experience.database.connect import FILE, connect, reader
from python_backends.experience.database.reads import Held, Logged, everything, log_after
from python_backends.experience.database.schema import SCHEMA, migrate
from python_backends.experience.database.writes import Database

__all__ = [
    "FILE",
    "SCHEMA",
    "Database",
    "Held",
    "Logged",
    "connect",
    "everything",
    "faults",
    "log_after",
    "migrate",
    "reader",
]
