"""What would decide a pair, more images or more seeds, and what its uncertainty comes from."""

import math
from collections.abc import Iterable, Sequence

from headstart.verdict.answers import Answer
from headstart.verdict.components import Components, quantile

MOST_SEEDS = 100
_MORE_SEEDS = (3, 5, 10, 20)


def needed(answer: Answer) -> dict:
    """How many test images, or how many seeds, would decide the pair if its difference stays.

    It is decided when its interval leaves out 0 or lies within the margin, whichever comes first.

    Returns:
        images: with as many seeds as now; None where no number of images suffices.
        seeds: of each strategy, with as many images as now; None where at most 100 do not suffice,
            or where a single model shows nothing of how seeds vary.
        together: images and seeds that suffice where neither does alone; else None.
    """
    found = answer.difference.components
    if math.isinf(found.interaction):
        return {"images": None, "seeds": None, "together": None}
    gap = abs(found.value)
    goals = [(answer.level, gap), (2 * answer.level_margin, answer.margin - gap)]
    goals = [(alpha, distance) for alpha, distance in goals if distance > 0]
    images = _least(_images(found, *goal) for goal in goals)
    seeds = _least(_seeds(found, *goal) for goal in goals)
    if answer.difference.about_models:
        return {"images": images, "seeds": None, "together": None}
    together = _together(found, goals) if images is None and seeds is None else None
    return {"images": images, "seeds": seeds, "together": together}


def _together(found: Components, goals: Sequence[tuple[float, float]]) -> dict | None:
    """The fewest seeds with which some number of images suffices, and that number."""
    for seeds in _MORE_SEEDS:
        if found.seeds and seeds > max(one.freedom + 1 for one in found.seeds):
            more = _with_seeds(found, seeds)
            images = _least(_images(more, *goal) for goal in goals)
            if images is not None:
                return {"images": images, "seeds": seeds}
    return None


def shares(found: Components) -> dict[str, float] | None:
    """What share of the difference's variance is due to images, to seeds and to both together.

    None where the splits were drawn anew, which mixes them.
    """
    if math.isinf(found.interaction):
        return None
    parts = {
        "images": max(found.images - found.interaction, 0.0),
        "seeds": sum(max(one.variance - one.interaction, 0.0) for one in found.seeds),
        "both": found.interaction,
    }
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()} if total > 0 else None


def _least(counts: Iterable[int | None]) -> int | None:
    return min((count for count in counts if count is not None), default=None)


def _images(found: Components, alpha: float, distance: float) -> int | None:
    """Clusters of images at which the half-width is `distance`: its square is a + b / clusters."""
    z = quantile(alpha, found.clusters - 1)
    k = quantile(alpha, found.freedom)
    fixed = k**2 * sum(max(one.variance - one.interaction, 0.0) for one in found.seeds)
    shrinking = z**2 * max(found.images - found.interaction, 0.0) + k**2 * found.interaction
    if not fixed < distance**2:
        return None
    enough = max(shrinking / (distance**2 - fixed), (z / distance) ** 2 * found.images)
    return math.ceil(found.clusters * enough)


def _seeds(found: Components, alpha: float, distance: float) -> int | None:
    """Seeds of each strategy at which the half-width is at most `distance`."""
    if not found.seeds:
        return None
    fewest = max(one.freedom + 1 for one in found.seeds)
    for count in range(fewest, MOST_SEEDS + 1):
        if _with_seeds(found, count).half_width(alpha) <= distance:
            return count
    return None


def _with_seeds(found: Components, count: int) -> Components:
    """The components as they would be with so many seeds of each strategy."""
    seeds = tuple(one.scaled(count) for one in found.seeds)
    own = max(found.images - found.interaction, 0.0)
    images = own + sum(one.interaction for one in seeds)
    return Components(found.value, found.clusters, images, seeds)
