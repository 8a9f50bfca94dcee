"""How sure the agent is: from the log-probabilities of its answer and of its calls, calibrated.

The answer's tokens alone say how sure the policy is of what it copies; whether it looked at the right thing shows in
the tokens of its calls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from python_backends.policy.profile import Calibration


@dataclass
class Evidence:
    """Log-probabilities of an episode, each a mean over tokens, taken before the grammar's mask.

    Attributes:
        answer: of the answer; none where there is no answer.
        call: of the least likely call; none without a call.
    """

    answer: float | None = None
    call: float | None = None

    def called(self, logprob: float | None) -> None:
        """Take a call into account."""
        if logprob is not None:
            self.call = logprob if self.call is None else min(self.call, logprob)

    def answered(self, logprob: float | None) -> None:
        """Take the answer into account."""
        self.answer = logprob

    def confidence(self, calibration: Calibration | None) -> float:
        """In [0, 1]; 0 without an answer. Uncalibrated: exp(mean log-probability of the answer's tokens)."""
        if self.answer is None:
            return 0.0
        if calibration is None:
            return math.exp(self.answer)
        odds = calibration.bias + calibration.answer * self.answer + calibration.call * (self.call or 0.0)
        return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, odds))))
