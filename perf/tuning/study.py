"""The search: Optuna's study, kept on disk so that another run goes on with it, and what is tried next.

First what is likely by what is known already (the quickest form of every model, together); then every change alone, in
the order of the grid, which says what each is worth; as soon as several are worth something, they together; and when
all were tried, what the sampler (tree-structured Parzen estimators over all knobs together, Bergstra et al., 2011)
makes of what is known. A trial that is shown to be worse than what is served, or of several changes than the best one,
before all of its pairs were asked, is broken off (by the interval of signed ranks).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from perf.signed_rank import shift
from perf.tuning.knobs import Choice, Knob, label
from perf.tuning.trial import Z
from pixelis.errors import SetupError

TOGETHER = 4
"""Every so many trials, what was worth something is tried together, if that was not yet."""
FEW = 5
"""Pairs before a trial may be broken off."""
FACTS, REASON = "facts", "reason"
Ended = tuple[TrialState, Choice, dict[str, Any]]


def identity(facts: Any) -> str:
    """A name for what a search is of: another machine, repository, load or grid has another one."""
    return "pipeline-" + hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def likely(facts: Mapping[str, Any]) -> float:
    """A time that is not more, five times of six: of many trials the luckiest looks best."""
    return (float(facts["ratio"]) + float(facts["ratio_high"])) / 2


class Search:
    """One study.

    Args:
        path: of its file; other studies may lie in it.
        name: see `identity`.
        knobs: what may be turned.
        hints: tried first.
        anew: forget what is known.

    Raises:
        SetupError: the file is there and cannot be read.
    """

    def __init__(
        self, path: Path, name: str, knobs: Sequence[Knob], hints: Sequence[Choice] = (), *, anew: bool = False
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.knobs, self._hints = list(knobs), list(hints)
        storage = f"sqlite:///{path}"
        try:
            if anew and name in optuna.get_all_study_names(storage):
                optuna.delete_study(study_name=name, storage=storage)
            self._study = optuna.create_study(
                storage=storage,
                study_name=name,
                load_if_exists=True,
                sampler=optuna.samplers.TPESampler(multivariate=True, seed=0),
                pruner=optuna.pruners.NopPruner(),  # `Running.worse` says
            )
        except Exception as error:  # SQLAlchemy's, of a file that is none of its own
            mend = "Move it away: the search begins anew."
            raise SetupError(f"{path} cannot be read as a study: {error}.", mend=mend) from None
        self._interrupted()

    def _interrupted(self) -> None:
        """What a run that was killed had begun is begun anew."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.enqueue_trial(trial.params, skip_if_exists=False)

    @property
    def known(self) -> list[Ended]:
        """What ended until now: how, the choice, and what was measured; in the order in which it was begun."""
        ended = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
        return [
            (one.state, self._choice(one.params), one.user_attrs.get(FACTS, {REASON: one.user_attrs.get(REASON, "")}))
            for one in ended
            if one.params and (FACTS in one.user_attrs or REASON in one.user_attrs)
        ]

    def best(self) -> tuple[Choice, dict[str, Any]] | None:
        """The fastest that keeps to the limits and changes something; none where there is none."""
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        kept = [
            one for one in trials if FACTS in one.user_attrs and not any(over > 0 for over in one.constraints.values())
        ]
        kept = [one for one in kept if self._choice(one.params).turned]
        if not kept:
            return None
        found = min(kept, key=lambda one: likely(one.user_attrs[FACTS]))
        return self._choice(found.params), found.user_attrs[FACTS]

    def next(self) -> Running:
        """The next to be tried."""
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if not waiting and (proposed := self._proposed()) is not None:
            self._study.enqueue_trial(self._params(proposed))
        trial, best = self._study.ask(self._space()), self.best()
        choice = self._choice(trial.params)
        # What a change alone is worth is wanted in full, though others together are worth more.
        beaten = best[1]["ratio"] if best and len(choice.turned) > 1 else 1.0
        return Running(self._study, trial, choice, min(beaten, 1.0))

    def _proposed(self) -> Choice | None:
        """By rule; none where the sampler is to say."""
        tried = {json.dumps(self._params(choice), sort_keys=True) for _, choice, _ in self.known}

        def new(choice: Choice) -> bool:
            return json.dumps(self._params(choice), sort_keys=True) not in tried

        hinted = next((one for one in self._hints if new(one)), None)
        if hinted is not None:
            return hinted
        together = self._together()
        others = (value for values in zip_longest(*(self._alone(knob) for knob in self.knobs)) for value in values)
        alone = next((one for one in others if one is not None and new(one)), None)
        if len(together.turned) > 1 and new(together) and (alone is None or len(tried) % TOGETHER == TOGETHER - 1):
            return together
        return alone

    @staticmethod
    def _alone(knob: Knob) -> list[Choice]:
        return [Choice({knob.name: value}) for value in knob.values[1:]]

    def _together(self) -> Choice:
        """The best value of each knob that was worth something alone."""
        best: dict[str, tuple[float, Any]] = {}
        for state, choice, facts in self.known:
            if state is TrialState.COMPLETE and len(choice.turned) == 1 and likely(facts) < 1:
                ((name, value),) = choice.turned.items()
                best[name] = min(best.get(name, (math.inf, None)), (likely(facts), value), key=lambda pair: pair[0])
        return Choice({name: value for name, (_, value) in best.items()})

    def _space(self) -> dict[str, BaseDistribution]:
        return {knob.name: CategoricalDistribution(knob.labels) for knob in self.knobs}

    def _params(self, choice: Choice) -> dict[str, str]:
        return {knob.name: label(choice.turned.get(knob.name, knob.values[0])) for knob in self.knobs}

    def _choice(self, params: dict[str, Any]) -> Choice:
        """Those of the parameters that are not as served."""
        return Choice(
            {
                knob.name: knob.value(params[knob.name])
                for knob in self.knobs
                if knob.name in params and params[knob.name] != knob.labels[0]
            }
        )


class Running:
    """A trial that is going on.

    Attributes:
        choice: what is tried.
    """

    def __init__(self, study: optuna.Study, trial: optuna.Trial, choice: Choice, best: float) -> None:
        self._study, self._trial, self._best = study, trial, best
        self.choice = choice

    def worse(self, ratios: Sequence[float]) -> bool:
        """Whether pairs show that it takes longer than what is served, or, of several changes, than the best one."""
        return len(ratios) >= FEW and math.exp(shift(np.log(ratios), Z).low) > self._best

    def ended(self, facts: dict[str, Any], over: Mapping[str, float], *, broken_off: bool) -> None:
        """Keep what was measured.

        Args:
            facts: among them `ratio`.
            over: limit -> by how much it is overstepped; not positive = it is kept.
            broken_off: before all of its pairs were asked.
        """
        self._trial.set_user_attr(FACTS, facts)
        for name, share in over.items():
            self._trial.set_constraint(name, share)
        if broken_off:
            self._trial.report(math.log(facts["ratio"]), 0)  # so that the sampler knows how bad it was
            self._study.tell(self._trial, state=TrialState.PRUNED)
        else:
            self._study.tell(self._trial, math.log(facts["ratio"]))

    def failed(self, reason: str) -> None:
        """Keep why there is nothing."""
        self._trial.set_user_attr(REASON, reason)
        self._study.tell(self._trial, state=TrialState.FAIL)
