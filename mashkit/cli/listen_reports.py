"""`mashkit listen simulate | export | report`: simulate or read answers, and make tables. The import must be fast."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mashkit.cli.actions import Run, positive, whole
from mashkit.cli.status import DONE
from mashkit.paths import path_text, without_links

if TYPE_CHECKING:
    from mashkit.listen.data import Answered
    from mashkit.listen.simulate import World
    from mashkit.listen.study import Study

POINTS = (0.25, 0.5, 0.75, 1.0)
"""Effects of `--power`, rating points."""
STUDIES = 100
"""Simulated studies of each effect."""
MOST_POINTS = 4.0
"""Largest effect, and largest spread: the length of the rating scale."""
REFERENCE = "system that every other system is compared with; default: the first"
NEEDED = ("pandas", "scikit_posthocs")
"""Packages of the extra ``listen`` that the analysis needs."""


def add_parsers(action: Callable[[str, str, Run], argparse.ArgumentParser]) -> None:
    """Add the actions to `mashkit listen`.

    Parameters
    ----------
    action : callable
        The function that :func:`mashkit.cli.actions.add_actions` returned for `listen`.
    """
    simulate = action("simulate", "Simulate the answers of raters, or the power of a design.", _simulate)
    simulate.add_argument("study", nargs="?", type=Path, help="folder of a study; not needed with --task")
    simulate.add_argument("-o", "--output", type=Path, metavar="FILE", help="JSON file for the study and its answers")
    simulate.add_argument(
        "--task", choices=("generation", "retrieval", "preference"), help="a design of the paper, or pairs"
    )
    simulate.add_argument("--systems", metavar="NAME,NAME", help="with --task; default: the paper's five")
    simulate.add_argument("--size", type=positive, metavar="N",
                          help="with --task: number of mashups at each end of a ranking, or of vocals")  # fmt: skip
    simulate.add_argument("--raters", type=positive, metavar="N", help="default: as many as the design needs")
    simulate.add_argument("--seed", type=whole, default=0, help="seed of all random choices; default: %(default)s")
    simulate.add_argument("--reference", metavar="SYSTEM", help=REFERENCE)
    people = simulate.add_argument_group("behaviour of simulated raters; POINTS are points of the rating scale")
    people.add_argument("--effect", action="append", default=[], metavar="SYSTEM[/top|/bottom][:QUESTION]=POINTS",
                        help="how much better this system is than the other systems; repeatable")  # fmt: skip
    people.add_argument("--taste", type=float, metavar="POINTS", help="standard deviation of raters' tastes")
    people.add_argument("--bias", type=float, metavar="POINTS", help="standard deviation of raters' mean ratings")
    people.add_argument("--noise", type=float, metavar="POINTS", help="standard deviation of a single rating")
    people.add_argument("--inattentive", type=float, metavar="SHARE", help="share of raters who answer at random")
    people.add_argument("--leaving", type=float, metavar="SHARE", help="share of raters who leave before the end")
    planning = simulate.add_argument_group("power of a design")
    planning.add_argument("--power", action="store_true", help="print how often simulated studies find an effect")
    planning.add_argument("--points", metavar="POINTS,POINTS",
                          help="effects: how much better the reference is; "
                               f"default: {','.join(f'{one:g}' for one in POINTS)}")  # fmt: skip
    planning.add_argument("--studies", type=positive, metavar="N", help=f"of each effect; default: {STUDIES}")

    for name, help_, run in (
        ("export", "Write the answers as CSV, with a description of the columns.", _export),
        ("report", "Write the paper's and our own tables and figure as a page and for LaTeX.", _report),
    ):
        made = action(name, help_, run)
        made.add_argument(
            "study", type=Path, help="folder of a study, or file that `listen simulate` or `listen export` wrote"
        )
        made.add_argument("-o", "--output", type=Path, required=name == "report", metavar="FOLDER")
        if name == "export":
            made.add_argument("--preferences", type=Path, metavar="FILE",
                              help="JSON lines file for the preferred mashup of each page")  # fmt: skip
        made.add_argument("--reference", metavar="SYSTEM", help=REFERENCE)


def _require_extra() -> None:
    from mashkit.errors import require_packages

    require_packages("the analysis needs", NEEDED, "pip install 'mashkit[listen]'")


def _require_outside(study: Path | None, *outputs: Path | None) -> None:
    """Raise OutputError if an output lies in the folder of the study that is read, because that never changes."""
    from mashkit.errors import OutputError

    if study is None or not study.is_dir():
        return
    for path in outputs:
        if path is not None and without_links(path).is_relative_to(without_links(study)):
            raise OutputError(
                f"cannot write {path_text(path)}: {path_text(study)} is a study, which is never changed",
                "name a place outside it",
            )


# ------------------------------------------------------------------------------------------------------ simulate
def _simulate(arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import printed
    from mashkit.cli.outputs import require_output
    from mashkit.errors import UsageError
    from mashkit.listen.data import KEYS, write_data
    from mashkit.listen.simulate import simulate
    from mashkit.products import Keys

    if (arguments.study is None) == (arguments.task is None):
        raise UsageError("listen simulate needs a study or --task, and not both", "see mashkit listen simulate --help")
    # --power plants its own effects and writes no file; the other options mean nothing without it.
    for option in ("output", "effect") if arguments.power else ("points", "studies"):
        if getattr(arguments, option):
            problem = f"--power with --{option}" if arguments.power else f"--{option} without --power"
            raise UsageError(problem, f"leave out --{option}, or {'leave out' if arguments.power else 'add'} --power")
    if arguments.power:
        return _power(arguments)
    if arguments.output is None:
        raise UsageError("listen simulate has nowhere to write", "give -o FILE, or --power")
    _require_outside(arguments.study, arguments.output)
    require_output(arguments.output, Keys(KEYS))
    study = _designs(arguments)(arguments.seed)
    data = simulate(study, _world(arguments, study), raters=arguments.raters, seed=arguments.seed,
                    reference=arguments.reference)  # fmt: skip
    write_data(data, arguments.output)
    facts = {
        "output": path_text(arguments.output),
        "simulated": True,
        "raters": data.simulation["raters"],
        "answers": len(data.answers),
        "excluded": len(data.exclusions),
    }
    if not printed(facts, arguments):
        print(
            f"SIMULATED: {facts['answers']} answers of {facts['raters']} raters; the study's rules exclude "
            f"{facts['excluded']} raters: {facts['output']}"
        )
    return DONE


def _designs(arguments: argparse.Namespace) -> Callable[[int], Study]:
    """Return the function from a seed to a design; with a study on disk, the design is the study for every seed."""
    from mashkit.arguments import parts_of
    from mashkit.errors import UsageError
    from mashkit.listen.simulate import PAPER_SYSTEMS, design
    from mashkit.listen.study import read

    if arguments.study is not None:
        for option in ("systems", "size"):
            if getattr(arguments, option) is not None:
                raise UsageError(f"--{option} with a study", f"leave out --{option}: the study contains it")
        study = read(arguments.study)
        return lambda seed: study
    systems = PAPER_SYSTEMS if arguments.systems is None else parts_of(arguments.systems)

    def made(seed: int) -> Study:
        return design(arguments.task, systems=systems, size=arguments.size, raters=arguments.raters, seed=seed)

    return made


def _world(arguments: argparse.Namespace, study: Study) -> World:
    from mashkit.errors import UsageError
    from mashkit.listen.simulate import World, parse_effects

    given: dict[str, Any] = {}
    for name in ("taste", "bias", "noise", "inattentive", "leaving"):
        value = getattr(arguments, name)
        if value is None:
            continue
        most = 1.0 if name in ("inattentive", "leaving") else MOST_POINTS
        if not 0 <= value <= most:
            raise UsageError(f"--{name} {value:g}", f"give 0 to {most:g}")
        given[name] = value
    systems = list(dict.fromkeys(one.system for one in study.samples))
    return World(effects=parse_effects(arguments.effect, systems), **given)


def _power(arguments: argparse.Namespace) -> int:
    from mashkit.cli.console import print_table, printed

    _require_extra()
    from mashkit.listen.analysis import TESTS
    from mashkit.listen.power import power

    points = _points(arguments.points)
    count = arguments.studies or STUDIES
    made = _designs(arguments)
    found = power(made, points, world=_world(arguments, made(arguments.seed)), count=count,
                  seed=arguments.seed, raters=arguments.raters, reference=arguments.reference)  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"points": effect, "test": rate.test, "title": TESTS[rate.test].title, "whose": TESTS[rate.test].whose,
         "corrected": None if TESTS[rate.test].whose == "paper" else "Holm",
         "counted": "studies" if rate.test == "post-hoc" else "comparisons",
         "found": rate.share, "low": rate.interval.low, "high": rate.interval.high, "of": rate.of,
         "without_p": rate.without}
        for effect, rates in found.items() for rate in rates
    ]  # fmt: skip
    if not printed({"simulated": True, "studies": count, "rates": rows}, arguments):
        print(
            f"SIMULATED: {count} studies for each effect, judged as the report judges them: p below .05, of our tests "
            "corrected by Holm over all questions. Found is the share of comparisons of the reference; of Conover's "
            "test, the share of studies with any such pair."
        )
        print_table(
            ("points", "test", "whose", "found", "95 % interval"),
            [
                (f"{row['points']:g}", row["title"], row["whose"], f"{100 * row['found']:.0f} %",
                 f"{100 * row['low']:.0f} to {100 * row['high']:.0f} %")
                for row in rows
            ],
        )  # fmt: skip
        for row in rows:
            if row["without_p"]:
                print(
                    f"{row['points']:g} points, {row['title']}: {row['without_p']} of {row['of']} {row['counted']} had "
                    "too few data for a p, and count as not found"
                )
    return DONE


def _points(text: str | None) -> list[float]:
    """Return the effects that --points names."""
    from mashkit.errors import UsageError

    if text is None:
        return list(POINTS)
    fix = f"give numbers from -{MOST_POINTS:g} to {MOST_POINTS:g}: --points 0.25,0.5"
    try:
        points = [float(one) for one in text.split(",")]
    except ValueError:
        raise UsageError(f"--points {text}", fix) from None
    if not all(-MOST_POINTS <= one <= MOST_POINTS for one in points):  # also false for "nan"
        raise UsageError(f"--points {text}", fix)
    return points


# ------------------------------------------------------------------------------------------------ export, report
def _read(arguments: argparse.Namespace) -> Answered:
    from mashkit.listen.data import read_answered

    _require_extra()
    return read_answered(arguments.study, arguments.reference)


def _export(arguments: argparse.Namespace) -> int:
    from mashkit.cli.outputs import require_output
    from mashkit.errors import UsageError
    from mashkit.listen.choices import preferences
    from mashkit.listen.data import KEYS
    from mashkit.preferences import OPTIONAL, REQUIRED, write_preferences
    from mashkit.products import Keys

    if arguments.output is None and arguments.preferences is None:
        raise UsageError("listen export has nowhere to write", "give -o FOLDER, --preferences FILE or both")
    _require_outside(arguments.study, arguments.output, arguments.preferences)
    require_output(arguments.preferences, Keys(REQUIRED, OPTIONAL), arguments.study)
    data = _read(arguments)
    found = [] if arguments.preferences is None else preferences(data)
    paths = []
    if arguments.output is not None:
        from mashkit.listen.export import RECORDS, write_export
        from mashkit.listen.table import long_table

        require_output(arguments.output / RECORDS, Keys(KEYS), arguments.study)
        paths += write_export(data, long_table(data), arguments.output)
    if arguments.preferences is not None:
        write_preferences(arguments.preferences, found)
        paths.append(arguments.preferences)
    return _written(arguments, data, paths, {} if arguments.preferences is None else {"preferences": len(found)})


def _report(arguments: argparse.Namespace) -> int:
    _require_outside(arguments.study, arguments.output)
    data = _read(arguments)
    from mashkit.listen.analysis import analyse
    from mashkit.listen.report import require_replaceable_report, write_report

    require_replaceable_report(arguments.output)
    return _written(arguments, data, write_report(data, analyse(data), arguments.output))


def _written(
    arguments: argparse.Namespace, data: Answered, paths: list[Path], more: Mapping[str, int] | None = None
) -> int:
    from mashkit.cli.console import print_json

    if arguments.json:
        facts = {"study": data.study.hash, "simulated": data.simulated, "excluded": len(data.exclusions)}
        print_json({**facts, **(more or {}), "files": [path_text(path) for path in paths]})
    else:
        for path in paths:
            print(f"{'SIMULATED: ' if data.simulated else ''}{path_text(path)}")
    return DONE
