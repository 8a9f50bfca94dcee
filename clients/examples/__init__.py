"""Programs to begin with: `python -m clients.examples.ask docs/examples/scene-1.jpg "What is written?"`.

Each runs against a server of this machine, or the one that `--url` names, and each is run by the tests.
"""
