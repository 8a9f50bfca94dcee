"""The dynamics network: what a state key becomes when an action is taken.

`f(s, a) = s + g(s, a)` with `g` a small MLP whose last layer starts at zero, so that an untrained network says
"nothing changes", the baseline that a trained one has to beat on episodes it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import BuildError

if TYPE_CHECKING:
    import torch

STATE = 1664
ACTION = 16
HIDDEN = 128
WEIGHTS = Path(__file__).parent / "dynamics.safetensors"
# A state key has length 1: its elements are around 1/sqrt(1664). The network works at unit scale.
SCALE = float(np.sqrt(STATE))


@dataclass(frozen=True)
class DynamicsReport:
    """How a trained network does on held-out episodes.

    Attributes:
        transitions: rows trained on.
        held_out: rows held out, of other episodes.
        steps: optimiser steps taken until the best held-out error.
        held_out_mse: mean over rows and elements of `(f(s, a) - s')^2`.
        no_change_mse: the same for `f(s, a) = s`.
        seed: of the split, the initial weights and the batches.
    """

    transitions: int
    held_out: int
    steps: int
    held_out_mse: float
    no_change_mse: float
    seed: int

    @property
    def beats_no_change(self) -> bool:
        """Whether the network knows more than that nothing changes."""
        return self.held_out_mse < self.no_change_mse

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "beats_no_change": self.beats_no_change}


def network() -> torch.nn.Module:
    """An untrained network: `forward(state [B, 1664], action [B, 16]) -> next state [B, 1664]`."""
    import torch
    from torch import nn

    class Dynamics(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter = nn.Linear(STATE + ACTION, HIDDEN)
            self.middle = nn.Linear(HIDDEN, HIDDEN)
            self.leave = nn.Linear(HIDDEN, STATE)
            nn.init.zeros_(self.leave.weight)
            nn.init.zeros_(self.leave.bias)

        def forward(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
            hidden = nn.functional.silu(self.enter(torch.cat([state * SCALE, action], dim=1)))
            hidden = hidden + nn.functional.silu(self.middle(hidden))
            change: torch.Tensor = self.leave(hidden)
            return state + change / SCALE

    return Dynamics()


def train(
    states: NDArray[np.float32],
    actions: NDArray[np.float32],
    next_states: NDArray[np.float32],
    seed: int,
    episodes: NDArray[np.int64] | None = None,
    max_steps: int = 3000,
) -> tuple[dict[str, torch.Tensor], DynamicsReport]:
    """Fit the network on transitions; keep the weights that were best on held-out episodes.

    Args:
        states: `[N, 1664]` state keys before the action.
        actions: `[N, 16]` action embeddings.
        next_states: `[N, 1664]` state keys after it.
        seed: fixes the split, the initial weights and the order of the batches.
        episodes: `[N]` episode of each row; a whole episode is held out or trained on. Default: a row each.
        max_steps: optimiser steps at most; training stops when the held-out error no longer falls.

    Returns:
        Weights (fp32) and the report.

    Raises:
        BuildError: arrays that do not fit together, or fewer than ten episodes.
    """
    import torch

    _check(states, actions, next_states)
    held = _held_out(np.arange(len(states)) if episodes is None else np.asarray(episodes), seed)
    torch.manual_seed(seed)
    model = network()
    train_rows = [torch.from_numpy(np.ascontiguousarray(x[~held], np.float32)) for x in (states, actions, next_states)]
    test_rows = [torch.from_numpy(np.ascontiguousarray(x[held], np.float32)) for x in (states, actions, next_states)]
    steps, best, weights = _fit(model, train_rows, test_rows, seed, max_steps)
    no_change = float(((test_rows[0] - test_rows[2]) ** 2).mean())
    return weights, DynamicsReport(int((~held).sum()), int(held.sum()), steps, best, no_change, seed)


def _fit(
    model: torch.nn.Module, rows: list[torch.Tensor], test: list[torch.Tensor], seed: int, max_steps: int
) -> tuple[int, float, dict[str, torch.Tensor]]:
    """AdamW with a cosine schedule; returns (step, held-out MSE, weights) of the best evaluation."""
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max_steps)
    order = torch.Generator().manual_seed(seed)
    best, best_step, weights = _mse(model, test), 0, _copy(model)
    for step in range(1, max_steps + 1):
        pick = torch.randint(len(rows[0]), (min(256, len(rows[0])),), generator=order)
        state, action, after = (x[pick] for x in rows)
        loss = ((model(state, action) - after) ** 2).mean() * SCALE**2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            now = _mse(model, test)
            if now < best:
                best, best_step, weights = now, step, _copy(model)
            elif step - best_step >= 500:
                break
    return best_step, best, weights


def save_weights(weights: Mapping[str, torch.Tensor], path: Path = WEIGHTS) -> None:
    """Write weights as fp16 safetensors (0.9 MB)."""
    import torch
    from safetensors.torch import save_file

    save_file({name: value.to(torch.float16).contiguous() for name, value in weights.items()}, str(path))


def load(path: Path = WEIGHTS) -> torch.nn.Module:
    """The trained network in eval mode, fp32.

    Raises:
        BuildError: there is no weight file yet.
    """
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise BuildError(f"There are no dynamics weights at {path.name}.", mend="Run `pixelis nano seed`.")
    model = network()
    model.load_state_dict({name: value.to(torch.float32) for name, value in load_file(str(path)).items()})
    return model.eval()


def _check(states: NDArray[np.float32], actions: NDArray[np.float32], after: NDArray[np.float32]) -> None:
    want = ((len(states), STATE), (len(states), ACTION), (len(states), STATE))
    got = (states.shape, actions.shape, after.shape)
    if got != want:
        raise BuildError(f"Transitions have shapes {got}; wanted are {want}.", mend="Rows must belong together.")


def _held_out(episodes: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """True for the rows of a fifth of the episodes."""
    unique = np.unique(episodes)
    if len(unique) < 10:
        raise BuildError(f"{len(unique)} episodes are too few to hold some out.", mend="Collect at least 10.")
    chosen = np.random.default_rng(seed).permutation(unique)[: len(unique) // 5]
    return np.isin(episodes, chosen)


def _mse(model: torch.nn.Module, rows: list[torch.Tensor]) -> float:
    import torch

    with torch.inference_mode():
        return float(((model(rows[0], rows[1]) - rows[2]) ** 2).mean())


def _copy(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
