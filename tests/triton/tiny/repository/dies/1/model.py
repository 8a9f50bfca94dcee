"""A bad service: its process ends in the middle of a request."""

import os


class TritonPythonModel:
    def execute(self, requests):
        os._exit(3)
