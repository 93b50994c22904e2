"""A taste: learnt from answers, kept in a file, used as a scorer."""

from __future__ import annotations

import atexit
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from mashkit.cli import main
from mashkit.errors import ComponentUnavailable, MashkitError
from mashkit.interfaces import Scorer
from mashkit.preferences import Preference, write_preferences
from mashkit.registry import Registry
from mashkit.statistics import SHARE, interval, pair_ratio
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import ScorerContract
from mashkit.testing.mashups import mashup_of, shifted
from mashkit.types import Condition, Key, Layer, MashupPlan, Role
from mashkit_taste.errors import TasteError
from mashkit_taste.features import Chosen, given, measured
from mashkit_taste.head import Scale
from mashkit_taste.learning import ENOUGH, OURS, Answer, accuracies, learn
from mashkit_taste.model import Taste, read

CHOSEN = [Chosen("amu"), Chosen("tiv", {"by": "whole"})]
NAMES = ("amu", "amu.harmony", "amu.rhythm", "tiv", "tiv.consonance")


def describe(chosen: Sequence[Chosen] = CHOSEN) -> dict[str, Any]:
    registry = Registry()
    return {one.name: one.create(registry).described() for one in chosen}


def plan(number: int, vocal: str) -> MashupPlan:
    layers = [Layer(role=Role.VOCAL, clip_id=vocal), Layer(role=Role.HARMONIC, clip_id="b", semitones=number / 100)]
    return MashupPlan(condition=Condition.MATCHED, layers=layers, duration_s=30.0, seed=number)


def answers(count: int, likes: Callable[[dict[str, float]], float], seed: int = 0, songs: int = 8) -> list[Answer]:
    """Return answers about mashups whose scores are drawn."""
    chance = np.random.default_rng(seed)
    made = []
    for number in range(count):
        song = f"song {number % songs}"
        one, other = sorted(
            (dict(zip(NAMES, chance.uniform(0, 1, len(NAMES)).tolist(), strict=True)) for _ in range(2)), key=likes
        )
        preference = Preference(
            better=plan(2 * number, song), worse=plan(2 * number + 1, song), source="listen", rater=f"r{number % 3}",
            song=song, features={"better": other, "worse": one},
        )  # fmt: skip
        made.append(Answer(preference, other, one, (song, song)))
    return made


def saved_model() -> Path:
    """Write a taste on two real scorers."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "taste.json"
    learn(answers(60, lambda row: row["amu.rhythm"] + row["tiv"]), CHOSEN, describe()).save(path)
    return path


MODEL = saved_model()


class TestTaste(ScorerContract):
    component = "taste"
    options = {"model": str(MODEL)}  # noqa: RUF012 — the contract reads it, nobody writes it
    needs_beats = True


# ------------------------------------------------------------------------------------------------------- learning
def test_the_order_of_answers_does_not_matter() -> None:
    made = answers(30, lambda row: row["amu.rhythm"])
    one, other = (learn(some, CHOSEN, describe()) for some in (made, made[::-1]))
    assert one.names == other.names
    assert one.weights.tolist() == other.weights.tolist()
    assert one.record == other.record


@pytest.mark.parametrize("scorer", ["amu", "tiv"])
def test_a_taste_that_is_a_scorers_is_found(scorer: str) -> None:
    found = learn(answers(100, lambda row: row[scorer]), CHOSEN, describe())
    accuracy = found.record["accuracy"]
    assert accuracy[scorer]["value"] == 1.0
    assert accuracy[OURS]["value"] > 0.9
    assert found.names[int(np.argmax(np.abs(found.weights)))] == scorer
    assert found.weights[list(found.names).index(scorer)] > 0
    assert accuracy[next(one.name for one in CHOSEN if one.name != scorer)]["high"] < 0.75


def test_a_taste_that_only_a_part_shows_is_found_and_beats_the_scorers() -> None:
    accuracy = learn(answers(100, lambda row: -row["amu.harmony"]), CHOSEN, describe()).record["accuracy"]
    assert accuracy[OURS]["value"] > 0.9
    for one in CHOSEN:
        assert accuracy[one.name]["taste_better_by"]["low"] > 0


def test_log_odds_are_taken_of_probabilities_alone() -> None:
    made = answers(60, lambda row: row["amu"] + row["tiv"])
    found = learn(made, CHOSEN, describe(), probabilities=["tiv"])
    assert dict(zip(found.names, found.scale.log_odds.tolist(), strict=True))["tiv"]
    assert found.scale.log_odds.sum() == 1
    # amu's value has no upper end: 0.2 more counts as much above 1 as below.
    utility = found.utility([{"amu": value, "tiv": 0.5} for value in (0.6, 0.8, 1.2, 1.4)])
    assert utility[3] - utility[2] == pytest.approx(utility[1] - utility[0])


@pytest.mark.slow
def test_answers_at_random_are_predicted_by_chance_and_warned_of() -> None:
    chance = np.random.default_rng(1)
    described = describe()
    records = [learn(answers(60, lambda _: chance.random(), seed), CHOSEN, described).record for seed in range(20)]
    assert 0.42 < np.mean([one["accuracy"][OURS]["value"] for one in records]) < 0.58
    # A 95 % interval over eight songs excludes one half now and then.
    warned = [any("chance" in text or "alone predicts" in text for text in one["warnings"]) for one in records]
    assert sum(warned) >= 17


def test_an_answer_about_two_songs_is_drawn_with_both() -> None:
    songs = [("a", "b"), ("a", "c"), ("d", "b"), ("d", "c"), ("c", "a")]
    found = accuracies({OURS: np.array([1.0, 1.0, -1.0, 0.0, 1.0])}, songs)[OURS]
    right, all_ = np.zeros((2, 4, 4))
    for (one, other), share in zip(["ab", "ac", "db", "dc", "ca"], [1, 1, 0, 0.5, 1], strict=True):
        right["abcd".index(one), "abcd".index(other)] = share
        all_["abcd".index(one), "abcd".index(other)] = 1
    due = interval(pair_ratio(right, all_, SHARE))
    assert due is not None
    assert found == pytest.approx({"value": 0.7, "low": due.low, "high": due.high})


def test_few_answers_are_warned_of() -> None:
    for count, warned in ((ENOUGH - 1, True), (ENOUGH, False)):
        told = learn(answers(count, lambda row: row["amu.rhythm"]), CHOSEN, describe()).record["warnings"]
        assert any("are few" in one for one in told) is warned


def test_simulated_answers_make_a_simulated_taste() -> None:
    made = answers(20, lambda row: row["amu"])
    assert learn(made, CHOSEN, describe()).record["simulated"] is False
    data = {**made[0].preference.to_dict(), "simulated": True}
    made[0] = Answer(Preference.from_dict(data), made[0].better, made[0].worse, made[0].songs)
    assert learn(made, CHOSEN, describe()).record["simulated"] is True


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "no answer is left"),
        (answers(9, lambda row: row["amu"], songs=1), "all 9 answers are about one song, song 0"),
        ([Answer(one.preference, {"amu": 1.0, "tiv": 2.0}, {"amu": 1.0, "tiv": 2.0}, one.songs)
          for one in answers(9, lambda row: row["amu"])], "no score differs"),
        ([attrs.evolve(one, songs=("kept", one.songs[0])) for one in answers(9, lambda row: row["amu"])],
         "all 9 answers are about the same few songs"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_from_is_named(made: list[Answer], said: str) -> None:
    with pytest.raises(TasteError, match=said):
        learn(made, CHOSEN, describe())


# ----------------------------------------------------------------------------------------------------------- the file
def test_a_taste_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = read(MODEL)
    found.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == MODEL.read_bytes()
    assert [one.options for one in found.scorers] == [{}, {"by": "whole"}]
    rows = [{"amu": 0.4, "amu.rhythm": 0.9, "tiv": 0.5}, {"amu": 0.4, "amu.rhythm": 0.1, "tiv": 0.5}]
    first, second = found.utility(rows).tolist()
    assert first > second


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "else"}, "is not a taste"),
        ({"format": 99}, "format 99"),
        ({"format": 1}, "format 1; this version reads format 2.*fit it again: "),
        ({"features": []}, "is a damaged taste"),
        ({"features": [{"name": "amu"}]}, "is a damaged taste"),
        ({"features": [{"name": "amu", "log_odds": True, "mean": None, "spread": 1, "weight": 1}]}, "damaged"),
        ({"features": [{"name": "amu", "log_odds": True, "mean": 0, "spread": 1, "weight": float("nan")}]}, "damaged"),
        ({"scorers": 3}, "is a damaged taste"),
    ],
)
def test_a_file_that_is_no_taste_is_named(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "taste.json"
    path.write_text("\ufeff" + json.dumps({**json.loads(MODEL.read_text()), **change}))
    with pytest.raises(TasteError, match=f"taste.json.*{said}"):
        read(path)
    path.write_bytes(b"\x80pickle")
    with pytest.raises(TasteError, match=r"taste.json cannot be read"):
        read(path)


def scorer(model: Path | None) -> Scorer:
    return Registry().create("scorer", "taste", {} if model is None else {"model": model})


def test_without_a_model_there_is_no_taste(tmp_path: Path) -> None:
    with pytest.raises(ComponentUnavailable, match="mashkit train --preferences"):
        scorer(None)
    with pytest.raises(MashkitError, match="no such file"):
        scorer(tmp_path / "none.json")


def test_other_weights_of_a_scorer_are_refused(tmp_path: Path) -> None:
    data = json.loads(MODEL.read_text())
    data["scorers"][0]["weights"] = {"amu.safetensors": "0" * 64}
    (tmp_path / "taste.json").write_text(json.dumps(data))
    with pytest.raises(TasteError, match="scorer 'amu' has other weights"):
        scorer(tmp_path / "taste.json").described()


# --------------------------------------------------------------------------------------------------------- the scorer
def only(name: str, weight: float, path: Path) -> Path:
    """Write a taste that is one feature."""
    scale = Scale(np.array([False]), np.array([0.5]), np.array([0.1]))
    Taste(scorers=CHOSEN, names=[name], scale=scale, weights=np.array([weight]), record={},
          weights_of={one.name: {} for one in CHOSEN}).save(path)  # fmt: skip
    return path


def test_the_scorer_ranks_as_the_features_it_likes(tmp_path: Path) -> None:
    source = SyntheticSource([(Key(0, "major"), 120.0)], bars=8)
    original = mashup_of(source, source.clips[0])
    mashups = [original, *(shifted(original, semitones) for semitones in (1, 4, 6))]
    rhythm = Registry().create("scorer", "tiv", {"by": "whole"})
    due = [one.value for one in rhythm.score(mashups)]
    for weight in (2.0, -2.0):
        found = scorer(only("tiv", weight, tmp_path / f"{weight}.json")).score(mashups)
        assert np.argsort([one.value for one in found]).tolist() == np.argsort(np.multiply(due, weight)).tolist()
        for one, value in zip(found, due, strict=True):
            assert one.parts["log_odds"] == pytest.approx(weight * (value - 0.5) / 0.1)
            assert one.value == pytest.approx(1 / (1 + np.exp(-one.parts["log_odds"])))
            assert one.scale == "probability"


def test_its_weights_are_under_the_licences_of_its_scorers(tmp_path: Path) -> None:
    pytest.importorskip("mashkit_mashnet")

    def taste_of(**options: str) -> Scorer:
        chosen = [Chosen("postmixnet", options)]
        scale = Scale(np.array([False]), np.array([0.5]), np.array([0.1]))
        weights = dict(chosen[0].create(Registry()).weights())
        path = tmp_path / "taste.json"
        Taste(scorers=chosen, names=["postmixnet"], scale=scale, weights=np.array([1.0]), record={},
              weights_of={"postmixnet": weights}).save(path)  # fmt: skip
        return scorer(path)

    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"learnt from anything")
    assert scorer(MODEL).described()["weights_license"] == "none"
    assert taste_of().described()["weights_license"] == "MIT"
    assert taste_of(checkpoint=str(mine)).described()["weights_license"] == "unknown"


def test_its_description_has_those_of_its_scorers() -> None:
    made = scorer(MODEL)
    described = made.described()
    assert [one["name"] for one in described["parts"]] == ["amu", "tiv"]
    assert set(described["weights"]) == {"taste.json"}
    assert described["learnt_from"]["answers"]["count"] == 60
    assert described["learnt_from"]["simulated"] is False


def test_plans_are_measured_by_every_scorer_and_one_that_fails_costs_no_other() -> None:
    source: Any = SyntheticSource([(Key(0, "major"), 120.0)], bars=8)
    original = mashup_of(source, source.clips[0])
    good = [original.plan, shifted(original, 3).plan]
    bare = mashup_of(source, source.clips[0], harmonic=None).plan
    gone = plan(1, "no such clip")
    said: list[str] = []
    found = measured(CHOSEN, source, [*good, bare, gone], Registry(), said.append)
    assert set(found.features) == {one.id for one in good}
    assert set(found.features[good[0].id]) == {
        "amu", "amu.harmony", "amu.rhythm", "amu.balance", "tiv", "tiv.relatedness", "tiv.consonance",
    }  # fmt: skip
    assert [next(one in text for one in (bare.id, gone.id)) for text in said]
    assert len(said) == 2


def test_probabilities_are_the_values_that_scorers_call_so() -> None:
    source: Any = SyntheticSource([(Key(0, "major"), 120.0)], bars=8)
    plans = [mashup_of(source, source.clips[0]).plan]
    found = measured([Chosen("amu"), Chosen("amu-tuned")], source, plans, Registry())
    assert found.probabilities == {"amu-tuned"}  # its parts are correlations


def test_features_in_the_file_are_used_if_all_are_there() -> None:
    one = answers(1, lambda row: row["amu"])[0].preference
    sides = given(one, CHOSEN)
    assert sides is not None
    assert set(sides["better"]) == set(NAMES)
    assert given(one, [*CHOSEN, Chosen("vh2015")]) is None
    assert set((given(one, CHOSEN[:1]) or {})["worse"]) == {"amu", "amu.harmony", "amu.rhythm"}
    with pytest.raises(TasteError, match="cannot be learnt from"):
        Chosen("rank(amu,tiv)").create(Registry())


# -------------------------------------------------------------------------------------------------------- the command
def fit(tmp_path: Path, *more: str, made: Sequence[Answer] | None = None) -> int:
    path = tmp_path / "p.jsonl"
    some = answers(60, lambda row: row["amu.rhythm"]) if made is None else made
    write_preferences(path, [one.preference for one in some])
    return main(
        ["train", "--preferences", str(path), "--scorers", "amu,tiv", "-o", str(tmp_path / "taste.json"), *more]
    )


def test_train_writes_a_model_that_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path, "--scorer-option", "tiv.by=whole", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["answers"]["count"] == 60
    assert told["accuracy"]["taste"]["value"] > 0.85
    assert told["simulated"] is False
    assert max(told["weights"], key=lambda name: abs(told["weights"][name])) == "amu.rhythm"
    source = SyntheticSource([(Key(0, "major"), 120.0)], bars=8)
    (score,) = scorer(tmp_path / "taste.json").score([mashup_of(source, source.clips[0])])
    assert 0 <= score.value <= 1
    assert fit(tmp_path, "--seed", "0") == 0
    shown = capsys.readouterr()
    assert "-O scorer.model=" in shown.out
    assert re.search(r"\d points \(-?\d+ to \d+\)", shown.out)  # a difference of per cents is in points
    assert "warning" not in shown.err
    assert fit(tmp_path, made=answers(9, lambda row: row["amu"])) == 0
    assert "warning: 9 answers are few" in capsys.readouterr().err


def test_answers_of_auditions_are_about_the_songs_of_both_vocals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []
    for number, one in enumerate(answers(30, lambda row: row["amu"])):
        worse = plan(100 + number, f"song {(number + 1 + number // 8) % 8}")
        preference = attrs.evolve(one.preference, source="audition", worse=worse)
        made.append(attrs.evolve(one, preference=preference))
    assert fit(tmp_path, "--json", made=made) == 0
    old = json.loads(capsys.readouterr().out)
    assert old["answers"]["songs"] == 8  # of files without "worse_song": the other answers tell it
    for place, one in enumerate(made):
        renamed = {"song": f"of {one.preference.song}", "worse_song": f"of {one.preference.worse.layers[0].clip_id}"}
        made[place] = attrs.evolve(one, preference=attrs.evolve(one.preference, **renamed))
    assert fit(tmp_path, "--json", made=made) == 0
    new = json.loads(capsys.readouterr().out)
    assert new["answers"]["songs"] == 8
    assert new["accuracy"] == old["accuracy"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--scorers", "amu,amu"), "each once"),
        (("--scorers", "amu,,tiv"), "each once"),
        (("--scorers", "amu,nobody"), "nobody"),
        (("--scorers", "amu,rank(amu,nobody)", "--scorer-option", "x.y=1"), "the names are amu, rank(amu,nobody)"),
        (("--scorer-option", "tiv.by"), "write NAME.OPTION=VALUE"),
        (("--scorer-option", "vh2015.x=1"), "the names are amu, tiv"),
        (("--scorer-option", "tiv.by=other"), "by"),
        (("--scorers", "vh2015"), "no songs are named"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    more: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MASHKIT_DB", raising=False)
    assert fit(tmp_path, *more) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "taste.json").exists()


@pytest.mark.parametrize("content", ["", "better,worse\n1,2\n", '{"better": 1}\n'])
def test_a_file_of_something_else_is_told(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.jsonl").write_text("\ufeff" + content)
    assert main(["train", "--preferences", str(tmp_path / "p.jsonl"), "-o", str(tmp_path / "t.json")]) == 1
    assert "p.jsonl" in capsys.readouterr().err


def test_it_is_listed_as_unavailable_until_there_is_a_model() -> None:
    registry = Registry()
    available = registry.availability(registry.find("scorer", "taste"))
    assert not available.ok
    assert "mashkit train --preferences" in available.fix
