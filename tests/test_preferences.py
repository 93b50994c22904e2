"""Preferences: the file that listening tests and auditions write, and what a listening test writes into it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import studies
from mashkit.cli import main
from mashkit.errors import OutputError, UsageError
from mashkit.listen.choices import preferences
from mashkit.listen.data import Answered, ListeningDataError, write_data
from mashkit.listen.records import OVERALL, PREFERRED, Answer, PageKind
from mashkit.listen.simulate import TASKS, World, design, simulate
from mashkit.listen.study import ORIGINAL, UNMATCHED, Study, StudyError, load, read, write
from mashkit.preferences import Preference, PreferenceError, read_preferences, write_preferences
from mashkit.types import Condition, Layer, MashupPlan, Role


def plan(number: int, vocal: str = "v") -> MashupPlan:
    layers = [Layer(role=Role.VOCAL, clip_id=vocal), Layer(role=Role.HARMONIC, clip_id=f"b{number}", semitones=number)]
    return MashupPlan(condition=Condition.MATCHED, layers=layers, duration_s=30.0, seed=number)


def preference(**changes: Any) -> Preference:
    facts: dict[str, Any] = {"better": plan(1), "worse": plan(2), "strength": 2.0, "source": "listen", "rater": "r"}
    return Preference(**facts | changes)


names = st.one_of(st.text(max_size=8).filter(str.isprintable), st.sampled_from(studies.HOSTILE))
made = st.builds(
    lambda numbers, **facts: Preference(better=plan(numbers[0]), worse=plan(numbers[1]), **facts),
    st.lists(st.integers(0, 9), min_size=2, max_size=2, unique=True),
    strength=st.floats(min_value=1e-3, max_value=1e3),
    source=names.filter(bool),
    rater=names,
    song=names,
    worse_song=names,
    when=names,
    simulated=st.booleans(),
    features=st.one_of(
        st.just({}),
        st.fixed_dictionaries({side: st.dictionaries(names, st.floats(-9, 9)) for side in ("better", "worse")}),
    ),
)


@given(st.lists(made, min_size=1, max_size=4))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, many: list[Preference]) -> None:
    path = tmp_path_factory.mktemp("p") / "p.jsonl"
    write_preferences(path, many)
    assert [one.to_dict() for one in read_preferences(path)] == [one.to_dict() for one in many]
    assert len(path.read_text().splitlines()) == len(many)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert [one.to_dict() for one in read_preferences(path)] == [one.to_dict() for one in many]


def test_a_plan_is_as_mashkit_mash_saves_it() -> None:
    data = preference().to_dict()
    assert data["better"] == {"id": plan(1).id, **plan(1).to_dict()}
    assert Preference.from_dict({**data, "worse": {"plan": data["worse"]}}).worse == plan(2)  # a whole plan.json
    assert set(data) == {"better", "worse", "strength", "source", "rater"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"better": None}, "better: this is not a mashup plan"),
        ({"better": {"format": 99}}, "better: the plan has format 99"),
        ({"worse": preference().to_dict()["better"]}, "better and worse are the same plan"),
        ({"strength": 0}, "strength is 0"),
        ({"strength": -1}, "strength is -1"),
        ({"strength": True}, "strength is True"),
        ({"strength": 10**400}, "strength is 1000"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"strength": "2"}, "strength is '2'"),
        ({"source": ""}, "source is ''"),
        ({"source": "a\nb"}, "source is 'a"),
        ({"rater": 3}, "rater is 3"),
        ({"song": None}, "song is None"),
        ({"worse_song": 1}, "worse_song is 1"),
        ({"when": 17.5}, "when is 17.5"),
        ({"simulated": 1}, "simulated is 1"),
        ({"features": 3}, "features are 3"),
        ({"features": {"better": {}}}, "features of better"),
        ({"features": {"better": {"amu": float("nan")}, "worse": {}}}, "features of better: amu is nan"),
        ({"features": {"better": {"amu": float("inf")}, "worse": {}}}, "features of better: amu is inf"),
        ({"features": {"better": [], "worse": {}}}, "features of better are "),
        ({"strenght": 1}, "unknown key 'strenght'.*did you mean 'strength'"),
    ],
)
def test_a_line_that_is_no_preference_is_named(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    good = preference().to_dict()
    path.write_text(f"{json.dumps(good)}\n\n{json.dumps(good | change)}\n")
    with pytest.raises(PreferenceError, match=rf"p.jsonl, line 3: {said}"):
        read_preferences(path)


@pytest.mark.parametrize("key", ["better", "worse", "strength", "source", "rater"])
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    data = preference().to_dict()
    del data[key]
    path.write_text(json.dumps(data))
    with pytest.raises(PreferenceError, match=f"line 1: it has no key '{key}'"):
        read_preferences(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no preference"),
        (b"\xef\xbb\xbf\n \n", "holds no preference"),
        (b"{", "line 1: it is not JSON"),
        (b"[1]", "line 1: it is not a JSON object"),
        (b"3", "line 1: it is not a JSON object"),
        (b"[" * 100_000, "line 1: it is not JSON"),
        (b"\xff\xfe{}", "is not text in UTF-8"),
        (b"page,file\np,a.wav\n", "line 1: it is not JSON"),
    ],
)
def test_a_file_of_something_else_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(content)
    with pytest.raises((PreferenceError, UsageError), match=f"p.jsonl.*{said}"):
        read_preferences(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_preferences(tmp_path)
    with pytest.raises(OutputError):
        write_preferences(path / "below" / "p.jsonl", [preference()])


# ------------------------------------------------------------------------------------------------- of listening tests
def with_plans(study: Study) -> Study:
    """Give each sample of a simulated study a plan, two samples of one sound the same."""
    found: dict[str, MashupPlan] = {}
    for one in study.samples:
        found.setdefault(one.file, plan(len(found), one.vocal))
    samples = [attrs.evolve(one, plan=found[one.file].id) for one in study.samples]
    return attrs.evolve(study, samples=samples, plans={one.id: one.to_dict() for one in found.values()})


@pytest.fixture(scope="module", params=TASKS)
def answered(request: pytest.FixtureRequest) -> Answered:
    study = with_plans(design(request.param, systems=("a", "b", "c"), size=4, raters=4, seed=3))
    return simulate(study, World(inattentive=0.3), seed=4)


def test_each_answer_of_a_kept_rater_to_a_page_of_results_is_a_preference(answered: Answered) -> None:
    study = answered.study
    values: dict[tuple[str, str], dict[str, int]] = {}
    for answer in answered.answers:
        if answer.question in (OVERALL, PREFERRED):
            values.setdefault((answer.rater, answer.page), {})[answer.sample] = answer.value
    due = []
    for (rater, page), of in values.items():
        one, other = (study.sample[name] for name in study.page[page].samples)
        systems = {one.system, other.system}
        if study.page[page].repeats or systems == {ORIGINAL, UNMATCHED} or rater in answered.exclusions:
            continue
        difference = of[one.id] - of[other.id]
        if difference:
            better, worse = (one, other) if difference > 0 else (other, one)
            due.append((rater, better.plan, worse.plan, abs(difference), better.song, worse.song))
    found = [(each.rater.partition("-")[2], each.better.id, each.worse.id, each.strength, each.song, each.worse_song)
             for each in preferences(answered)]  # fmt: skip
    assert sorted(found) == sorted(due)
    assert due
    assert {(each.source, each.simulated) for each in preferences(answered)} == {("listen", True)}


def test_the_order_of_answers_does_not_matter(answered: Answered) -> None:
    backwards = attrs.evolve(answered, answers=answered.answers[::-1])
    assert preferences(backwards) == preferences(answered)


def test_a_study_without_plans_is_named_and_keeps_its_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = design("retrieval", systems=("a", "b"), size=4, raters=4, seed=3)
    assert study.to_dict()["format"] == 1  # what an older mashkit wrote and can read, with the same hash
    assert not any("plan" in one for one in study.to_dict()["samples"])
    assert "plans" not in study.to_dict()
    data = simulate(study, World(), seed=4)
    with pytest.raises(ListeningDataError, match=r"holds no plans.*mashkit listen new"):
        preferences(data)
    write_data(data, tmp_path / "old.json")
    assert main(["listen", "export", str(tmp_path / "old.json"), "--preferences", str(tmp_path / "p.jsonl")]) == 1
    assert "holds no plans" in capsys.readouterr().err
    assert not (tmp_path / "p.jsonl").exists()


def test_plans_are_under_the_hash(tmp_path: Path) -> None:
    study = with_plans(design("preference", systems=("a", "b"), size=4, raters=4, seed=3))
    assert study.to_dict()["format"] == 2
    write(study, tmp_path)
    assert read(tmp_path) == study
    path = tmp_path / "study.json"
    for changed in ('"semitones": 3.5', None):
        text = path.read_text()
        data = json.loads(text)
        if changed:
            text = text.replace('"semitones": 3.0', changed)
        else:
            data["plans"].popitem()
            text = json.dumps(data)
        assert text != path.read_text()
        path.write_text(text)
        with pytest.raises(StudyError, match="is not as it was frozen" if changed else "the plan .* is missing"):
            read(tmp_path)
        write(study, tmp_path)


def exported(data: Answered, tmp_path: Path, *more: str) -> list[Preference]:
    write_data(data, tmp_path / "data.json")
    path = tmp_path / "p.jsonl"
    assert main(["listen", "export", str(tmp_path / "data.json"), "--preferences", str(path), *more]) == 0
    return read_preferences(path)


def test_listen_export_writes_them(answered: Answered, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exported(answered, tmp_path, "--json") == preferences(answered)
    told = json.loads(capsys.readouterr().out)
    assert told["preferences"] == len(preferences(answered))
    assert told["files"] == [str(tmp_path / "p.jsonl")]
    exported(answered, tmp_path, "-o", str(tmp_path / "tables"))
    assert (tmp_path / "tables" / "answers.csv").is_file()
    assert "SIMULATED" in capsys.readouterr().out
    assert main(["listen", "export", str(tmp_path / "data.json")]) == 2
    assert "nowhere to write" in capsys.readouterr().err


def ties(study: Study, rater: str, values: Sequence[int]) -> list[Answer]:
    return [
        Answer(rater=rater, page=page.id, sample=sample, question=OVERALL, value=value)
        for page in study.results for sample, value in zip(page.samples, values, strict=True)
    ]  # fmt: skip


def test_ties_and_half_answered_pages_are_no_preferences() -> None:
    study = with_plans(design("retrieval", systems=("a", "b", "c"), size=4, raters=4, seed=3))
    tied = Answered(study=study, answers=ties(study, "r", (3, 3)), exclusions={})
    assert preferences(tied) == []
    half = attrs.evolve(tied, answers=[one for one in ties(study, "r", (3, 5)) if one.value == 5])
    assert preferences(half) == []
    assert {one.strength for one in preferences(attrs.evolve(tied, answers=ties(study, "r", (1, 5))))} == {4.0}


def test_a_study_of_sounds_of_ones_own_holds_no_plans(tmp_path: Path) -> None:
    study = studies.custom(tmp_path, asks=PageKind.PREFERENCE)
    assert study.plans == {}
    assert load(tmp_path / "study").hash == study.hash
