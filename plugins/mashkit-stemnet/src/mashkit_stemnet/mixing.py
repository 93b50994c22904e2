"""The training examples: mixes, drawn again for every batch, of stems that lie in the device's memory.

All ranges, shares and probabilities are ours: usual values of pop and electronic music.

Conventions: stems are in the order of :data:`STEMS`; batches float32, shape (items, stems, 2, frames), 44.1 kHz.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import torch
from torch import Tensor

from mashkit.errors import UsageError
from mashkit.paths import path_text
from mashkit_spleeter_torch.masking import HOP, WINDOW
from mashkit_stemnet.network import LEVEL
from mashkit_stemnet.rendering import STEMS

SAMPLE_RATE = 44_100
_SILENT = 1e-3
"""Smallest root mean square of a second of a stem that is drawn as a sounding second."""
NO_DRUMS, ONLY_DRUMS, NO_VOCALS = 0.05, 0.03, 0.17
"""Shares of mixes without drums, of mixes of drums alone, and of mixes without vocals."""
_EQ_HERTZ = (30, 100, 300, 1000, 3000, 8000, 20_000)


@attrs.frozen
class Part:
    """The places of a song's stems in the pool: first samples (None without samples) and the common length.

    Parameters
    ----------
    song : str
    starts : tuple of int or None
    frames : int
    loud : tuple of array
        For each stem, the seconds in which it sounds.
    real : bool
    """

    song: str
    starts: tuple[int | None, ...]
    frames: int
    loud: tuple[np.ndarray, ...] = attrs.field(repr=False)
    real: bool


class Pool:
    """Stems as int16 in one block of the device's memory.

    Parameters
    ----------
    device : torch.device
    seconds : float
        Capacity, in seconds of single stems.
    """

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.samples = torch.empty((2, int(seconds * SAMPLE_RATE)), dtype=torch.int16, device=device)
        self.used = 0
        self.parts: list[Part] = []
        self.full = False
        """Whether a song of the followed corpus had no room; then no more are added."""
        self._failure: Exception | None = None
        self._lock = threading.Lock()

    def add(self, song: str, stems: Sequence[np.ndarray | None], *, real: bool) -> bool:
        """Add a song's stems, int16 of shape (2, frames) each; return False if there is no room left."""
        frames = max(stem.shape[1] for stem in stems if stem is not None)
        sounding = [_sounding(stem) if stem is not None else np.zeros(0, np.int64) for stem in stems]
        starts: list[int | None] = []
        with self._lock:
            begin = self.used
            # Silent stems are not stored.
            self.used += frames * sum(1 for seconds in sounding if len(seconds))
            if self.used > self.samples.shape[1]:
                self.used = begin
                return False
        for stem, seconds in zip(stems, sounding, strict=True):
            if stem is None or not len(seconds):
                starts.append(None)
                continue
            there = self.samples[:, begin : begin + frames]
            there[:, : stem.shape[1]] = torch.from_numpy(np.ascontiguousarray(stem)).to(there.device)
            there[:, stem.shape[1] :] = 0
            starts.append(begin)
            begin += frames
        self.parts.append(Part(song, tuple(starts), frames, tuple(sounding), real))
        return True

    def follow(self, folder: Path) -> None:
        """Add the songs of a rendered corpus in the background, also songs that are rendered later."""
        threading.Thread(target=self._follow, args=(folder,), daemon=True).start()

    def check(self) -> None:
        """Raise the exception that ended :meth:`follow`, if one did."""
        if self._failure is not None:
            raise self._failure

    def _follow(self, folder: Path) -> None:
        try:
            self._add_songs(folder)
        except Exception as error:  # noqa: BLE001 — check raises it in the thread that waits for songs
            self._failure = error

    def _add_songs(self, folder: Path) -> None:
        known: set[str] = set()
        while True:
            for path in sorted(folder.glob("*.npy")):
                # A file whose name begins with a dot is still being written.
                if path.name in known or path.name.startswith("."):
                    continue
                known.add(path.name)
                try:
                    stems = list(np.load(path))
                except (OSError, ValueError) as error:
                    raise UsageError(f"{path_text(path)} cannot be read: {error}", "remove it") from error
                if not self.add(path.name.partition(".")[0], stems, real=False):
                    self.full = True
                    return
            time.sleep(1.0)


def _sounding(stem: np.ndarray) -> np.ndarray:
    """Return the seconds in which a stem sounds, from about every hundredth of its samples."""
    whole = stem.shape[1] // SAMPLE_RATE * SAMPLE_RATE
    power = np.square(stem[:, :whole:101].astype(np.float32) / 32_768).mean(axis=0)
    seconds = np.array_split(power, max(1, whole // SAMPLE_RATE))
    return np.flatnonzero([one.mean() > _SILENT**2 if len(one) else False for one in seconds])


@attrs.frozen(kw_only=True)
class Drawing:
    """Settings for the drawing of mixes.

    Parameters
    ----------
    frames : int
        Number of spectral frames of an item.
    real : float
        Share of items whose "other" stem comes from a real song.
    """

    frames: int = 256
    real: float = 0.0

    @property
    def samples(self) -> int:
        """Number of samples of an item."""
        return (self.frames - 1) * HOP + WINDOW


@attrs.frozen
class Batch:
    """Stems as they sound in their mix, and where "bass" is known; shapes (items, stems, 2, frames) and (items,)."""

    stems: Tensor
    bass_known: Tensor


def draw(pool: Pool, parts: Sequence[Part], drawing: Drawing, items: int, random: np.random.Generator) -> Batch:
    """Return mixes of stems of ``parts``, from one song or from several, with random production.

    In half of the mixes all stems come from one song; in the others drums, bass or voice come from other songs. Speed
    and pitch change together, as in faster playback. Equalizers, rooms, saturation, stereo positions, levels and the
    ducking by a kick are drawn for each stem. Some mixes have no drums, no vocals, or only drums.
    """
    kinds = {real: [part for part in parts if part.real is real] for real in (True, False)}
    drawn = [_item(kinds, drawing, random) for _ in range(items)]
    starts, rates, gains = (np.stack([getattr(one, name) for one in drawn]) for name in ("starts", "rates", "gains"))
    device = pool.samples.device
    placed, played = (torch.as_tensor(one, device=device) for one in (starts, rates))
    stems = _taken(pool.samples, placed, played, drawing.samples)
    stems = stems * torch.as_tensor(gains, dtype=torch.float32, device=device)[:, :, None, None]
    stems = _filtered(stems, random)
    stems = _placed(stems, random)
    stems = _ducked(stems, random)
    power = stems.sum(dim=1).square().mean(dim=(1, 2)).clamp_min(1e-10)
    level = LEVEL * 10 ** (random.uniform(-12, 4, items) / 20)
    stems = stems * (torch.as_tensor(level, dtype=torch.float32, device=device) / power.sqrt())[:, None, None, None]
    return Batch(stems, torch.as_tensor([one.bass_known for one in drawn], device=device))


@attrs.define
class _Item:
    """What one mix is made of: where each stem begins in the pool, its speed, its gain; speed 0 is silence."""

    starts: np.ndarray = attrs.field(factory=lambda: np.zeros(len(STEMS), np.int64))
    rates: np.ndarray = attrs.field(factory=lambda: np.zeros(len(STEMS)))
    gains: np.ndarray = attrs.field(factory=lambda: np.zeros(len(STEMS)))
    bass_known: bool = True


def _item(kinds: Mapping[bool, Sequence[Part]], drawing: Drawing, random: np.random.Generator) -> _Item:
    """Return one mix, drawn from real songs' parts (``kinds[True]``) and rendered ones."""
    item = _Item()
    real = bool(random.random() < drawing.real)
    other = STEMS.index("other")
    part = _part_with(kinds, real, other, random)
    if part is None:
        return item
    together = random.random() < 0.5
    rate = _speed(random, 0.06)
    at = _place(part, int(random.choice((other, other, 1, 0))), rate, drawing, random)
    item.bass_known = not part.real or part.starts[STEMS.index("bass")] is not None
    balanced = together and part.real and random.random() < 0.6
    absent = random.random()
    for stem, name in enumerate(STEMS):
        source, where, speed = part, at, rate
        swapped = not together and (name == "drums" or (name in ("vocals", "bass") and random.random() < 0.4))
        lacking = name == "vocals" and part.starts[stem] is None and random.random() < 0.6
        if name == "bass" and not item.bass_known:
            swapped = False
        if swapped or lacking:
            found = _part_with(kinds, real if random.random() < 0.7 else not real, stem, random)
            if found is None:
                continue
            source, speed = found, _speed(random, 0.08)
            where = _place(source, stem, speed, drawing, random)
        begin = source.starts[stem]
        if begin is None or _is_absent(name, absent):
            continue
        item.starts[stem] = begin + where
        item.rates[stem] = speed
        item.gains[stem] = 1.0 if balanced else 10 ** (random.uniform(-9, 7) / 20)
    return item


def _part_with(kinds: Mapping[bool, Sequence[Part]], real: bool, stem: int, random: np.random.Generator) -> Part | None:
    """Return a part in which a stem sounds; None if eight draws find none. Parts of the other kind are a substitute."""
    among = kinds[real] or kinds[not real]
    for _ in range(8):
        part = among[int(random.integers(len(among)))]
        if len(part.loud[stem]):
            return part
    return None


def _speed(random: np.random.Generator, spread: float) -> float:
    return float(np.exp(random.normal(0, spread)))


def _place(part: Part, stem: int, rate: float, drawing: Drawing, random: np.random.Generator) -> int:
    """Return where in a part an item begins; in four of five items soon before a second in which the stem sounds."""
    room = part.frames - int((drawing.samples + 8) * rate) - 8
    if room <= 4:
        return 4
    if len(part.loud[stem]) and random.random() < 0.8:
        second = int(part.loud[stem][random.integers(len(part.loud[stem]))])
        return int(np.clip(second * SAMPLE_RATE - random.integers(0, 4 * SAMPLE_RATE), 4, room))
    return int(random.integers(4, room))


def _is_absent(name: str, chance: float) -> bool:
    """Return whether a stem is left out of a mix, for a ``chance`` from 0 to 1 that is drawn once for the mix."""
    if chance < NO_DRUMS:
        return name == "drums"
    if chance < NO_DRUMS + ONLY_DRUMS:
        return name != "drums"
    return name == "vocals" and chance < NO_DRUMS + ONLY_DRUMS + NO_VOCALS


def _taken(pool: Tensor, starts: Tensor, rates: Tensor, frames: int) -> Tensor:
    """Return the stems read at their rates, by cubic interpolation; zero where the rate is 0."""
    moments = torch.arange(frames, device=pool.device, dtype=torch.float64) * rates[..., None]
    whole = moments.floor()
    share = (moments - whole).float()[:, :, None]
    # With rate 0 the pool's first samples are read, and the result is multiplied by 0 at the end.
    index = (starts[..., None] + whole.long()).clamp(1, pool.shape[1] - 3)
    before, here, after, beyond = (pool[:, index + step].permute(1, 2, 0, 3).float() / 32_768 for step in (-1, 0, 1, 2))
    # Catmull-Rom interpolation.
    curve = here + 0.5 * share * (
        after
        - before
        + share * (2 * before - 5 * here + 4 * after - beyond + share * (3 * (here - after) + beyond - before))
    )
    return curve * (rates > 0)[:, :, None, None]


def _filtered(stems: Tensor, random: np.random.Generator) -> Tensor:
    """Return stems with equalizers and rooms; some whole mixes lose their high frequencies."""
    items, count, _, frames = stems.shape
    device = stems.device
    hertz = torch.fft.rfftfreq(frames, 1 / SAMPLE_RATE, device=device)
    octave = torch.log2(hertz.clamp_min(20))
    places = np.log2(_EQ_HERTZ)
    decibels = random.normal(0, 3.5, (items, count, len(places))) * (random.random((items, count, 1)) < 0.7)
    curve = _interpolated(octave, places, torch.as_tensor(decibels, dtype=torch.float32, device=device))
    response = 10 ** (curve / 20)
    cut = np.where(random.random(items) < 0.12, np.exp(random.uniform(np.log(3500), np.log(16_000), items)), 1e6)
    edge = torch.as_tensor(cut, dtype=torch.float32, device=device)[:, None, None]
    response = response / (1 + (hertz / edge) ** 24)
    room_share = np.array([0.5, 0.25, 0.1, 0.4])
    wet = np.exp(random.uniform(np.log(0.03), np.log(0.6), (items, count))) * (
        random.random((items, count)) < room_share
    )
    seconds = np.exp(random.uniform(np.log(0.1), np.log(1.5), (items, count)))
    length = 2 * SAMPLE_RATE
    time = torch.arange(length, device=device) / SAMPLE_RATE
    fading = torch.as_tensor(seconds, dtype=torch.float32, device=device)[..., None]
    # A generator of its own, because torch's global one depends on what was drawn before.
    generator = torch.Generator(device).manual_seed(int(random.integers(1 << 63)))
    noise = torch.randn((items, count, 2, length), generator=generator, device=device)
    tails = noise * (torch.exp(-6.9 * time / fading) * (time > 0.008))[:, :, None]
    tails = tails / tails.square().sum(dim=-1, keepdim=True).sqrt().clamp_min(1e-6)
    tails = tails * torch.as_tensor(wet, dtype=torch.float32, device=device)[..., None, None]
    room = 1 + torch.fft.rfft(tails, n=frames)
    filtered: Tensor = torch.fft.irfft(torch.fft.rfft(stems) * room * response[:, :, None], n=frames)
    return filtered


def _interpolated(octave: Tensor, places: np.ndarray, values: Tensor) -> Tensor:
    """Return values, shape (..., places), interpolated linearly at each octave."""
    at = torch.as_tensor(places, dtype=torch.float32, device=octave.device)
    upper = torch.searchsorted(at, octave.contiguous()).clamp(1, len(places) - 1)
    share = ((octave - at[upper - 1]) / (at[upper] - at[upper - 1])).clamp(0, 1)
    return values[..., upper - 1] * (1 - share) + values[..., upper] * share


def _placed(stems: Tensor, random: np.random.Generator) -> Tensor:
    """Return stems that are saturated, inverted, mirrored, panned and narrowed, each at random."""
    items, count = stems.shape[:2]
    device = stems.device

    def column(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=device)[..., None, None]

    drive = np.exp(random.uniform(np.log(1), np.log(20), (items, count)))
    driven = random.random((items, count)) < np.array([0.1, 0.25, 0.2, 0.15])
    strength = column(drive)
    stems = torch.where(column(driven.astype(float)) > 0, torch.tanh(strength * stems) / strength.sqrt(), stems)
    stems = stems * column(random.choice((-1.0, 1.0), (items, count)))
    mirrored = column((random.random((items, count)) < 0.5).astype(float))
    stems = mirrored * stems.flip(2) + (1 - mirrored) * stems
    width = column(np.where(random.random((items, count)) < 0.25, random.uniform(0, 1, (items, count)), 1.0))
    middle = stems.mean(dim=2, keepdim=True)
    stems = width * stems + (1 - width) * middle
    pan = np.where(random.random((items, count)) < 0.25, random.uniform(-0.8, 0.8, (items, count)), 0.0)
    pan[:, 1] = np.where(random.random(items) < 0.03, random.choice((-1.0, 1.0), items), pan[:, 1])
    stems = stems * torch.stack([1 - column(pan)[..., 0, 0], 1 + column(pan)[..., 0, 0]], dim=-1)[..., None]
    mono = column((random.random((items, 1)) < 0.08).astype(float))
    return mono * stems.mean(dim=2, keepdim=True) + (1 - mono) * stems


def _ducked(stems: Tensor, random: np.random.Generator) -> Tensor:
    """Return stems; in every fifth mix the drums duck bass and other, as a side chain does."""
    items, _, _, frames = stems.shape
    depth = random.uniform(0.3, 0.95, items) * (random.random(items) < 0.2)
    hop = 256
    loud = torch.nn.functional.max_pool1d(stems[:, 1].abs().mean(dim=1, keepdim=True), hop, ceil_mode=True)
    reach = 40
    fade = torch.exp(-torch.arange(reach, device=stems.device) / float(random.uniform(8, 25))).flip(0)
    held = torch.nn.functional.conv1d(torch.nn.functional.pad(loud**2, (reach - 1, 0)), fade[None, None])
    held = held / held.amax(dim=-1, keepdim=True).clamp_min(1e-9)
    gain = 1 - torch.as_tensor(depth, dtype=torch.float32, device=stems.device)[:, None, None] * held
    gain = torch.nn.functional.interpolate(gain, size=frames, mode="linear")
    ducked = stems.clone()
    ducked[:, 2:] = stems[:, 2:] * gain[:, None]
    return ducked
