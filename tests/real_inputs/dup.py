"""Folders in which one recording lies twice, and folders in which it only seems to; made from the demo songs."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import soundfile

from mashkit.audio.files import load, resample, save
from mashkit.bench.rendered import compose, render
from mashkit.synthetic.signals import chord_progression
from mashkit.testing import signals
from mashkit.types import Audio, Key

SONGS = Path(__file__).parents[2] / "examples" / "songs"
DEMO = ("glass-elevator", "harbour-lights", "mango-season", "pocket-change", "satellite-letters", "slow-river")


def demo(name: str) -> Audio:
    """Return a demo song, 44 s or so."""
    return load(SONGS / f"{name}.ogg")


def louder(audio: Audio, gain_db: float) -> Audio:
    """Return the sound at another level."""
    return Audio(audio.samples * np.float32(10 ** (gain_db / 20)), audio.sample_rate)


def faster(audio: Audio, speed: float) -> Audio:
    """Return the sound as a record player gives it at another speed: pitch changes too."""
    return Audio(resample(audio, round(audio.sample_rate / speed)).samples, audio.sample_rate)


def written(path: Path, audio: Audio, **options: str) -> Path:
    """Write a sound with libsndfile, which knows MP3, Ogg and Opus."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.samples.T, audio.sample_rate, **options)
    return path


def kept(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Let what a maker makes be made once a process, and copied from then on: encoding takes its time."""
    made: list[tempfile.TemporaryDirectory[str]] = []

    @functools.wraps(make)
    def copied(folder: Path) -> Path:
        if not made:
            made.append(tempfile.TemporaryDirectory())
            make(Path(made[0].name))
        return shutil.copytree(made[0].name, folder, dirs_exist_ok=True)

    return copied


@kept
def song_in_two_encodings(folder: Path) -> Path:
    """A demo song beside an MP3 of it and a 48 kHz FLAC 3 dB softer."""
    song = demo("harbour-lights")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SONGS / "harbour-lights.ogg", folder)
    written(folder / "x.mp3", song)
    save(folder / "y.flac", louder(resample(song, 48_000), -3))
    return folder


@kept
def demo_songs_and_copies(folder: Path) -> Path:
    """The six demo songs, and of each one copy: MP3, Opus, 22 kHz, another speed, padded and trimmed, soft and mono."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DEMO:
        shutil.copy(SONGS / f"{name}.ogg", folder)
    songs = {name: demo(name) for name in DEMO}
    written(folder / "za.mp3", songs["glass-elevator"])
    written(folder / "zb.opus", resample(songs["harbour-lights"], 48_000), format="OGG", subtype="OPUS")
    save(folder / "zc.wav", resample(songs["mango-season"], 22_050))
    save(folder / "zd.flac", faster(songs["pocket-change"], 1.01))
    save(folder / "ze.flac", padded(songs["satellite-letters"], cut_s=1.3, pad_s=0.5))
    soft = louder(songs["slow-river"], -30)
    save(folder / "zf.wav", Audio(soft.samples.mean(axis=0, keepdims=True), soft.sample_rate))
    return folder


def a_loop_that_repeats_exactly(folder: Path) -> Path:
    """Eight bars of a band at 120 BPM over and over, to the sample, and the same a per cent faster."""
    band = signals.mix(signals.band(bars=8, tempo=120.0, first_downbeat=0.0, seed=3)[0])
    bars = band.samples[:, : round(16 * band.sample_rate)]
    looped = Audio(np.float32(0.3) * np.tile(bars, (1, 4)), band.sample_rate)
    save(folder / "a.flac", looped)
    save(folder / "b faster.flac", faster(looped, 1.01))
    return folder


def padded(audio: Audio, *, cut_s: float, pad_s: float) -> Audio:
    """Return the sound without its ends, and with silence in their place."""
    cut, pad = round(cut_s * audio.sample_rate), round(pad_s * audio.sample_rate)
    return Audio(np.pad(audio.samples[:, cut:-cut], ((0, 0), (pad, pad))), audio.sample_rate)


def preview_before_the_song(folder: Path) -> Path:
    """A preview of 30 s, first in the folder, of a song that is there whole."""
    song = demo("mango-season")
    written(folder / "a preview.mp3", song.excerpt(8.2, 30.0))
    save(folder / "b whole.flac", song)
    return folder


def stems_and_the_mix(folder: Path) -> Path:
    """A folder of true stems, and a softer mix of them at another rate beside it."""
    stems = render(compose(7, 1)).stems
    for name, audio in stems.items():
        save(folder / "song" / f"{name}.flac", louder(audio, -3))
    save(folder / "mixed" / "mixture.flac", louder(resample(summed(stems), 32_000), -3))
    for name, audio in stems.items():
        save(folder / "mixed" / f"{name}.flac", louder(resample(audio, 32_000), -9))
    return folder


def opposite_phase(folder: Path) -> Path:
    """A song, and a copy whose right channel is turned over: its mono sum is silence."""
    song = demo("slow-river")
    left = song.samples[:1]
    save(folder / "a.flac", Audio(left, song.sample_rate))
    save(folder / "b.flac", Audio(np.concatenate([left, -left]), song.sample_rate))
    return folder


def clipped_and_worn(folder: Path) -> Path:
    """A song, one clipped by 12 dB, one with noise 30 dB below it and a per cent slower, one of 8 kHz as mono MP3."""
    song = demo("pocket-change")
    save(folder / "a.flac", song)
    save(folder / "b clipped.wav", Audio(np.clip(song.samples * 4, -1, 1), song.sample_rate))
    noise = np.random.default_rng(1).standard_normal(song.samples.shape).astype(np.float32)
    level = np.float32(np.sqrt(np.mean(np.square(song.samples))) * 10 ** (-30 / 20))
    save(folder / "c worn.flac", faster(Audio(song.samples + level * noise, song.sample_rate), 0.99))
    written(folder / "d phone.mp3", resample(Audio(song.samples.mean(axis=0, keepdims=True), song.sample_rate), 8_000))
    return folder


def two_songs_in_one(folder: Path) -> Path:
    """Two songs, and a file in which one follows the other; that file comes first."""
    one, two = demo("glass-elevator"), demo("slow-river")
    save(folder / "a both.flac", Audio(np.concatenate([one.samples, two.samples], axis=1), one.sample_rate))
    save(folder / "b one.flac", one)
    save(folder / "c two.flac", two)
    return folder


# --------------------------------------------------------------------------------------------------- different songs
def summed(stems: Mapping[str, Audio]) -> Audio:
    """Return the sum of stems."""
    first = next(iter(stems.values()))
    total = np.sum([one.samples for one in stems.values()], axis=0, dtype=np.float32)
    return Audio(total * np.float32(0.5), first.sample_rate)


def one_loop_in_two_songs(folder: Path) -> Path:
    """Two songs over the very same drums and bass, with other harmonies and melodies."""
    one, two = render(compose(3, 0)).stems, render(compose(3, 1)).stems
    frames = min(one["drums"].frames, two["drums"].frames)
    shared = {name: one[name] for name in ("drums", "bass")}
    for name, own in (("a.flac", one), ("b.flac", two)):
        parts = {**shared, "vocals": own["vocals"], "other": own["other"]}
        save(folder / name, summed({part: audio.excerpt(0, frames / 44_100) for part, audio in parts.items()}))
    return folder


def song_and_its_instrumental(folder: Path) -> Path:
    """A song that is sung throughout, and the same without the voice."""
    stems = render(compose(5, 2)).stems
    save(folder / "a.flac", summed(stems))
    save(folder / "b instrumental.flac", summed({name: one for name, one in stems.items() if name != "vocals"}))
    return folder


def one_beat_in_two_songs(folder: Path) -> Path:
    """Two songs of one drum machine, playing the same bar over and over, a per cent apart in tempo."""
    drums = render(compose(9, 0)).stems["drums"]
    for number, (name, speed) in enumerate((("a.flac", 1.0), ("b.flac", 1.01))):
        own = {part: audio for part, audio in render(compose(9, 1 + number)).stems.items() if part != "drums"}
        beat = faster(drums, speed)
        seconds = min(beat.duration, *(one.duration for one in own.values())) - 0.01
        save(folder / name, summed({part: one.excerpt(0, seconds) for part, one in {**own, "drums": beat}.items()}))
    return folder


def same_chords_in_two_songs(folder: Path) -> Path:
    """Four chords that go round at one tempo, and on them shakers whose noise is not the same."""
    chance, chords = np.random.default_rng(6), chord_progression(Key(4, "major"), seconds=32.0, tempo=126.0)
    fading = np.exp(-(np.arange(chords.frames) / chords.sample_rate % (60 / 126)) / 0.05)
    for name in ("a.flac", "b.flac"):
        noise = (0.03 * fading * chance.standard_normal(chords.samples.shape)).astype("f4")
        save(folder / name, Audio(np.float32(0.8) * (chords.samples + noise), chords.sample_rate))
    return folder


def next_to_nothing(folder: Path) -> Path:
    """Two files of steady tones, two of noise, two that are nearly silent: nothing alike, and little to tell by."""
    rate, frames = 44_100, 30 * 44_100
    chance = np.random.default_rng(4)
    time = np.arange(frames) / rate
    for number, hertz in enumerate((220.0, 247.3)):
        save(folder / f"tone {number}.flac", Audio((0.3 * np.sin(2 * np.pi * hertz * time))[None].astype("f4"), rate))
        noise = chance.standard_normal((1, frames)).astype("f4")
        save(folder / f"noise {number}.flac", Audio(np.float32(0.1) * noise, rate))
        save(folder / f"nearly silent {number}.wav", Audio(np.float32(1e-4) * noise[:, ::-1], rate))
    return folder


SAME = {
    song_in_two_encodings: ["x.mp3", "y.flac"],
    preview_before_the_song: ["a preview.mp3"],
    opposite_phase: ["a.flac"],
    clipped_and_worn: ["b clipped.wav", "c worn.flac", "d phone.mp3"],
    two_songs_in_one: ["a both.flac"],
    a_loop_that_repeats_exactly: ["b faster.flac"],
}
"""Makers, and the files that are passed over in what they make."""
DIFFERENT = (one_loop_in_two_songs, song_and_its_instrumental, one_beat_in_two_songs, same_chords_in_two_songs)
"""Makers of folders in which every file is a song of its own."""
