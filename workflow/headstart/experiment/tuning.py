"""The settings that tuning tries of a strategy: a strategy enters; as many trials as asked leave.

Every strategy gets the same number. The learning rate comes first, as it decides most (Goodfellow
et al. 2016, section 11.4), then the statistics of BatchNorm where both choices make sense; a probe
tries strengths of its regularisation.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from headstart.experiment.config import Phase, Strategy

#: Images that settings can be told apart by. With fewer for validation a probe is cross-validated.
ENOUGH = 200
_STEPS = (0, -1, 1, 2, -2, 3, -3, 4, -4, 5, -5, 6)
# The second says whether the statistics are the other ones.
_MOVES = (0, -1, 1, 0, 2, 1, -2, -1, 3, 2, -3, -2)
_WITH_NORM = list(zip(_MOVES, (0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1), strict=True))


def trials(strategy: Strategy, count: int) -> list[Strategy]:
    """The strategy's trials in the order of trying; more trials begin with the same ones.

    Save for a linear probe the first is the strategy as it is written, and for k nearest
    neighbours, which tries every k anyway, the only one. Rates are half a decade apart.
    """
    if strategy.phases[-1].classifier == "knn":
        return [strategy]
    if strategy.is_probe:
        return [_with_strength(strategy, c) for c in _strengths(count)]
    if strategy.init == "pretrained" and any(map(_has_statistics, strategy.phases)):
        return [_moved(strategy, step, bool(other)) for step, other in _WITH_NORM[:count]]
    return [_moved(strategy, step, False) for step in _STEPS[:count]]


def tried(trial: Strategy) -> dict[str, Any]:
    """What tells one trial of a strategy from another: strength, or rate and statistics."""
    phase = trial.phases[-1]
    if trial.is_probe:
        return {"strength": phase.strength} if phase.strength else {}
    return {"lr": phase.lr, "norm": phase.norm} if _has_statistics(phase) else {"lr": phase.lr}


def chosen(losses: list[list[float]]) -> int:
    """The first trial, in the order of trying, that validates as well as the best.

    As well means: its mean loss is at most one standard error of their difference above (Breiman
    et al. 1984, section 3.4.3, on pairs of the same images). So on few images the setting as it is
    written stays unless another is clearly better.

    Args:
        losses: of every trial, the loss of each validation image.
    """
    table = np.array(losses)
    gaps = table - table[table.mean(axis=1).argmin()]
    margins = gaps.std(axis=1) / math.sqrt(gaps.shape[1])
    return int((gaps.mean(axis=1) <= margins).argmax())


def on_edge(settings: list[dict[str, Any]], chosen: int) -> str:
    """The name of the setting whose largest or smallest tried value was chosen, or nothing.

    Args:
        settings: of every trial, from `tried`.
    """
    name = next(iter(settings[chosen]), "")
    values = {each[name] for each in settings if name}
    return name if len(values) > 1 and settings[chosen][name] in (min(values), max(values)) else ""


def _has_statistics(phase: Phase) -> bool:
    return phase.train in ("all", "last_k_stages")


def _moved(strategy: Strategy, step: int, other_norm: bool) -> Strategy:
    """The strategy with all rates moved by half decades, and perhaps the other statistics."""
    factor = float(f"{math.sqrt(10) ** step:.2g}")
    other = {"frozen": "batch", "batch": "frozen"}
    phases = tuple(
        replace(
            phase,
            lr=float(f"{phase.lr * factor:.6g}"),
            min_lr=float(f"{phase.min_lr * factor:.6g}"),
            norm=other[phase.norm] if other_norm and _has_statistics(phase) else phase.norm,
        )
        for phase in strategy.phases
    )
    return replace(strategy, phases=phases)


def _strengths(count: int) -> list[float]:
    """Inverse strengths C, a decade apart around 0.1, and then between."""
    decades = [10.0**power for power in (-1, 0, -2, 1, -3, 2, -4, -0.5, -1.5, 0.5, -2.5, 1.5)]
    return [float(f"{c:.3g}") for c in decades[:count]]


def _with_strength(strategy: Strategy, c: float) -> Strategy:
    (phase,) = strategy.phases
    return replace(strategy, phases=(replace(phase, strength=c, strengths=1),))
