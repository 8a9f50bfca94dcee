"""Long work for an index in a process of its own, so that no search waits for it.

    vectors -> block.py (memory that both see) -> child.py (learns or tunes, when nobody else wants the core)
                                               -> run.py (waits, tries again) -> an index to be read, or a configuration

learn.py builds an index, `tuning/retune.py` chooses one; gently.py copies with pauses, duty.py stops a child in turns.

A thread of the same process would hold the interpreter for moments and share its memory map; beside one, the slowest
of a thousand searches took ten times as long as alone, beside such a process twice as long.
"""

from __future__ import annotations

from python_backends.experience.aside.block import Block
from python_backends.experience.aside.run import Aside

__all__ = ["Aside", "Block"]
