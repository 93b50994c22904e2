"""Does the analysis of listening tests find what is there, and only that? Simulated studies of the paper's designs.

``python benchmarks/listening_simulation.py [--studies N] [--jobs N] [--write]``. Every study goes through
`mashkit.listen.analysis.findings`, as a real one does: exclusions, medians, tests. In the null all systems are equal,
so that each significant comparison is a false positive. Other null scenarios have what a test may leave out of account.
Prints a table, and with --write keeps it as benchmarks/results/listening_simulation.json and .md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that counts processors is imported

import attrs
from script import RESULTS, run_script, write_results

from mashkit.cli.actions import positive
from mashkit.listen.analysis import TESTS, Finding
from mashkit.listen.data import Answered
from mashkit.listen.power import ALPHA, Rate, planted, rates, studies
from mashkit.listen.simulate import PAPER_SYSTEMS, TASKS, World, design, simulate
from mashkit.rendering.output import environment

FEWEST = 25
"""Fewest studies of each design in the null; with fewer, some scenarios and screenings had one study or none."""
CHUNK = 20
"""Studies that a process simulates at a time."""
SCREENINGS: Mapping[str, tuple[tuple[int, int, float | None], ...]] = {
    "retrieval": ((1, 1, None), (2, 1, None), (3, 1, None), (3, 2, None), (3, 3, None)),
    "preference": (
        (3, 2, None),
        (3, 1, 1.0),
        (4, 2, 1.5),
        (5, 0, 1.25),
        *((5, 2, most) for most in (1.25, 1.75, 2.25)),
    ),
}
"""Task → controls and repeated pages that a rater sees, and how many controls may be missed."""
LOW, HIGH = 0.03, 0.07
"""Rates of false positives that are in order."""


@attrs.frozen
class Scenario:
    """What is simulated: the world, the designs, and which share of all studies."""

    title: str
    world: World
    tasks: tuple[str, ...] = TASKS
    share: float = 1.0
    songs: int | None = None
    points: float = 0.0

    @property
    def is_null(self) -> bool:
        """Whether all systems are equal."""
        return self.points == 0


SCENARIOS = {
    "null": Scenario("All systems equal", World()),
    "taste": Scenario(
        "All systems equal on average, but each rater likes some better (spread 0.3 points)",
        World(taste=0.3), share=0.2,
    ),
    "songs": Scenario(
        "All systems equal, but each top and each bottom takes its vocals from 6 songs only",
        World(), ("generation",), 0.2, songs=6,
    ),
    "half": Scenario("The reference is 0.5 points better than each other system", World(), share=0.08, points=0.5),
    "one": Scenario("The reference is 1 point better than each other system", World(), share=0.08, points=1.0),
}  # fmt: skip


def chunk(name: str, task: str, seed: int, count: int) -> tuple[str, str, list[Rate], Counter[str], float]:
    """Simulate some studies and return the rates, counts of raters who were left out, and CPU seconds."""
    started = time.process_time()
    scenario = SCENARIOS[name]
    best = PAPER_SYSTEMS[0]
    world = attrs.evolve(
        scenario.world, effects=planted(design(task), scenario.points, best) if scenario.points else {}
    )
    raters: Counter[str] = Counter()

    def watched() -> Iterator[Answered]:
        for data in studies(lambda number: design(task, songs=scenario.songs, seed=number), world, count, seed=seed):
            tally(data, raters)
            yield data

    def counts(data: Answered, one: Finding) -> bool:
        return scenario.is_null or best in (one.one, one.other) or one.test == "friedman"

    return (
        name,
        task,
        rates(watched(), counts=counts, reported=not scenario.is_null),
        raters,
        time.process_time() - started,
    )


def tally(data: Answered, raters: Counter[str]) -> None:
    """Count the raters of a study, by whether they answer at random, those left out, and the rules that they broke."""
    random = set(data.simulation["answer_at_random"])
    for rater in {one.rater for one in data.answers}:
        kind = "random" if rater in random else "attentive"
        rules = data.exclusions.get(rater, {})
        raters.update([kind, *(f"{kind} {rule}" for rule in rules)])
        raters[f"{kind} left out"] += bool(rules)


def screened(task: str, count: int) -> list[dict[str, Any]]:
    """Return whom the rules leave out, by how many controls and repeated pages a rater sees, and may miss."""
    rows = []
    for controls, repeats, missed in SCREENINGS[task]:
        raters: Counter[str] = Counter()
        for seed in range(count):
            study = design(task, seed=seed)
            protocol = attrs.evolve(study.protocol, negatives_per_rater=controls, repeats_per_rater=repeats)
            rules = attrs.evolve(study.rules, most_missed=missed)
            study = attrs.evolve(study, protocol=protocol, rules=rules)
            tally(simulate(study, World(leaving=0.0), seed=seed), raters)
        rows.append({"task": task, "controls": controls, "repeats": repeats, "most_missed": missed, **raters})
    return rows


def chunks(count: int) -> list[tuple[str, str, int, int]]:
    """Return the arguments of :func:`chunk` that make up all scenarios, ``count`` studies of each task in the null."""
    todo = []
    for name, scenario in SCENARIOS.items():
        whole = round(count * scenario.share)
        todo += [
            (name, task, 1_000 + first, min(CHUNK, whole - first))
            for task in scenario.tasks
            for first in range(0, whole, CHUNK)
        ]
    return todo


def measured(count: int, jobs: int) -> dict[str, Any]:
    """Simulate all scenarios and return the figures."""
    todo = chunks(count)
    made = []
    with ProcessPoolExecutor(jobs) as pool:
        for one in pool.map(chunk, *zip(*todo, strict=True)):
            made.append(one)
            print(f"{len(made)}/{len(todo)} {one[0]} {one[1]}", file=sys.stderr, flush=True)
    return gathered(made) | {"screening": [row for task in SCREENINGS for row in screened(task, count // 5)]}


def gathered(made: Iterable[tuple[str, str, list[Rate], Counter[str], float]]) -> dict[str, Any]:
    """Add up the results of :func:`chunk`."""
    found: dict[tuple[str, str, str], Rate] = {}
    raters: dict[str, Counter[str]] = {}
    cpu_s = 0.0
    for name, task, some, left_out, spent in made:
        for one in some:
            key = (name, task, one.test)
            old = found.get(key, Rate(one.test, 0, 0, 0))
            found[key] = Rate(
                one.test, old.found + one.found, old.of + one.of, old.studies + one.studies, old.without + one.without
            )
        if name == "null":
            raters.setdefault(task, Counter()).update(left_out)
        cpu_s += spent
    return {
        "simulated": True,
        "cpu_s": cpu_s,
        "alpha": ALPHA,
        "rates": [
            {
                "scenario": name, "task": task, "test": test, "whose": TESTS[test].whose, "significant": one.found,
                "comparisons": one.of, "without_p": one.without, "studies": one.studies, "share": one.share,
                "low": one.interval.low, "high": one.interval.high,
            }
            for (name, task, test), one in found.items()
        ],
        "raters": {task: dict(counts) for task, counts in raters.items()},
        "worlds": {name: attrs.asdict(scenario.world) for name, scenario in SCENARIOS.items()},
        "environment": environment(),
    }  # fmt: skip


def table(result: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# Does the analysis of listening tests find what is there, and only that?",
        "",
        f"Made by `python benchmarks/listening_simulation.py --write`, {result['cpu_s'] / 60:.0f} CPU minutes. **All "
        "ratings are simulated.** Each study has the paper's design and number of raters; 8 % of the raters answer at "
        "random, 10 % leave before the end, and the study's rules decide who is left out. Question: overall. The "
        "intervals are 95 %, and take a study, not a comparison, as an observation.",
    ]
    for name, scenario in SCENARIOS.items():
        rows = [row for row in result["rates"] if row["scenario"] == name]
        if not rows:
            continue
        said = "false positives" if scenario.is_null else "found"
        order = list(TESTS)
        also = (
            "p < .05" if scenario.is_null
            else "p < .05 as the report judges: ours corrected by Holm over all questions, the paper's not"
        )  # fmt: skip
        if any(row["test"] == "post-hoc" for row in rows):
            also += "; of Conover's test, share of studies with any such pair"
        without = sum(row["without_p"] for row in rows)
        told = f" {without} of them had no p and count as not found." if without else ""
        lines += [
            "", f"## {scenario.title}", "",
            f"Share of comparisons with {also}.{told}", "",
        ]  # fmt: skip
        lines += [
            f"| task | test | whose | studies | {said} | interval |" + (" 3 to 7 % |" if scenario.is_null else "")
        ]
        lines += ["|---|---|---|---|---|---|" + ("---|" if scenario.is_null else "")]
        for row in sorted(rows, key=lambda row: (TASKS.index(row["task"]), order.index(row["test"]))):
            cells = [
                row["task"], TESTS[row["test"]].title, row["whose"], f"{row['studies']}", f"{100 * row['share']:.1f} %",
                f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
            ]  # fmt: skip
            if scenario.is_null:
                cells.append(_judged(row))
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Whom the rules leave out (all systems equal)", ""]
    lines += ["| task | raters | of | left out | by rule (a rater may break several) |", "|---|---|---|---|---|"]
    for task, counts in result["raters"].items():
        for kind in ("attentive", "random"):
            of = counts.get(kind, 0)
            rules = {
                key.partition(" ")[2]: value / of for key, value in counts.items()
                if key.startswith(f"{kind} ") and key != f"{kind} left out"
            }  # fmt: skip
            told = ", ".join(f"{rule} {100 * value:.1f} %" for rule, value in sorted(rules.items()))
            lines.append(f"| {task} | {kind} | {of} | {100 * counts[f'{kind} left out'] / of:.1f} % | {told} |")
    lines += [
        "",
        "## How many controls and repeated pages a rater should see",
        "",
        "Nobody leaves early. An original is 1.8 points better than an unmatched control. Pages of results are "
        "repeated, or pages of controls where a rater may miss some.",
        "",
        "| task | controls | repeated pages | may be missed | attentive raters left out | raters who answer at random "
        "left out |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["screening"]:
        shares = [f"{100 * row[f'{kind} left out'] / row[kind]:.1f} %" for kind in ("attentive", "random")]
        missed = "–" if row["most_missed"] is None else f"{row['most_missed']:g}"
        lines.append(f"| {row['task']} | {row['controls']} | {row['repeats']} | {missed} | {' | '.join(shares)} |")
    return "\n".join([*lines, ""])


def _judged(row: Mapping[str, Any]) -> str:
    """Return whether a rate is in order; it is unsure where its interval reaches into the range that is in order."""
    if LOW <= row["share"] <= HIGH:
        return "yes"
    if row["low"] <= HIGH and row["high"] >= LOW:
        return "unsure"
    return "**too few**" if row["share"] < LOW else "**too many**"


def main() -> None:
    """Simulate, print, and keep on demand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--studies", type=positive, default=500,
        help=f"of each design in the null, {FEWEST} or more; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--jobs", type=positive, default=2, help="processes; default: %(default)s")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results")
    arguments = parser.parse_args()
    if arguments.studies < FEWEST:
        parser.error(f"--studies is {arguments.studies}: give {FEWEST} or more")
    result = measured(arguments.studies, arguments.jobs)
    print(table(result))
    if arguments.write:
        write_results(RESULTS / "listening_simulation.json", result, table(result), indent=1)


if __name__ == "__main__":
    run_script(main)
