"""Breaks a fleet that runs, one thing after the other, while people ask it: `pixelis bench chaos`.

run.py ── starts ── fleet.py (`pixelis up`, a process of its own)
  │ for each of faults.py: crowd.py asks and learner.py teaches while it is broken; judge.py says whether that
  │ was as the fault's `expected` says
  └── a row each: what people saw, seconds until all was well, whether all that was acknowledged is there
"""
