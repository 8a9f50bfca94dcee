"""A bad service: its weights do not fit."""


class TritonPythonModel:
    def initialize(self, args):
        raise ValueError("the weights are of another shape")

    def execute(self, requests):
        return []
