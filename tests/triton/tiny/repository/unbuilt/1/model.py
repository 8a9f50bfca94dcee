"""A service whose artifact is not there."""


class TritonPythonModel:
    def execute(self, requests):
        return []
