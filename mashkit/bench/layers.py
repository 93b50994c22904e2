"""Stretched layers that the competitors of a suite share: each is rendered once, and charged to everyone who needs it.

Stretching takes nearly all the time of a scorer that needs the rendered sound. So the first competitor that needs a
layer leaves it in a folder, to the bit, with the time that it took; those after it read the file and are charged that
time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import attrs
import numpy as np

from mashkit.bench.identity import identity_of
from mashkit.bench.tasks import Elapsed, stopwatch
from mashkit.interfaces.stretcher import Stretcher
from mashkit.mashup import ClipSource
from mashkit.rendering.renderer import Renderer
from mashkit.types import Audio, Layer

LAYERS_BYTES = 6 << 30
"""Bytes of layers that are kept at a time: about 450 of 40 s in stereo."""
FREE_BYTES = 1 << 30
"""Bytes that stay free on the disk."""
SUFFIX = ".layer"


@attrs.frozen
class LayerStore:
    """A folder of stretched layers.

    Parameters
    ----------
    folder : Path
        Made when the first layer is kept.
    limit : int
        Bytes that it takes at most. A layer beyond that is not kept, and everyone renders it.
    """

    folder: Path
    limit: int = LAYERS_BYTES

    def find(self, key: str) -> tuple[Audio, Elapsed] | None:
        """Return a layer and the time that it took to render; None if it is not here, or damaged."""
        try:
            with (self.folder / f"{key}{SUFFIX}").open("rb") as file:
                rate, wall_s, cpu_s = np.load(file, allow_pickle=False).tolist()
                samples = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        samples.flags.writeable = False
        return Audio(samples, int(rate)), Elapsed(wall_s, cpu_s)

    def keep(self, key: str, audio: Audio, spent: Elapsed) -> None:
        """Keep a layer, if there is room for it; that it cannot be written is not a competitor's fault."""
        size = audio.samples.nbytes
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            held = sum(path.stat().st_size for path in self.folder.glob(f"*{SUFFIX}"))
            if held + size > self.limit or shutil.disk_usage(self.folder).free - size < FREE_BYTES:
                return
            # Not by atomicfile.replacing, which waits for the disk: a file that a crash has cut off is rendered again.
            part = self.folder / f".{key}.{os.getpid()}"
            with part.open("wb") as file:
                np.save(file, np.array([audio.sample_rate, spent.wall_s, spent.cpu_s]))
                np.save(file, audio.samples)
            part.replace(self.folder / f"{key}{SUFFIX}")


class SharedRenderer(Renderer):
    """A renderer that takes stretched layers from a store.

    A copy in another process is a plain :class:`Renderer`, because the times that another process measures do not come
    back to this one.

    Parameters
    ----------
    source : ClipSource
    stretcher : Stretcher
    store : LayerStore
    cache_bytes : int
        How much stretched audio to keep in memory, as :class:`Renderer` does.
    """

    def __init__(self, source: ClipSource, stretcher: Stretcher, store: LayerStore, *, cache_bytes: int) -> None:
        super().__init__(source, stretcher, cache_bytes=cache_bytes)
        self._store = store
        self._made_by = identity_of(stretcher)
        self._inside, self._charged = Elapsed(), Elapsed()

    def settled(self, elapsed: Elapsed) -> tuple[Elapsed, Elapsed]:
        """Return what a block would have cost if it had rendered all its layers, and how much of that is rendering.

        Parameters
        ----------
        elapsed : Elapsed
            What it cost. All blocks are settled, one after the other.
        """
        inside, charged = self._inside, self._charged
        self._inside, self._charged = Elapsed(), Elapsed()
        whole = Elapsed(
            elapsed.wall_s - inside.wall_s + charged.wall_s, max(0.0, elapsed.cpu_s - inside.cpu_s) + charged.cpu_s
        )
        return whole, charged

    def _stretch(self, stem: Audio, layer: Layer, speed: float) -> Audio:
        if layer.time_map is not None:
            return super()._stretch(stem, layer, speed)
        wall, cpu, programs = time.perf_counter(), time.process_time(), 0.0
        key = self._key(stem, speed, layer.semitones)
        found = self._store.find(key)
        if found is None:
            with stopwatch() as spent:
                own = time.process_time()
                audio = super()._stretch(stem, layer, speed)
                own = time.process_time() - own
            # Some stretchers are programs.
            programs = max(0.0, spent.cpu_s - own)
            self._store.keep(key, audio, spent)
        else:
            audio, spent = found
        self._charged.wall_s += spent.wall_s
        self._charged.cpu_s += spent.cpu_s
        self._inside.wall_s += time.perf_counter() - wall
        self._inside.cpu_s += time.process_time() - cpu + programs
        return audio

    def _key(self, stem: Audio, speed: float, semitones: float) -> str:
        # The samples tell stems apart, because songs that are rendered anew may have the ids of those before.
        sound = hashlib.sha256(stem.samples.data).hexdigest()
        whole = [self._made_by, sound, stem.samples.shape, stem.sample_rate, speed, semitones]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()
