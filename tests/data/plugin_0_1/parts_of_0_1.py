"""The components of a plugin written against mashkit 0.1. Never edited: tests/test_compatibility.py."""

import concurrent.futures
import queue

import attrs
import numpy as np
from plugin_of_0_1 import CARDS

import mashkit as mk
from mashkit.components import cost_only
from mashkit.features.spectral import beat_synchronous, chromagram, spectrogram
from mashkit.interfaces.executor import Works, attempt, begin
from mashkit.interfaces.generator import Promise


@attrs.define(kw_only=True, eq=False)
class Separator(mk.Separator):
    info = CARDS["separator"]
    threads: int = attrs.field(default=1, metadata=cost_only(2))

    def _separate(self, mix):
        third = mk.Audio(mix.samples / np.float32(3), mix.sample_rate)
        return mk.StemSet(dict.fromkeys(("vocals", "drums", "other"), third))


@attrs.define(kw_only=True, eq=False)
class Analyzer(mk.Analyzer):
    info = CARDS["analyzer"]
    tempo: float = attrs.field(default=120.0, validator=attrs.validators.gt(0))

    def _analyze(self, mix):
        spectrum = spectrogram(mix)
        beats = np.arange(0.5, mix.duration, 60 / self.tempo)
        chroma = chromagram(spectrum)
        if len(beats) > 1:
            beat_synchronous(chroma, spectrum.times, beats)
        key = mk.Key(int(np.argmax(chroma.mean(axis=1))), "major")
        return mk.Analysis(key=key, tempo=self.tempo, beats=beats, downbeats=beats[::4], confidence={"key": 0.5})


@attrs.define(kw_only=True, eq=False)
class Stretcher(mk.Stretcher):
    info = CARDS["stretcher"]

    def _stretch(self, audio, *, speed, semitones, frames):
        places = np.linspace(0, max(audio.frames - 1, 0), frames)
        samples = [np.interp(places, np.arange(audio.frames), channel) for channel in audio.samples]
        return mk.Audio(np.array(samples, np.float32), audio.sample_rate)


@attrs.define(kw_only=True, eq=False)
class Scorer(mk.Scorer):
    info = CARDS["scorer"]

    def _score(self, mashups):
        return [self._one(mashup) for mashup in mashups]

    def _one(self, mashup):
        length = mashup.plan.duration_s
        assert mashup.clips[mk.Role.VOCAL].analysis.beats is not None
        assert len(mashup.grid()) > 1
        assert mashup.source_stem(mk.Role.VOCAL).frames > 0
        return mk.Score(length, parts={"length_s": length})


@attrs.define(kw_only=True, eq=False)
class Generator(mk.Generator):
    info = CARDS["generator"]
    promises = {"as-they-are": Promise(description="a clip's own stems", songs="one")}  # noqa: RUF012

    def _plan(self, clips, *, condition, count, seed, vocal):
        for index in np.random.default_rng(seed).permutation(len(clips)):
            clip = clips[int(index)]
            if vocal in (None, clip.id):
                yield mk.MashupPlan(
                    condition=condition,
                    layers=[mk.Layer(role=role, clip_id=clip.id, speed=1.0, semitones=0) for role in mk.Role],
                    duration_s=min(30.0, clip.duration),
                    seed=seed,
                    generator={"name": self.info.name, "options": self.options()},
                    mixing=mk.Mixing(fade_out_s=0.5),
                )


@attrs.define(kw_only=True, eq=False)
class Executor(mk.Executor):
    info = CARDS["executor"]

    def _pool(self):
        return _Pool()


class _Pool(mk.Pool):
    def __init__(self):
        self.executor = concurrent.futures.ThreadPoolExecutor(1)
        self.works = Works()
        self.states = {}
        self.outcomes = queue.SimpleQueue()

    @property
    def capacity(self):
        return 2

    def submit(self, job):
        self.executor.submit(self._do, job, self.works.number(job.work))

    def _do(self, job, work):
        if work not in self.states:
            self.states[work] = begin(job.work)
        self.outcomes.put(attempt(job.work, self.states[work], job.item, job.name).outcome(job))

    def wait(self):
        return self.outcomes.get()

    def close(self):
        self.executor.shutdown(cancel_futures=True)
