"""The runbook rehearsed: docker-compose.yml without Docker, real faults, and the commands of its pages as they stand.

    test_rehearsal ── acts (a fault for each alert) ── page (blocks of docs/runbook.md) ── bin/docker ─┐
                                                                                                       v
    prometheus (real, alerts.yml) <── stack ── compose (up, restart, exec, logs, ps) ── container (namespaces, a cgroup)

Only the container engine is replaced. A container has its own root, processes, host name, address, /dev/shm and memory
limit, as docker-compose.yml says; what runs in it is this machine's: tritonserver of the wheel, both Redis, nginx,
Prometheus and both exporters. It takes root.
"""
