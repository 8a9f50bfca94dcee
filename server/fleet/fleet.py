"""All parts of a fleet, kept alive, and who of them takes requests.

One thread starts and watches every process. What takes time, such as a restart of one replica after the other, is a
generator that this thread takes a step further between two looks: it yields a line where there is something to tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from pixelis.errors import InvalidRequest, NotFound, Unavailable
from pixelis.settings import Settings
from server.fleet import redis
from server.fleet.balancer import Balancer
from server.fleet.part import Part
from server.fleet.places import Places
from server.fleet.pulse import Pulse
from server.fleet.replica import Replica
from server.fleet.watcher import Watcher

LOOK_S = 0.1
Steps = Iterator[str | None]
"""A line to tell, or none: ask again after the next look."""


class Fleet:
    """A fleet on this machine.

    Args:
        config: this process's settings.
        say: takes a line for people.

    Raises:
        SetupError: something that it needs is not installed.
    """

    def __init__(self, config: Settings, say: Callable[[str], None]) -> None:
        self.config, self._say = config, say
        self.places = Places(config.fleet, config.state / "fleet")
        self.balancer, self.watcher = Balancer(self.places), Watcher(self.places)
        self.stores = redis.parts(self.places)
        self.replicas: dict[int, Replica] = {}
        self._pulse = Pulse()
        self._serving: list[Replica] = []

    @property
    def parts(self) -> list[Part]:
        """All processes, in the order in which they are started."""
        of_replicas = [part for one in self.replicas.values() for part in one.parts]
        watching = [self.watcher.part] if self.watcher.part is not None else []
        return [*self.stores, *of_replicas, self.balancer.part, *watching]

    @property
    def serving(self) -> list[Replica]:
        """Replicas that get requests."""
        return list(self._serving)

    def look(self) -> None:
        """Notices what died, starts it again when it is time to, and tells the balancer who takes requests."""
        for part in self.parts:
            line = part.look()
            if line is not None:
                self._say(line)
        self._balance()

    def run(self, steps: Steps) -> None:
        """Something that takes time, to its end, while all parts are watched."""
        for line in steps:
            if line is not None:
                self._say(line)
            self.look()
            time.sleep(LOOK_S)

    def start(self) -> Steps:
        """Everything; ends when all replicas take requests.

        Raises:
            SetupError: a configuration is not taken.
            Unavailable: a part does not come up.
        """
        self.watcher.write([])  # whatever is missing or not taken is told before anything runs
        self.balancer.write([])
        for part in self.stores:
            part.start()
        yield from self._up(self.stores, 30.0)
        fresh = [self._make(number) for number in range(1, self.config.fleet.replicas + 1)]
        for replica in fresh:
            self._start(replica)
        for replica in fresh:
            yield from self._ready(replica)
            yield f"replica {replica.number} is ready"
        self.balancer.write(fresh)
        self._serving = fresh
        self.watcher.write(fresh)
        self.balancer.part.start()
        rest = [self.balancer.part]
        if self.watcher.part is not None:
            self.watcher.part.start()
            rest.append(self.watcher.part)
        yield from self._up(rest, 30.0)

    def add(self) -> Steps:
        """One more replica. Raises `Unavailable` where it does not come up: then it is taken away again."""
        number = next(one for one in range(1, len(self.replicas) + 2) if one not in self.replicas)
        replica = self._make(number)
        self._start(replica)
        yield f"replica {number} is starting"
        try:
            yield from self._ready(replica)
        except Unavailable:
            yield from self._take_away(replica)
            raise
        self.watcher.write(list(self.replicas.values()))
        yield f"replica {number} takes requests"

    def remove(self, number: int) -> Steps:
        """One less, after its requests have ended. Raises `NotFound`, or `InvalidRequest` for the last one."""
        replica = self._known(number)
        if len(self.replicas) == 1:
            raise InvalidRequest(f"Replica {number} is the last one.", mend="Stop `pixelis up` to stop it.")
        yield from self._drain(replica)
        yield from self._take_away(replica)
        self.watcher.write(list(self.replicas.values()))
        yield f"replica {number} is gone"

    def roll(self, numbers: Sequence[int] = ()) -> Steps:
        """Each replica, or some, started anew, one after the other; the others take the requests meanwhile.

        Raises:
            NotFound: no such replica.
            InvalidRequest: there is no other one.
            Unavailable: one does not come up again; those after it are left as they are.
        """
        chosen = [self._known(number) for number in numbers] or list(self.replicas.values())
        if len(self.replicas) == 1:
            raise InvalidRequest("There is one replica, and nobody in its place.", mend="First: pixelis fleet add.")
        for replica in chosen:
            try:
                yield from self._drain(replica)
                yield from self._end(replica.parts)
                yield f"replica {replica.number} has stopped, and starts again"
                for part in replica.parts:
                    part.start()
                yield from self._ready(replica)
            finally:
                replica.leaving = False
            yield f"replica {replica.number} takes requests"

    def stop(self) -> None:
        """Everything, those first that take requests from others; returns when all have ended."""
        for replica in self.replicas.values():
            self._pulse.forget(replica)
        fronts = [one.front for one in self.replicas.values()]
        tritons = [one.triton for one in self.replicas.values()]
        watching = [self.watcher.part] if self.watcher.part is not None else []
        for together in ([self.balancer.part], fronts, tritons, [*watching, *self.stores]):
            for part in together:
                part.ask_to_end()
            for part in together:
                part.await_end()

    def _make(self, number: int) -> Replica:
        replica = self.replicas[number] = Replica(number, self.places, self.config)
        return replica

    def _start(self, replica: Replica) -> None:
        for part in replica.parts:
            part.start()
        self._pulse.watch(replica)

    def _known(self, number: int) -> Replica:
        if number not in self.replicas:
            raise NotFound(f"There is no replica {number}.", mend=f"There are {', '.join(map(str, self.replicas))}.")
        return self.replicas[number]

    def _up(self, parts: Sequence[Part], timeout_s: float) -> Steps:
        """Until all answer."""
        end = time.monotonic() + timeout_s
        while waiting := [part for part in parts if part.state != "ready"]:
            for part in waiting:
                part.require_alive()
            if time.monotonic() > end:
                raise Unavailable(
                    f"{waiting[0].name} does not answer after {timeout_s:.0f} s.", mend=f"See {waiting[0].log}."
                )
            yield None

    def _ready(self, replica: Replica) -> Steps:
        yield from self._up(replica.parts, self.config.fleet.ready_timeout_s)
        while not self._pulse.felt(replica):
            yield None

    def _drain(self, replica: Replica) -> Steps:
        """No new requests, and those under way have ended; at most `drain_s`."""
        replica.leaving = True
        carrying = self.balancer.workers()
        self._balance()
        end = time.monotonic() + self.config.fleet.drain_s
        while carrying & self.balancer.workers():
            if time.monotonic() > end:
                yield f"replica {replica.number} has requests under way that did not end in time"
                return
            yield None

    def _end(self, parts: Sequence[Part]) -> Steps:
        """The gateway first: it waits for what it has asked Triton."""
        for part in reversed(parts):
            part.ask_to_end()
            end = time.monotonic() + part.grace_s
            while part.pid is not None and time.monotonic() < end:
                yield None
            part.await_end()

    def _take_away(self, replica: Replica) -> Steps:
        self._pulse.forget(replica)
        replica.leaving = True
        yield from self._end(replica.parts)
        del self.replicas[replica.number]

    def _balance(self) -> None:
        """Whoever is well and stays takes requests; where nobody is well, whoever did goes on, to be refused by."""
        if self.balancer.part.state != "ready":
            return
        well = [one for one in self.replicas.values() if one.ready and not one.leaving and self._pulse.felt(one)]
        if not well or well == self._serving:
            return
        gone = [str(one.number) for one in self._serving if one not in well]
        come = [str(one.number) for one in well if one not in self._serving]
        self._serving = well
        self.balancer.change(well)
        for numbers, what in ((gone, "gets no requests now"), (come, "gets requests")):
            if numbers:
                self._say(f"replica {', '.join(numbers)} {what}")
