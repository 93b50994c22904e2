"""The scorers' benchmark: who hears something is told from who does not, and whatever a scorer does is a row."""

from __future__ import annotations

import base64
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import numpy as np
import pyarrow.parquet
import pytest
import soundfile
from scipy import stats

from installing import install
from mashkit.bench.audition import EXCERPT_S, NothingToHear, picks_of, sounds
from mashkit.bench.collections import Choice
from mashkit.bench.generators import GeneratorTask
from mashkit.bench.page import page, publish
from mashkit.bench.records import Entry, Row
from mashkit.bench.results import Result, read_result, rows_path
from mashkit.bench.runner import ranked, recomputed, run
from mashkit.bench.scorers import DISAGREE, HEADLINES, TWIN_METRICS, ScorerTask
from mashkit.bench.suite import Competitor, Suite, load_suite
from mashkit.bench.tables import SuiteError
from mashkit.bench.tasks import Input, InputLost, digest_of_all
from mashkit.cli import main
from mashkit.errors import UnknownComponent, UsageError
from mashkit.interfaces.scorer import RelativeScorer
from mashkit.pipeline import Kit
from mashkit.types import MashupPlan
from rows import row_of

PLUGIN = '''
import os, time
import attrs
from mashkit import ComponentInfo, Score, Scorer, hookimpl
from mashkit.types import Condition, Role

def info(name):
    return ComponentInfo(name=name, target=f"acme_scorers:{name.title().replace('-', '')}", summary=name,
                         provides=["wrong"], code_license="MIT")

INFOS = [info(name) for name in ("acme-oracle", "acme-nan", "acme-short", "acme-hanging", "acme-dying", "acme-raising")]

@hookimpl
def mashkit_register_scorers():
    return INFOS

def wrong(mashup):
    """How many things are wrong, for one who has read the plan."""
    vocal, harmonic, percussion = (mashup.plan.layer(role) for role in Role)
    clips = mashup.clips
    key, tempo = (lambda role, layer: clips[role].analysis.key.transposed(round(layer.semitones)),
                  lambda role, layer: clips[role].analysis.tempo * layer.speed)
    found = abs(key(Role.VOCAL, vocal).semitones_to(key(Role.HARMONIC, harmonic)))
    found += abs(tempo(Role.VOCAL, vocal) / tempo(Role.PERCUSSION, percussion) - 1)
    found += 0.1 * len({clip.id for clip in clips.values()}) - 0.1
    same = clips[Role.VOCAL].id == clips[Role.PERCUSSION].id
    return found + (abs(float(percussion.to_clip(1) - vocal.to_clip(1))) if same else 0.5)

@attrs.define(kw_only=True, eq=False)
class AcmeOracle(Scorer):
    info = INFOS[0]
    noise: float = 0.0
    def _score(self, mashups):
        return [self._one(mashup) for mashup in mashups]
    def _one(self, mashup):
        faults = wrong(mashup)
        # Digits of the plan's id: noise that is the same whenever it is asked for.
        shaken = faults + self.noise * (int(mashup.plan.id[:6], 16) / 16 ** 6 - 0.5)
        return Score(1 / (1 + 2 * max(shaken, 0)), "probability", {"wrong": faults})

class AcmeNan(Scorer):
    info = INFOS[1]
    def _score(self, mashups):
        return [Score(float("nan") if mashup.plan.condition is Condition.MATCHED else 1.0) for mashup in mashups]

class AcmeShort(Scorer):
    info = INFOS[2]
    def _score(self, mashups):
        return []

class AcmeHanging(Scorer):
    info = INFOS[3]
    def _score(self, mashups):
        if mashups[0].plan.condition is Condition.UNMATCHED_TEMPO:
            time.sleep(600)
        return [Score(0.0) for _ in mashups]

class AcmeDying(Scorer):
    info = INFOS[4]
    def _score(self, mashups):
        if mashups[0].plan.condition is Condition.UNMATCHED_KEY:
            os._exit(7)
        return [Score(0.0) for _ in mashups]

class AcmeRaising(Scorer):
    info = INFOS[5]
    def _score(self, mashups):
        raise RuntimeError("out of tune <b>")
'''

SETTINGS = {"collection": "rendered", "songs": 7, "vocals": 5, "matched": 2, "negatives": 3, "other_separator": ""}
SUITE = Suite(
    name="acme-scorers",
    task="scorers",
    title="Acme's scorers",
    competitors=[
        Competitor(component="acme-oracle"),
        Competitor(component="acme-oracle", options={"noise": 3.0}, label="hard of hearing"),
        Competitor(component="random"),
        Competitor(component="acme-net", install="pip install acme-net"),
    ],
    seed=5,
    settings=SETTINGS,
)
FAULTY = attrs.evolve(
    SUITE,
    name="acme-faulty",
    competitors=[
        Competitor(component=f"acme-{name}") for name in ("oracle", "nan", "short", "hanging", "dying", "raising")
    ],
    timeout_s=12.0,
    settings={
        "collection": "rendered", "songs": 7, "vocals": 1, "matched": 2, "other_stretcher": "", "other_separator": "",
        "groups": ["controlled", "harmonic +1 semitones"],
    },
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install Acme's scorers, for this process and those it spawns."""
    folder = tmp_path_factory.mktemp("acme")
    install(folder, "acme_scorers", PLUGIN, name="acme")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    sys.modules.pop("acme_scorers", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    return run(SUITE, folder, jobs=2)


@pytest.fixture(scope="module")
def faulty(folder: Path) -> Result:
    return run(FAULTY, folder, jobs=2)  # while one hangs, others go on


def metrics(result: Result, label: str) -> Mapping[str, Any]:
    found = next(one.metrics for one in result.competitors if one.label == label)
    assert found
    return found


def rows(result: Result, label: str) -> list[Row]:
    return [row for row in result.rows if row.label == label]


# ------------------------------------------------------------------------------------------------------ who hears it
@pytest.mark.plugins
def test_who_reads_the_plan_is_perfect_and_chance_is_chance(result: Result) -> None:
    oracle, chance = metrics(result, "acme-oracle"), metrics(result, "random")
    assert oracle["auc"] == oracle["paper_auc"] == oracle["recall_1"] == 100
    assert oracle["within_auc"] == oracle["within_accuracy"] == oracle["paper_within_auc"] == 100
    assert oracle["average_rank"] == oracle["mrr"] == 1
    for name in TWIN_METRICS:
        if name != "control":
            assert oracle[name] == 100, name
    assert oracle["control"] == 50  # nothing is wrong with either
    twins = [chance[name] for name in TWIN_METRICS]
    assert 30 < float(np.mean(twins)) < 70
    assert 0.2 < chance["ece"] < 0.7
    order = [one.label for one in result.competitors]
    assert order.index("acme-oracle") < order.index("hard of hearing") < order.index("random")
    assert "pip install acme-net" in next(one for one in result.competitors if one.label == "acme-net").reason


@pytest.mark.plugins
def test_metrics_are_those_of_the_rows_by_hand(result: Result) -> None:
    own = rows(result, "hard of hearing")
    found = metrics(result, "hard of hearing")

    def of(group: str, part: str) -> list[Row]:
        return [row for row in own if [group, part] in row.facts.get("uses", [])]

    positive, negative, matched = (of("controlled", part) for part in ("positive", "negative", "unlabelled"))
    scores = [[row.values["score"] for row in part] for part in (positive, negative, matched)]
    assert [len(part) for part in scores] == [5, 14, 10]  # of seven songs, one vocal has but two mismatches
    area = stats.mannwhitneyu(scores[0], scores[1]).statistic / (5 * 14)
    assert found["auc"] == pytest.approx(100 * area, abs=1e-9)
    ranks = [stats.rankdata([-one, *(-other for other in scores[2])])[0] for one in scores[0]]
    assert found["average_rank"] == pytest.approx(np.mean(ranks), abs=1e-9)
    assert found["normalised_rank"] == pytest.approx(100 * (np.mean(ranks) - 1) / 10, abs=1e-9)
    right = np.mean([one >= 0.5 for one in scores[0]]), np.mean([one < 0.5 for one in scores[1]])
    assert found["accuracy"] == pytest.approx(100 * np.mean(right), abs=1e-9)
    by_vocal = []
    for row in positive:
        others = [one.values["score"] for one in matched if one.facts["vocal"] == row.facts["vocal"]]
        assert len(others) == 2
        by_vocal.append(stats.rankdata([-row.values["score"], *(-one for one in others)])[0])
    assert found["mrr"] == pytest.approx(np.mean(1 / np.array(by_vocal)), abs=1e-9)
    pairs = []
    for name in TWIN_METRICS["harmonic_1"]:
        for row in of(name, "original"):
            (twin,) = [one for one in of(name, "twin") if one.facts["vocal"] == row.facts["vocal"]]
            pairs.append(row.values["score"] - twin.values["score"])
    assert len(pairs) == 10
    assert found["harmonic_1"] == pytest.approx(100 * np.mean((np.sign(pairs) + 1) / 2), abs=1e-9)
    cpu = [row.values["score_cpu_s"] for row in own if row.status == "ok"]
    assert found["cpu_ms"] == pytest.approx(1000 * np.mean(cpu))
    within = []
    for row in positive:
        clashing = [one.values["score"] for one in negative if one.facts["vocal"] == row.facts["vocal"]]
        within.append(np.mean([(row.values["score"] > one) + (row.values["score"] == one) / 2 for one in clashing]))
    assert len(within) == 5
    assert found["within_auc"] == pytest.approx(100 * np.mean(within), abs=1e-9)


@pytest.mark.plugins
def test_other_parts_under_the_same_plans(result: Result) -> None:
    # Who reads plans does not mind who renders them.
    assert metrics(result, "acme-oracle")["stretcher_correlation"] == pytest.approx(1)
    assert metrics(result, "acme-oracle")["stretcher_auc_change"] == 0
    assert metrics(result, "acme-oracle")["separator_correlation"] is None
    others = [row for row in rows(result, "acme-oracle") if "same_as" in row.facts]
    assert len(others) == 5 + 14
    names = {row.input for row in rows(result, "acme-oracle")}
    assert {row.facts["same_as"] for row in others} <= names


@pytest.mark.plugins
def test_intervals_hold_values_and_tests_find_the_oracle(result: Result) -> None:
    for one in result.competitors:
        for name, (low, high) in one.intervals.items():
            # A percentile interval is about the estimate; that of a ratio of sums may miss it by a little.
            assert low - 5 <= one.metrics[name] <= high + 5
    tests = {(one.metric, one.one, one.other): one for one in result.comparisons}
    assert {one[0] for one in tests} == set(HEADLINES)
    test = tests["wrong_song", "acme-oracle", "random"]
    gap = metrics(result, "acme-oracle")["wrong_song"] - metrics(result, "random")["wrong_song"]
    assert test.difference == pytest.approx(gap)
    assert test.p_signed_rank <= test.p_holm <= 1


@pytest.mark.plugins
def test_metrics_are_computed_again_from_rows_against_a_baseline(result: Result, tmp_path: Path) -> None:
    path, *_ = publish(attrs.evolve(result, metrics=result.metrics[3:4]), tmp_path)
    assert main(["bench", "report", str(path), "--baseline", "random"]) == 2
    assert main(["bench", "report", str(path), "--recompute", "--baseline", "randm"]) == 2
    assert main(["bench", "report", str(path), "--recompute", "--baseline", "random"]) == 0
    again = read_result(path)
    assert (again.metrics, again.competitors) == (result.metrics, result.competitors)
    assert {one.other for one in again.comparisons} == {"random"}
    assert {one.metric for one in again.comparisons} == set(HEADLINES)
    assert len(again.comparisons) == 2 * len(HEADLINES)
    assert recomputed(again) == again
    assert "Against random" in page(again)
    assert "Against" not in page(attrs.evolve(result, suite=again.suite))  # where every two were compared


@pytest.mark.plugins
def test_a_test_is_of_the_plans_by_which_both_are_judged(result: Result) -> None:
    one, other = (rows(result, label) for label in ("hard of hearing", "random"))
    song = next(row.facts["song"] for row in one if row.facts)
    fewer = [row for row in one if row.facts.get("song") != song]
    found = {test.metric: test for test in ScorerTask().compare({"one": fewer, "other": other})}
    both = {test.metric: test for test in ScorerTask().compare(
        {"one": fewer, "other": [row for row in other if row.facts.get("song") != song]}
    )}  # fmt: skip
    assert found["within_auc"].difference == both["within_auc"].difference
    assert found["within_auc"].songs == both["within_auc"].songs == 4


# ------------------------------------------------------------------------------------------------------- what is a row
@pytest.mark.plugins
@pytest.mark.parametrize(
    ("label", "status", "reason", "spoilt"),
    [
        ("acme-nan", "failed", "a score of nan", "average_rank"),
        ("acme-short", "failed", "returned 0 scores for 1 mashups", None),
        ("acme-hanging", "timeout", f"took longer than {FAULTY.timeout_s:g} s", "auc"),
        ("acme-dying", "failed", "died with exit status 7", "auc"),
        ("acme-raising", "failed", "out of tune <b>", None),
    ],
)
def test_whatever_a_scorer_does_is_a_row(
    faulty: Result, label: str, status: str, reason: str, spoilt: str | None
) -> None:
    own = rows(faulty, label)
    assert len(own) == len(rows(faulty, "acme-oracle"))
    bad = [row for row in own if row.status == status]
    assert bad
    assert all(reason in row.reason for row in bad)
    if spoilt is None:
        assert len(bad) == len(own)
        assert not next(one for one in faulty.competitors if one.label == label).metrics
        return
    # What went well is there, and no metric is made of the best cases alone.
    assert len([row for row in own if row.status == "ok"]) == len(own) - len(bad)
    assert metrics(faulty, label)[spoilt] is None
    assert metrics(faulty, label)["cpu_ms"] is None
    assert metrics(faulty, label)["harmonic_1"] == 50  # they give everything else one score


@pytest.mark.plugins
def test_a_finished_suite_scores_nothing_again(result: Result, folder: Path) -> None:
    fresh = []
    again = run(
        SUITE.only(["random"]), folder,
        on_row=lambda row, known, done, total: fresh.extend([] if known else [row.input]),
    )  # fmt: skip
    assert fresh == []
    assert metrics(again, "random") == metrics(result, "random")
    assert again.inputs_sha256 == result.inputs_sha256


@pytest.mark.plugins  # layers are stretched
@pytest.mark.slow
def test_parts_of_the_inputs_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    competitors = [
        Competitor(component="loudness"),
        Competitor(component="acme-raising"),
        Competitor(component="acme-net", install="pip install acme-net"),
    ]
    suite = attrs.evolve(FAULTY, name="in-parts", competitors=competitors)
    whole = run(suite, tmp_path / "whole")
    inputs = ScorerTask().inputs(suite.record(1).inputs, None)
    monkeypatch.setattr("mashkit.bench.scorers.LAYERS_BYTES", 200e6)
    assert len(ScorerTask().batches(inputs)) == 2
    counts, scratch = [], tmp_path / "parts" / "in-parts.scratch"
    left = scratch / "of-an-interrupted-run.layer"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")
    parts = run(suite, tmp_path / "parts", on_row=lambda row, known, done, total: counts.append((done, total)))
    assert [(row.label, row.input, row.status, row.values.get("score")) for row in parts.rows] == [
        (row.label, row.input, row.status, row.values.get("score")) for row in whole.rows
    ]
    assert [row.input for row in parts.rows if row.label == "acme-net"] == ["all inputs"]
    assert counts[-1] == (3 * len(inputs), 3 * len(inputs))
    assert not scratch.exists()
    assert not (tmp_path / "whole" / "in-parts.scratch").exists()


@pytest.mark.plugins
def test_the_result_is_json_and_a_page(result: Result, tmp_path: Path) -> None:
    path, *_ = publish(result, tmp_path)
    again = read_result(path)
    assert again == result == Result.from_dict(json.loads(json.dumps(result.to_dict())))
    assert len(path.read_text().splitlines()) > len(result.comparisons)
    assert pyarrow.parquet.read_metadata(rows_path(path)).num_rows == len(result.rows)
    text = page(again)
    for title in ("Positives over negatives", "Where the originals rank", "Do probabilities mean", "Cost against"):
        assert title in text
    assert "acme-oracle: scores by condition" in text


@pytest.mark.plugins
def test_a_page_of_failures(faulty: Result) -> None:
    text = page(faulty)
    assert "out of tune &lt;b&gt;" in text
    assert "out of tune <b>" not in text


# ------------------------------------------------------------------------------------------------------------- sound
@pytest.mark.plugins
@pytest.mark.slow
def test_what_they_picked_can_be_heard(faulty: Result) -> None:
    alone = attrs.evolve(faulty, competitors=[one for one in faulty.competitors if one.label == "acme-oracle"])
    made = sounds(alone, None)
    picks = picks_of(ScorerTask(), alone)["acme-oracle"]
    values = {row.input: row.values["score"] for row in rows(faulty, "acme-oracle")}
    best, worst = ([values[pick.input] for pick in picks if pick.group == group] for group in ("best", "worst"))
    assert len(best) == len(worst) == 3  # of the six there are
    assert best == sorted(best, reverse=True)
    assert worst == sorted(worst)
    assert min(best) >= max(worst)
    assert set(made) == {pick.input for pick in picks}
    for url in made.values():
        head, _, data = url.partition(",")
        assert head == "data:audio/mpeg;base64"
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
        assert abs(len(samples) / rate - EXCERPT_S) < 0.2
        assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.5
        assert len(data) < 100_000
    text = page(alone, made)
    assert text.count("<audio") == len(picks)
    assert all(url in text for url in made.values())
    assert "<audio" not in page(alone)


@pytest.mark.plugins
def test_other_music_is_not_played_for_it(faulty: Result, tmp_path: Path) -> None:
    with pytest.raises(NothingToHear, match="not what this result was made from"):
        sounds(attrs.evolve(faulty, suite=attrs.evolve(faulty.suite, settings={**FAULTY.settings, "matched": 1})), None)
    nobody = attrs.evolve(faulty, competitors=[])
    with pytest.raises(NothingToHear, match="leave out --audio"):
        sounds(nobody, None)


# -------------------------------------------------------------------------------------------------- too little to go on
@pytest.fixture
def task() -> ScorerTask:
    return ScorerTask()


def missing(inputs: list[Input]) -> dict[str, str]:
    return {one.name: one.missing for one in inputs if one.missing}


@pytest.mark.plugins
def test_no_collection_is_a_reason_for_each_group(task: ScorerTask, tmp_path: Path) -> None:
    inputs = task.inputs({"collection": "songs"}, tmp_path)
    assert {"controlled", "paper", "wrong song"} <= set(missing(inputs))
    assert all("no folder" in reason for reason in missing(inputs).values())
    with pytest.raises(SuiteError, match="did you mean 'controlled'"):
        task.inputs({"groups": ["controled"]}, None)
    with pytest.raises(SuiteError, match="vocals"):
        task.inputs({"vocals": 0}, None)
    with pytest.raises(UnknownComponent, match="nope"):
        task.inputs({"collection": "songs", "stretcher": "nope"}, tmp_path)


@pytest.mark.plugins
def test_one_song_alone_is_said_and_the_rest_goes_on(task: ScorerTask) -> None:
    inputs = task.inputs({**SETTINGS, "songs": 1, "seed": 6}, None)
    reasons = missing(inputs)
    assert any("no other song" in reason for reason in reasons.values())
    assert any("no unmatched-key mashup" in reason for reason in reasons.values())
    # No option of a suite changes what the generator of a protocol does, so nothing is advised.
    assert not any("generator." in reason or "widen" in reason for reason in reasons.values())
    there = [one for one in inputs if not one.missing]
    assert any(["harmonic +1 semitones", "twin"] in one.facts["uses"] for one in there)
    scorer = Kit(scorer="random").scorer
    made = [
        row_of(
            input=one.name, status="unavailable" if one.missing else "ok", input_missing=bool(one.missing),
            facts=dict(one.facts), values={} if one.missing else task.measure(scorer, one), peak_memory_mb=1.0,
        )
        for one in inputs
    ]  # fmt: skip
    found = task.summarize(made)
    assert found["auc"] is found["paper_auc"] is found["wrong_song"] is found["mrr"] is None
    assert found["harmonic_1"] in (0, 50, 100)
    assert task.intervals(made) == {}  # one song is one observation


@pytest.mark.plugins
def test_a_clip_that_has_gone_is_nobodys_failure(task: ScorerTask) -> None:
    given = next(one for one in task.inputs({**SETTINGS, "seed": 5}, None) if not one.missing)
    plan = MashupPlan.from_dict(given.parameters["plan"])
    gone = attrs.evolve(plan, layers=[attrs.evolve(plan.layers[0], clip_id="gone"), *plan.layers[1:]])
    lost = attrs.evolve(given, parameters={**given.parameters, "plan": gone.to_dict()})
    with pytest.raises(InputLost, match="no clip 'gone'"):
        task.measure(Kit(scorer="random").scorer, lost)
    measured = task.measure(Kit(scorer="random").scorer, given)
    row = row_of(input="a", facts=dict(given.facts), values=measured, peak_memory_mb=1.0)
    absent = attrs.evolve(row, input="b", status="unavailable", input_missing=True, values={})
    failed = attrs.evolve(absent, status="failed", input_missing=False)
    for other, known in ((absent, True), (failed, False)):
        found = task.summarize([row, other])
        assert (found["cpu_ms"] is not None) == known


@pytest.mark.whole
def test_a_plan_used_twice_is_scored_once(task: ScorerTask) -> None:
    inputs = [one for one in task.inputs({**SETTINGS, "seed": 5}, None) if not one.missing]
    assert any(len(one.facts["uses"]) > 1 for one in inputs)
    plans = [(one.facts["plan"], one.parameters["stretcher"]) for one in inputs]
    assert len(set(plans)) == len(plans)
    assert len({one.name for one in inputs}) == len(inputs)


def test_rounding_breaks_no_tie_in_any_metric_and_an_offset_makes_none(task: ScorerTask) -> None:
    def rows_of(scores: Mapping[str, float], probability: float = 1.0) -> list[Row]:
        twin = "harmonic +1 semitones"
        uses = {
            "a": [["controlled", "positive"], [twin, "original"]],
            "b": [["controlled", "negative"]],
            "c": [["controlled", "unlabelled"]],
            "d": [[twin, "twin"]],
            "e": [["other stretcher", "positive"]],
            "f": [["other stretcher", "negative"]],
        }
        more = {"probability": probability, "score_cpu_s": 0.0, "score_wall_s": 0.0}
        return [
            row_of(
                input=name, values={"score": score, **more}, peak_memory_mb=1.0,
                facts={
                    "uses": uses[name], "song": "s", "vocal": "v", "condition": "original",
                    "same_as": {"e": "a", "f": "b"}.get(name),
                },
            )
            for name, score in scores.items()
        ]  # fmt: skip

    ties = {
        "within_auc": 50, "within_accuracy": 50, "auc": 50, "accuracy": 50, "average_rank": 1.5, "normalised_rank": 50,
        "recall_1": 0, "mrr": 1 / 1.5, "harmonic_1": 50, "stretcher_auc_change": 0,
    }  # fmt: skip
    third = 0.1 + 0.2
    for own, others in ((0.3, third), (third, 0.3)):
        found = task.summarize(rows_of({name: own if name in "ae" else others for name in "abcdef"}))
        assert {name: found[name] for name in ties} == pytest.approx(ties)
        assert found["stretcher_correlation"] is None
        assert task.auditions(
            {
                "one": rows_of({"a": own, "b": others}),
                "other": rows_of({"a": others, "b": own}),
            }
        ).get(DISAGREE, []) == []  # fmt: skip
    half = rows_of({"a": 0.5, "b": math.nextafter(0.5, 0)})
    assert task.summarize(half)["accuracy"] == 50
    offset = {name: 1e12 + (0.9 if name in "ae" else 0.1) for name in "abcdef"}
    above = task.summarize(rows_of(offset, probability=0.0))
    assert (above["within_auc"], above["harmonic_1"], above["average_rank"]) == (100, 100, 1)


def test_draws_are_taken_alone_and_together(task: ScorerTask) -> None:
    def scored(name: str, vocal: str, score: float, *uses: Any) -> Row:
        facts = {"uses": [["controlled", *use] for use in uses], "song": vocal, "vocal": vocal}
        return row_of(input=name, facts=facts, values={"score": score, "probability": 0.0}, peak_memory_mb=1.0)

    made = [
        scored("a", "v", 0.5, ["positive"], ["positive", 1]),  # the original is the same in both draws
        scored("b", "v", 0.1, ["negative"]),
        scored("c", "v", 0.9, ["negative", 1]),
        scored("d", "v", 0.6, ["unlabelled"]),
        scored("e", "v", 0.2, ["unlabelled", 1]),
        scored("f", "w", 0.7, ["positive"]),
        scored("g", "w", 0.3, ["negative"]),
        scored("h", "w", 0.4, ["positive", 1]),
        scored("i", "w", 0.8, ["negative", 1]),
    ]
    drawn = task.draws(made)
    assert drawn["within_auc"] == [100, 0]
    assert drawn["recall_1"] == [0, 100]  # among the matched mashups of the same draw
    whole = task.summarize(
        [attrs.evolve(row, values=row.values | {"score_cpu_s": 0.0, "score_wall_s": 0.0}) for row in made]
    )
    assert whole["within_auc"] == 50  # v: one of two; w: two of four
    assert whole["auc"] == pytest.approx(100 * 6 / 12)
    assert whole["mrr"] == pytest.approx((1 / 2 + 1) / 2)
    # Ranks are those among the matched mashups of the same draw: 2 and 1, then 1 and 1.
    assert whole["average_rank"] == pytest.approx(5 / 4)
    assert whole["normalised_rank"] == pytest.approx(100 / 4)
    assert drawn["average_rank"] == [1.5, 1]
    assert task.draws([row for row in made if len(row.facts["uses"][0]) == 2 and row.input != "a"]) == {}


@pytest.mark.whole
def test_plans_are_drawn_as_often_as_asked(task: ScorerTask) -> None:
    settings = {**SETTINGS, "seed": 5, "vocals": 2, "other_stretcher": "librosa"}
    once, twice = (task.inputs({**settings, "plan_seeds": seeds}, None) for seeds in (1, 2))
    known = {one.facts["plan"]: one for one in twice if "other" not in one.measure and not one.missing}
    for one in once:
        if not one.missing and "other" not in one.measure:
            uses = [use for use in known[one.facts["plan"]].facts["uses"] if len(use) == 2]
            assert uses == one.facts["uses"]
    assert {use[2] for one in known.values() for use in one.facts["uses"] if len(use) == 3} == {1}
    # Another stretcher is for the first draw, because it is to show the stretcher's part and costs as much again.
    assert sum("other" in one.measure for one in once) == sum("other" in one.measure for one in twice)
    with pytest.raises(SuiteError, match="plan_seeds"):
        task.inputs({**settings, "plan_seeds": 0}, None)


def scored(label: str, **outcomes: dict[str, Any]) -> list[Row]:
    """Return rows of six vocals with one positive and one negative each; ``outcomes`` change a vocal's positive."""
    made = []
    for number in range(6):
        for part, score in (("positive", 0.2 if number < 3 else 0.9), ("negative", 0.5)):
            name = f"v{number}: {part}"
            facts = {"uses": [["controlled", part]], "song": f"s{number}", "vocal": f"v{number}", "plan": name}
            values = {"score": score, "probability": 0.0, "score_cpu_s": 0.01, "score_wall_s": 0.01}
            row = row_of(label=label, input=name, measure="controlled", values=values, facts=facts)
            made.append(attrs.evolve(row, **outcomes.get(f"v{number}", {}) if part == "positive" else {}))
    return made


LOST = {"status": "unavailable", "input_missing": True, "reason": "gone", "values": {}}


def test_who_lost_an_input_wins_nothing_by_it(task: ScorerTask) -> None:
    of = {"a": scored("a", v0=LOST), "b": scored("b")}
    (test,) = (one for one in task.compare(of) if one.metric == "within_auc")
    assert (test.difference, test.songs, test.differing) == (0, 5, 0)
    every = [*of["a"], *of["b"]]
    entries, _ = ranked(task, [Entry(label=label, component=label) for label in of], every)
    assert [one.rank for one in entries] == [1, 1]
    assert [one.metrics["within_auc"] for one in entries] == [60, 60]  # of the inputs that both had


def test_who_failed_on_an_input_has_no_value_and_no_test(task: ScorerTask) -> None:
    of = {"a": scored("a", v0={"status": "failed", "reason": "oh", "values": {}}), "b": scored("b")}
    assert not [one for one in task.compare(of) if one.metric == "within_auc"]
    assert task.summarize(of["a"])["within_auc"] is None


def test_a_plan_that_was_lost_is_not_compared_with_itself_rendered_otherwise(task: ScorerTask) -> None:
    rows = scored("a")
    others = [
        attrs.evolve(row, input=f"{row.input} otherwise", measure="other stretcher",
                     facts={**row.facts, "uses": [["other stretcher", row.facts["uses"][0][1]]], "same_as": row.input})
        for row in rows
    ]  # fmt: skip
    assert task.summarize([*rows, *others])["stretcher_auc_change"] == 0
    assert task.summarize([attrs.evolve(rows[0], **LOST), *rows[1:], *others])["stretcher_auc_change"] == 0
    assert task.summarize([*rows[1:], *others])["stretcher_auc_change"] == 0


def test_a_value_is_no_metric_where_nobody_has_one(task: ScorerTask) -> None:
    found = task.summarize([])
    assert set(found) == {metric.name for metric in task.metrics}
    assert not any(value is not None and math.isnan(value) for value in found.values())


# ---------------------------------------------------------------------------------------------------------------- smoke
@pytest.mark.plugins
@pytest.mark.slow
def test_smoke_with_a_strangers_scorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SuiteError, match="runs on no collection"):
        load_suite("stretchers").on("demo")
    assert load_suite("smoke").on("rendered") == load_suite("smoke")
    assert load_suite("smoke").on("songs").name == "smoke-songs"
    chosen = ["--add", "acme-oracle", "--only", "acme-oracle", "--only", "amu"]
    assert main(["bench", "run", "smoke", *chosen, "-o", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [told.pop(name) for name in ("notes", "unavailable", "judged_apart")] == [[], [], []]
    result = Result.from_dict(told)
    assert {one.label for one in result.competitors} == {"amu", "acme-oracle"}
    assert all(one.rank for one in result.competitors)
    assert metrics(result, "amu")["auc"] > 60
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".html", ".md", ".jsonl", ".parquet"}


def test_rows_depend_on_the_code_that_renders_and_separates_and_results_do_not(
    light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        **SETTINGS, "vocals": 1, "groups": ["paper", "controlled"], "stretcher": "turntable",
        "other_stretcher": "steady-turntable", "other_separator": "thirds", "seed": 1,
    }  # fmt: skip
    monkeypatch.setattr("mashkit.bench.scorers.separated_by", mock.Mock())  # inputs need to know only that it can
    made: dict[str, list[Input]] = {}
    for changed in ("", "turntable", "steady-turntable", "thirds"):
        monkeypatch.setattr(
            "mashkit.bench.identity.code_sha256", lambda one, changed=changed: str(one.info.name == changed)
        )
        made[changed] = ScorerTask().inputs(settings, None)
    assert len({digest_of_all(inputs) for inputs in made.values()}) == 1
    before = {given.name: given for given in made.pop("") if not given.missing}

    def depending_on(changed: str) -> set[str]:
        return {
            given.name for given in made[changed] if not given.missing and given.made_by != before[given.name].made_by
        }

    others = {name: {one for one in before if f": {name}, " in one} for name in (
        "stretcher steady-turntable", "separator thirds"
    )}  # fmt: skip
    assert all(others.values())
    assert depending_on("steady-turntable") == others["stretcher steady-turntable"]
    assert depending_on("thirds") == others["separator thirds"]
    assert depending_on("turntable") == set(before) - others["stretcher steady-turntable"]


def test_who_compares_mashups_is_not_asked_about_one() -> None:
    relative = mock.Mock()
    relative.__class__, relative.info.name = RelativeScorer, "acme-relative"
    with pytest.raises(UsageError, match="scorer 'acme-relative' compares mashups, and this benchmark scores them one"):
        ScorerTask().measure(relative, Input(name="a", measure="m"))
    assert not relative.score.called


def test_rows_depend_on_what_is_known_of_clips_and_on_who_found_it() -> None:
    collection = Choice(name="rendered", data=None, seed=0, songs=2).open()
    one, other = collection.clips
    changed = attrs.evolve(one, analysis=attrs.evolve(one.analysis, tempo=99.0))
    plain = collection.made_by([one.id])
    assert plain == collection.made_by([one.id]) != collection.made_by([other.id])
    with mock.patch.object(collection.source, "clip", return_value=changed):
        assert collection.made_by([one.id]) != plain
    with mock.patch.object(collection.source, "provenance", return_value=[{"name": "thirds", "version": "2"}]):
        assert collection.made_by([one.id]) != plain
    assert {given.made_by for given in GeneratorTask().inputs({"collection": "rendered", "plans": 2}, None)} == {
        tuple(Choice(name="rendered", data=None, seed=0).open().made_by(f"rendered-0-{one}" for one in range(1, 13)))
    }
