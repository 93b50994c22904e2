"""What a comparison of scorers found, in plain words: the sentences that stand above its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mashkit.bench.comparisons import Comparison
from mashkit.bench.records import Entry, Row
from mashkit.pages import MINUS
from mashkit.paths import folded
from mashkit.statistics import SIGNIFICANT


def lead(
    competitors: Sequence[Entry], rows: Sequence[Row], comparisons: Sequence[Comparison], baseline: str
) -> list[str]:
    """Return what was compared, on what music, who is first by how much, and what is not known.

    The parameters are those of :meth:`mashkit.bench.tasks.Task.lead`. The list is empty if nobody has an AUC.
    """
    known = [row for row in rows if row.facts]
    ranked = [one for one in competitors if one.metrics.get("within_auc") is not None]
    if not known or not ranked:
        return []
    tests = {one.one: one for one in comparisons if one.metric == "within_auc" and one.other == baseline}
    return [
        _compared(competitors, known),
        "The question: of two mashups of one vocal, does the scorer give the one with the song’s own backing a higher "
        "score than the one whose backing clashes in key or tempo? Chance is right in 50 of 100 cases.",
        _first(ranked, tests, baseline),
        *_against(tests, baseline),
        *_drawn(max(ranked, key=_auc)),
        "Not known: what listeners would say, because nobody listened; and how it is with music unlike these songs: "
        "the intervals contain only the differences between these songs.",
    ]


def _compared(competitors: Sequence[Entry], rows: Sequence[Row]) -> str:
    """Return how many scorers were compared, and on how many mashups, songs and artists."""
    plans = {row.facts.get("plan", row.input) for row in rows}
    vocals = {row.facts["vocal"] for row in rows if "vocal" in row.facts}
    said = f"Compared: {_counted(len(competitors), 'scorer')} on {_counted(len(plans), 'mashup')} of "
    said += f"{_counted(len(vocals), 'vocal')}, of"
    recordings = {row.facts["song"]: row.facts.get("recording") for row in rows}
    if all(name == "" for name in recordings.values()):
        return f"{said} {_counted(len(recordings), 'song')} made by a program, so of no artist."
    # Results of earlier versions do not name recordings; some songs are named by their artist and title.
    names = {song: song if name is None else name for song, name in recordings.items()}
    artists = {folded(name.rpartition(" - ")[0]) for name in names.values()}
    if "" in artists:
        return f"{said} {_counted(len(recordings), 'song')}, of which the result does not name all artists."
    return f"{said} {_counted(len(recordings), 'song')} of {_counted(len(artists), 'artist')}."


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _first(ranked: Sequence[Entry], tests: Mapping[str, Comparison], baseline: str) -> str:
    """Return who is first, and by how much before the baseline; several if they look equal."""
    shown = {one.label: f"{one.metrics['within_auc']:.1f}" for one in ranked}
    best = max(ranked, key=_auc)
    first = [label for label, value in shown.items() if value == shown[best.label]]
    said = f"First {'is' if len(first) == 1 else 'are'} {', '.join(first)}: right in {shown[best.label]} of 100 cases"
    ends = best.intervals.get("within_auc")
    if ends is not None and len(first) == 1:
        said += f" (95 % interval {ends[0]:.0f} to {ends[1]:.0f})"
    test = tests.get(best.label)
    if baseline in first or test is None:
        return f"{said}."
    said += f", {test.difference:.1f} more than {baseline}"
    if test.low is not None and test.high is not None and len(first) == 1:
        said += f" ({_signed(test.low)} to {_signed(test.high)})"
    return f"{said}."


def _auc(one: Entry) -> float:
    return one.metrics["within_auc"] or 0.0


def _signed(value: float) -> str:
    return f"{value:.0f}".replace("-", MINUS)


def _against(tests: Mapping[str, Comparison], baseline: str) -> list[str]:
    """Return who differs from the baseline beyond doubt, and how many songs that is from."""
    if not tests:
        return []
    sure = {sign: [label for label, one in tests.items() if one.p_holm is not None and one.p_holm < SIGNIFICANT
                   and one.difference * sign > 0] for sign in (1, -1)}  # fmt: skip
    songs = max(one.songs or 0 for one in tests.values())
    parts = [f"{word} than {baseline}: {', '.join(labels)}" for word, labels in
             (("better", sure[1]), ("worse", sure[-1])) if labels]  # fmt: skip
    # There may be more songs in all: a song without a mashup that clashes says nothing of this question.
    by = f"by the {_counted(songs, 'song')} that {'has' if songs == 1 else 'have'} both kinds of mashups"
    counted = f"{_counted(len(tests), 'comparison')} with {baseline}, {by}"
    if parts:
        return [f"Of {counted}, these differ beyond chance (Holm’s correction, {SIGNIFICANT:g}): {'; '.join(parts)}."]
    # Wilcoxon's test of n songs cannot give less than 2 / 2ⁿ.
    least = len(tests) * 2.0 ** (1 - songs)
    why = " So few songs could not show any, however large." if least > SIGNIFICANT else ""
    return [f"Of {counted}, none is beyond chance after Holm’s correction at {SIGNIFICANT:g}.{why}"]


def _drawn(best: Entry) -> list[str]:
    """Return how much the figure of the best depends on which plans were drawn."""
    values = best.draws.get("within_auc")
    if not values:
        return []
    ends = dict.fromkeys(f"{value:.1f}" for value in (min(values), max(values)))
    right = " to ".join(ends)
    return [f"In {len(values)} draws of the mashups, each alone, {best.label} is right in {right} of 100."]
