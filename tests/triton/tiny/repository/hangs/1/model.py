"""A bad service: it does not let go at the end, and a child of it neither."""

import subprocess
import sys
import time


class TritonPythonModel:
    def initialize(self, args):
        self.child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def execute(self, requests):
        return []

    def finalize(self):
        time.sleep(600)
