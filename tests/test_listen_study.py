"""What a study is made of: the paper's designs, balanced parts of them, rules, sounds, and the frozen folder."""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import studies
from mashkit.audio.files import load as load_sound
from mashkit.audio.files import save
from mashkit.audio.levels import loudness
from mashkit.cli import main
from mashkit.cli.actions import port
from mashkit.errors import CatalogError, MashkitError, UsageError
from mashkit.listen import designs, exclusions, sequences, stimuli, texts
from mashkit.listen.designs import Candidate, Layout
from mashkit.listen.freezing import Frame, MashupStudyOptions, freeze_mashups, freeze_table
from mashkit.listen.records import PREFERRED, QUESTIONS, Answer, Page, PageKind
from mashkit.listen.simulate import design as simulated
from mashkit.listen.study import Protocol, Rules, Study, StudyError, load
from mashkit.pipeline import Kit
from mashkit.synthetic import signals
from mashkit.synthetic.source import SyntheticSource
from mashkit.types import Audio, Condition, Key, MashupPlan, Role

FIVE = ("amu", "premixnet", "postmixnet", "premixnet-lsro", "postmixnet-lsro")


def of(sound: str, vocal: str) -> Candidate:
    return Candidate(sound=sound, vocal=vocal, song=f"song of {vocal}")


def made(layout: Layout, **facts: Any) -> Study:
    """Return the study of a layout; its sounds are never made."""
    return Study(task="generation", samples=tuple(layout.samples), pages=tuple(layout.pages), **facts)


def generation(each: int = 20, pool: int = 100, vocals: int = 25, *, apart: bool = False) -> Layout:
    """Return the paper's layout for five systems that choose among the same mashups, or each among its own."""
    layout = Layout(studies.draws(5))
    rankings = {}
    for system in FIVE:
        own = system if apart else "mashup"
        ranking = [of(f"{own} {number}", f"v{number % vocals}") for number in range(pool)]
        studies.draws(system).shuffle(ranking)
        rankings[system] = ranking
    originals = {f"v{number}": of(f"original {number}", f"v{number}") for number in range(vocals)}
    designs.generation(layout, rankings, originals, each=each)
    return layout


def test_generation_is_the_papers() -> None:
    study = made(generation())
    assert list(study.problems()) == []
    mashups = [sample for sample in study.samples if sample.system != "original"]
    assert len(mashups) == 200  # "200 samples": top 20 and bottom 20 of five systems
    assert collections.Counter((one.system, one.group) for one in mashups) == {
        (system, group): 20 for system in FIVE for group in ("top", "bottom")
    }
    assert {one.rank for one in mashups if one.group == "top"} == set(range(1, 21))
    assert {one.rank for one in mashups if one.group == "bottom"} == set(range(81, 101))
    assert len(study.results) == 200
    first = 0
    for page in study.results:
        systems = [study.sample[one].system for one in page.samples]
        assert systems.count("original") == 1  # "a mashup and its original version, in a random order"
        first += systems[0] == "original"
    assert 70 < first < 130
    with pytest.raises(StudyError, match="amu has 39 candidates"):
        generation(pool=39)


def test_retrieval_is_the_papers() -> None:
    layout = Layout(studies.draws(5))
    best = {f"v{query}": {one: of(f"{query} {one}", f"v{query}") for one in FIVE} for query in range(30)}
    originals = {vocal: of(f"original {vocal}", vocal) for vocal in best}
    designs.retrieval(layout, best, originals, {})
    study = made(layout)
    assert list(study.problems()) == []
    assert len([sample for sample in study.samples if sample.system != "original"]) == 150
    assert len(study.results) == 90  # six versions of 30 queries, two a page
    for vocal in best:
        pages = [page for page in study.results if study.sample[page.samples[0]].vocal == vocal]
        shown = sorted(study.sample[one].system for page in pages for one in page.samples)
        assert shown == sorted([*FIVE, "original"])
    pairs = collections.Counter(frozenset(study.sample[one].system for one in page.samples) for page in study.results)
    assert len(pairs) == 15  # the permutation differs from query to query


def test_retrieval_with_an_even_number_of_systems_has_a_control() -> None:
    layout = Layout(studies.draws(5))
    best = {f"v{query}": {one: of(f"{query} {one}", f"v{query}") for one in FIVE[:2]} for query in range(20)}
    anchors = {vocal: of(f"anchor {vocal}", vocal) for vocal in best}
    designs.retrieval(layout, best, anchors, {vocal: of(f"bad {vocal}", vocal) for vocal in best})
    study = made(layout)
    assert len(study.results) == 40
    assert study.negatives == ()


def chosen_alike(sounds: str) -> tuple[Layout, list[str]]:
    """Return the layout of twenty queries whose systems chose these mashups, and its notes."""
    layout = Layout(studies.draws(5))
    best = {
        f"v{query}": {one: of(f"{query} {sound}", f"v{query}") for one, sound in zip(FIVE, sounds, strict=False)}
        for query in range(20)
    }
    originals = {vocal: of(f"original {vocal}", vocal) for vocal in best}
    notes = designs.retrieval(layout, best, originals, {vocal: of(f"bad {vocal}", vocal) for vocal in best})
    return layout, notes


def twice(study: Study) -> int:
    """Return how many pages have one mashup twice."""
    return sum(len({study.sample[one].file for one in page.samples}) < 2 for page in study.results)


@pytest.mark.parametrize("sounds", ["aabcd", "aaabc", "aabbc", "aa", "aabb", "aaab"])
def test_no_page_of_a_query_has_one_mashup_twice(sounds: str) -> None:
    layout, notes = chosen_alike(sounds)
    study = made(layout)
    assert twice(study) == 0
    assert notes == []
    assert study.negatives == ()
    again, _ = chosen_alike(sounds)
    assert [page.samples for page in again.pages] == [page.samples for page in layout.pages]


@pytest.mark.parametrize(("sounds", "pages"), [("aaaaa", 2), ("aaaab", 1), ("aaaa", 1)])
def test_a_page_that_must_have_one_mashup_twice_is_noted(sounds: str, pages: int) -> None:
    layout, notes = chosen_alike(sounds)
    assert twice(made(layout)) == len(notes) == 20 * pages
    assert all("chose the same mashup, and a page has it twice" in note for note in notes)


def test_preferences_pair_all_systems_that_chose_differently() -> None:
    layout = Layout(studies.draws(5))
    best = {"v": {one: of(one, "v") for one in FIVE}, "w": dict.fromkeys(FIVE, of("the same", "w"))}
    left_out = designs.preference(layout, best)
    study = made(layout)
    assert len(study.results) == 10
    assert len(left_out) == 10
    assert study.asks is PageKind.PREFERENCE


def test_ids_tell_nothing_and_are_the_same_for_the_same_seed() -> None:
    one, same = generation(), generation()
    assert [page.id for page in one.pages] == [page.id for page in same.pages]
    ids = [sample.id for sample in one.samples]
    assert len(set(ids)) == len(ids)
    assert all(len(identity) == 10 and int(identity, 16) >= 0 for identity in ids)


# ------------------------------------------------------------------------------------------------------ sequences
def whole_study(**protocol: Any) -> Study:
    layout = generation(each=5, pool=40, vocals=10, apart=True)
    originals = {f"v{number}": of(f"original {number}", f"v{number}") for number in range(10)}
    bad = {f"v{number}": of(f"bad {number}", f"v{number}") for number in (0, 1, 3, 4)}
    designs.controls(layout, PageKind.RATING, bad, originals)
    designs.controls(layout, PageKind.TRAINING, {"v2": of("bad 2", "v2")}, originals)
    layout.with_repeats()
    return made(layout, protocol=Protocol(**protocol))


def test_parts_are_balanced_and_complete() -> None:
    study = whole_study()
    negatives, repeats = study.protocol.negatives_per_rater, study.protocol.repeats_per_rater
    assert 0 < negatives < len(study.negatives)  # so a rater sees some controls, and not all
    ratings: collections.Counter[str] = collections.Counter()
    chance = studies.draws(1)
    for rater in range(15):  # 15 raters of ten pages: three for each of the 50
        steps = sequences.draw(study, ratings, chance)
        pages = [study.page[step.page] for step in steps]
        assert len({page.id for page in pages}) == len(pages)
        assert pages[0].kind is PageKind.TRAINING
        assert all(page.kind is not PageKind.TRAINING for page in pages[1:])
        results = [page for page in pages if page in study.results]
        assert len(results) == 10
        assert len([page for page in pages if page in study.negatives]) == negatives
        again = [page for page in pages if page.repeats]
        assert len(again) == repeats
        for page in again:
            first = next(place for place, one in enumerate(pages) if one.id == page.repeats)
            assert pages.index(page) - first > sequences.APART
            swapped = {step.page: step.swapped for step in steps}
            assert swapped[page.id] != swapped[page.repeats]
        ratings.update(page.id for page in pages)
        counts = [ratings[page.id] for page in study.results]
        assert max(counts) - min(counts) <= 1, rater
    assert {ratings[page.id] for page in study.results} == {3}
    assert sequences.is_full(study, ratings)
    # Whoever is in gets ten pages all the same.
    assert len(sequences.draw(study, ratings, chance)) == studies.pages_each(study) == 1 + 10 + negatives + repeats


def test_a_rater_hears_two_systems_same_mashup_once() -> None:
    layout = Layout(studies.draws(5))
    ranking = [of(f"mashup {number}", "v") for number in range(20)]
    designs.generation(layout, {"a": ranking, "b": ranking}, {"v": of("original", "v")}, each=10)
    study = made(layout)
    for seed in range(20):
        steps = sequences.draw(study, {}, studies.draws(seed))
        sounds = [frozenset(study.sample[one].file for one in study.page[step.page].samples) for step in steps]
        assert len(set(sounds)) == len(sounds) == 10


def test_orders_on_pages_and_of_pages_are_drawn() -> None:
    study = whole_study()
    drawn = [sequences.draw(study, {}, studies.draws(seed)) for seed in range(60)]
    assert len({tuple(step.page for step in steps) for steps in drawn}) == 60
    swapped = [step.swapped for steps in drawn for step in steps]
    assert 0.4 < sum(swapped) / len(swapped) < 0.6


# ------------------------------------------------------------------------------------------------------ rules
def answers(study: Study, rater: str, value: Any, *, seconds: float = 60.0, pages: int = 10) -> list[Answer]:
    """Return a rater's answers to results, controls and repeated pages; ``value(page, sample, question)`` rates."""
    shown = [*study.results[:pages], *study.negatives, *filter(None, [study.repeat_of(study.results[0].id)])]
    return [
        Answer(rater=rater, page=page.id, sample=sample, question=question, value=value(page, sample, question),
               seconds=seconds, order=order)
        for order, page in enumerate(shown) for sample in page.samples for question in QUESTIONS
    ]  # fmt: skip


def test_each_rule_finds_its_raters_and_no_others() -> None:
    study = whole_study()
    anchors = {"original": 5, "unmatched": 1}

    def careful(page: Any, sample: str, question: str) -> int:
        number = int(sample, 16) + QUESTIONS.index(question)
        return anchors.get(study.sample[sample].system, 2 + number % 3)

    def contrary(page: Any, sample: str, question: str) -> int:
        value = careful(page, sample, question)
        return 6 - value if page in study.negatives else value

    def forgetful(page: Any, sample: str, question: str) -> int:
        return 6 - careful(page, sample, question) if page.repeats else careful(page, sample, question)

    given = [
        *answers(study, "careful", careful),
        *answers(study, "hurried", careful, seconds=5.0),
        *answers(study, "negatives", contrary),
        *answers(study, "repeats", forgetful),
        *answers(study, "incomplete", careful, pages=9),
        *answers(study, "same", lambda page, sample, question: 3),
    ]
    found = exclusions.exclusions(study, given)
    assert "careful" not in found
    assert {rater: list(rules) for rater, rules in found.items() if rater != "same"} == {
        name: [name] for name in ("hurried", "negatives", "repeats", "incomplete")
    }
    assert set(found["same"]) == {"negatives", "same"}  # who always says 3 rates no original above its control
    off = Rules(fewest_pages=None, fewest_seconds=None, negatives=False, most_difference=None, same_rating=False)
    assert exclusions.exclusions(attrs.evolve(study, rules=off), given) == {}


def pages(study: Study, steps: Sequence[sequences.Step]) -> list[Page]:
    return [study.page[step.page] for step in steps]


def test_preferences_for_the_control_are_found() -> None:
    layout = Layout(studies.draws(5))
    designs.preference(layout, {"v": {"a": of("a", "v"), "b": of("b", "v")}})
    designs.controls(layout, PageKind.PREFERENCE, {"v": of("bad", "v")}, {"v": of("good", "v")})
    study = made(layout, rules=Rules(fewest_pages=1, fewest_seconds=None))

    def choosing(rater: str, system: str) -> list[Answer]:
        return [
            Answer(rater=rater, page=page.id, sample=one, question=PREFERRED, seconds=60.0,
                   value=int(study.sample[one].system in (system, "a")))
            for page in study.of_kind(PageKind.PREFERENCE) for one in page.samples
        ]  # fmt: skip

    found = exclusions.exclusions(study, [*choosing("good", "original"), *choosing("bad", "unmatched")])
    assert found.keys() == {"bad"}
    assert found["bad"].keys() == {"negatives"}


def test_preferences_are_checked_by_controls_that_are_shown_again() -> None:
    study = simulated("preference", size=4, systems=("a", "b"), raters=3, seed=1)
    assert study.rules.most_missed == 7 / 4
    for seed in range(20):
        steps = sequences.draw(study, {}, studies.draws(seed))
        assert {study.page[page.repeats] for page in pages(study, steps) if page.repeats} <= set(study.negatives)
    assert [bool(page.repeats) for page in pages(study, steps)].count(True) == 2
    ratings = attrs.evolve(study, rules=attrs.evolve(study.rules, most_missed=None))
    steps = sequences.draw(ratings, {}, studies.draws(1))
    assert {study.page[page.repeats] for page in pages(study, steps) if page.repeats} <= set(study.results)

    shown = [*study.negatives, *filter(None, map(study.repeat_of, [page.id for page in study.negatives[:2]]))]
    assert len(shown) == 7

    def missing(rater: str, wrong: int, neither: int) -> list[Answer]:
        return [
            Answer(rater=rater, page=page.id, sample=one, question=PREFERRED, seconds=60.0,
                   value=int(not wrong <= place < wrong + neither
                             and (study.sample[one].system == "original") == (place >= wrong)))
            for place, page in enumerate(shown) for one in page.samples
        ]  # fmt: skip

    given = [one for wrong, neither in ((0, 0), (1, 1), (1, 2), (2, 0), (0, 3), (0, 4))
             for one in missing(f"{wrong} {neither}", wrong, neither)]  # fmt: skip
    strict = attrs.evolve(study, rules=attrs.evolve(study.rules, fewest_pages=None, fewest_seconds=None))
    found = exclusions.exclusions(strict, given)
    assert {rater: list(rules) for rater, rules in found.items()} == {
        rater: ["missed"] for rater in ("1 2", "2 0", "0 4")
    }
    assert found["1 2"]["missed"] == "2 of 7 times the control was not told from its original"
    assert exclusions.exclusions(attrs.evolve(ratings, rules=attrs.evolve(strict.rules, most_missed=None)), given) == {}


@pytest.mark.parametrize(("controls", "asked", "repeated"), [(5, 2, 2), (5, 9, 2), (3, 2, 1), (1, 2, 1), (0, 2, 0)])
def test_as_many_may_be_missed_as_a_quarter_of_what_is_shown(controls: int, asked: int, repeated: int) -> None:
    protocol = Protocol(negatives_per_rater=controls, repeats_per_rater=asked)
    rules = Rules.of(PageKind.PREFERENCE, protocol)
    assert rules.most_missed == max(1.0, (controls + repeated) / 4)
    drawn = simulated("preference", size=4, systems=("a", "b"), raters=3, seed=1)
    study = attrs.evolve(drawn, protocol=attrs.evolve(drawn.protocol, negatives_per_rater=controls,
                                                      repeats_per_rater=asked), rules=rules)  # fmt: skip
    steps = sequences.draw(study, {}, studies.draws(1))
    assert [bool(page.repeats) for page in pages(study, steps)].count(True) == repeated


def test_a_study_without_the_rule_keeps_its_hash() -> None:
    study = simulated("retrieval", size=2, raters=3)
    assert "most_missed" not in study.to_dict()["rules"]
    preferences = simulated("preference", size=2, raters=3)
    assert Study.from_dict(preferences.to_dict()).rules.most_missed == 7 / 4


def test_random_raters_are_found_by_repeats_and_consistent_ones_are_not() -> None:
    study = whole_study()
    chance = np.random.default_rng(7)
    truth: dict[tuple[str, str], float] = {}

    def consistent(page: Any, sample: str, question: str) -> int:
        true = truth.setdefault((sample, question), chance.uniform(1.5, 4.5))
        return int(np.clip(round(true + chance.normal(0, 0.5)), 1, 5))  # twice: a test-retest deviation of 0.7

    found: collections.Counter[str] = collections.Counter()
    for rater in range(200):
        truth.clear()
        for name, value in (("random", lambda *_: int(chance.integers(1, 6))), ("consistent", consistent)):
            rules = exclusions.exclusions(study, answers(study, f"{name} {rater}", value))
            found[name] += "repeats" in rules.get(f"{name} {rater}", {})
    assert found["random"] > 150
    assert found["consistent"] < 6


# ------------------------------------------------------------------------------------------------------ sounds
def test_headphone_trials_are_woods_tones() -> None:
    trials = list(stimuli.headphone_trials(studies.draws(1)))
    assert len(trials) == 6
    orders = set()
    for audio, right in trials:
        tones = [audio.excerpt(1.5 * place, 1.0) for place in range(3)]
        powers = [float(np.mean(tone.samples**2)) for tone in tones]
        assert np.argmin(powers) + 1 == right
        assert 10 * np.log10(max(powers) / min(powers)) == pytest.approx(6.0, abs=0.01)
        # Where both channels meet, as in the air before loudspeakers, another tone is the quietest.
        sums = [float(np.mean(tone.mono() ** 2)) for tone in tones]
        assert np.argmin(sums) + 1 != right
        assert min(sums) < 1e-9
        orders.add((right, int(np.argmin(sums)) + 1))
    assert len(orders) == 6


def test_level_trials_have_quiet_tones_after_noise_of_the_studys_loudness() -> None:
    trials = list(stimuli.level_trials(studies.draws(1), -23.0, 3))
    assert len({number for _, number in trials}) == 3
    for audio, number in trials:
        assert loudness(audio.excerpt(0.0, 2.0)) == pytest.approx(-23.0, abs=0.2)
        after = audio.excerpt(3.0, audio.duration - 3.0).samples[0]
        sounding = np.abs(after) > 0.3 * np.max(np.abs(after))
        block = sounding[: len(sounding) // 441 * 441].reshape(-1, 441).any(axis=1)
        assert np.count_nonzero(np.diff(block.astype(int), prepend=0) == 1) == number


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    studies.custom(folder, pages=2)
    return folder


def test_sounds_have_one_loudness_and_tell_nothing(frozen: Path) -> None:
    study = load(frozen / "study")
    results = [sample for sample in study.samples if sample.id not in study.keys]
    levels = {}
    for sample in results:
        audio = load_sound(frozen / "study" / sample.file)
        assert audio.sample_rate == stimuli.SAMPLE_RATE
        assert audio.peak <= 10 ** (-1 / 20) + 1e-6
        levels[sample.file] = loudness(audio)
        raw = (frozen / "study" / sample.file).read_bytes()
        assert raw[:4] == b"fLaC"
        assert sample.system.encode() not in raw
    assert len(levels) == 4
    assert list(levels.values()) == pytest.approx([study.loudness_lufs] * 4, abs=0.05)
    assert study.loudness_lufs == -23.0


def test_a_peaky_sound_makes_all_quieter_and_none_is_limited(tmp_path: Path) -> None:
    files = studies.sounds(tmp_path, 1)
    audio = load_sound(files[0])
    peaky = np.float32(0.01) * audio.samples.copy()
    peaky[:, 5000] = 0.9
    save(tmp_path / "peaky.wav", Audio(peaky, audio.sample_rate))
    path = tmp_path / "table.csv"
    path.write_text(f"page,file,system,vocal\np,{files[0].name},a,v\np,peaky.wav,b,v\n")
    study = freeze_table(path, Frame(protocol=Protocol(level=False, headphones=False)), tmp_path / "study")
    assert study.loudness_lufs is not None
    assert study.loudness_lufs < -30
    sounds = [load_sound(tmp_path / "study" / sample.file) for sample in study.samples]
    assert [loudness(one) for one in sounds] == pytest.approx([study.loudness_lufs] * 2, abs=0.05)
    assert max(one.peak for one in sounds) <= 10 ** (-1 / 20) + 1e-6


def test_the_same_seed_makes_the_same_study(frozen: Path, tmp_path: Path) -> None:
    again = studies.custom(tmp_path, pages=2)
    assert again.hash == load(frozen / "study").hash


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("page,file,system\np,a.wav,s\n", "no column vocal"),
        ("page,file,system,vocal\n", "no row"),
        ("page,file,system,vocal\np,sound-0.wav,,v\n", "line 2: no system"),
        ("page,file,system,vocal\np,sound-0.wav,s,v\n", "page 'p' has 1 samples"),
        ("page,file,system,vocal\np,sound-0.wav,s,v\np,sound-1.wav,t,w\n", "2 samples of 2 vocals"),
        ("page,file,system,vocal,rank\np,sound-0.wav,s,v,best\n", "line 2: rank 'best'"),
        ("page,file,system,vocal,kind\np,sound-0.wav,s,v,trainig\n", "line 2: kind 'trainig'.*'training'"),
        (
            "page,file,system,vocal,kind\np,sound-0.wav,s,v,training\nq,sound-0.wav,s,v,\np,sound-1.wav,t,v,\n",
            "lines 2 and 4: kind 'training' and '' of one page, 'p'",
        ),
        ("page,file,system,vocal,group\np,sound-0.wav,s,v,Top\n", "line 2: group 'Top'.*'top' or 'bottom'"),
        ("page,file,system,vocal\np,sound-0.wav,check,v\n", "line 2: system 'check'.*another name"),
        ("page,file,system,vocal\np,sound-0.wav, Check,v\n", "line 2: system 'Check'.*another name"),
        ("page,file,system,vocal\np,../../nothing.wav,s,v\n", r"table.csv, line 2: .*nothing.wav: no such file"),
        ("page,file,system,vocal\np,table.csv,s,v\n", r"table.csv, line 2: .*table.csv: cannot be decoded"),
        (
            "page,file,system,vocal\np,sound-0.wav,amu,v\np,sound-1.wav,AMU,v\n",
            "line 3: system 'AMU' differs from 'amu'",
        ),
        ("page,file,system,vocal\np,sound-0.wav,a b,v\np,sound-1.wav,ab,v\n", "line 3: system 'ab' differs from 'a b'"),
        ("page,file,system,vocal\np,sound-0.wav,Original,v\n", "line 2: system 'Original' differs from 'original'"),
        (
            "page,file,system,vocal\np,sound-0.wav,Un matched,v\n",
            "line 2: system 'Un matched' differs from 'unmatched'",
        ),
        ("page,file,system,vocal\np,sound-0.wav,a,v\np,sound-1.wav,b,V\n", "line 3: vocal 'V' differs from 'v'"),
        ("page,file,system,vocal\np,sound-0.wav,a,v,w\n", "line 2: more cells than the first line"),
        ("page,file,system,vocal\np,silent.wav,s,v\n", "silent.wav: the sound is silent"),
    ],
)
def test_tables_that_make_no_study(frozen: Path, tmp_path: Path, content: str, said: str) -> None:
    for file in frozen.glob("sound-*.wav"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save(tmp_path / "silent.wav", signals.silence(2.0))
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(MashkitError, match=said):
        freeze_table(tmp_path / "table.csv", Frame(), tmp_path / "study")
    assert not (tmp_path / "study").exists()
    assert list(tmp_path.glob(".study*")) == []


def custom_of(folder: Path, files: Path, content: str) -> Study:
    for file in files.glob("sound-*.wav"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "table.csv").write_text(content)
    return freeze_table(folder / "table.csv", Frame(), folder / "study")


def test_spaces_around_cells_make_no_other_system(frozen: Path, tmp_path: Path) -> None:
    rows = "p,sound-0.wav,amu ,v\n p, sound-1.wav, tiv,v \nq,sound-2.wav, amu,w\nq,sound-3.wav,tiv,w\n"
    study = custom_of(tmp_path, frozen, f"page, file,system ,vocal\n{rows}")
    assert list(study.systems) == ["amu", "tiv"]
    assert len(study.results) == 2


def test_a_sound_in_two_groups_is_two_samples(frozen: Path, tmp_path: Path) -> None:
    rows = "".join(
        f"p{group},sound-0.wav,amu,v,{group}\np{group},sound-1.wav,original,v,\n" for group in ("top", "bottom")
    )
    study = custom_of(tmp_path, frozen, f"page,file,system,vocal,group\n{rows}")
    assert sorted((one.system, one.group) for one in study.samples if one.id not in study.keys) == [
        ("amu", "bottom"), ("amu", "top"), ("original", ""),
    ]  # fmt: skip


def test_a_study_is_never_overwritten(frozen: Path) -> None:
    with pytest.raises(StudyError, match="not empty"):
        freeze_table(frozen / "table.csv", Frame(), frozen / "study")


def test_a_study_is_made_in_the_current_folder_if_it_is_empty(
    frozen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inside = tmp_path.stat().st_ino
    (tmp_path / ".part" / "stimuli").mkdir(parents=True)  # of an attempt that was killed
    words = ["listen", "new", "--task", "custom", "--table", str(frozen / "table.csv"), "-o", "."]
    assert main(words) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stimuli", "study.json"]
    assert tmp_path.stat().st_ino == inside  # the same folder, in which the shell still is
    assert load(Path()).results
    assert main(words) == 1


def test_a_folder_that_was_there_stays_if_no_study_is_made(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("page,file,system,vocal\np,nothing.wav,s,v\n")
    (tmp_path / "study").mkdir()
    for _ in range(2):
        with pytest.raises(UsageError, match="no such file"):
            freeze_table(tmp_path / "table.csv", Frame(), tmp_path / "study")
        assert list((tmp_path / "study").iterdir()) == []


def test_shipped_texts_have_the_papers_questions_and_the_same_names() -> None:
    shipped = texts.shipped()
    assert shipped.keys() == {"de", "en"}
    assert shipped["de"].keys() == shipped["en"].keys()
    for name, text in shipped["en"].items():  # places to fill in are the same in each language
        fields = {part.split("}")[0] for part in text.split("{")[1:]}
        assert fields == {part.split("}")[0] for part in shipped["de"][name].split("{")[1:]}, name
    english = shipped["en"]
    assert english["harmony_question"] == "How good is the harmonic compatibility between the vocals and music?"
    assert english["rhythm_question"] == "How good is the rhythmic compatibility between the vocals and music?"
    assert english["timbre_question"] == (
        "Is each instrumental part clear and recognizable? How spectrally balanced and professional is the combination?"
    )
    assert english["innovation_question"] == "Does the combination sound unexpected without clashing?"
    assert english["overall_question"] == (
        "Does it sound like it was professionally made, not a randomly remixed piece?"
    )
    assert [english[f"rate_{value}"] for value in range(1, 6)] == ["awful", "poor", "fair", "good", "excellent"]


def test_a_language_can_be_added_if_it_is_whole(tmp_path: Path) -> None:
    shipped = texts.shipped()
    path = tmp_path / "fr.json"
    path.write_text(json.dumps({**shipped["en"], "language": "Français"}))
    assert texts.with_file(shipped, path)["fr"]["language"] == "Français"
    path.write_text(json.dumps({"language": "Français", "surplus": "x"}))
    with pytest.raises(StudyError, match=r"consent_text.*surplus"):
        texts.with_file(shipped, path)
    other = tmp_path / "en.json"
    other.write_text(json.dumps({"consent_text": "Ours."}))
    assert texts.with_file(shipped, other)["en"]["consent_text"] == "Ours."


# ------------------------------------------------------------------------------------------------------ mashups
@pytest.mark.parametrize(("controls", "missed"), [(0, 1.0), (1, 1.0), (4, 1.5), (9, 7 / 4)])
def test_the_rules_are_for_the_controls_that_a_study_has(tmp_path: Path, controls: int, missed: float) -> None:
    files = studies.sounds(tmp_path, 4)
    rows = [f"p,{files[0].name},a,v", f"p,{files[1].name},b,v"]
    for number in range(controls):
        rows += [f"n{number},{files[2].name},original,n{number}", f"n{number},{files[3].name},unmatched,n{number}"]
    (tmp_path / "table.csv").write_text("\n".join(["page,file,system,vocal", *rows]))
    told: list[str] = []
    frame = Frame(protocol=Protocol(negatives_per_rater=5, level=False, headphones=False))
    study = freeze_table(tmp_path / "table.csv", frame, tmp_path / "study", asks=PageKind.PREFERENCE, note=told.append)
    assert study.rules.most_missed == missed
    fewer = [f"pages with a control that a rater sees: {controls}, not 5; the study has no more"]
    assert told == list(study.notes) == (fewer if controls < 5 else [])
    assert load(tmp_path / "study") == study


@pytest.mark.slow
@pytest.mark.whole
def test_controls_and_training_pages_that_cannot_be_made_are_told(tmp_path: Path) -> None:
    source = SyntheticSource([(Key(tonic, "major"), 118.0 + tonic) for tonic in range(3)], bars=14)
    protocol = Protocol(headphones=False, level=False)
    options = MashupStudyOptions(
        task="retrieval", systems=("random",), queries=1, candidates=2, negatives=3, training=4
    )
    study = freeze_mashups(Kit(), source, options, Frame(seed=1, protocol=protocol), tmp_path / "study")
    assert (len(study.negatives), len(study.of_kind(PageKind.TRAINING))) == (1, 3)
    assert set(study.notes) >= {
        "2 of the 3 pages with a control: no more vocals have one",
        "1 of the 4 training pages: no more vocals have one",
        "pages with a control that a rater sees: 1, not 3; the study has no more",
    }


@pytest.mark.slow
@pytest.mark.parametrize("task", ["generation", "retrieval", "preference"])
def test_a_study_of_mashups_is_frozen(tmp_path: Path, task: str) -> None:
    source = SyntheticSource([(Key(tonic, "major"), 118 + tonic) for tonic in range(4)], bars=14)
    options = MashupStudyOptions(
        task=task, systems=("loudness", "random", "amu"), count=12, each=2, queries=2, candidates=4, negatives=1
    )
    study = freeze_mashups(Kit(), source, options, Frame(seed=1), tmp_path / "study")
    assert load(tmp_path / "study").hash == study.hash
    assert len(study.results) == {"generation": 12, "retrieval": 4}.get(task, len(study.results))
    assert 0 < len(study.results) <= 12
    assert len(study.negatives) == 1
    assert set(study.systems) == {"loudness", "random", "amu"}
    for sample in study.samples:
        if sample.id in study.keys:  # a sound of a check, which is no mashup
            assert sample.plan == ""
            continue
        plan = MashupPlan.from_dict(study.plans[sample.plan])
        assert plan.id == sample.plan
        assert plan.layer(Role.VOCAL).clip_id == sample.vocal
        assert (plan.condition is Condition.ORIGINAL) == (sample.system == "original")
    for page in study.of_kind(PageKind.RATING, PageKind.PREFERENCE, PageKind.TRAINING):
        # The vocal is at the same place in both: its part of the sound begins at one moment.
        first, second = (load_sound(tmp_path / "study" / study.sample[one].file) for one in page.samples)
        assert abs(lag(first, second)) < 0.005


def lag(one: Audio, other: Audio) -> float:
    """Return by how many seconds the common part of two sounds is later in the second; the vocal is what they share."""
    length = min(one.frames, other.frames, 8 * one.sample_rate)
    first, second = (np.fft.rfft(sound.mono()[:length], 2 * length) for sound in (one, other))
    cross = first.conj() * second
    correlation = np.fft.irfft(cross / np.maximum(np.abs(cross), 1e-9))
    near = round(0.5 * one.sample_rate)
    window = np.concatenate([correlation[-near:], correlation[:near]])
    return (int(np.argmax(window)) - near) / one.sample_rate


def test_the_command_line_says_what_is_wrong(tmp_path: Path, frozen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "study")
    assert main(["listen", "new", "--task", "custom", "-o", output]) == 2
    assert "without --table" in capsys.readouterr().err
    assert main(["listen", "new", "--task", "generation", "-o", output]) == 2
    assert "without --systems" in capsys.readouterr().err
    assert main(["listen", "serve", str(tmp_path)]) == 2
    assert "is no study" in capsys.readouterr().err
    assert main(["listen", "serve", str(frozen / "study"), "--host", "0.0.0.0"]) == 2  # noqa: S104
    assert "--admin-token" in capsys.readouterr().err
    table = str(frozen / "table.csv")
    assert main(["listen", "new", "--task", "custom", "-o", output, "--table", table, "--json", "--no-level"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["hash"] == load(Path(output)).hash
    assert (told["samples"], told["pages"]) == (8, 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("new", "--task", "custom", "-o", "x", "--table", "nope.csv"), "nope.csv cannot be read.*--table"),
        (("new", "--task", "custom", "-o", "x", "--table", "t.csv"), r"t.csv, line 2: nope.wav: no such file"),
        (("simulate", "nope", "-o", "x"), "nope is no folder"),
        (("serve", "nope"), "nope is no folder"),
        (("serve", "."), "is no study"),
        (("new", "--task", "retrieval", "--systems", "amu", "-o", "x", "--ask", "rating"),
         "--task retrieval with --ask, which it does not use .*--task custom"),
        (("new", "--task", "retrieval", "--systems", "amu", "-o", "x", "--each", "5"), "with --each"),
        (("new", "--task", "preference", "--systems", "amu", "-o", "x", "--count", "5"), "with --count"),
        (("new", "--task", "generation", "--systems", "amu", "-o", "x", "--query", "a"), "with --query"),
        (("new", "--task", "generation", "--systems", "amu", "-o", "x", "--queries", "3"),
         "with --queries, which it does not use .*--task retrieval or preference"),
        (("new", "--task", "generation", "--systems", "amu", "-o", "x", "--candidates", "3"), "with --candidates"),
        *((("new", "--task", "custom", "-o", "x", "--table", "t.csv", option, "3"), f"custom with {option}")
          for option in ("--count", "--queries", "--candidates", "--each", "--training", "--negatives")),
        (("new", "songs", "--task", "custom", "-o", "x", "--table", "t.csv"), "custom with songs"),
    ],
)  # fmt: skip
def test_wrong_usage_has_its_status_and_names_the_argument(
    arguments: Sequence[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("page,file,system,vocal\np,nope.wav,s,v\n")
    assert main(["listen", *arguments]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not Path("x").exists()


@pytest.mark.parametrize("words", [("listen", "serve", "study"), ("audition", "out")])
def test_a_port_that_cannot_be_is_told_with_those_that_can(
    words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ("65536", "99999", "-1"):
        with pytest.raises(SystemExit) as stopped:
            main([*words, "--port", wrong])
        assert stopped.value.code == 2
        told = capsys.readouterr().err
        assert "--port" in told
        assert wrong in told
    assert port("65535") == 65_535


def test_wishes_that_cannot_be_are_told_before_any_song_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "song.wav").write_text("no sound: whoever reads it fails otherwise")
    for task, systems, more, said in (
        ("generation", "amu", ("--each", "5", "--count", "6"), "--count 6 for a top 5 and a bottom 5"),
        ("generation", "amu", ("--count", "39"), "give --count 40 or more"),
        ("retrieval", "amu,amu", (), "--systems amu,amu"),
        ("retrieval", "amu,", (), "--systems amu,"),
        ("preference", "amu", (), "preferences for one system"),
    ):
        words = ["--task", task, "--systems", systems, *more, "-o", str(tmp_path / "x"), str(tmp_path / "song.wav")]
        assert main(["listen", "new", *words]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.plugins
def test_what_cannot_be_is_told_before_songs_are_separated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "song.wav").write_text("no sound: whoever reads it fails otherwise")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    monkeypatch.setattr("mashkit.cli.collection.catalog_of", lambda *_: pytest.fail("songs were read"))
    for more, status, said in (
        (("--systems", "amu", "-o", str(tmp_path / "full")), 1, "full is not empty"),
        (("--systems", "amu", "-o", str(tmp_path / "song.wav")), 1, "song.wav is not empty"),
        (("--systems", "amu", "-o", str(tmp_path / "song.wav" / "x")), 1, "is a file"),
        (("--systems", "amu,nosuchscorer", "-o", str(tmp_path / "x")), 2, "nosuchscorer"),
        (("--systems", "amu", "--analyzer", "key:librosa", "-o", str(tmp_path / "x")), 2, "finds no downbeats"),
    ):
        assert main(["listen", "new", "--task", "retrieval", str(tmp_path / "song.wav"), *more]) == status, said
        assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.plugins
def test_a_query_that_is_no_clip_is_named_with_its_option(tmp_path: Path) -> None:
    class Empty:
        """A catalog without clips."""

        def clip(self, clip_id: str) -> Any:
            raise CatalogError(f"no clip {clip_id!r} in this catalog")

    options = MashupStudyOptions(task="retrieval", systems=("amu",), vocals=("nope",))
    with pytest.raises(UsageError, match=r"--query nope: no clip 'nope'.*--list-clips"):
        freeze_mashups(Kit(), Empty(), options, Frame(), tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.plugins
def test_systems_may_have_commas_in_brackets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[tuple[str, ...]] = []

    def stop(kit: Kit, catalog: Any, options: MashupStudyOptions, *rest: Any, **more: Any) -> Any:
        seen.append(options.systems)
        raise StudyError("enough")

    monkeypatch.setattr("mashkit.listen.freezing.freeze_mashups", stop)
    monkeypatch.setattr("mashkit.cli.collection.catalog_of", lambda *_: None)
    systems = "amu, rank(amu,0.5*tiv)"
    assert main(["listen", "new", "--task", "retrieval", "--systems", systems, "-o", str(tmp_path / "x")]) == 1
    assert seen == [("amu", "rank(amu,0.5*tiv)")]
