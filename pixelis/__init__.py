"""The vocabulary that every room shares: wire objects, errors, settings, and the `pixelis` command."""

__version__ = "0.1.0"
