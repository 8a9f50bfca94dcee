"""The classes that Triton runs. A model's `1/model.py` names one of them; this is all that it holds.

They translate: rows to calls of the rooms beside this one, and back. One module a kind of model, so that a process
imports what its own model needs and no more.
"""
