"""What would decide a pair, against the interval that it would have."""

import math
from dataclasses import replace

import pytest

from headstart.verdict import planning
from headstart.verdict.answers import answers
from headstart.verdict.components import Components, Seeds
from headstart.verdict.inference import Difference

FOUND = Components(0.02, 500, 2e-4, (Seeds(6e-5, 4, 4e-5),))


def answer(components, about_models=False):
    (found,) = answers(
        [Difference(("a", 1.0), ("b", 1.0), components, about_models, ())], margin=0.01
    )
    return found


def with_images(found, count):
    """The components as they would be on so many images."""
    factor = found.clusters / count
    seeds = tuple(
        replace(
            one,
            variance=one.variance - one.interaction * (1 - factor),
            interaction=factor * one.interaction,
        )
        for one in found.seeds
    )
    return replace(found, images=factor * found.images, seeds=seeds)


def test_so_many_images_and_no_fewer():
    needed = planning.needed(answer(FOUND))["images"]
    assert needed > 500
    assert with_images(FOUND, 1.01 * needed).half_width(0.05) < FOUND.value
    assert with_images(FOUND, 0.97 * needed).half_width(0.05) > FOUND.value


def test_so_many_seeds_and_no_fewer():
    """Interval with s seeds: each part of the seeds shrinks as 1/s, the images' own does not."""
    close = replace(FOUND, images=9e-5)
    count = planning.needed(answer(close))["seeds"]
    assert count > 5
    own, both, rest = 2e-5 * 5, 4e-5 * 5, 9e-5 - 4e-5

    def wide(seeds):
        share = Seeds((own + both) / seeds, seeds - 1, both / seeds)
        return replace(close, images=rest + both / seeds, seeds=(share,)).half_width(0.05)

    assert wide(count) <= 0.02 < wide(count - 1)


def test_where_seeds_vary_too_much_no_number_of_images_suffices():
    needed = planning.needed(answer(replace(FOUND, images=5e-5, seeds=(Seeds(1e-3, 2, 1e-5),))))
    assert needed["images"] is None and needed["seeds"] > 3


def test_more_of_both_where_neither_suffices_alone():
    needed = planning.needed(answer(replace(FOUND, seeds=(Seeds(1e-4, 1, 1e-5),))))
    assert needed["images"] is None and needed["seeds"] is None
    assert needed["together"]["seeds"] > 2 and needed["together"]["images"] > 500


def test_what_cannot_be_planned():
    model = planning.needed(answer(replace(FOUND, seeds=()), about_models=True))
    assert model["seeds"] is None and model["images"] > 500
    anew = answer(replace(FOUND, seeds=(Seeds(1e-4, 4, math.inf),)))
    assert planning.needed(anew) == {"images": None, "seeds": None, "together": None}
    assert planning.shares(anew.difference.components) is None


def test_shares_by_hand():
    assert planning.shares(FOUND) == pytest.approx(
        {"images": 1.6e-4 / 2.2e-4, "seeds": 2e-5 / 2.2e-4, "both": 4e-5 / 2.2e-4}
    )
