"""The pages of a study: the paper's two designs, pairs of preferences, pages of one's own, and what surrounds them.

A design gets candidates and returns samples and pages; :mod:`mashkit.listen.freezing` makes the sounds. Until then the
``file`` of a sample is the key of its sound.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from mashkit.listen.records import BOTTOM, RESULTS, TOP, Page, PageKind, Sample
from mashkit.listen.study import ORIGINAL, UNMATCHED, StudyError


@attrs.frozen(kw_only=True)
class Candidate:
    """A mashup that may become a sample.

    Parameters
    ----------
    sound : str
        Key of its sound; two systems may choose the same.
    vocal, song : str
        The vocal's clip and its song.
    """

    sound: str
    vocal: str
    song: str


class Layout:
    """Samples and pages of a study while it is made.

    Parameters
    ----------
    chance : random.Random
        Draws ids, the order of pages, and the order of the samples of a page.
    """

    def __init__(self, chance: random.Random) -> None:
        self.samples: list[Sample] = []
        self.pages: list[Page] = []
        self.chance = chance
        self._ids: set[str] = set()
        self._anchors: dict[tuple[str, str, Candidate], str] = {}

    def identity(self) -> str:
        """Return a new id that tells nothing."""
        while (made := f"{self.chance.getrandbits(40):010x}") in self._ids:
            continue
        self._ids.add(made)
        return made

    def sample(self, candidate: Candidate, system: str, *, group: str = "", rank: int = 0) -> str:
        """Add a sample and return its id; a candidate without a rank is added only once for each system and group.

        So an original, or a control, is the same sample on all pages of its vocal.
        """
        if rank == 0 and (known := self._anchors.get((system, group, candidate))):
            return known
        made = Sample(
            id=self.identity(), system=system, group=group, rank=rank, vocal=candidate.vocal, song=candidate.song,
            file=candidate.sound,
        )  # fmt: skip
        self.samples.append(made)
        if rank == 0:
            self._anchors[system, group, candidate] = made.id
        return made.id

    def page(self, kind: PageKind, samples: Sequence[str], *, repeats: str = "") -> str:
        """Add a page and return its id; the samples of a page of results get a random order."""
        shown = list(samples)
        if kind not in (PageKind.HEADPHONES, PageKind.LEVEL) and not repeats:
            self.chance.shuffle(shown)
        made = Page(id=self.identity(), kind=kind, samples=shown, repeats=repeats)
        self.pages.append(made)
        return made.id

    def with_repeats(self) -> None:
        """Add, for each page of results or controls that has none yet, the page that shows it again."""
        known = {one.repeats for one in self.pages}
        for page in [one for one in self.pages if one.kind in RESULTS]:
            if not page.repeats and page.id not in known:
                self.page(page.kind, page.samples, repeats=page.id)


def generation(
    layout: Layout,
    rankings: Mapping[str, Sequence[Candidate]],
    originals: Mapping[str, Candidate],
    *,
    each: int,
) -> None:
    """Add the paper's design for generation: top and bottom of each system, each on a page with its original.

    Parameters
    ----------
    layout : Layout
    rankings : mapping of str to sequence of Candidate
        System → its candidates, best first.
    originals : mapping of str to Candidate
        Vocal → its original version.
    each : int
        Number of samples of each end; 20 in the paper, whose five systems so have 200 samples.

    Raises
    ------
    StudyError
        If a system has fewer than twice as many candidates.
    """
    for system, ranking in rankings.items():
        if len(ranking) < 2 * each:
            raise StudyError(
                f"{system} has {len(ranking)} candidates for a top {each} and a bottom {each}",
                f"draw {2 * each} or more (--count), or keep fewer (--each)",
            )
        ends = [(TOP, range(each)), (BOTTOM, range(len(ranking) - each, len(ranking)))]
        for group, places in ends:
            for place in places:
                candidate = ranking[place]
                chosen = layout.sample(candidate, system, group=group, rank=place + 1)
                layout.page(PageKind.RATING, [chosen, layout.sample(originals[candidate.vocal], ORIGINAL)])


def retrieval(
    layout: Layout,
    best: Mapping[str, Mapping[str, Candidate]],
    originals: Mapping[str, Candidate],
    controls: Mapping[str, Candidate],
) -> list[str]:
    """Add the paper's design for retrieval: the versions of each query in random pairs.

    Six versions of a query, the top 1 of five systems and the original, make three pairs by a random permutation. With
    an even number of systems a negative control completes the last pair (ours), but is not paired with the original.
    Systems may choose the same mashup. The permutation is then drawn again until no page has one mashup twice, or, if
    more than half of the versions are the same, until as few pages as possible (ours).

    Parameters
    ----------
    layout : Layout
    best : mapping of str to mapping of str to Candidate
        Query vocal → system → its first candidate.
    originals, controls : mapping of str to Candidate
        Vocal → its original version, and an unmatched one.

    Returns
    -------
    list of str
        A text for each page that has one mashup twice.
    """
    notes = []
    for vocal, chosen in best.items():
        versions = [layout.sample(one, system, rank=1) for system, one in chosen.items()]
        versions.append(layout.sample(originals[vocal], ORIGINAL))
        original = versions[-1]
        control = None
        if len(versions) % 2:
            control = layout.sample(controls[vocal], UNMATCHED)
            versions.append(control)
        choosers = dict(zip(versions, chosen, strict=False))  # the versions begin with the systems'
        counts = Counter(one.sound for one in chosen.values())
        # Each version of the most frequent mashup needs a page with another version.
        unavoidable = max(0, max(counts.values()) - len(versions) // 2)
        while True:
            layout.chance.shuffle(versions)
            pairs = [tuple(versions[first : first + 2]) for first in range(0, len(versions), 2)]
            # An original beside a control is a page that checks the rater, and no page of results.
            checks = any({original, control} == set(pair) for pair in pairs)
            twice = [names for pair in pairs if len(names := [choosers[one] for one in pair if one in choosers]) == 2
                     and chosen[names[0]].sound == chosen[names[1]].sound]  # fmt: skip
            if not checks and len(twice) == unavoidable:
                break
        notes += [f"vocal {vocal}: {' and '.join(names)} chose the same mashup, and a page has it twice"
                  for names in twice]  # fmt: skip
        for pair in pairs:
            layout.page(PageKind.RATING, pair)
    return notes


def preference(layout: Layout, best: Mapping[str, Mapping[str, Candidate]]) -> list[str]:
    """Add pairs for preferences (ours): for each query each pair of systems, if they chose different mashups.

    Returns
    -------
    list of str
        A text for each pair that was left out.
    """
    left_out = []
    for vocal, chosen in best.items():
        samples = {system: layout.sample(one, system, rank=1) for system, one in chosen.items()}
        for one, other in itertools.combinations(chosen, 2):
            if chosen[one].sound == chosen[other].sound:
                left_out.append(f"vocal {vocal}: {one} and {other} chose the same mashup")
            else:
                layout.page(PageKind.PREFERENCE, [samples[one], samples[other]])
    return left_out


def controls(
    layout: Layout, kind: PageKind, unmatched: Mapping[str, Candidate], originals: Mapping[str, Candidate]
) -> None:
    """Add pages of a kind, each with a negative control and the original of its vocal."""
    for vocal, candidate in unmatched.items():
        layout.page(kind, [layout.sample(candidate, UNMATCHED), layout.sample(originals[vocal], ORIGINAL)])
