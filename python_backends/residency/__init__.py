"""Which checkpoints are in memory: several may be served by one server, and not all of them fit.

leases.py    what `reason` and `agent` hold while they use a checkpoint
keeper.py    the rule: load on demand, unload by least recent use, never what is held
triton.py    loading and unloading, as Triton does it
sizes.py     what a checkpoint takes
"""
