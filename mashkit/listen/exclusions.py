"""Apply the rules that were written down before the first rating: whose answers are left out, and why."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping

from mashkit.listen.records import HEARD, OVERALL, PREFERRED, Answer
from mashkit.listen.study import ORIGINAL, UNMATCHED, Study


def exclusions(
    study: Study, answers: Iterable[Answer], *, possible: Mapping[str, int] | None = None
) -> dict[str, dict[str, str]]:
    """Return rater → rule → reason, for the raters whose answers are left out.

    Parameters
    ----------
    study : Study
        With the rules; :class:`mashkit.listen.study.Rules` describes them.
    answers : iterable of Answer
        All answers of all raters. A rater who is still answering is "incomplete".
    possible : mapping of str to int, optional
        Rater → number of pages of results that they could answer, for those to whom a page could not be played. No more
        is asked of them.
    """
    by_rater: dict[str, list[Answer]] = {}
    for answer in answers:
        by_rater.setdefault(answer.rater, []).append(answer)
    most = possible or {}
    found = {rater: dict(_broken(study, of, most.get(rater))) for rater, of in by_rater.items()}
    return {rater: rules for rater, rules in found.items() if rules}


def _broken(study: Study, answers: list[Answer], possible: int | None) -> Iterator[tuple[str, str]]:
    rules = study.rules
    results = {page.id for page in study.results}
    values: dict[str, dict[tuple[str, str], int]] = {}
    for one in answers:
        if one.sample:
            values.setdefault(one.page, {})[one.sample, one.question] = one.value
    rated = {page: of for page, of in values.items() if page in results}
    fewest = min(rules.fewest_pages or 0, len(results) if possible is None else possible)
    if len(rated) < fewest:
        yield "incomplete", f"{len(rated)} pages of {fewest}"
    times = {one.page: one.seconds for one in answers if one.page in results}
    if rules.fewest_seconds is not None and times:
        median = statistics.median(times.values())
        if median < rules.fewest_seconds:
            yield "hurried", f"median {median:.1f} s a page, less than {rules.fewest_seconds:g} s"
    if rules.negatives:
        better = [_better(study, values[page.id]) for page in study.negatives if page.id in values]
        if better and statistics.fmean(better) <= 0:
            yield "negatives", "the controls were rated as high as their originals, or higher"
    if rules.most_missed is not None:
        again = [study.repeat_of(page.id) for page in study.negatives]
        shown = [values[page.id] for page in (*study.negatives, *again) if page is not None and page.id in values]
        missed = sum((1 - _better(study, one)) / 2 for one in shown)
        if missed > rules.most_missed:
            yield "missed", f"{missed:g} of {len(shown)} times the control was not told from its original"
    if rules.most_difference is not None:
        off = [
            abs(value - values[page.repeats][key])
            for page in study.pages
            if page.repeats in values and page.id in values
            for key, value in values[page.id].items()
            if key in values[page.repeats] and key[1] not in (HEARD, PREFERRED)
        ]
        if off and statistics.fmean(off) > rules.most_difference:
            yield "repeats", f"repeated pages differ by {statistics.fmean(off):.2f} steps"
    given = [value for of in rated.values() for (_, question), value in of.items() if question != PREFERRED]
    if rules.same_rating and len(given) > len(study.questions) * 2 and len(set(given)) == 1:
        yield "same", f"every rating is {given[0]}"


def _better(study: Study, values: Mapping[tuple[str, str], int]) -> float:
    """Return by how much the original was rated above the control, or −1, 0 or 1 for a preference."""
    signs = {ORIGINAL: 1, UNMATCHED: -1}
    overall = [
        signs[study.sample[sample].system] * value
        for (sample, question), value in values.items()
        if question in (OVERALL, PREFERRED)
    ]
    return float(sum(overall))
