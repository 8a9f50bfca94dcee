"""The run: which models need work, each in a process of its own, and what came of it."""
