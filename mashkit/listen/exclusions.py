"""Decide which answers of a listening test are left out. The rules are fixed before the first rating.

Every exclusion names its rule, what was measured, and the rule's limit, so that a reader can check it.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import attrs

from mashkit.listen.records import QUESTIONS, Answer, Page, PageKind

RESULTS = (PageKind.RATING, PageKind.PREFERENCE)
"""Kinds of pages whose answers are results."""
NOT_A_RESULT = "not a result"
"""Mark of training, headphone and level pages."""
REPEAT = "repeat"
"""Mark of the second showing of a repeat item. It checks the rater, so that the first showing alone is a result."""


@attrs.frozen(kw_only=True)
class Rules:
    """Limits beyond which answers are left out; None switches a rule off.

    Parameters
    ----------
    headphones_right : int, optional
        A rater with fewer right answers on the headphone pages is left out; 5 of 6 after Woods et al., "Headphone
        screening to facilitate web-based auditory experiments", Attention, Perception & Psychophysics 79(7), 2017.
        A rater without headphone pages is kept.
    fastest_page_s : float, optional
        A page that took less, in seconds, is left out. A page has two samples of 25 s or more, and the paper's raters
        took 95 s and 108 s a page; 20 s cannot hold even one of the samples (ours).
    most_fast_pages : float, optional
        A rater with a larger share of such pages is left out, 0 to 1 (ours).
    repeat_difference : float, optional
        A rater whose two answers to the repeat items differ by more, on average over questions, is left out. Answers
        drawn at random differ by 1.6 on average; in :mod:`mashkit.listen.simulate` attentive raters differ by 0.6,
        and one in a hundred by more than 1.25 (ours).
    same_value : float, optional
        A rater who gives one value in a larger share of all ratings is left out, 0 to 1 (ours).
    """

    headphones_right: int | None = 5
    fastest_page_s: float | None = 20.0
    most_fast_pages: float | None = 0.5
    repeat_difference: float | None = 1.25
    same_value: float | None = 0.9


@attrs.frozen(kw_only=True)
class Exclusion:
    """Answers that are left out, and why.

    Parameters
    ----------
    rater : str
    page : str
        Empty if all answers of the rater are left out.
    rule : str
        The field of :class:`Rules`.
    measured, limit : float
    """

    rater: str
    page: str = ""
    rule: str
    measured: float
    limit: float


def exclusions(pages: Iterable[Page], answers: Iterable[Answer], rules: Rules) -> list[Exclusion]:
    """Return the exclusions that the rules demand, raters in the order of their first answer.

    Parameters
    ----------
    pages : iterable of Page
    answers : iterable of Answer
        Each of a page in ``pages``.
    rules : Rules
    """
    by_id = {page.id: page for page in pages}
    by_rater: dict[str, dict[str, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        by_rater[answer.rater][answer.page].append(answer)
    found: list[Exclusion] = []
    for rater, given in by_rater.items():
        found += _of_rater(rater, given, by_id, rules)
    return found


def _of_rater(
    rater: str, given: Mapping[str, Sequence[Answer]], pages: Mapping[str, Page], rules: Rules
) -> list[Exclusion]:
    results = {name: answers for name, answers in given.items() if pages[name].kind in RESULTS}
    slow_enough, fast = _fast(results, rules.fastest_page_s)
    measured = (
        ("headphones_right", _headphones(given, pages), -1),
        ("most_fast_pages", len(fast) / len(results) if results else None, 1),
        ("repeat_difference", _repeat_difference(given, pages), 1),
        ("same_value", _same_value(results), 1),
    )
    found = []
    for rule, value, sign in measured:
        limit = getattr(rules, rule)
        if value is not None and limit is not None and sign * value > sign * limit:
            found.append(Exclusion(rater=rater, rule=rule, measured=value, limit=limit))
    found += [
        Exclusion(rater=rater, page=name, rule="fastest_page_s", measured=seconds, limit=slow_enough)
        for name, seconds in fast.items()
    ]
    return found


def _headphones(given: Mapping[str, Sequence[Answer]], pages: Mapping[str, Page]) -> int | None:
    """Return the number of right trials (an answer is 1 if right, else 0); None without a trial."""
    trials = [one.value for name, answers in given.items() if pages[name].kind == PageKind.HEADPHONES
              for one in answers]  # fmt: skip
    return sum(trials) if trials else None


def _fast(results: Mapping[str, Sequence[Answer]], limit: float | None) -> tuple[float, dict[str, float]]:
    """Return the limit, and the seconds of each page below it; no page is fast if no time was logged."""
    seconds = {name: max(one.seconds for one in answers) for name, answers in results.items()}
    if limit is None or not any(seconds.values()):
        return 0.0, {}
    return limit, {name: taken for name, taken in seconds.items() if taken < limit}


def _repeat_difference(given: Mapping[str, Sequence[Answer]], pages: Mapping[str, Page]) -> float | None:
    differences = []
    for name, answers in given.items():
        first = {(one.sample, one.question): one.value for one in given.get(pages[name].repeats, ())}
        differences += [
            abs(one.value - first[one.sample, one.question])
            for one in answers
            if one.question in QUESTIONS and (one.sample, one.question) in first
        ]
    return statistics.fmean(differences) if differences else None


def _same_value(results: Mapping[str, Sequence[Answer]]) -> float | None:
    values = Counter(one.value for answers in results.values() for one in answers if one.question in QUESTIONS)
    # Of a few ratings many may be equal by chance: two pages have twenty.
    return max(values.values()) / values.total() if values.total() >= 4 * len(QUESTIONS) else None

