"""A result for other programs, and what stands above its table: nothing is lost, and names stay names."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import attrs
import pyarrow.parquet
import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'mashkit[bench]'")

from mashkit.bench.audition import picks_of
from mashkit.bench.export import Format, export, latex
from mashkit.bench.page import markdown, page
from mashkit.bench.records import by_label
from mashkit.bench.results import Result, read_result
from mashkit.bench.scorers import DISAGREE, ScorerTask
from mashkit.cli import main
from mashkit.errors import OutputError, UsageError
from mashkit.pages.exports import latex_table

PATH = Path(__file__).parents[1] / "benchmarks" / "results" / "amu_vs_premixnet-multitracks-plan_seeds-1.json"


@pytest.fixture(scope="module")
def result() -> Result:
    return read_result(PATH)


def test_every_digit_comes_back_from_csv_and_parquet(result: Result, tmp_path: Path) -> None:
    table, tests, scores = export(result, tmp_path, "csv")
    with scores.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(result.rows)
    for line, row in zip(read, result.rows, strict=True):
        assert (line["label"], line["input"], line["status"]) == (row.label, row.input, row.status)
        if row.ok:
            assert float(line["values.score"]) == row.values["score"]
            assert line["facts.song"] == row.facts["song"]
            assert json.loads(line["facts.uses"]) == row.facts["uses"]
        else:
            assert line["values.score"] == ""
    with table.open(newline="") as file:
        lines = {line["competitor"]: line for line in csv.DictReader(file)}
    for one in result.measured:
        low, high = one.intervals["within_auc"]
        line = lines[one.label]
        assert [float(line[f"within_auc{end}"]) for end in ("", ".low", ".high")] == [
            one.metrics["within_auc"], low, high
        ]  # fmt: skip
    assert len(tests.read_text().splitlines()) == 1 + len(result.comparisons)
    paths = export(result, tmp_path, "parquet")
    columns = pyarrow.parquet.read_table(paths[2]).to_pydict()
    assert columns["values.score"] == [row.values.get("score") for row in result.rows]
    assert pyarrow.parquet.read_table(paths[1]).to_pydict()["p_holm"] == [one.p_holm for one in result.comparisons]


def test_a_name_is_no_formula_and_no_command(result: Result, tmp_path: Path) -> None:
    first = attrs.evolve(result.competitors[0], label=r"=cmd & 100 %_\input{x}")
    # Tables of one kind are numbered, so the name of the suite ends with no number here.
    suite = attrs.evolve(result.suite, name="multitracks")
    odd = attrs.evolve(result, suite=suite, competitors=[first, *result.competitors[1:]])
    table, *_ = export(odd, tmp_path, "csv")
    assert table.read_text().splitlines()[1].startswith("'=cmd")
    made = latex(odd)
    assert r"=cmd \& 100 \%\_\textbackslash{}input\{x\} &" in made
    tables = made.split(r"\begin{table}")[1:]
    assert len(tables) == made.count(r"\end{table}")
    whole = {re.search(r"\\label{tab:(.*?)(?:-\d)?}", table)[1]: 0 for table in tables}  # type: ignore[index]
    assert len(whole) == 1 + len({one.metric for one in odd.comparisons})
    columns = 0
    for table in tables:
        signs = re.search(r"\\begin{tabular}{(l+)(c+)}", table)
        assert signs is not None
        columns += len(signs[2]) * (r"=cmd" in table and "against" not in table)
        for line in table.splitlines():
            if line.endswith((r" \\", r"\midrule")):
                assert line.count("&") - line.count(r"\&") == len(signs[1] + signs[2]) - 1
    assert columns == sum(bool(metric.weight) for metric in odd.metrics)


def test_the_command_says_what_it_wrote_and_what_does_not_fit(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "export", str(PATH), "-o", str(tmp_path)]
    assert main([*command, "--format", "latex", "--metric", "within_auc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": [str(tmp_path / f"{result.suite.name}.tex")]}
    made = (tmp_path / f"{result.suite.name}.tex").read_text()
    assert made.count(r"\begin{table}") == 2
    assert "average rank" not in made
    assert main([*command, "--metric", "within_auc"]) == 2
    assert "leave out --metric" in capsys.readouterr().err
    assert main([*command, "--format", "latex", "--metric", "within_acu"]) == 2
    assert "did you mean 'within_auc'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no metric"):
        export(result, tmp_path, "latex", ["x"])


@pytest.mark.parametrize(("kind", "name"), [("csv", "tests.csv"), ("latex", "tex"), ("parquet", "scores.parquet")])
def test_an_export_replaces_its_own_files_and_no_other(kind: Format, name: str, result: Result, tmp_path: Path) -> None:
    for _ in range(2):
        made = export(result, tmp_path, kind)
    for path in made:
        path.unlink()
    mine = tmp_path / f"{result.suite.name}.{name}"
    mine.write_text("Dear diary")
    with pytest.raises(OutputError, match=f"{name} exists already"):
        export(result, tmp_path, kind)
    assert mine.read_text() == "Dear diary"
    assert list(tmp_path.iterdir()) == [mine]


# ------------------------------------------------------------------------------------------------------------- words
@pytest.mark.whole
def test_the_first_lines_say_who_won_on_what(result: Result) -> None:
    lead = ScorerTask().lead(result.measured, result.rows, result.comparisons, result.suite.baseline)
    assert lead[0] == "Compared: 15 scorers on 228 mashups of 8 vocals, of 5 songs of 1 artist."
    values = {one.label: one.metrics["within_auc"] for one in result.measured}
    most = max(values.values())
    best = [label for label, value in values.items() if value == most]
    assert len(best) == 4
    assert lead[2].startswith(f"First are {', '.join(best)}: right in {most:.1f} of 100 cases")
    assert f"{most - values['amu']:.1f} more than amu" in lead[2]
    # Three songs have both classes: Wilcoxon's smallest p-value is 2 / 2³.
    assert "comparisons with amu, by the 3 songs that have both kinds of mashups, none is beyond chance" in lead[3]
    assert "So few songs could not show any" in lead[3]
    assert lead[-1].startswith("Not known: what listeners would say")
    shown = page(result)
    assert all(f"<li>{line}</li>" in shown for line in lead)
    assert "\n".join(f"- {line}" for line in lead) in markdown(result)


def test_songs_of_no_artist_and_equal_winners(result: Result) -> None:
    made = [attrs.evolve(row, facts={**row.facts, "recording": ""}) if row.facts else row for row in result.rows]
    equal = [attrs.evolve(one, metrics={**one.metrics, "within_auc": 99.96}) for one in result.measured[:2]]
    drawn = [attrs.evolve(one, draws={"within_auc": [99.0, 100.0, 98.5]}) for one in equal]
    lead = ScorerTask().lead(drawn, made, [], "")
    assert "5 songs made by a program, so of no artist" in lead[0]
    assert lead[2] == f"First are {drawn[0].label}, {drawn[1].label}: right in 100.0 of 100 cases."
    assert "In 3 draws of the mashups, each alone" in lead[3]
    assert "98.5 to 100.0" in lead[3]
    alike = [attrs.evolve(one, draws={"within_auc": [97.61, 97.62]}) for one in equal]
    assert ScorerTask().lead(alike, made, [], "")[3].endswith("is right in 97.6 of 100.")
    assert ScorerTask().lead([], made, [], "") == []


def test_they_disagree_most_where_their_places_differ_most(result: Result) -> None:
    task = ScorerTask()
    picks = picks_of(task, result)[DISAGREE]
    assert len(picks) == 10
    rows = {label: {row.input: row for row in own} for label, own in by_label(result.rows).items()}
    vocal = rows["amu"][picks[0].input].facts["vocal"]
    names = [
        name for name, row in rows["amu"].items()
        if row.facts.get("vocal") == vocal and any(use[0] == "controlled" for use in row.facts["uses"])
    ]  # fmt: skip
    condition, _, said = picks[0].said.partition(": ")
    assert condition == rows["amu"][picks[0].input].facts["condition"]
    for one in said.split(", "):
        label, place, _, count = one.rsplit(" ", 3)
        scores = {name: rows[label][name].values["score"] for name in names}
        above = sum(score > scores[picks[0].input] for score in scores.values())
        ties = sum(score == scores[picks[0].input] for score in scores.values())
        assert (float(place), int(count)) == (1 + above + (ties - 1) / 2, len(names))
    places = [float(one.rsplit(" ", 3)[1]) for one in said.split(", ")]
    assert places == sorted(places)
    assert places[-1] - places[0] > len(names) / 2


def test_a_table_wider_than_a_page_becomes_several_with_the_first_column() -> None:
    head = ["", *(f"metric {number}" for number in range(10))]
    made = latex_table(head, [["amu", *["12.3 [10.0, 14.5]"] * 10]], caption="Wide", label="wide")
    tables = made.split(r"\begin{table}")[1:]
    assert [table.count("metric") for table in tables] == [4, 4, 2]
    assert all(table.count("amu") == 1 for table in tables)
    assert re.findall(r"label{(.*?)}", made) == ["tab:wide", "tab:wide-2", "tab:wide-3"]
    assert r"\caption{Wide (Part 3 of 3.)}" in made
    assert latex_table(["one"], [["a"]], caption="", label="narrow").count(r"\begin{table}") == 1
    odd = latex_table(["one"], [["a"]], caption="", label="my 100% suite_#1 {x}:A_b.c")
    assert re.findall(r"\\label{(.*)}", odd) == ["tab:my-100-suite-1-x-:A-b.c"]


def rows_of(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.endswith((r" \\", r"\midrule"))]
    return [[cell.strip() for cell in line.partition(r"\\")[0].split(" & ")] for line in lines]


def test_rows_of_a_table_that_becomes_several_are_told_apart_in_each() -> None:
    head = ["", "against", *(f"metric {number}" for number in range(10))]
    labels = ["amu", "random", "premixnet"]
    pairs = [(one, other) for place, one in enumerate(labels) for other in labels[place + 1 :]]
    made = latex_table(head, [[*pair, *["12.3"] * 10] for pair in pairs], caption="", label="wide", keys=2)
    tables = [rows_of(table) for table in made.split(r"\begin{table}")[1:]]
    assert len(tables) > 1
    for heads, *rows in tables:
        assert heads[:2] == ["", "against"]
        assert [tuple(row[:2]) for row in rows] == pairs
    assert [name for heads, *_ in tables for name in heads[2:]] == head[2:]


def test_tests_with_long_labels_name_both_competitors_and_keep_intervals_with_their_values(result: Result) -> None:
    names = {one.label: f"{one.label}, with a label of many, many words" for one in result.competitors}
    longer = [attrs.evolve(test, one=names[test.one], other=names[test.other]) for test in result.comparisons]
    made = latex(attrs.evolve(result, comparisons=longer))
    tables = [rows_of(table) for table in made.split(r"\begin{table}")[1:] if "against" in table]
    assert len(tables) > len({test.metric for test in longer})
    shown: set[str] = set()
    for heads, *rows in tables:
        assert heads[1] == "against"
        assert len({tuple(row[:2]) for row in rows}) == len(rows)
        assert len(set(heads)) == len(heads)
        shown |= set(heads)
    assert shown == {"", "against", "difference", "effect", "p, Holm"}
    first = result.comparisons[0]
    assert first.low is not None
    assert any(re.fullmatch(r".*[\d.]+ \[.*, .*\]", row[2]) for _, *rows in tables for row in rows)


@pytest.mark.parametrize(
    ("title", "caption"),
    [("All scorers", "All scorers. In"), ("Which is best?", "Which is best? In"), ("All of them.", "All of them. In")],
)
def test_a_title_ends_before_the_next_sentence(result: Result, title: str, caption: str) -> None:
    made = attrs.evolve(result, suite=attrs.evolve(result.suite, title=title))
    assert rf"\caption{{{caption} brackets" in latex(made)


def test_a_summary_ends_once(result: Result) -> None:
    made = page(attrs.evolve(result, suite=attrs.evolve(result.suite, summary="which is best?")))
    assert "<p>Which is best?</p>" in made


def test_the_lead_counts_one_as_one(result: Result) -> None:
    rows = [row for row in result.rows if row.label == "amu"][:1]
    lead = ScorerTask().lead([one for one in result.measured if one.label == "amu"], rows, [], "")
    assert lead[0].startswith("Compared: 1 scorer on 1 mashup of 1 vocal, of 1 song ")
