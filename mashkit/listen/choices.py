"""Preferences from the answers of a listening test: which of a page's two mashups each rater liked better."""

from __future__ import annotations

from mashkit.listen.data import Answered, ListeningDataError
from mashkit.listen.records import OVERALL, PREFERRED
from mashkit.preferences import LISTEN, Preference
from mashkit.types import MashupPlan


def preferences(data: Answered) -> list[Preference]:
    """Return the preferences that a listening test found, in an order that does not depend on that of the answers.

    A page of results gives one for each rater: of the two mashups, that with the higher rating ("overall"; the strength
    is the difference in steps), or that which was preferred (strength 1). Ties give none, nor do controls, repeated
    pages, raters who are left out, and samples without a plan.

    Raises
    ------
    ListeningDataError
        If the study holds no plans.
    """
    study = data.study
    if not study.plans:
        raise ListeningDataError(
            "the study holds no plans of its mashups, so no preferences can be exported",
            "studies of sounds of your own have none; a study frozen by an older mashkit has to be made anew: "
            "mashkit listen new",
        )
    plans = {name: MashupPlan.from_dict(plan) for name, plan in study.plans.items()}
    results = {page.id: page for page in study.results}
    given: dict[tuple[str, str], dict[str, int]] = {}
    for one in data.answers:
        if one.page in results and one.question in (OVERALL, PREFERRED) and not data.exclusions.get(one.rater):
            given.setdefault((one.rater, one.page), {})[one.sample] = one.value
    found = []
    for (rater, page), values in sorted(given.items()):
        samples = [study.sample[name] for name in results[page].samples]
        if len(values) < len(samples) or any(one.plan not in plans for one in samples):
            continue
        worse, better = sorted(samples, key=lambda one: values[one.id])
        strength = values[better.id] - values[worse.id]
        if strength and better.plan != worse.plan:
            found.append(
                Preference(
                    better=plans[better.plan], worse=plans[worse.plan], strength=float(strength), source=LISTEN,
                    # Two studies may name their raters alike, and are not answered by the same people.
                    rater=f"{study.hash[:8]}-{rater}", song=better.song, worse_song=worse.song,
                    simulated=data.simulated,
                )
            )  # fmt: skip
    return found
