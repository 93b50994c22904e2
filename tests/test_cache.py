"""What was made lately is not made again while it fits; threads never wait for another's work."""

from __future__ import annotations

import threading

import numpy as np

from mashkit.rendering.cache import Recent, recent_audio
from mashkit.rendering.stems import MeasuredStems
from mashkit.synthetic.source import SyntheticSource
from mashkit.testing import signals
from mashkit.testing.mashups import mashup_of
from mashkit.types import Audio, Key


def test_made_once_and_the_oldest_goes() -> None:
    made: list[str] = []

    def make(name: str) -> str:
        return made.append(name) or name

    recent: Recent[str] = Recent(2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert recent.get(name, lambda name=name: make(name)) == name  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]


def test_sound_is_bounded_by_bytes_and_one_is_always_kept() -> None:
    second = signals.noise(1.0)
    recent = recent_audio(2 * second.samples.nbytes)
    calls = []
    for seconds in (1.0, 1.0, 5.0, 5.0, 1.0):
        recent.get(seconds, lambda seconds=seconds: calls.append(seconds) or signals.noise(seconds))  # type: ignore[misc]
    assert calls == [1.0, 5.0, 1.0]


def test_threads_get_one_value_each_key() -> None:
    recent: Recent[np.ndarray] = Recent(10)
    found: dict[int, list[np.ndarray]] = {key: [] for key in range(3)}

    def work() -> None:
        for key in (0, 1, 2) * 50:
            found[key].append(recent.get(key, lambda key=key: np.full(3, key)))  # type: ignore[misc]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key, values in found.items():
        assert all((value == key).all() for value in values)
        assert values[-1] is recent.get(key, lambda: np.zeros(0))


def test_a_stem_is_measured_once_for_all_mashups_that_use_it() -> None:
    measured: list[float] = []

    def frames(audio: Audio, *, tuning: float) -> int:
        measured.append(tuning)
        return audio.frames

    songs = SyntheticSource([(Key(0, "major"), 120.0), (Key(9, "minor"), 118.0)], bars=4)
    stems = MeasuredStems(frames)
    for mashup in [mashup_of(songs, clip) for clip in (songs.clips[0], songs.clips[1], songs.clips[0])]:
        for role in mashup.roles:
            assert stems.of(mashup, role) == mashup.source_stem(role).frames
    assert measured == [0.0] * 6
