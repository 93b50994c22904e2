"""From answers to tables: the long table, simulated raters, the report, the export, and their commands."""

from __future__ import annotations

import collections
import csv
import importlib.util
import itertools
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest

import studies
from mashkit.cli import main
from mashkit.errors import UsageError
from mashkit.listen.analysis import TESTS, Finding, Results, analyse, findings
from mashkit.listen.answers import Store
from mashkit.listen.data import Answered, ListeningDataError, read_answered, read_data, write_data
from mashkit.listen.export import write_export
from mashkit.listen.figures import SIMULATED, WIDTH, figure4
from mashkit.listen.mos import Score, opinion_scores
from mashkit.listen.power import planted, power, rates
from mashkit.listen.power import studies as simulated_studies
from mashkit.listen.records import HEARD, PREFERRED, QUESTIONS, Answer, Page, PageKind, Sample
from mashkit.listen.report import require_replaceable_report, write_report
from mashkit.listen.simulate import TASKS, World, design, parse_effects, simulate
from mashkit.listen.study import CHECK, Rules, Study
from mashkit.listen.table import CODEBOOK, clips, comparisons, kept, long_table, ratings
from mashkit.listen.tables import level, tables
from mashkit.pages.exports import safe

HOSTILE = '<img src=x onerror="alert(1)">'


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as leaving:  # argparse
        return int(leaving.code or 0)


def sample(name: str, system: str, vocal: str, **more: Any) -> Sample:
    return Sample(id=name, system=system, vocal=vocal, song=f"song of {vocal}", **more)


def rated(rater: str, page: str, values: dict[str, int], **more: Any) -> list[Answer]:
    """Answers to the question "overall" of a page, sample → value."""
    return [Answer(rater=rater, page=page, sample=name, question="overall", value=value, **more)
            for name, value in values.items()]  # fmt: skip


@pytest.fixture
def small() -> Study:
    """Two systems, each with a top and a bottom mashup; a control, a repeated page and a page to practise with."""
    samples = [
        sample("a1", "amu", "v1", group="top", rank=1), sample("a2", "amu", "v2", group="bottom", rank=9),
        sample("p1", "premixnet", "v1", group="top", rank=1), sample("p2", "premixnet", "v3", group="bottom", rank=9),
        *(sample(f"o{number}", "original", f"v{number}") for number in (1, 2, 3)), sample("u", "unmatched", "v3"),
    ]  # fmt: skip
    shown = {"A1": ("a1", "o1"), "A2": ("a2", "o2"), "P1": ("o1", "p1"), "P2": ("p2", "o3"), "U": ("u", "o3")}
    pages = [
        *(Page(id=name, kind=PageKind.RATING, samples=names) for name, names in shown.items()),
        Page(id="T", kind=PageKind.TRAINING, samples=("a1", "o1")),
        Page(id="A1 again", kind=PageKind.RATING, samples=("a1", "o1"), repeats="A1"),
    ]
    rules = Rules(fewest_pages=None, fewest_seconds=None)
    return Study(task="generation", rules=rules, samples=samples, pages=pages)


def answers(small: Study) -> list[Answer]:
    found = []
    for rater, a1, o1 in (("r1", 2, 5), ("r2", 4, 4), ("r3", 3, 3)):
        found += rated(rater, "A1", {"a1": a1, "o1": o1}, seconds=60.0, position=1)
        found.append(Answer(rater=rater, page="A1", question=HEARD, value=int(rater == "r2"), seconds=60.0))
    found += rated("r1", "P1", {"p1": 5, "o1": 1}) + rated("r1", "A2", {"a2": 2, "o2": 5})
    found += rated("r1", "T", {"a1": 1, "o1": 1}) + rated("r1", "A1 again", {"a1": 1, "o1": 5})
    found += rated("r1", "U", {"u": 1, "o3": 5})
    return found


# ------------------------------------------------------------------------------------------------------ the long table
def test_the_long_table_has_one_row_for_each_rating_and_says_what_is_no_result(small: Study) -> None:
    table = long_table(Answered(study=small, answers=answers(small)))
    assert list(table) == list(CODEBOOK)
    assert len(table) == len([one for one in answers(small) if one.sample])
    assert dict(zip(table["page"], table["excluded"], strict=True)) == {
        "A1": "", "P1": "", "A2": "", "T": "not a result", "A1 again": "repeat", "U": "control",
    }  # fmt: skip
    row = table[(table["page"] == "A1") & (table["rater"] == "r2") & (table["sample"] == "o1")].iloc[0]
    assert (row["group"], row["beside"], row["heard"], row["place"]) == ("top", "amu", 1, 1)


def test_the_rule_that_leaves_out_a_rater_stands_in_each_of_their_rows(small: Study) -> None:
    strict = attrs.evolve(small, rules=Rules(fewest_pages=2, fewest_seconds=None))
    data = Answered(study=strict, answers=answers(small))
    assert {rater: list(rules) for rater, rules in data.exclusions.items()} == {
        "r2": ["incomplete"],
        "r3": ["incomplete"],
    }
    table = long_table(data)
    assert set(table[table["excluded"] == "incomplete"]["rater"]) == {"r2", "r3"}
    assert set(kept(table)["rater"]) == {"r1"}


def test_a_clip_has_the_median_of_its_raters_and_a_system_their_mean(small: Study) -> None:
    table = clips(ratings(long_table(Answered(study=small, answers=answers(small)))))
    found = {(row.system, row.group, row.sample): row.overall for row in table.itertuples()}
    assert found[("amu", "top", "a1")] == 3
    # The original is judged on two pages of tops: 5, 4, 3 beside a1 and 1 beside p1.
    assert found[("original", "top", "o1")] == 3.5
    assert found[("original", "bottom", "o2")] == 5
    scores = {(one.system, one.group): one for one in opinion_scores(table, ["amu", "premixnet"])}
    assert scores["amu", "bottom"].mean == 2
    assert next(iter(scores)) == ("original", "top")


def test_a_preference_page_is_one_comparison(small: Study) -> None:
    pages = [Page(id="P", kind=PageKind.PREFERENCE, samples=("p1", "a1"))]
    study = attrs.evolve(small, task="preference", pages=pages)
    given = [
        Answer(rater=rater, page="P", sample=name, question=PREFERRED, value=value)
        for rater, values in (("x", (1, 0)), ("y", (0, 1)), ("z", (0, 0)))
        for name, value in zip(("p1", "a1"), values, strict=True)
    ]
    found = comparisons(long_table(Answered(study=study, answers=given)))
    assert found[["one", "other"]].drop_duplicates().to_numpy().tolist() == [["premixnet", "amu"]]
    assert found["won"].tolist() == [1.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"page": "nowhere"}, "of a page or sample that the study does not have"),
        ({"sample": "p2"}, "of a page or sample that the study does not have"),
        ({"value": 6}, "is 6 .it must be from 1 to 5"),
        ({"question": HEARD, "value": 2}, "is 2 .it must be from 0 to 1"),
        ({"value": 3.5}, "is 3.5 .it must be a whole number"),
        ({"value": 3.0}, "is 3.0 .it must be a whole number"),
        ({"value": None}, "is None .it must be a whole number"),
        ({"value": True}, "is True .it must be a whole number"),
        ({"value": "3"}, "is '3' .it must be a whole number"),
    ],
)
def test_an_answer_that_cannot_be_is_named(small: Study, changed: dict[str, Any], said: str) -> None:
    answer = attrs.evolve(answers(small)[0], **changed)
    with pytest.raises(ListeningDataError, match=f"the answer of rater 'r1'.*{said}"):
        Answered(study=small, answers=[answer])


def test_an_answer_given_twice_and_an_unknown_reference_are_refused(small: Study) -> None:
    with pytest.raises(ListeningDataError, match="is given twice"):
        Answered(study=small, answers=[*answers(small), answers(small)[0]])
    with pytest.raises(ListeningDataError, match=r"no system 'nobody' .use one of amu, premixnet"):
        Answered(study=small, answers=answers(small), reference="nobody")


# ----------------------------------------------------------------------------------------------------- simulated raters
@pytest.fixture(scope="module")
def planted_studies() -> dict[str, Answered]:
    """A study of each task, whose first system is one point better."""
    found = {}
    for task in TASKS:
        study = design(task, seed=5)
        found[task] = simulate(study, World(effects=planted(study, 1.0, "premixnet-lsro")), seed=6)
    return found


@pytest.fixture(scope="module")
def analysed(planted_studies: dict[str, Answered]) -> dict[str, Results]:
    """The results of these studies."""
    return {task: analyse(data) for task, data in planted_studies.items()}


@pytest.mark.parametrize("task", TASKS)
def test_the_paper_s_designs_have_its_numbers(task: str, planted_studies: dict[str, Answered]) -> None:
    data = planted_studies[task]
    pages = {"generation": 200, "retrieval": 90, "preference": 300}[task]
    assert len(data.study.results) == pages
    assert data.simulated
    assert data.task == task
    raters = {"generation": 28, "retrieval": 12, "preference": 28}[task]
    assert len({one.rater for one in data.answers}) <= raters == data.simulation["raters"]
    for_systems = [one for one in data.study.samples if one.system in data.systems]
    assert len(for_systems) == {"generation": 200, "retrieval": 150, "preference": 150}[task]


def test_agreement_is_about_that_of_the_paper(analysed: dict[str, Results]) -> None:
    found = analysed["retrieval"].subjects
    assert 0.7 < found["cronbach_questions"] < 0.9
    assert 0.1 < found["krippendorff_ordinal"]["overall"] < 0.7


def test_pairs_of_systems_without_a_p_have_none_in_the_report() -> None:
    data = simulate(design("retrieval", size=4, raters=6), World(leaving=0.0, inattentive=0.0), seed=3)
    value = dict(zip(data.systems, (3, 3, 2, 4, 1), strict=True))
    equal = [
        attrs.evolve(one, value=value[data.study.sample[one.sample].system])
        if one.sample and data.study.sample[one.sample].system in value and one.question in QUESTIONS else one
        for one in data.answers
    ]  # fmt: skip
    results = analyse(attrs.evolve(data, answers=equal, exclusions={}))
    found = {(one.one, one.other): one for one in results.findings if one.test == "post-hoc"}
    first, second, *_ = data.systems
    for pair, one in found.items():
        due = 1.0 if pair == (first, second) else None
        assert (one.p, one.p_holm) == (due, due)
    (shown,) = (one for one in tables(data, results) if one.name == "post-hoc")
    assert "every vocal has the same order" in shown.caption
    assert not any("nan" in cell or "0.001" in cell for row in shown.rows for cell in row)


def test_one_seed_gives_one_study() -> None:
    study = design("retrieval", size=4, raters=3, seed=1)
    assert simulate(study, World(), seed=2).answers == simulate(study, World(), seed=2).answers
    assert simulate(study, World(), seed=2).answers != simulate(study, World(), seed=3).answers
    assert design("retrieval", size=4, raters=3, seed=1).hash == study.hash


def test_pages_of_simulated_raters_who_are_left_out_go_to_later_ones() -> None:
    study = design("generation", systems=("a", "b"), size=10, raters=12, seed=1)
    data = simulate(study, World(leaving=0.6, inattentive=0.0), raters=60, seed=1)
    results = {page.id for page in study.results}
    ratings = {(one.page, one.rater) for one in data.answers if one.rater not in data.exclusions}
    kept = collections.Counter(page for page, _ in ratings if page in results)
    assert len(data.exclusions) > 20
    assert max(kept.values()) - min(kept[page] for page in results) <= 1


@pytest.mark.parametrize("task", TASKS)
def test_planted_effects_are_found_by_every_test(
    task: str, planted_studies: dict[str, Answered], analysed: dict[str, Results]
) -> None:
    data = planted_studies[task]
    compared: dict[str, list[Finding]] = {}
    for one in analysed[task].findings:
        if data.reference in (one.one, one.other) or one.test == "friedman":
            compared.setdefault(one.test, []).append(one)
    assert set(compared) <= set(TESTS)
    assert len(compared) == {"generation": 4, "retrieval": 5, "preference": 1}[task]
    for test, ones in compared.items():
        share = np.mean([one.p is not None and one.p < 0.05 for one in ones])
        assert share > 0.6, test
        assert all(one.difference is None or one.difference.value > 0 for one in ones), test
        assert all(one.effect is None or one.effect.value > 0 for one in ones), test


@pytest.mark.whole
def test_equal_systems_are_rarely_found_different() -> None:
    made = simulated_studies(lambda seed: design("generation", size=8, raters=9, seed=seed), World(), 25, seed=1)
    for one in rates(made):
        assert one.share < 0.15, one.test


@pytest.mark.parametrize("task", TASKS)
def test_holm_covers_all_comparisons_of_each_test_and_no_other(task: str, analysed: dict[str, Results]) -> None:
    from statsmodels.stats.multitest import multipletests

    by_test: dict[str, list[Finding]] = {}
    for one in analysed[task].findings:
        by_test.setdefault(one.test, []).append(one)
    for test, ones in by_test.items():
        assert [one.p_holm for one in ones] == pytest.approx(multipletests([one.p for one in ones], method="holm")[1])
        paper = TESTS[test].whose == "paper"
        assert [one.p_reported for one in ones] == [one.p if paper else one.p_holm for one in ones]
    assert len(by_test.get("post-hoc", [])) in (0, 5 * 10)


def test_power_judges_as_the_report_does() -> None:
    """The rates are those of the p-values that the report prints, which are corrected over all five questions."""
    made = lambda seed: design("retrieval", systems=("a", "b", "c"), size=10, raters=6, seed=seed)  # noqa: E731
    found = {one.test: one for one in power(made, [1.0], world=World(), count=8, raters=6)[1.0]}
    world = World(effects=planted(made(0), 1.0, "a"))
    counted: dict[str, list[bool]] = {}
    for data in simulated_studies(made, world, 8, raters=6):
        pairs = []
        for one in analyse(data).findings:
            if one.question != "overall" or not ("a" in (one.one, one.other) or one.test == "friedman"):
                continue
            p = one.p if TESTS[one.test].whose == "paper" else one.p_holm
            (pairs if one.test == "post-hoc" else counted.setdefault(one.test, [])).append(p is not None and p < 0.05)
        counted.setdefault("post-hoc", []).append(any(pairs))
    assert {test: (one.found, one.of) for test, one in found.items()} == {
        test: (sum(ones), len(ones)) for test, ones in counted.items()
    }
    # So a test of ours finds less than it would with one question alone.
    ours = found["systems-clustered"]
    alone = sum(
        one.p_holm is not None and one.p_holm < 0.05
        for data in simulated_studies(made, world, 8, raters=6)
        for one in findings(data, long_table(data), questions=("overall",), effects=False)
        if one.test == "systems-clustered"
    )
    assert ours.found < alone


def test_power_compares_with_the_reference_that_is_named() -> None:
    made = lambda seed: design("retrieval", systems=("a", "b", "c"), size=10, raters=9, seed=seed)  # noqa: E731
    found = {one.test: one for one in power(made, [2.0], world=World(), count=4, raters=9, reference="c")[2.0]}
    assert found["systems-clustered"].of == 4 * 2
    assert found["systems-clustered"].share > 0.6
    with pytest.raises(UsageError, match=r"--reference typo: the study has no such system .*known: a, b, c"):
        power(made, [2.0], world=World(), count=4, reference="typo")


def test_power_of_preferences_does_not_fall_with_the_effect() -> None:
    """Where the reference always wins, no finite strength fits; these studies count, and find the effect."""
    made = lambda seed: design("preference", size=6, raters=6, seed=seed)  # noqa: E731
    small, large = (rates[0] for rates in power(made, [1.0, 4.0], world=World(), count=5, raters=6).values())
    assert small.of == large.of == 5 * 4
    assert (small.without, large.without) == (0, 0)
    assert small.share < 0.8 < large.share


def test_comparisons_without_a_p_count_as_not_found() -> None:
    made = lambda seed: design("retrieval", systems=("a", "b"), size=6, raters=6, seed=seed)  # noqa: E731
    found = {one.test: one for one in power(made, [1.0], world=World(), count=3, raters=6)[1.0]}
    # Friedman's test needs three systems.
    assert (found["friedman"].found, found["friedman"].of, found["friedman"].without) == (0, 3, 3)
    assert (found["post-hoc"].of, found["post-hoc"].without) == (3, 3)


def test_a_study_of_which_all_raters_are_left_out_counts_as_not_found() -> None:
    data = simulate(design("retrieval", size=6, raters=6), World(), raters=6)
    empty = attrs.evolve(data, exclusions={one.rater: {"same": ""} for one in data.answers})
    alone, both = (rates(iter(made), reported=True) for made in ([data], [data, empty]))
    for one, two in zip(alone, both, strict=True):
        assert (two.found, two.of, two.without) == (one.found, 2 * one.of, one.without + one.of)
    with pytest.raises(UsageError, match="no answer is left in any simulated study"):
        rates(iter([empty]), reported=True)


def preferring(won: str) -> Answered:
    """Return a study of three systems whose raters prefer by the letters: 1 the first of a pair, 2 the other."""
    pairs = [("amu", "tiv"), ("amu", "vh2015"), ("tiv", "vh2015")]
    samples = [
        sample(f"{name}-{number}", name, f"v{number}") for number in range(4) for name in ("amu", "tiv", "vh2015")
    ]
    pages = [
        Page(id=f"{one}-{other}-{number}", kind=PageKind.PREFERENCE, samples=(f"{one}-{number}", f"{other}-{number}"))
        for number in range(4)
        for one, other in pairs
    ]
    study = Study(task="preference", rules=Rules(fewest_pages=None, fewest_seconds=None), samples=samples, pages=pages)
    given = [
        Answer(rater=f"r{rater}", page=page.id, sample=name, question=PREFERRED, value=int(letter == str(place)))
        for rater in range(3)
        for page, letter in zip(pages, itertools.cycle(won), strict=False)
        for place, name in enumerate(page.samples, 1)
    ]
    return Answered(study=study, answers=given)


def test_a_system_that_always_wins_has_a_row_with_p_in_the_report() -> None:
    data = preferring("112")  # amu always wins
    results = analyse(data)
    table = next(table for table in tables(data, results) if table.name == "bradley-terry")
    assert "always won or always lost" in table.caption
    assert [row[0] for row in table.rows] == ["amu − tiv", "amu − vh2015"]
    assert all(re.fullmatch(r"[\d.]+ \[[−\d.]+, [\d.]+\], p\s=\s0\.\d+", row[1]) for row in table.rows), table.rows
    finite = preferring("121212211")
    captions = [table.caption for table in tables(finite, analyse(finite))]
    assert not any("always won" in caption for caption in captions)


def test_n_of_a_preference_is_the_number_of_direct_comparisons() -> None:
    found = analyse(preferring("121212211")).findings
    assert [(one.other, one.count) for one in found] == [("tiv", (12, 12)), ("vh2015", (12, 12))]


def test_where_there_is_no_p_the_report_says_why(small: Study) -> None:
    data = Answered(study=attrs.evolve(small, task="retrieval"), answers=rated("r1", "A1", {"a1": 2, "o1": 5}))
    made = tables(data, analyse(data))
    assert not any(re.search(r"p\s=\s–", cell) for table in made for row in table.rows for cell in row)
    ungrouped = [attrs.evolve(one, group="") for one in small.samples]
    data = Answered(study=attrs.evolve(small, samples=ungrouped), answers=answers(small))
    made = tables(data, analyse(data))
    assert not any(re.search(r"p\s=\s–", cell) for table in made for row in table.rows for cell in row)
    friedman = next(table for table in made if table.name == "friedman")
    assert {cell for row in friedman.rows for cell in row[1:]} == {"–"}
    assert "fewer than three systems" in friedman.caption


def test_a_difference_that_all_raters_and_songs_agree_on_has_p_and_no_interval() -> None:
    data = simulate(design("retrieval", systems=("a", "b"), size=6, raters=6), World(leaving=0.0), seed=3)
    rating = {"a": 4, "b": 2}
    equal = [
        attrs.evolve(one, value=rating.get(data.study.sample[one.sample].system, 3))
        if one.sample and one.question in QUESTIONS else one
        for one in data.answers
    ]  # fmt: skip
    data = attrs.evolve(data, answers=equal, exclusions={})
    results = analyse(data)
    found = [one for one in results.findings if one.test == "systems-clustered"]
    assert len(found) == 5
    raters = sum({"a", "b"} <= set(rows["system"]) for _, rows in kept(results.table).groupby("rater"))
    for one in found:
        assert one.difference is not None
        assert (one.difference.value, one.difference.interval) == (2.0, None)
        assert one.p == 2 * 0.5 ** min(raters, 6)
        assert one.p_holm == min(1.0, 5 * one.p)  # it counts
    (shown,) = (one for one in tables(data, results) if one.name == "systems-clustered")
    assert "each rater alone, and each song alone, gives the same difference" in shown.caption
    assert all(re.fullmatch(r"2\.00, p\s=\s0\.\d+", cell) for cell in shown.rows[0][1:]), shown.rows
    (rate,) = (one for one in rates(iter([data])) if one.test == "systems-clustered")
    assert (rate.found, rate.of, rate.without) == (int(one.p < 0.05), 1, 0)


def test_where_no_rater_heard_both_sides_the_report_says_so(small: Study) -> None:
    given = rated("r1", "A1", {"a1": 2, "o1": 5}) + rated("r2", "A2", {"a2": 2, "o2": 5})
    data = Answered(study=small, answers=given)
    results = analyse(data)
    found = [one for one in results.findings if one.test == "groups-clustered"]
    assert {one.one: (one.p, one.difference) for one in found} == {"original": (None, None), "amu": (None, None)}
    (shown,) = (one for one in tables(data, results) if one.name == "groups-clustered")
    assert {cell for row in shown.rows for cell in row[1:]} == {"–"}
    assert "fewer than two raters rated both" in shown.caption


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("amu", "is no effect"),
        ("nobody=1", "no system is called 'nobody'"),
        ("amu:taste=1", "no question is called 'taste'"),
    ],
)
def test_an_effect_that_is_none_is_named(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"--effect {text}.*{said}"):
        parse_effects([text], ["amu"])


def test_effects_are_added_where_they_fit() -> None:
    world = World(effects=parse_effects(["amu=0.5", "amu/top=0.25", "amu:rhythm=-1"], ["amu"]))
    top = sample("a", "amu", "v", group="top")
    assert world.effect(top, "harmony") == 0.75
    assert world.effect(attrs.evolve(top, group="bottom"), "rhythm") == -0.5
    assert world.effect(attrs.evolve(top, system="original"), "rhythm") == world.original


@pytest.mark.parametrize("name", ["one:v2", "one/top", "rank(amu,0.5*tiv)", "a=b", "one:harmony"])
def test_an_effect_is_of_a_system_of_any_name(name: str) -> None:
    systems = ["one", name]
    effects = parse_effects([f"{name}=0.5", f"{name}/top:rhythm=-1", "one=0.25"], systems)
    assert effects == {(name, "", ""): 0.5, (name, "top", "rhythm"): -1.0, ("one", "", ""): 0.25}
    world = World(effects=effects)
    top = sample("a", name, "v", group="top")
    assert (world.effect(top, "rhythm"), world.effect(top, "harmony")) == (-0.5, 0.5)
    assert world.effect(attrs.evolve(top, system="one"), "rhythm") == 0.25
    told = simulate(design("retrieval", systems=systems, size=2, raters=3), world).simulation["effects"]
    assert told == {name: 0.5, f"{name}/top:rhythm": -1.0, "one": 0.25}


@pytest.mark.parametrize("task", TASKS)
def test_power_does_not_depend_on_the_names_of_systems(task: str) -> None:
    def found(*systems: str) -> dict[str, tuple[int, int]]:
        made = lambda seed: design(task, systems=systems, size=6, raters=6, seed=seed)  # noqa: E731
        rated = power(made, [2.0], world=World(), count=3, raters=6)[2.0]
        return {one.test: (one.found, one.of) for one in rated}

    plain = found("one", "two")
    assert sum(significant for significant, _ in plain.values()) > 0
    assert found("one:v2", "two") == found("one/top", "two/top") == plain


# ------------------------------------------------------------------------------------------------- report and export
@pytest.mark.parametrize("task", TASKS)
def test_a_report_is_self_contained_and_says_that_it_is_simulated(
    task: str, planted_studies: dict[str, Answered], analysed: dict[str, Results], tmp_path: Path
) -> None:
    data = planted_studies[task]
    paths = write_report(data, analysed[task], tmp_path)
    assert [path.name for path in paths] == ["report.html", "tables.tex", "figure4.svg"][
        : 2 if task == "preference" else 3
    ]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert SIMULATED in text
        assert data.study.hash in text or path.suffix == ".svg"
        assert set(re.findall(r"https?://[^\s\"<]+", text)) <= {"http://www.w3.org/2000/svg"}
    page = paths[0].read_text(encoding="utf-8")
    for test, about in TESTS.items():
        shown = f'{about.title} <span class="{about.whose}">' in page
        assert shown == (test in {one.test for one in analysed[task].findings})


def test_the_paper_s_cells_are_its_levels(planted_studies: dict[str, Answered], analysed: dict[str, Results]) -> None:
    assert [level(p) for p in (0.0009, 0.001, 0.0099, 0.01, 0.049, 0.05, None)] == [
        ".001", ".01", ".01", ".05", ".05", "×", "–",
    ]  # fmt: skip
    data = planted_studies["generation"]
    made = {table.name: table for table in tables(data, analysed["generation"])}
    assert list(made["systems-mann-whitney"].head) == ["", "overall", "harmony", "rhythm", "timbre", "innovation"]
    assert [row[0] for row in made["groups-mann-whitney"].rows] == ["original", *data.systems]
    assert {table.whose for table in made.values()} == {"paper", "ours"}


@pytest.mark.parametrize("length", [5, 26, 40, 60])
def test_the_legend_has_room_for_the_longest_name(length: int) -> None:
    names = [f"{number}" + "m" * (length - 1) for number in range(6)]
    scores = [Score(name, "", "overall", 3.0, None, 5) for name in names]
    drawn = figure4(scores, simulated=False)
    places = {name: (float(x), float(y)) for x, y, name in re.findall(r'<text x="(\d+)" y="(\d+)">(\dm+)<', drawn)}
    assert list(places) == names
    for x, y in places.values():
        ends = [other for other, row in places.values() if row == y and other > x] + [WIDTH + 17]
        assert min(ends) - 17 >= x + 6.5 * length  # 17: a square and its distance
    assert len({y for _, y in places.values()}) == {5: 2, 26: 2, 40: 3, 60: 6}[length]


def test_a_panel_of_a_generation_study_says_that_it_is_the_tops() -> None:
    scores = [Score("amu", group, "overall", 3.0, None, 5) for group in ("top", "bottom")]
    assert ">Mean opinion score, top<" in figure4(scores, simulated=False)
    assert ">Mean opinion score<" in figure4([Score("amu", "", "overall", 3.0, None, 5)], simulated=False)


def hostile(small: Study) -> Answered:
    """The answers of people to a study whose names do harm."""
    samples = [attrs.evolve(one, system=HOSTILE) if one.system == "amu" else one for one in small.samples]
    study = attrs.evolve(small, title=HOSTILE + "\n\\input{x}", samples=samples)
    given = [attrs.evolve(one, rater=f"=cmd|{one.rater}") for one in answers(small)]
    return Answered(study=study, answers=given)


def test_hostile_names_stay_text_and_real_answers_have_no_mark(small: Study, tmp_path: Path) -> None:
    data = hostile(small)
    results = analyse(data)
    for path in write_report(data, results, tmp_path):
        text = path.read_text(encoding="utf-8")
        assert "<img" not in text or path.suffix == ".tex"
        assert SIMULATED not in text
    latex = (tmp_path / "tables.tex").read_text(encoding="utf-8")
    assert latex.count("\n\\input") == 0
    labels = re.findall(r"\\label{tab:(.*?)}", latex)
    assert len(set(labels)) == len(labels) > 0
    assert all(label.startswith(f"{data.study.task}-{data.study.hash[:6]}:") for label in labels)
    badges = re.search(r"\.paper, \.ours {(.*?)}", (tmp_path / "report.html").read_text(encoding="utf-8"))
    assert badges is not None
    assert "white-space: nowrap" in badges[1]
    assert "<" not in re.sub(r"\$[<>]\$", "", latex.split("\n", 1)[1])
    assert SIMULATED not in figure4(results.scores, simulated=False)


def test_an_export_can_be_read_again_and_no_cell_is_a_formula(small: Study, tmp_path: Path) -> None:
    data = hostile(small)
    paths = write_export(data, long_table(data), tmp_path)
    assert [path.name for path in paths] == ["answers.csv", "codebook.csv", "exclusions.csv", "records.json"]
    with paths[0].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["study", "simulated", *CODEBOOK]
    assert {row["study"] for row in rows} == {data.study.hash}
    assert {row["simulated"] for row in rows} == {"0"}
    assert all(row["rater"].startswith("'=cmd|") for row in rows)
    assert rows[0]["heard"] in ("0", "1")
    with paths[1].open(encoding="utf-8", newline="") as file:
        assert {row["column"] for row in csv.DictReader(file)} == {"study", "simulated", *CODEBOOK}
    again = read_data(paths[3])
    assert again.answers == data.answers
    assert again.study.hash == data.study.hash
    assert not again.simulated


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe(text) == f"'{text}"
    assert safe(-1) == -1
    assert safe("a=1") == "a=1"


def test_data_that_were_changed_are_refused(small: Study, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    write_data(Answered(study=small, answers=answers(small)), path)
    plain = json.loads(path.read_text())
    for change, said in (
        ({"kind": "other"}, "is not data of a listening test"),
        ({"hash": "0" * 64}, "does not have the hash that was written beside it"),
        ({"answers": [{"rater": "r"}]}, "a record does not fit"),
    ):
        path.write_text(json.dumps({**plain, **change}))
        with pytest.raises(ListeningDataError, match=said):
            read_data(path)
    path.write_text("{")
    with pytest.raises(UsageError, match="is not JSON"):
        read_data(path)


def test_without_answers_there_is_no_report(small: Study) -> None:
    data = Answered(study=small, answers=[])
    with pytest.raises(UsageError, match="no answer of the study is left"):
        analyse(data)


# ---------------------------------------------------------------------------------------------------------- commands
def answer_all(study: Study, folder: Path, raters: int) -> None:
    """Let raters answer a study through the server's own store."""
    store = Store(study, folder)
    for number in range(raters):
        with store.transaction():
            rater = store.join(f"link {number}")
            store.consent(rater, "en")
            while (state := store.state(rater))["stage"] == "pages":
                store.submit(rater, state["page"], studies.answered(study, state["page"]))
            assert state["stage"] == "done"
    store.close()


@pytest.mark.parametrize("asks", [PageKind.RATING, PageKind.PREFERENCE])
def test_a_served_study_becomes_a_report(asks: PageKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = studies.custom(tmp_path, asks=asks, protocol={"headphones": False, "level": False, "raters_per_page": 6})
    folder = tmp_path / "study"
    assert run("listen", "report", folder, "-o", tmp_path / "none") != 0
    assert "has no answers yet" in capsys.readouterr().err
    answer_all(study, folder, 4)
    data = read_answered(folder)
    assert len({one.rater for one in data.answers}) == 4
    assert data.systems == studies.SYSTEMS
    loose = attrs.evolve(data, exclusions={})  # who answers at random is left out by the rules
    write_data(loose, tmp_path / "loose.json")
    assert (
        run("listen", "report", tmp_path / "loose.json", "-o", tmp_path / "report", "--reference", studies.SYSTEMS[1])
        == 0
    )
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert f"compared with {studies.SYSTEMS[1]}" in page
    assert SIMULATED not in page
    capsys.readouterr()
    assert run("listen", "export", folder, "-o", tmp_path / "export", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["study"], told["simulated"]) == (study.hash, False)
    assert [Path(name).is_file() for name in told["files"]] == [True] * 4


def test_a_frozen_study_can_be_answered_by_simulated_raters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = studies.custom(tmp_path)
    effect = f"{studies.SYSTEMS[0]}=1"
    arguments = (
        "listen",
        "simulate",
        tmp_path / "study",
        "--raters",
        6,
        "--effect",
        effect,
        "-o",
        tmp_path / "made.json",
    )
    assert run(*arguments, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["simulated"] is True
    assert told["raters"] == 6
    data = read_data(tmp_path / "made.json")
    assert data.study.hash == study.hash
    assert data.simulation["effects"] == {studies.SYSTEMS[0]: 1.0}
    # The tones of the checks are no system, and the reference is the first one of the table.
    assert any(one.system == CHECK for one in study.samples)
    assert data.systems == studies.SYSTEMS
    assert data.reference == studies.SYSTEMS[0]


def test_files_of_a_person_are_not_replaced_by_answers_or_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, made = tmp_path / "data.json", tmp_path / "made"
    assert run("listen", "simulate", "--task", "generation", "--size", 2, "-o", data) == 0
    for command in ("export", "export", "report"):
        assert run("listen", command, data, "-o", made) == 0
    require_replaceable_report(made)  # an earlier report is replaced
    for path in made.iterdir():
        path.unlink()
    for command, name in (("export", "codebook.csv"), ("report", "tables.tex"), ("report", "figure4.svg")):
        (made / name).write_text("Dear diary")
        assert run("listen", command, data, "-o", made) == 1
        assert f"{name} exists already" in capsys.readouterr().err
        assert [(path.name, path.read_text()) for path in made.iterdir()] == [(name, "Dear diary")]
        (made / name).unlink()
    assert run("listen", "export", data, "--preferences", data) == 1
    assert "the command reads it" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(4))
def test_the_reference_is_the_studys_first_system_however_samples_are_drawn(seed: int, tmp_path: Path) -> None:
    study = studies.custom(tmp_path, frame={"seed": seed})
    data = Answered(study=study, answers=())
    assert (data.systems, data.reference) == (studies.SYSTEMS, studies.SYSTEMS[0])
    # Power is that of finding how much better the reference is.
    found = power(lambda _: study, [2.0], world=World(), count=2, raters=12)
    assert "systems-rank-sum" in {one.test for one in found[2.0]}


@pytest.mark.whole
def test_the_power_of_a_design_is_told_before_it_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "listen",
        "simulate",
        "--task",
        "retrieval",
        "--systems",
        "a,b,c",
        "--size",
        10,
        "--raters",
        6,
        "--power",
    )
    assert run(*arguments, "--points", "0,1.5", "--studies", 12, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    share = {(row["points"], row["test"]): row["found"] for row in told["rates"]}
    assert told["simulated"] is True
    for test in ("systems-rank-sum", "systems-clustered", "friedman"):
        assert share[0, test] < 0.3 < share[1.5, test]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("simulate",), "needs a study or --task"),
        (("simulate", "--task", "retrieval"), "nowhere to write"),
        (("simulate", "--task", "retrieval", "-o", "x", "--inattentive", "2"), "--inattentive 2"),
        (("simulate", "--task", "retrieval", "-o", "x", "--effect", "b"), "is no effect"),
        (("simulate", "--task", "retrieval", "-o", "x", "--systems", "a,a"), "2 systems, 1 of them different"),
        (("simulate", "--task", "retrieval", "--raters", "2", "-o", "x"), "2 raters, and 3 for each page"),
        (("simulate", "--task", "retrieval", "--power", "--points", "much"), "--points much"),
        (("simulate", "--task", "retrieval", "--power", "--points", "nan"), "--points nan"),
        (("simulate", "--task", "retrieval", "--power", "--points", "0.5,inf"), "--points 0.5,inf"),
        (("simulate", "--task", "retrieval", "--power", "--points", "5"), "--points 5"),
        (("simulate", "--task", "retrieval", "--power", "-o", "x"), "--power with --output"),
        (("simulate", "--task", "retrieval", "--power", "--effect", "amu=2"), "--power with --effect"),
        (("simulate", "--task", "retrieval", "-o", "x", "--points", "1"), "--points without --power"),
        (("simulate", "--task", "retrieval", "-o", "x", "--studies", "3"), "--studies without --power"),
        (("simulate", "--task", "retrieval", "--power", "--reference", "amuu"), "--reference amuu"),
        (("simulate", "--task", "retrieval", "-o", "x", "--reference", "amuu"), "did you mean 'amu'?"),
        (("report", "nowhere.json", "-o", "x"), "nowhere.json cannot be read"),
        (("report", "made.json", "-o", "x", "--reference", "amuu"), "--reference amuu: the study has no such system"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: Sequence[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_data(simulate(design("retrieval", size=2, raters=3), World(), raters=3), Path("made.json"))
    assert run("listen", *arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_power_without_the_extra_names_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "pandas" else found(name, *more)
    )
    monkeypatch.delitem(sys.modules, "mashkit.listen.power")
    monkeypatch.delitem(sys.modules, "mashkit.listen.analysis")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert run("listen", "simulate", "--task", "retrieval", "--power") == 2
    assert "pip install 'mashkit[listen]'" in capsys.readouterr().err


def test_the_long_table_has_no_missing_cells_but_heard(small: Study) -> None:
    table = long_table(Answered(study=small, answers=answers(small)))
    assert isinstance(table, pd.DataFrame)
    assert not table.drop(columns="heard").isna().any().any()
    assert set(table["question"]) <= set(QUESTIONS)
