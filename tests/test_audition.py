"""Auditions: candidates, changes, sounds, decisions that survive everything, the server, and the export."""

from __future__ import annotations

import concurrent.futures
import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import soundfile

import auditions
from mashkit.audio.files import load
from mashkit.audition import export
from mashkit.audition.candidates import Candidate, Pool, Sources, add_stored, read_output, written_scores
from mashkit.audition.changes import Change, changed, changes_of, moved
from mashkit.audition.sounds import EXCERPT_S, Cuts, Sounds, Span, Superseded, span_around
from mashkit.audition.store import DATABASE, Store
from mashkit.catalog import Catalog, MashupDB
from mashkit.cli import main
from mashkit.errors import CatalogError, MashkitError, OutputError, UsageError
from mashkit.pipeline import Kit
from mashkit.rendering.renderer import Renderer
from mashkit.timing.beatmap import beat_grid
from mashkit.types import Analysis, Finish, Layer, MashupPlan, Role, Score
from mashkit.types.timemap import TimeMap

pytest.importorskip("starlette", reason="the extra listen is not installed")

from starlette.testclient import TestClient

from mashkit.audition.server import application, static_of
from mashkit.audition.serving import free_port
from mashkit.audition.session import Session, scorers
from mashkit.listen.answers import NotSaved, Refused
from mashkit.listen.links import Links

pytestmark = pytest.mark.plugins
LOCAL = "http://127.0.0.1:8775"
SECRET = b"a secret of tests, 32 bytes long"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return auditions.made(tmp_path_factory)


@pytest.fixture
def out(made: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the mashups, which a test may break."""
    return Path(shutil.copytree(made[1], tmp_path / "out"))


@pytest.fixture
def sources(made: tuple[Path, Path]) -> Sources:
    return Sources([Catalog(MashupDB(made[0], write=False))])


def kit(scorer: str | None = None) -> Kit:
    return Kit(**({} if scorer is None else {"scorer": scorer}))


def decided(store: Store, candidate: Candidate, **change: Any) -> None:
    store.decide(f"{candidate.id}-{len(store.decisions())}-{change}", candidate.id, change, data=candidate.to_dict())


# -------------------------------------------------------------------------------------------------- candidates
def test_candidates_of_a_folder_are_in_its_order_with_clips_and_scores(out: Path) -> None:
    pool = read_output(out)
    assert [one.folder.name for one in pool.candidates.values() if one.folder] == [f"mashup-{n}" for n in (1, 2, 3, 4)]
    assert pool.broken == []
    first = next(iter(pool.candidates.values()))
    assert set(first.clips) == set(first.roles)
    assert Candidate.from_dict(first.to_dict()).plan == first.plan
    name, scores = written_scores(out)
    assert name == "random"
    assert set(scores) == set(pool.candidates)


@pytest.mark.slow
def test_what_mash_wrote_is_read(made: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        "mash",
        "--db",
        str(made[0]),
        "-o",
        str(out),
        "--top",
        "2",
        "--per-vocal",
        "2",
        "--count",
        "4",
        "--quiet",
    ]
    assert main([*command, "--scorer", "random"]) == 0
    Store(out).close()
    assert main([*command, "--scorer", "loudness"]) == 0  # the decisions are in nobody's way
    assert (out / DATABASE).is_file()
    pool = read_output(out)
    assert len(pool.candidates) == 2
    name, scores = written_scores(out)
    assert name == "loudness"
    assert set(scores) == set(pool.candidates)


def test_a_broken_plan_is_listed_and_the_others_are_there(out: Path) -> None:
    (out / "mashup-1" / "plan.json").write_text("{")
    (out / "mashup-2" / "plan.json").write_text(json.dumps({"plan": {"format": 99}}))
    (out / "scores.json").write_text("[]")
    pool = read_output(out)
    assert len(pool.candidates) == 2
    assert {one.name for one in pool.broken} == {"mashup-1", "mashup-2"}
    assert "update mashkit" in pool.broken[1].problem
    assert written_scores(out) == ("", {})


def test_a_folder_of_an_older_version_has_plans_without_clips(out: Path) -> None:
    path = out / "mashup-1" / "plan.json"
    record = json.loads(path.read_text())
    plan = {**record["plan"], "format": 1}
    for newer in ("mixing", "notes", "id"):
        del plan[newer]
    path.write_text(json.dumps({"plan": plan, "clips": {"vocal": {"id": "x"}, "nose": 3}}))
    first = next(iter(read_output(out).candidates.values()))
    assert first.clips == {}
    assert first.folder == out / "mashup-1"


def edited(folder: Path) -> None:
    """Edit the plan of a rendered mashup by hand: quieter harmony, no percussion."""
    path = folder / "plan.json"
    record = json.loads(path.read_text())
    layers = [one for one in record["plan"]["layers"] if one["role"] != "percussion"]
    for layer in layers:
        layer["gain_db"] = -20.0 if layer["role"] == "harmonic" else layer["gain_db"]
    path.write_text(json.dumps({**record, "plan": {**record["plan"], "layers": layers}}))


def test_a_plan_that_was_edited_does_not_get_the_old_sound(out: Path, sources: Sources) -> None:
    before = next(iter(read_output(out).candidates.values()))
    edited(out / "mashup-1")
    assert before.stem_file(Role.HARMONIC) is not None
    with pytest.raises(CatalogError, match="are not of plan"):
        next(iter(read_output(out).candidates.values())).stem_file(Role.HARMONIC)
    made = Served(out, sources)
    with made.client:
        plan = made.plans[0]
        shown = made.client.get(f"/api/candidate?plan={plan}")
        assert shown.status_code == 200
        assert set(shown.json()["beats"]) == {"vocal", "harmonic"}
        heard = made.client.get(f"/sound/{plan}/harmonic")
        assert heard.status_code == 200
        old = soundfile.read(out / "mashup-1" / "stems" / "harmonic.flac", always_2d=True)[0]
        assert np.std(sounding(heard.content)) < 0.3 * np.std(old)
    lonely = Served(out, Sources([]))
    with lonely.client:
        refused = lonely.client.get(f"/sound/{plan}/harmonic")
        assert (refused.status_code, refused.json()["reason"]) == (503, "broken")


@pytest.mark.parametrize("what", ["empty", "missing", "file"])
def test_a_folder_without_mashups_is_refused_with_what_to_do(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "folder"
    if what == "empty":
        folder.mkdir()
    elif what == "file":
        folder.write_text("")
    with pytest.raises(CatalogError if what == "empty" else UsageError, match="mashkit mash"):
        read_output(folder)


# ----------------------------------------------------------------------------------------------------- changes
BEATS = np.cumsum(np.r_[0.4, np.full(63, 0.5) + 0.02 * np.sin(np.arange(63) / 9)])
GRID = beat_grid(Analysis(tempo=120.0, beats=BEATS, downbeats=BEATS[::4]))


def test_a_layer_at_one_speed_moves_by_the_vocals_beats() -> None:
    layer = Layer(role=Role.HARMONIC, clip_id="h", speed=1.1, offset_s=2.0)
    later = moved(layer, Layer(role=Role.VOCAL, clip_id="v", speed=1.0), GRID, 3)
    period = (BEATS[-1] - BEATS[0]) / (len(BEATS) - 1)
    assert later.offset_s == pytest.approx(2.0 + 3 * period, abs=0.005)
    assert attrs.evolve(later, offset_s=2.0) == layer


@pytest.mark.parametrize("beats", [1, -2, 4])
def test_a_layer_along_the_beats_follows_them_after_the_move(beats: int) -> None:
    vocal = Layer(role=Role.VOCAL, clip_id="v", speed=1.0, offset_s=-1.0)
    own = np.arange(0.2, 24.0, 0.6)  # the layer's beats lie on the vocal's beats 8, 9, …
    laid = vocal.to_mashup(GRID.time_at(np.arange(len(own)) + 8))
    time_map, offset = TimeMap.through(own, laid, duration_s=24.2)
    layer = Layer(role=Role.HARMONIC, clip_id="h", time_map=time_map, offset_s=offset)
    later = moved(layer, vocal, GRID, beats)
    due = vocal.to_mashup(GRID.time_at(np.arange(len(own)) + 8 + beats))
    assert np.abs(later.to_mashup(own) - due).max() < 0.002
    assert (
        np.abs(later.to_mashup(own) - laid - beats * 0.5).max() > 0.005
    )  # the beats are uneven: no mere shift does it
    back = moved(later, vocal, GRID, -beats)
    assert np.abs(back.to_mashup(own) - laid).max() < 0.002


@pytest.mark.parametrize("beats", [8, 32, -16])
def test_a_layer_that_was_steady_follows_a_vocal_that_is_not_steady_there(beats: int) -> None:
    # The vocal slows down after 40 beats, and the layer lies on its steady half: the map has no knots within it.
    sung = 0.4 + np.concatenate([[0.0], np.cumsum(np.r_[np.full(40, 0.5), np.linspace(0.5, 0.56, 41)])])
    grid = beat_grid(Analysis(tempo=120.0, beats=sung, downbeats=sung[::4]))
    vocal = Layer(role=Role.VOCAL, clip_id="v", speed=1.0)
    own = 0.1 + 0.52 * np.arange(40)
    start = 0 if beats > 0 else 38
    time_map, offset = TimeMap.through(own, grid.time_at(np.arange(40) + start), duration_s=21.0, tolerance_s=0.005)
    later = moved(Layer(role=Role.HARMONIC, clip_id="h", time_map=time_map, offset_s=offset), vocal, grid, beats)
    assert np.abs(later.to_mashup(own) - grid.time_at(np.arange(40) + start + beats)).max() < 0.008


def test_a_layer_does_not_move_to_where_no_stretcher_can_follow() -> None:
    sung = 0.4 + np.concatenate([[0.0], np.cumsum(np.r_[np.full(40, 0.5), 0.5 * np.linspace(1, 1.6, 41)])])
    grid = beat_grid(Analysis(tempo=120.0, beats=sung, downbeats=sung[::4]))
    own = 0.1 + 0.32 * np.arange(40)
    time_map, offset = TimeMap.through(own, grid.time_at(np.arange(40)), duration_s=13.0, tolerance_s=0.005)
    layer = Layer(role=Role.HARMONIC, clip_id="h", time_map=time_map, offset_s=offset)
    with pytest.raises(Refused, match=r"stay within 0\.5 and 2"):
        moved(layer, Layer(role=Role.VOCAL, clip_id="v", speed=1.0), grid, 40)


def test_key_and_gain_add_to_the_plan_and_the_id_changes(made: tuple[Path, Path]) -> None:
    candidate = next(iter(read_output(made[1]).candidates.values()))
    changes = changes_of({"harmonic": {"semitones": -2, "gain_db": 1.5}, "vocal": {"gain_db": -3}, "percussion": {}})
    plan = changed(candidate.plan, changes, candidate.clips[Role.VOCAL])
    before, after = candidate.plan.layer(Role.HARMONIC), plan.layer(Role.HARMONIC)
    assert (after.semitones, after.gain_db) == (before.semitones - 2, before.gain_db + 1.5)
    assert plan.layer(Role.VOCAL).gain_db == candidate.plan.layer(Role.VOCAL).gain_db - 3
    assert plan.layer(Role.PERCUSSION) == candidate.plan.layer(Role.PERCUSSION)
    assert plan.id != candidate.id
    assert changed(candidate.plan, {}, None) == candidate.plan


def test_the_record_of_a_change_does_not_contradict_the_sound(made: tuple[Path, Path]) -> None:
    candidate = next(iter(read_output(made[1]).candidates.values()))
    retuned = "the harmonic layer is retuned by -44.9 cents"
    plan = attrs.evolve(
        candidate.plan,
        generator={**candidate.plan.generator, "tuning": {"vocal": 0.0, "harmonic": 44.9, "cents": -44.9}},
        notes=[retuned],
    )
    vocal = candidate.clips[Role.VOCAL]
    louder = changed(plan, {Role.HARMONIC: Change(gain_db=2.0, beats=-1), Role.PERCUSSION: Change(bars=2)}, vocal)
    assert louder.generator == plan.generator
    said = "changed by hand: "
    assert louder.notes == (retuned, f"{said}harmonic 1 beat earlier, +2 dB", f"{said}percussion 2 bars later")
    shifted = changed(louder, {Role.HARMONIC: Change(semitones=0.45)}, None)
    assert "tuning" not in shifted.generator
    assert shifted.generator["name"] == plan.generator["name"]
    assert shifted.notes == (*louder.notes, f"{said}harmonic +0.45 semitones")


@pytest.mark.parametrize(
    "given",
    [
        [], {"nose": {}}, {"harmonic": 3}, {"harmonic": {"speed": 2}}, {"harmonic": {"beats": 0.5}},
        {"harmonic": {"beats": True}}, {"harmonic": {"beats": 10**30}}, {"harmonic": {"semitones": float("inf")}},
        {"harmonic": {"semitones": float("nan")}}, {"harmonic": {"semitones": "2"}}, {"harmonic": {"semitones": 30}},
        {"harmonic": {"gain_db": 60}}, {"vocal": {"beats": 1}}, {"vocal": {"semitones": 1}},
    ],
)  # fmt: skip
def test_changes_out_of_range_are_refused(made: tuple[Path, Path], given: Any) -> None:
    candidate = next(iter(read_output(made[1]).candidates.values()))
    with pytest.raises(Refused):
        changed(candidate.plan, changes_of(given), candidate.clips[Role.VOCAL])


def test_a_layer_does_not_move_by_beats_that_nobody_knows(made: tuple[Path, Path]) -> None:
    candidate = next(iter(read_output(made[1]).candidates.values()))
    vocal = candidate.clips[Role.VOCAL]
    silent = attrs.evolve(vocal, analysis=Analysis())
    for clip in (None, silent):
        with pytest.raises(Refused, match="beats"):
            changed(candidate.plan, {Role.HARMONIC: Change(beats=1)}, clip)
    barless = attrs.evolve(vocal, analysis=attrs.evolve(vocal.analysis, downbeats=None))
    with pytest.raises(Refused, match="bars"):
        changed(candidate.plan, {Role.HARMONIC: Change(bars=1)}, barless)


# ------------------------------------------------------------------------------------------------------ sounds
def sounding(data: bytes) -> Any:
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return samples


def test_a_part_is_the_whole_at_its_place(sources: Sources, made: tuple[Path, Path]) -> None:
    candidate = next(iter(read_output(made[1]).candidates.values()))
    plan = changed(candidate.plan, {Role.HARMONIC: Change(beats=3), Role.PERCUSSION: Change(bars=-1)},
                   candidate.clips[Role.VOCAL])  # fmt: skip
    made_of = Sounds(sources, kit().stretcher)
    whole = made_of.whole(plan)
    for at in (0.0, 12.3, plan.duration_s):
        span = span_around(at, plan.duration_s)
        assert 0 <= span.start <= at <= span.end <= plan.duration_s
        assert span.end - span.start == pytest.approx(min(EXCERPT_S, plan.duration_s))
        for role, data in made_of.part(plan, span).items():
            part, due = sounding(data), sounding(whole[role])
            rate = sources.clip(plan.layer(role).clip_id).sample_rate
            due = due[round(span.start * rate) :][: len(part)]
            if plan.layer(role).speed != 1:
                continue  # a stretcher's phases depend on where it begins
            inner = slice(rate // 2, len(part) - rate // 2)
            gain = np.vdot(part[inner], due[inner]) / np.vdot(due[inner], due[inner])
            assert np.abs(part[inner] - gain * due[inner]).max() < 2e-4  # 16 bits, twice
            assert abs(20 * np.log10(gain)) < 3


def test_a_part_has_the_fades_of_the_whole(sources: Sources, made: tuple[Path, Path]) -> None:
    plan = next(iter(read_output(made[1]).candidates.values())).plan
    plan = attrs.evolve(plan, mixing=attrs.evolve(plan.mixing, fade_in_s=8.0, fade_out_s=9.0))
    made_of = Sounds(sources, kit().stretcher)
    whole = made_of.whole(plan)[Role.VOCAL]
    for start in (2.0, plan.duration_s - EXCERPT_S - 1.0):
        part = sounding(made_of.part(plan, Span(start, start + EXCERPT_S))[Role.VOCAL])
        due = sounding(whole)[round(start * 44_100) :][: len(part)]
        gain = np.vdot(part, due) / np.vdot(due, due)
        assert np.abs(part - gain * due).max() < 5e-4


@pytest.mark.parametrize("edge", [-0.01, 0.0, 4.0, EXCERPT_S - 0.01, EXCERPT_S + 0.01])
@pytest.mark.parametrize("begins", [True, False])
def test_a_part_has_the_edges_of_the_whole(
    sources: Sources, made: tuple[Path, Path], edge: float, begins: bool
) -> None:
    plan = next(iter(read_output(made[1]).candidates.values())).plan
    vocal = plan.layer(Role.VOCAL)
    span = Span(8.0, 8.0 + EXCERPT_S)
    lasts = sources.stem(vocal.clip_id, Role.VOCAL).duration
    moved_to = span.start + edge - (0.0 if begins else lasts)
    plan = attrs.evolve(plan, layers=[attrs.evolve(vocal, offset_s=moved_to)])
    made_of = Sounds(sources, kit().stretcher)
    part, whole = (sounding(one[Role.VOCAL]) for one in (made_of.part(plan, span), made_of.whole(plan)))
    due = whole[round(span.start * 44_100) :][: len(part)]
    power = np.vdot(due, due)
    gain = np.vdot(part, due) / power if power else 0.0
    assert np.abs(part - gain * due).max() < 5e-4


def test_a_stretcher_without_time_maps_plays_and_exports_too(
    out: Path, made: tuple[Path, Path], tmp_path: Path
) -> None:
    candidate = next(iter(read_output(out).candidates.values()))
    sources = Sources([Catalog(MashupDB(made[0], write=False))])
    clip = candidate.clips[Role.PERCUSSION]
    time_map = TimeMap([0.0, 10.0, clip.duration], [0.0, 10.5, clip.duration + 0.2])
    layers = [attrs.evolve(one, time_map=time_map, speed=time_map.mean_speed) if one.role is Role.PERCUSSION else one
              for one in candidate.plan.layers]  # fmt: skip
    plan = attrs.evolve(candidate.plan, layers=layers)
    made_of = Sounds(sources, Kit(stretcher="librosa").stretcher)
    assert len(sounding(made_of.whole(plan)[Role.PERCUSSION])) == round(plan.duration_s * 44_100)
    assert len(sounding(made_of.part(plan, Span(2.0, 6.0))[Role.PERCUSSION])) == 4 * 44_100
    decided(Store(out), attrs.evolve(candidate, plan=plan, folder=None), verdict="keep")
    command = ["audition", "export", str(out), "-o", str(tmp_path / "kept"), "--db", str(made[0]), "--stretcher"]
    assert main([*command, "librosa"]) == 0


def test_a_stretched_part_lies_where_it_lies_in_the_whole(sources: Sources, made: tuple[Path, Path]) -> None:
    candidate = next(iter(read_output(made[1]).candidates.values()))
    clip = candidate.clips[Role.PERCUSSION]
    assert clip.analysis.beats is not None
    wavy = clip.analysis.beats[:40] + 0.05 * np.sin(np.arange(40) / 6)
    time_map, offset = TimeMap.through(clip.analysis.beats[:40], wavy, duration_s=clip.duration)
    layers = [attrs.evolve(layer, time_map=time_map, speed=time_map.mean_speed, offset_s=offset)
              if layer.role is Role.PERCUSSION else layer for layer in candidate.plan.layers]  # fmt: skip
    plan = attrs.evolve(candidate.plan, layers=layers)
    cuts, span = Cuts(sources), Span(7.0, 15.0)
    part = cuts.part(plan, span)
    times = np.linspace(*candidate.plan.layer(Role.PERCUSSION).to_clip([7.5, 14.5]), 30)
    begins = cuts._pieces[part.layer(Role.PERCUSSION).clip_id][1]
    there = part.layer(Role.PERCUSSION).to_mashup(times - begins) + span.start
    assert np.abs(there - plan.layer(Role.PERCUSSION).to_mashup(times)).max() < 1e-6

    def envelope(samples: Any) -> Any:
        hop = 110  # 5 ms
        return np.sqrt(np.square(samples.mean(axis=0))[: samples.shape[1] // hop * hop].reshape(-1, hop).mean(axis=1))

    stretcher = kit().stretcher
    due = Renderer(sources, stretcher).render(plan).stems[Role.PERCUSSION]
    heard = Renderer(cuts, stretcher).render(part).stems[Role.PERCUSSION]
    first = round(span.start * due.sample_rate)
    one, other = envelope(heard.samples), envelope(due.samples[:, first : first + heard.frames])
    lags = {lag: float(np.corrcoef(one[20:-20], np.roll(other, lag)[20:-20])[0, 1]) for lag in range(-10, 11)}
    assert abs(max(lags, key=lambda lag: lags[lag])) <= 1  # 5 ms: a stretcher's blocks begin elsewhere
    # The peak stands out, but is below 1, because the phases of a stretched sound depend on where it begins.
    assert max(lags.values()) > max(0.7, lags[-10] + 0.3, lags[10] + 0.3), lags


def test_what_is_stretched_once_is_not_cut_and_what_nobody_waits_for_is_not_rendered(
    sources: Sources, made: tuple[Path, Path]
) -> None:
    one, *others = (candidate.plan for candidate in read_output(made[1]).candidates.values())
    plan = changed(one, {Role.HARMONIC: Change(semitones=1)}, None)
    sounds = Sounds(sources, kit().stretcher)
    span = Span(4.0, 14.0)
    first = sounds.part(plan, span)
    assert not sounds._renderer.has_stretched(plan.layer(Role.HARMONIC))
    sounds.whole(plan)
    assert sounds._renderer.has_stretched(plan.layer(Role.HARMONIC))
    louder = changed(plan, {Role.HARMONIC: Change(gain_db=-1)}, None)
    cut = sounds._cuts.part(louder, span, stretched=sounds._renderer.has_stretched)
    assert [layer.clip_id for layer in cut.layers] == [layer.clip_id for layer in louder.layers]
    again = sounds.part(louder, span)
    assert {role: len(data) for role, data in again.items()} == {role: len(data) for role, data in first.items()}
    with sounds._whole_lock:  # the whole is asked for while another is rendered, and given up for three others
        waits = concurrent.futures.ThreadPoolExecutor(1)
        waiting = waits.submit(sounds.whole, others[0])
        while others[0].id not in sounds._wanted:
            time.sleep(0.01)
        for other in (*others[1:], plan):
            sounds._want(other)
        sounds._want(louder)
        sounds._want(one)
    with pytest.raises(Superseded):
        waiting.result(30)
    waits.shutdown()


# ------------------------------------------------------------------------------------------------------- store
def test_decisions_are_saved_changed_and_taken_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    data = {"plan": {}}
    assert store.decide("1", "p", {"verdict": "keep"}, data=data).verdict == "keep"
    assert store.decide("2", "p", {"stars": 4, "note": "a\ud800b\n"}, data=data).value == {
        "verdict": "keep", "stars": 4, "note": "a?b\n",
    }  # fmt: skip
    assert store.decide("3", "q", {"verdict": "reject"}, data=data).verdict == "reject"
    assert store.undo("4") == "q"
    assert "q" not in store.decisions()
    assert store.undo("4") == "q"  # the same request again takes nothing more back
    assert store.decision("p").stars == 4
    assert store.undo("5") == "p"
    assert store.decision("p").value == {"verdict": "keep", "stars": 0, "note": ""}
    assert store.can_undo()
    store.close()
    again = Store(tmp_path)
    assert again.undo("6") == "p"
    assert again.undo("7") is None
    assert again.decisions() == {}
    assert not again.can_undo()
    again.close()


def test_what_was_taken_back_is_made_again_until_something_is_decided(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.can_redo()
    assert store.redo("0") is None
    store.decide("1", "p", {"verdict": "keep"}, data={})
    store.decide("2", "p", {"stars": 4}, data={})
    store.decide("3", "q", {"note": "good"}, data={})
    whole = store.decisions()
    assert [store.undo(operation) for operation in "456"] == ["q", "p", "p"]
    assert store.redo("7") == "p"
    assert store.redo("7") == "p"  # the same request again makes nothing more
    assert store.decision("p").value == {"verdict": "keep", "stars": 0, "note": ""}
    assert store.undo("8") == "p"
    store.close()
    again, other = Store(tmp_path), Store(tmp_path)
    revision = other.revision()
    assert [again.redo("9"), other.redo("10"), again.redo("11"), other.redo("12")] == ["p", "p", "q", None]
    assert again.decisions() == other.decisions() == whole
    assert other.revision() == revision + 3
    assert [again.undo("13"), again.undo("14")] == ["q", "p"]
    other.decide("15", "q", {"verdict": "reject"}, data={})
    assert not again.can_redo()
    assert again.redo("16") is None
    assert again.undo("17") == "q"
    assert again.can_redo()
    assert again.undo("18") == "p"
    assert [again.redo("19"), again.redo("20"), again.redo("21")] == ["p", "q", None]
    assert again.decision("q").verdict == "reject"
    again.close()
    other.close()


def test_a_change_sent_twice_is_made_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):
        store.decide("a", "p", {"stars": 3}, data={})
    revision = store.revision()
    store.decide("b", "p", {"stars": 5}, data={})
    store.decide("a", "p", {"stars": 3}, data={})  # late, from a tab that did not get the response
    assert store.decision("p").stars == 5
    assert store.revision() == revision + 1
    store.close()


@pytest.mark.parametrize(
    "change",
    [{}, {"verdict": "maybe"}, {"verdict": None}, {"stars": 6}, {"stars": -1}, {"stars": True}, {"stars": 2.0},
     {"note": 3}, {"note": "x" * 5000}, {"plan": "p"}],
)  # fmt: skip
def test_decisions_out_of_range_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    store = Store(tmp_path)
    with pytest.raises(Refused):
        store.decide("1", "p", change, data={})
    assert store.revision() == 0
    store.close()


def test_two_windows_and_two_servers_share_a_store(tmp_path: Path) -> None:
    one, other = Store(tmp_path), Store(tmp_path)
    one.decide("1", "p", {"verdict": "keep"}, data={})
    other.decide("2", "p", {"stars": 2}, data={})
    assert one.decision("p").value == other.decision("p").value == {"verdict": "keep", "stars": 2, "note": ""}
    assert one.undo("3") == "p"
    assert other.decision("p").stars == 0
    one.close()
    other.close()


def test_a_full_disk_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.decide("1", "p", {"verdict": "keep"}, data={})
    ((pages,),) = store._rows("PRAGMA page_count")
    store._rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(NotSaved, match="make room"):
        store.decide("2", "q", {"note": "n" * 4000}, data={"text": "d" * 100_000})
    assert store.decisions().keys() == {"p"}
    store._rows("PRAGMA max_page_count = 1000000")
    assert store.decide("2", "q", {"note": "n"}, data={}).note == "n"
    store.close()


@pytest.mark.parametrize("what", ["garbage", "newer", "folder", "read-only"])
def test_a_store_that_cannot_be_used_says_so(tmp_path: Path, what: str) -> None:
    path = tmp_path / DATABASE
    if what == "garbage":
        path.write_bytes(b"this is no database at all, and long enough to be read as one" * 100)
    elif what == "folder":
        path.mkdir()
    elif what == "read-only":
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        tmp_path.chmod(0o500)
    else:
        store = Store(tmp_path)
        store._rows("PRAGMA user_version = 99")
        store.close()
    try:
        with pytest.raises(OutputError):
            Store(tmp_path)
    finally:
        tmp_path.chmod(0o700)


DECIDING = """
import itertools, sys
from pathlib import Path
from mashkit.audition.store import Store
store = Store(Path(sys.argv[1]))
start = store.revision()
for number in itertools.count(start):
    store.decide(str(number), f"p{number}", {"stars": number % 5 + 1, "note": "n" * 500}, data={"number": number})
    print(number, flush=True)
"""


def test_every_acknowledged_decision_survives_a_kill(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", DECIDING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged.append(int(line))
            if len(acknowledged) % 7 == 6:
                os.kill(process.pid, signal.SIGKILL)
                break
        acknowledged += [int(line) for line in process.stdout.read().split()]
        process.wait(30)
        process.stdout.close()
    store = Store(tmp_path)
    decisions = store.decisions()
    store.close()
    assert len(acknowledged) >= 20
    assert all(decisions[f"p{number}"].stars == number % 5 + 1 for number in acknowledged)


# ------------------------------------------------------------------------------------------------------ export
def test_preferences_are_of_kept_over_rejected_and_of_stars(made: tuple[Path, Path], tmp_path: Path) -> None:
    one, two, three, four = read_output(made[1]).candidates.values()
    store = Store(tmp_path)
    decided(store, one, verdict="keep")
    decided(store, two, verdict="reject")
    decided(store, three, stars=5)
    decided(store, four, stars=2)
    pairs = [json.loads(line) for line in export.preferences(store).splitlines()]
    store.close()
    found = {(MashupPlan.from_dict(pair["better"]).id, MashupPlan.from_dict(pair["worse"]).id): pair for pair in pairs}
    assert {names: pair["strength"] for names, pair in found.items()} == {(one.id, two.id): 1, (three.id, four.id): 3}
    assert {(pair["source"], pair["rater"]) for pair in pairs} == {("audition", "owner")}
    for pair, better, worse in ((found[one.id, two.id], one, two), (found[three.id, four.id], three, four)):
        assert (pair["song"], pair["worse_song"]) == (better.clips[Role.VOCAL].song, worse.clips[Role.VOCAL].song)


def test_a_candidate_has_few_opponents_and_those_of_its_vocal_first(made: tuple[Path, Path], tmp_path: Path) -> None:
    first, *rest = read_output(made[1]).candidates.values()
    other = next(one for one in rest if one.clips[Role.VOCAL].song != first.clips[Role.VOCAL].song)
    store = Store(tmp_path)
    decided(store, first, verdict="keep")
    same = [attrs.evolve(first, plan=attrs.evolve(first.plan, duration_s=10.5 + n)) for n in range(30)]
    for one in [*same, other]:
        decided(store, one, verdict="reject")
    pairs = [json.loads(line) for line in export.preferences(store).splitlines()]
    store.close()
    assert len(pairs) == export.MOST_OPPONENTS
    assert other.id not in {MashupPlan.from_dict(pair["worse"]).id for pair in pairs}


def test_the_table_holds_no_formula(made: tuple[Path, Path], tmp_path: Path) -> None:
    one = next(iter(read_output(made[1]).candidates.values()))
    store = Store(tmp_path)
    decided(store, one, verdict="keep", stars=4, note="=cmd()|' /C calc'!A0\nline")
    rows = list(csv.DictReader(io.StringIO(export.table(store, {"random": {one.id: Score(0.5)}, "=evil": {}}))))
    store.close()
    assert rows[0]["note"].startswith("'=cmd()")
    assert (rows[0]["plan"], rows[0]["stars"], rows[0]["random"]) == (one.id, "4", "0.5")
    assert not any(name.startswith("=") for name in rows[0])


def test_an_export_before_any_decision_is_empty(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audition", "export", str(out), "-o", str(tmp_path / "kept")]) == 0
    told = capsys.readouterr()
    assert "nothing was decided" in told.err
    assert told.out == ""
    assert not (out / DATABASE).exists()
    assert (tmp_path / "kept" / "preferences.jsonl").read_text() == ""
    assert len((tmp_path / "kept" / "decisions.csv").read_text().splitlines()) == 1


def test_rendered_files_that_are_cut_short_are_not_exported(made: tuple[Path, Path], out: Path, tmp_path: Path) -> None:
    kept = list(read_output(out).candidates.values())[:2]
    store = Store(out)
    for candidate in kept:
        decided(store, candidate, verdict="keep")
    store.close()
    for path in (out / "mashup-1" / "mix.flac", out / "mashup-2" / "stems" / "vocal.flac"):
        path.write_bytes(path.read_bytes()[:-1000])
    target = tmp_path / "kept"
    assert main(["audition", "export", str(out), "-o", str(target), "--db", str(made[0])]) == 0
    for candidate in kept:
        for path in (target / candidate.id).rglob("*.flac"):
            assert load(path).duration == pytest.approx(candidate.plan.duration_s, abs=0.01)
    MashupDB(tmp_path / "other").close()  # with a database that lacks the clips, it cannot be rendered again
    assert main(["audition", "export", str(out), "-o", str(tmp_path / "x"), "--db", str(tmp_path / "other")]) == 3


def test_the_command_exports_what_was_kept(
    made: tuple[Path, Path], out: Path, tmp_path: Path, sources: Sources, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, three, four = read_output(out).candidates.values()
    louder = Candidate(changed(one.plan, {Role.HARMONIC: Change(gain_db=2)}, None), one.clips, parent=one.id)
    long = Candidate(attrs.evolve(one.plan, duration_s=90.0), one.clips, parent=one.id)
    lost = Candidate(
        attrs.evolve(one.plan, layers=[attrs.evolve(layer, clip_id="0" * 16) for layer in one.plan.layers]), {}
    )
    store = Store(out)
    for candidate in (one, louder, two, long, lost):
        decided(store, candidate, verdict="keep")
    decided(store, three, verdict="reject")
    store.close()
    (out / "mashup-2" / "mix.flac").unlink()  # so it is rendered again
    target = tmp_path / "kept"
    command = ["audition", "export", str(out), "-o", str(target), "--db", str(made[0])]
    assert main(command) == 3  # one of them could not be written
    assert f"plan {long.id}: the mashup lasts 90.0 s, but its last layer ends at" in capsys.readouterr().err
    assert {path.name for path in target.iterdir() if path.is_dir()} == {one.id, louder.id, two.id, long.id}
    assert (target / one.id / "mix.flac").read_bytes() == (out / "mashup-1" / "mix.flac").read_bytes()
    for plan in (louder, two):
        assert {path.name for path in (target / plan.id / "stems").iterdir()} == {f"{role}.flac" for role in plan.roles}
        assert MashupPlan.from_json((target / plan.id / "plan.json").read_text()).id == plan.id
    assert len((target / "preferences.jsonl").read_text().splitlines()) == 5
    assert four.id not in (target / "decisions.csv").read_text()
    assert main(command) == 3  # an export of the same folder replaces the first one

    before = {path.relative_to(target): path.read_bytes() for path in target.rglob("*.flac")}
    MashupDB(tmp_path / "other").close()
    capsys.readouterr()
    assert main([*command[:-1], str(tmp_path / "other")]) == 3
    assert capsys.readouterr().err.count("the files of an earlier export stay") == 3  # of louder, two and long
    assert {path.relative_to(target): path.read_bytes() for path in target.rglob("*.flac")} == before


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["audition", "export", "OUT"], "without -o"),
        (["audition", "OUT", "-o", "x"], "with -o"),
        (["audition", "OUT", "OUT"], "name one folder"),
        (["audition", "OUT", "--score", "nosuch"], "nosuch"),
        (["audition", "export", "EMPTY", "-o", "x"], "has no mashup to play"),
        (["audition", "export", "--db", "EMPTY", "-o", "x"], "holds no database"),
        (["audition", "EMPTY"], "has no mashup to play"),
        (["audition", "OUT", "--db", "EMPTY"], "holds no database"),
    ],
)
def test_mistakes_on_the_command_line_are_told(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], words: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"OUT": str(out), "EMPTY": str(tmp_path / "empty")}
    assert main([places.get(one, one) for one in command]) in (1, 2)
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_a_database_is_auditioned_and_its_decisions_stay_in_it(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mashkit.audition import serving

    db = Path(shutil.copytree(made[0], tmp_path / "db"))
    told: list[str] = []

    def use(app: Any, listening: socket.socket) -> None:
        with TestClient(app, base_url=LOCAL) as client:
            client.get(f"/s/{told[-1].rpartition('/')[2]}")
            listed = client.get("/api/list").json()
            plans = [one["plan"] for one in listed["candidates"]]
            assert listed["where"] == f"--db {db}"
            assert len(plans) == 3
            assert client.get(f"/sound/{plans[0]}/vocal?at=2").status_code == 200
            given = {"operation": "1", "plan": plans[0], "change": {"verdict": "keep"}}
            assert client.post("/api/decide", json=given).status_code == 200

    monkeypatch.setattr(serving, "run", use)
    monkeypatch.setattr("mashkit.cli.audition._tell", lambda _, facts: told.append(facts["address"]))
    for seed in ("1", "1"):  # the second time the kept one is there already
        command = ["audition", "--db", str(db), "--count", "3", "--seed", seed, "--port", "0", "--score", "loudness"]
        assert main(command) == 0
    assert main(["audition", "export", "--db", str(db), "-o", str(tmp_path / "kept")]) == 0
    (kept,) = [path for path in (tmp_path / "kept").iterdir() if path.is_dir()]
    assert (kept / "mix.flac").is_file()
    assert main(["db", "verify", "--db", str(db)]) == 0


# ------------------------------------------------------------------------------------------------------ server
class Served:
    """A session and a client that has entered it."""

    def __init__(self, out: Path, sources: Sources) -> None:
        self.pool, self.store = read_output(out), Store(out)
        add_stored(self.pool, self.store)
        self.session = Session(self.pool, self.store, sources, kit, folder=out, title="out")
        self.links = Links(SECRET)
        self.app = application(self.session, self.links, scorers=lambda: scorers(kit()))
        self.client = TestClient(self.app, base_url=LOCAL)
        self.client.get(f"/s/{self.links.make(open_=True)}")
        self.plans = list(self.pool.candidates)

    def decide(self, plan: str, operation: str, **change: Any) -> Any:
        return self.client.post("/api/decide", json={"operation": operation, "plan": plan, "change": change})


@pytest.fixture
def served(out: Path, sources: Sources) -> Iterator[Served]:
    made = Served(out, sources)
    with made.client:
        yield made


PATHS = [
    "/api/list",
    "/api/status",
    "/api/pulse",
    "/api/scorers",
    "/api/candidate",
    "/sound/x/vocal",
    "/export/decisions.csv",
]


def test_without_the_address_there_is_nothing(served: Served) -> None:
    other = TestClient(served.app, base_url=LOCAL)
    forged = Links(b"another secret that is as long..").make(open_=True)
    for token in (forged, "x", served.links.make(open_=True)[:-2], served.links.cookie("session", "owner")):
        assert other.get(f"/s/{token}", follow_redirects=False).headers["location"] == "/?problem=link"
    expired = Links(SECRET, now=lambda: time.time() - 31 * 86400).make(open_=True)
    assert other.get(f"/s/{expired}", follow_redirects=False).headers["location"] == "/?problem=link"
    for path in PATHS:
        assert other.get(path).status_code == 401, path
    for name in ("decide", "undo", "redo", "change", "score", "backings"):
        assert other.post(f"/api/{name}", json={}).status_code == 401
    other.cookies.set(served.client.cookies.jar.__iter__().__next__().name, served.links.cookie("rater", "owner"))
    assert other.get("/api/list").status_code == 401


def test_other_sites_and_names_are_refused_and_the_policy_is_strict(served: Served) -> None:
    client = served.client
    assert client.get("/api/list", headers={"host": "evil.example"}).status_code == 421
    body = {"operation": "1"}
    assert client.post("/api/undo", json=body, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.post("/api/undo", content="operation=1").status_code == 415
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    for path in (
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/listen/..%2fserver.py",
        "/sound/../../etc/passwd",
    ):
        assert client.get(path).status_code in (404, 405), path


def test_the_list_has_titles_scores_and_no_path_of_this_machine(served: Served) -> None:
    data = served.client.get("/api/list").json()
    assert [one["plan"] for one in data["candidates"]] == served.plans
    assert auditions.HOSTILE in {layer["title"] for one in data["candidates"] for layer in one["layers"]}
    assert set(data["scores"]["random"]) == set(served.plans)
    assert {one["name"] for one in served.client.get("/api/scorers").json()} >= {"random", "loudness"}


def test_decisions_are_saved_and_taken_back(served: Served) -> None:
    plan = served.plans[1]
    assert served.decide(plan, "a", verdict="keep", stars=5).json()["decisions"][plan]["stars"] == 5
    assert served.store.decision(plan).verdict == "keep"
    assert served.decide(plan, "b", stars=9).status_code == 400
    assert served.decide("nosuch", "c", stars=1).status_code == 404
    assert served.client.post("/api/decide", json={"plan": plan, "change": {"stars": 1}}).status_code == 400
    assert served.client.post("/api/decide", json={"plan": [1], "operation": "d", "change": {}}).status_code == 404
    undone = served.client.post("/api/undo", json={"operation": "e"}).json()
    assert (undone["plan"], undone["can_undo"], undone["decisions"]) == (plan, False, {})
    redone = served.client.post("/api/redo", json={"operation": "f"}).json()
    assert (redone["plan"], redone["can_redo"], redone["decisions"][plan]["stars"]) == (plan, False, 5)


def test_a_full_disk_is_told_and_the_same_change_can_be_sent_again(served: Served) -> None:
    ((pages,),) = served.store._rows("PRAGMA page_count")
    served.store._rows(f"PRAGMA max_page_count = {pages}")
    failed = served.decide(served.plans[0], "a", note="n" * 4000)
    assert (failed.status_code, failed.json()["reason"]) == (503, "unsaved")
    served.store._rows("PRAGMA max_page_count = 1000000")
    assert served.decide(served.plans[0], "a", note="n" * 4000).status_code == 200


def test_a_change_is_rendered_around_the_position_and_whole(served: Served) -> None:
    plan = served.plans[0]
    given = {"plan": plan, "changes": {"harmonic": {"semitones": 1, "beats": 1}}}
    made = served.client.post("/api/change", json=given).json()
    assert (made["parent"], made["rendered"]) == (plan, False)
    assert made["plan"] != plan
    part = served.client.get(f"/sound/{made['plan']}/harmonic?at=10")
    assert float(part.headers["x-start"]) == 8.0
    whole = served.client.get(f"/sound/{made['plan']}/harmonic")
    lengths = [len(sounding(one.content)) for one in (part, whole)]
    assert lengths[0] / 44_100 == pytest.approx(EXCERPT_S)
    assert lengths[1] / 44_100 == pytest.approx(made["duration_s"], abs=0.001)
    assert made["plan"] not in [one["plan"] for one in served.client.get("/api/list").json()["candidates"]]
    served.decide(made["plan"], "a", verdict="keep")
    listed = served.client.get("/api/list").json()["candidates"]
    assert listed[-1]["plan"] == made["plan"]
    again = Pool()
    add_stored(again, served.store)
    assert again.candidates[made["plan"]].parent == plan
    for at in ("nan", "-1", "x", "1e99"):
        assert served.client.get(f"/sound/{made['plan']}/harmonic?at={at}").status_code == 400
    assert served.client.get(f"/sound/{made['plan']}/nose").status_code == 404


def test_other_backings_keep_the_vocal(served: Served) -> None:
    plan = served.plans[0]
    found = served.client.post("/api/backings", json={"plan": plan}).json()
    assert found
    mine = served.pool.candidates[plan].plan
    for one in found:
        assert one["layers"][0]["clip"] == mine.layer(Role.VOCAL).clip_id
        backing = {layer["role"]: layer["clip"] for layer in one["layers"]}
        assert backing != {str(layer.role): layer.clip_id for layer in mine.layers}
    assert served.client.get(f"/sound/{found[0]['plan']}/vocal?at=1").status_code == 200


def test_other_backings_are_mixed_as_the_mashup_is(out: Path, sources: Sources) -> None:
    served = Served(out, sources)
    with served.client:
        first = served.session.candidate(served.plans[0])
        ducked = attrs.evolve(first.plan, mixing=attrs.evolve(first.plan.mixing, duck_db=5.0))
        plain = Finish(plain=True).of(first.plan)
        for plan in (ducked, plain):
            served.pool.candidates[plan.id] = attrs.evolve(first, plan=plan)
            for one in served.session.backings(plan.id):
                assert one.plan.mixing.duck_db == plan.mixing.duck_db
                assert (Finish(plain=True).of(one.plan) == one.plan) == (plan is plain)


def test_scores_come_in_the_background_and_a_wrong_name_at_once(served: Served) -> None:
    refused = served.client.post("/api/score", json={"scorer": "nosuch"})
    assert (refused.status_code, refused.json()["reason"]) == (400, "scorer")
    assert "nosuch" in refused.json()["problem"]
    assert served.client.post("/api/score", json={"scorer": "loudness"}).status_code == 200
    begun = time.monotonic()
    while (jobs := served.client.get("/api/pulse").json()["jobs"])[0]["state"] not in ("done", "failed"):
        assert time.monotonic() - begun < 60
        time.sleep(0.1)
    assert (jobs[0]["state"], jobs[0]["done"], jobs[0]["problems"]) == ("done", 4, {})
    assert set(served.client.get("/api/status").json()["scores"]["loudness"]) == set(served.plans)
    assert set(served.store.scores()["loudness"]) == set(served.plans)


def test_a_missing_and_a_broken_stem_are_told_and_the_others_play(out: Path, tmp_path: Path) -> None:
    (out / "mashup-1" / "stems" / "vocal.flac").unlink()
    (out / "mashup-2" / "stems" / "harmonic.flac").write_bytes(b"no sound")
    served = Served(out, Sources([]))  # no database has the clips
    with served.client:
        one, two, three, _ = served.plans
        for plan, role in ((one, "vocal"), (two, "harmonic")):
            reply = served.client.get(f"/sound/{plan}/{role}")
            assert (reply.status_code, reply.json()["reason"]) == (503, "broken")
            assert role in reply.json()["problem"]
        assert served.client.get(f"/sound/{one}/harmonic").status_code == 200
        assert served.client.get(f"/sound/{three}/vocal").status_code == 200
        shown = served.client.get(f"/api/candidate?plan={three}").json()
        assert "no database" in shown["fixed"]
        assert shown["beats"]["vocal"]["beats"]
        changed_ = served.client.post(
            "/api/change", json={"plan": three, "changes": {"harmonic": {"gain_db": 1}}}
        ).json()
        reply = served.client.get(f"/sound/{changed_['plan']}/vocal?at=0")
        assert (reply.status_code, reply.json()["reason"]) == (503, "broken")


def test_a_missing_stem_is_rendered_where_the_clips_are_known(served: Served, out: Path) -> None:
    (out / "mashup-1" / "stems" / "vocal.flac").unlink()
    reply = served.client.get(f"/sound/{served.plans[0]}/vocal")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "audio/wav")


def test_a_broken_object_of_the_database_costs_its_candidate_only(
    made: tuple[Path, Path], out: Path, tmp_path: Path
) -> None:
    db = Path(shutil.copytree(made[0], tmp_path / "db"))
    served = Served(out, Sources([Catalog(MashupDB(db, write=False))]))
    with served.client:
        for path in (db / "objects").rglob("*.flac"):
            path.write_bytes(b"no sound")
        given = {"plan": served.plans[0], "changes": {"harmonic": {"gain_db": 1}}}
        plan = served.client.post("/api/change", json=given).json()["plan"]
        assert served.client.get(f"/sound/{plan}/vocal?at=0").json()["reason"] == "broken"
        assert served.client.get(f"/sound/{served.plans[0]}/vocal").status_code == 200


def test_a_taken_port_gives_the_next_one() -> None:
    with free_port("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with free_port("127.0.0.1", port) as other:
            assert port < other.getsockname()[1] <= port + 20
    with pytest.raises(MashkitError, match="local"):
        free_port("0.0.0.0", 0)  # noqa: S104 — it is refused
    with socket.socket() as last:
        last.bind(("127.0.0.1", 65_535))
        last.listen()
        with pytest.raises(MashkitError, match="no port"):
            free_port("127.0.0.1", 65_535)


def test_every_text_of_the_page_is_in_the_file_of_texts() -> None:
    folder = static_of("mashkit.audition")
    texts, *others = (json.loads((folder / "texts" / f"{name}.json").read_text()) for name in ("en", "de"))
    for other in others:
        assert {name: set(re.findall(r"{\w+}", text)) for name, text in other.items()} == {
            name: set(re.findall(r"{\w+}", text)) for name, text in texts.items()
        }
    page = "".join((folder / name).read_text() for name in ("index.html", "audition.js"))
    used = set(re.findall(r'\btext\("([^"]+)"', page)) | set(re.findall(r'data-text="([^"]+)"', page))
    assert len(used) > 60
    assert used <= set(texts)
    assert {f"{way}_{step}" for way in ("less", "more") for step in ("beats", "bars", "semitones", "gain_db")} <= set(
        texts
    )
    assert not re.search(r"https?://", page)
