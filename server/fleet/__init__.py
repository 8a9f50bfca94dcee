"""Several replicas behind one balancer, on one machine: what `docker-compose.yml` describes, as plain processes.

    client ── nginx ──┬── gateway 1 ── Triton 1 ──┬── Redis (caches)
                      └── gateway 2 ── Triton 2 ──┴── Redis (log of experiences)      Prometheus watches them all

`pixelis up` starts each part, starts again what dies, and takes orders over a socket of the state folder:
`pixelis fleet status | add | remove | roll`.
"""
