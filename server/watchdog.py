"""Notices models that have died or hang, and loads them again, while the rest goes on serving.

    every tick     the roll of the stubs: one that is gone is repaired at once
    an idle model  is asked by a real inference every `watchdog_interval_s`; one that has answered somebody is not
    a silent one   is hung when it has answered nobody for `hung_after_s`; slow is not dead
    after a repair everybody who calls the model is asked: a parent may hang on in a call that will never be answered

Triton goes on saying that a model is ready whose process has died, and never starts it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pixelis.errors import PixelisError, Unavailable
from server.control import Control
from server.health import Health
from server.probes import Dead, Prober, Silent
from server.repair import Patience, Repairer, reason_of
from server.repository import Model, ancestors
from server.stubs import Roll

TICK_S = 0.2
FOLLOW_S = 1.0
"""How often it is looked which models there are."""
PARENT_S = 3.0
"""How long a parent may keep silent after its child was repaired, before it counts as hung."""

_ASKED_AT_ONCE = 4
_REPAIRED_AT_ONCE = 2

Say = Callable[[str], None]


@dataclass
class _Asked:
    """A probe under way."""

    future: Future[bool]
    answered: int


@dataclass
class _Repair:
    """A repair under way."""

    future: Future[bool]
    began: float


class Watchdog:
    """Watches one running server in a thread.

    Args:
        control: of the server, with the key.
        models: those that it serves from its start.
        find: the model of a name, when another one was loaded.
        roll: of its stubs.
        health: what is known is written there.
        say: takes one line for the log.
        interval_s: between two probes of an idle model.
        hung_after_s: how long a model may answer nobody.
        load_timeout_s: how long a load may take.
        state: the state folder.
        server_id: of the server.
        verify: what is loaded again is held against its manifest first.
    """

    def __init__(
        self,
        control: Control,
        models: Sequence[Model],
        find: Callable[[str], Model],
        roll: Roll,
        health: Health,
        say: Say,
        *,
        interval_s: float,
        hung_after_s: float,
        load_timeout_s: float,
        state: Path,
        server_id: str,
        verify: bool = True,
    ) -> None:
        self._control = control
        self._find = find
        self._away: set[str] = set()
        self._followed = 0.0
        self._models = {model.name: model for model in models if model.stubs}
        self._all = list(models)
        self._roll = roll
        self._health = health
        self._say = say
        self._interval_s = interval_s
        self._hung_after_s = hung_after_s
        self._prober = Prober(control)
        self._repair = Repairer(control, self._prober, self._models, load_timeout_s, state, server_id, verify)
        self._patience = {name: Patience() for name in self._models}
        self._stop = threading.Event()
        self._asking = ThreadPoolExecutor(_ASKED_AT_ONCE, "watchdog-probe")
        self._repairing = ThreadPoolExecutor(_REPAIRED_AT_ONCE, "watchdog-repair")
        self._asked: dict[str, _Asked] = {}
        self._repairs: dict[str, _Repair] = {}
        self._answered: dict[str, int] = {}
        self._due = {name: 0.0 for name in self._models if self._prober.knows(name, self._models[name].config)}
        self._bounds: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a repair under way is left to Triton."""
        self._stop.set()
        self._control.close()
        self._thread.join()
        for pool in (self._asking, self._repairing):
            pool.shutdown(wait=True, cancel_futures=True)
        self._health.forget()

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                self._tick()
            except Unavailable:
                continue  # the server is ending, or has ended: whoever started it notices
            except PixelisError as error:
                self._say(f"it could not look at the models: {reason_of(error)}")

    def _tick(self) -> None:
        for name in [name for name, repair in self._repairs.items() if repair.future.done()]:
            self._settle(name, self._repairs.pop(name))
        self._follow()
        for name, pids in self._roll.missing().items():
            self._trouble(name, f"a process of it has died ({', '.join(map(str, pids)) or 'before it was seen'})")
        for name in [name for name, asked in self._asked.items() if asked.future.done()]:
            self._judge(name, self._asked.pop(name))
        self._ask()

    def _follow(self) -> None:
        """Models that were loaded on demand, or again, are watched from now on."""
        now = time.monotonic()
        if now - self._followed < FOLLOW_S:
            return
        self._followed = now
        for name in sorted(self._control.ready() - (self._models.keys() - self._away)):
            model = self._models.get(name) or self._find(name)
            if not model.stubs:
                continue
            if name not in self._models:
                self._models[name], self._patience[name] = model, Patience()
                self._all.append(model)
                self._health.know(name)
            self._away.discard(name)
            self._roll.expect(name, model.stubs)
            if self._prober.knows(name, model.config):
                self._due[name] = now + self._interval_s

    def _leave(self, name: str) -> None:
        """Somebody took a model out on purpose: it is not missed until it is there again."""
        self._health.healthy(name)
        self._away.add(name)
        self._roll.expect(name, 0)
        self._due.pop(name, None)
        self._bounds.pop(name, None)

    def _ask(self) -> None:
        """One probe a tick at most, of the model that has been silent for longest."""
        now = time.monotonic()
        due = [name for name, at in self._due.items() if at <= now and name not in self._asked]
        due = [name for name in due if name not in self._repairs]
        if not due or len(self._asked) >= _ASKED_AT_ONCE:
            return
        self._note_progress()
        due = [name for name in due if self._due[name] <= now]
        if due:
            name = min(due, key=lambda one: self._due[one])
            bound = self._bounds.pop(name, self._hung_after_s)
            future = self._asking.submit(self._prober.ask, name, self._models[name].config, bound)
            self._asked[name] = _Asked(future, self._answered.get(name, 0))

    def _note_progress(self) -> None:
        """Who has answered somebody since the last look lives, and need not be asked."""
        for name, answered in self._control.answered().items():
            if answered != self._answered.get(name, 0):
                if name in self._due and name not in self._bounds:
                    self._due[name] = time.monotonic() + self._interval_s
                self._answered[name] = answered

    def _judge(self, name: str, asked: _Asked) -> None:
        if name in self._due:
            self._due[name] = time.monotonic() + self._interval_s
        try:
            asked.future.result()
        except Dead as error:
            self._trouble(name, str(error))
        except Silent as error:
            self._note_progress()
            if self._answered.get(name, 0) == asked.answered:
                self._trouble(name, f"it hangs: {error}, and nobody else got an answer from it")
        else:
            self._health.healthy(name)

    def _trouble(self, name: str, reason: str) -> None:
        """Repair a model, unless somebody took it out on purpose, it is being repaired, or it dies all the time."""
        if name in self._repairs or name in self._away or not self._patience[name].over:
            return
        if name in self._control.unloaded():
            self._leave(name)
            return
        self._health.trouble(name, "repairing", reason)
        self._say(f"model `{name}`: {reason}; it is loaded again")
        self._repairs[name] = _Repair(self._repairing.submit(self._repair, name), time.monotonic())

    def _settle(self, name: str, repair: _Repair) -> None:
        """A repair has ended."""
        wait = self._patience[name].tried()
        self._roll.refresh(name)
        self._asked.pop(name, None)  # it asked the one that has died
        try:
            mended = repair.future.result()
        except Exception as error:  # whatever it is, it is said, and tried again
            self._health.trouble(name, "dead", reason_of(error))
            self._say(f"model `{name}` could not be repaired, next try in {wait:.0f} s: {reason_of(error)}")
            return
        if not mended:
            self._leave(name)
            return
        seconds = time.monotonic() - repair.began
        self._health.repaired(name, seconds)
        self._say(f"model `{name}` answers again after {seconds:.1f} s")
        for place, parent in enumerate(ancestors(self._all, name)):  # asked at the next ticks, the nearest first
            if parent in self._due:
                self._bounds[parent], self._due[parent] = PARENT_S, place * 1e-6
