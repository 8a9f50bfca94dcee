"""Everything that is broken, in order."""

from __future__ import annotations

from perf.chaos.fault import Fault
from perf.chaos.outside import HOUR, cut, huge_requests, jumped
from perf.chaos.processes import balancer, killed, part, replica, stopped, stub, triton
from perf.chaos.storage import full, starved
from perf.chaos.versions import endless, flipped, published, rolled, spoiled_store
from pixelis.errors import InvalidRequest

STILL_S = 10.0
"""How long what is stopped stands still."""

KILLS = [
    Fault("policy's process killed", "its requests go to the other replica; loaded again", killed(stub("policy")), 5.0),
    Fault("knn's process killed", "answers without neighbours; loaded again", killed(stub("knn")), 5.0),
    Fault("visual_ops' process killed", "the other replica, or an answer without it", killed(stub("visual_ops")), 5.0),
    Fault("tritonserver killed", "the other replica; started again", killed(triton()), 60.0),
    Fault("gateway killed", "the other replica; started again", killed(part("gateway-1")), 30.0),
    Fault("replica killed", "the other replica; started again", killed(replica()), 90.0),
    Fault("cache's Redis killed", "what it knew is computed again", killed(part("redis-cache")), 15.0),
    Fault("log's Redis killed", "changes are refused meanwhile; answers go on", killed(part("redis-log")), 15.0),
    Fault(
        "nginx killed",
        "nobody is served for a moment; open requests are cut off",
        killed(balancer),
        10.0,
        failing=0.5,
    ),
]

STOPS = [
    Fault(
        "policy stands still",
        "late; where it holds a lock, Triton 2.51 ends (lock_exception) and is started again: the other replica",
        stopped(stub("policy")),
        120.0,
        STILL_S,
        slow_s=30.0,
    ),
    Fault("tritonserver stands still", "late; then the other replica", stopped(triton()), 30.0, STILL_S, slow_s=30.0),
    Fault(
        "gateway stands still", "late; then the other replica", stopped(part("gateway-1")), 30.0, STILL_S, slow_s=30.0
    ),
    Fault("cache's Redis stands still", "50 ms, then without it", stopped(part("redis-cache")), 15.0, STILL_S),
    Fault("log's Redis stands still", "changes are refused meanwhile", stopped(part("redis-log")), 15.0, STILL_S),
    Fault("nginx stands still", "late, by so much", stopped(balancer), 15.0, STILL_S, slow_s=STILL_S + 5),
]

LACKS = [
    Fault(
        "no memory for visual_ops",
        "an answer without it, or the other replica; late where it hangs for want of memory",
        starved(stub("visual_ops")),
        60.0,
        STILL_S,
        slow_s=20.0,
    ),
    Fault(
        "a replica's disk full",
        "its changes are refused; answers go on",
        full("{state}/fleet/replica-2"),
        60.0,
        STILL_S,
    ),
    Fault(
        "/dev/shm full", "refused with a reason, or slower", full("/dev/shm"), 60.0, STILL_S, failing=1.0, retried=1.0
    ),
]

BROKEN = [
    Fault("every replica rolled", "nothing", rolled, 15.0, failing=0.0),
    Fault(
        "a corrupt engine rolled out",
        "the roll-out stops; the other replica",
        published("embed_image", flipped(".onnx")),
        120.0,
    ),
    Fault(
        "a corrupt manifest rolled out",
        "the roll-out stops; the other replica",
        published("embed_image", flipped("manifest.json")),
        120.0,
    ),
    Fault(
        "a model that never loads rolled out",
        "the roll-out stops; the other replica",
        published("vote", endless),
        240.0,
    ),
    Fault("a replica's store damaged", "mended from its tables and the log", spoiled_store(1), 120.0),
]

OUTSIDE = [
    Fault("requests of 100 MB", "refused with a reason", huge_requests, 15.0, slow_s=10.0),
    Fault(
        "the wire to both Redis cut", "changes are refused meanwhile; answers go on", cut, 30.0, STILL_S, around="far"
    ),
    Fault(
        "the clock an hour ahead",
        "requests under way may end early",
        jumped(HOUR),
        60.0,
        failing=0.2,
        retried=0.2,
        slow_s=20.0,
        around="clock",
    ),
    Fault(
        "the clock set back",
        "streams over Triton's gRPC may hang; every replica is started anew, one after the other",
        jumped(0),
        120.0,
        failing=0.2,
        retried=0.2,
        slow_s=20.0,
        around="clock",
    ),
]

EVERY = [*KILLS, *STOPS, *LACKS, *BROKEN, *OUTSIDE]


def chosen(words: str) -> list[Fault]:
    """Those whose names contain one of some words; all where there are none.

    Raises:
        InvalidRequest: none does.
    """
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    found = [fault for fault in EVERY if not wanted or any(word in fault.name.lower() for word in wanted)]
    if not found:
        names = "; ".join(fault.name for fault in EVERY)
        raise InvalidRequest(f"No fault is called {words!r}.", mend=f"There are: {names}.")
    return found
