"""Draw the pages of a rater: a balanced random part of the study, with controls and repeated pages."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import attrs

from mashkit.listen.records import Page, PageKind
from mashkit.listen.study import Study, most_repeats

APART = 3
"""A page is repeated after at least so many other pages, if there are so many (ours)."""


@attrs.frozen
class Step:
    """One page of a rater's sequence, and whether its samples are shown in reverse order."""

    page: str
    swapped: bool


def is_full(study: Study, ratings: Mapping[str, int]) -> bool:
    """Return whether every page of results has as many raters as the protocol asks for."""
    return all(ratings.get(page.id, 0) >= study.protocol.raters_per_page for page in study.results)


def draw(study: Study, ratings: Mapping[str, int], chance: random.Random, *, whole: bool = False) -> list[Step]:
    """Draw a rater's sequence: training, then pages of results, controls and repeated pages in random order.

    Pages with the fewest raters come first into the draw, so all pages get equally many. Two pages with the same two
    sounds go to one rater only if there are too few others.

    Parameters
    ----------
    study : Study
    ratings : mapping of str to int
        Page → number of its raters so far, also those who have it before them.
    chance : random.Random
    whole : bool
        Take all pages, for a walk through the study.
    """
    protocol = study.protocol
    results = _fewest(study, study.results, ratings, chance, None if whole else protocol.pages_per_rater)
    controls = _fewest(study, study.negatives, ratings, chance, None if whole else protocol.negatives_per_rater)
    main = [*results, *controls]
    chance.shuffle(main)
    checked = results if study.rules.most_missed is None else controls
    repeatable = [page for page in main if study.repeat_of(page.id) is not None and page in checked]
    early = repeatable[: most_repeats(len(repeatable))]
    for page in chance.sample(early, min(protocol.repeats_per_rater, len(early))):
        again = study.repeat_of(page.id)
        assert again is not None  # noqa: S101 — early has only pages that are repeated
        first = min(main.index(page) + 1 + APART, len(main))
        main.insert(chance.randint(first, len(main)), again)
    training = study.of_kind(PageKind.TRAINING)
    # A repeated page shows its samples in the other order, so that a rater cannot repeat the clicks only.
    swapped = {page.id: chance.random() < 0.5 for page in (*training, *main) if not page.repeats}
    swapped |= {page.id: not swapped[page.repeats] for page in main if page.repeats}
    return [Step(page.id, swapped[page.id]) for page in (*training, *main)]


def _fewest(
    study: Study, pages: Sequence[Page], ratings: Mapping[str, int], chance: random.Random, count: int | None
) -> list[Page]:
    """Return ``count`` pages, or all, with the fewest raters first, in random order among equals."""
    order = sorted(pages, key=lambda page: (ratings.get(page.id, 0), chance.random()))
    if count is None or count >= len(order):
        return order
    chosen: list[Page] = []
    heard: set[frozenset[str]] = set()
    for again in (False, True):
        for page in order:
            sounds = frozenset(study.sample[one].file for one in page.samples)
            if len(chosen) < count and page not in chosen and (again or sounds not in heard):
                chosen.append(page)
                heard.add(sounds)
    return chosen
