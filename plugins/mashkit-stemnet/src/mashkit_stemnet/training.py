"""Training: a base network on rendered songs, then copies of it on real songs too, one for each song left out.

The run's folder holds the results: ``base.safetensors`` (rendered songs only), ``fold-<song>.safetensors`` (all real
songs but this one, for tests on it), ``all.safetensors`` (all songs; this one ships), ``curves.jsonl``, ``run.json``
(how the run is made), and ``state.pt``, from which a stopped run is resumed.
"""

from __future__ import annotations

import copy
import functools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from mashkit.atomicfile import append_line, replacing, require_writable_folder, write_json, write_text, writing_alone
from mashkit.components import whole
from mashkit.errors import UsageError
from mashkit_spleeter_torch.masking import HOP, OVERLAP
from mashkit_spleeter_torch.separator import VocalMask
from mashkit_spleeter_torch.weights import networks
from mashkit_stemnet.checkpoint import load, save
from mashkit_stemnet.mixing import SAMPLE_RATE, Batch, Drawing, Part, Pool, draw
from mashkit_stemnet.network import BINS, LEVEL, Size, StemNet
from mashkit_stemnet.rendering import STEMS, require_same
from mashkit_stemnet.spectra import analysed, synthesized

HELD_OUT = 12
"""Number of rendered songs for validation alone: the first of the corpus."""
VALIDATION_BATCHES = 2
"""Number of validation batches, of 16 mixes each."""
_FLOOR = 3e-4
"""Share of a mix's energy, −35 dB, below which errors do not count (Wisdom et al., ICASSP 2021, eq. 2)."""
_STRETCH = 32
"""Hops, 0.74 s, over which an error is summed, because the metric is also a median over short stretches."""
OPTIONS = "run.json"
CURVES = "curves.jsonl"
"""The validations of a run, a line each."""
_COSTS = {"device", "validate_every", "room_s", "save_every"}
"""Settings that may change when a run goes on, because they change where and how fast it runs."""
WEIGHTS = {"vocals": 0.7, "drums": 1.0, "harmonic": 1.0, "bass": 0.3}


def _above_0(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is {value!r}: give a number above 0")


def _from_0(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name} is {value!r}: give a number from 0 on")


@attrs.frozen(kw_only=True)
class TrainingConfig:
    """The settings of a run.

    Parameters
    ----------
    size : Size
    base_seconds, fold_seconds, all_seconds : float
        How long each phase trains, seconds, > 0; on another machine the same time gives another number of steps. With
        ``fold_seconds`` of 0 there are no folds.
    batch : int
        Mixes per step, each of 5.9 s.
    rate, tuning_rate : float
        Highest learning rate of the base and of the later phases (AdamW, one cycle: rises in the first twentieth, then
        falls along a cosine).
    real : float
        Share of mixes of real songs, in the phases after the base.
    precision : {"32-true", "bf16-mixed"}
    device : str
    seed : int
    validate_every : int
        Number of steps between validations.
    room_s : float
        Capacity of the device's memory for stems, in seconds of single stems.
    save_every : float
        Seconds between saves; a kill loses at most this much.

    Raises
    ------
    TypeError, ValueError
        If a setting is outside its range, because a run would find out only hours later.
    """

    size: Size = attrs.field(factory=lambda: Size(channels=40, growth=32, scales=5))
    base_seconds: float = attrs.field(default=3600.0, validator=_above_0)
    fold_seconds: float = attrs.field(default=600.0, validator=_from_0)
    all_seconds: float = attrs.field(default=900.0, validator=_above_0)
    batch: int = attrs.field(default=16, validator=whole(1))
    rate: float = attrs.field(default=1.5e-3, validator=_above_0)
    tuning_rate: float = attrs.field(default=6e-4, validator=_above_0)
    real: float = attrs.field(default=0.65, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    precision: str = attrs.field(default="bf16-mixed", validator=attrs.validators.in_(("32-true", "bf16-mixed")))
    device: str = "cpu"
    seed: int = attrs.field(default=0, validator=whole(0))
    validate_every: int = attrs.field(default=200, validator=whole(1))
    room_s: float = attrs.field(default=40_000.0, validator=_above_0)
    save_every: float = attrs.field(default=60.0, validator=_from_0)


# ------------------------------------------------------------------------------------------------------ real songs
def read_song(folder: Path) -> list[np.ndarray | None]:
    """Return the stems in a multitrack's folder, int16 of shape (2, frames), scaled alike; None for a missing stem.

    One factor scales all stems, so that the mix's root mean square is the network's level, or less if it would clip.

    Raises
    ------
    UsageError
        If the folder holds no stem.
    """
    stems: list[np.ndarray | None] = []
    for name in STEMS:
        found = next(iter(sorted(folder.glob(f"{name}.*"))), None)
        if found is None:
            stems.append(None)
            continue
        samples, rate = soundfile.read(found, dtype="float32", always_2d=True)
        if rate != SAMPLE_RATE:
            samples = soxr.resample(samples, rate, SAMPLE_RATE)
        stems.append(np.broadcast_to(samples.T[:2], (2, len(samples))))
    there = [stem for stem in stems if stem is not None]
    if not there:
        raise UsageError(f"{folder} holds no stem", f"give a folder of songs with {', '.join(STEMS)}")
    frames = min(stem.shape[1] for stem in there)
    mix = np.sum([stem[:, :frames] for stem in there], axis=0)
    gain = LEVEL / max(float(np.sqrt(np.mean(np.square(mix)))), 1e-6)
    peak = max(float(np.abs(stem).max()) for stem in there) * gain
    gain *= min(1.0, 0.99 / peak)
    return [None if stem is None else np.round(stem[:, :frames] * gain * 32_767).astype(np.int16) for stem in stems]


# ------------------------------------------------------------------------------------------------------------ loss
def losses(network: StemNet, batch: Batch, spleeter: VocalMask, autocast: bool) -> dict[str, Tensor]:
    """Return each item's loss by source: the mean log10 ratio of error to mix energy, plus a mean absolute error.

    Parameters
    ----------
    network : StemNet
    batch : Batch
        Of at least 35 frames, because errors are summed over stretches of 32 frames that four frames cover.
    spleeter : VocalMask
        Gives the vocals; it is not trained.
    autocast : bool
        Compute in bfloat16 where torch thinks it right.

    Returns
    -------
    dict of str to Tensor, shape (items,)
        By the keys of :data:`WEIGHTS`. The loss of "bass" is 0 where the bass is not known.
    """
    truth = batch.stems
    mix = truth.sum(dim=1)
    device = mix.device.type
    spectra = analysed(mix)
    with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=autocast):
        vocals = spectra * spleeter.of_batch(spectra)
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        found = network.separated(spectra[..., :BINS], vocals[..., :BINS])
    estimates = synthesized(torch.nn.functional.pad(found, (0, 1)))
    first = (OVERLAP - 1) * HOP
    true = truth[..., first : first + estimates.shape[-1]]
    whole = mix[..., first : first + estimates.shape[-1]]
    voice, drums, bass = estimates.unbind(dim=1)
    pairs = {
        "vocals": (voice, true[:, 0]), "drums": (drums, true[:, 1]),
        "harmonic": (whole - voice - drums, true[:, 2] + true[:, 3]), "bass": (bass, true[:, 2]),
    }  # fmt: skip
    given = {}
    energy = _stretches(whole.square())
    energy = torch.maximum(energy, 0.01 * energy.mean(dim=1, keepdim=True)).clamp_min(1e-8)
    size = whole.abs().mean(dim=(1, 2)).clamp_min(1e-6)
    for name, (one, other) in pairs.items():
        error = _stretches((one - other).square())
        ratio = torch.log10(error / energy + _FLOOR).mean(dim=1)
        flat = (one - other).abs().mean(dim=(1, 2)) / size
        given[name] = ratio + 2 * flat
    given["bass"] = given["bass"] * batch.bass_known
    return given


def _stretches(power: Tensor) -> Tensor:
    """Return the energies of stretches, shape (items, stretches), from squares of shape (items, channels, frames)."""
    length = _STRETCH * HOP
    count = power.shape[-1] // length
    energies: Tensor = power[..., : count * length].reshape(*power.shape[:2], count, length).sum(dim=(1, 3))
    return energies


# -------------------------------------------------------------------------------------------------------- training
@attrs.define(eq=False)
class _Phase:
    name: str
    seconds: float
    rate: float
    real: float
    parts: Callable[[], Sequence[Part]]
    begin_with: str | None


def train(
    folder: Path, config: TrainingConfig, corpus: Path, songs: Sequence[Path],
    *, only: Sequence[str] = ("",), tell: Callable[[dict[str, Any]], None] = lambda told: None,
) -> None:  # fmt: skip
    """Train the base, the folds and the final network, and write checkpoints to ``folder``; resume a stopped run.

    Parameters
    ----------
    folder : Path
    config : TrainingConfig
    corpus : Path
        Rendered songs (:mod:`mashkit_stemnet.rendering`); songs that are rendered during training are added.
    songs : sequence of Path
        Folders of real songs' stems, which are read after the base is trained. Without songs there are no folds, and
        "all" trains the base further.
    only : sequence of str
        Only songs with one of these texts in their name have folds; all songs are trained on.
    tell : callable
        Called at each validation with phase, step, seconds, training loss, and the loss of each source on the held-out
        rendered songs.

    Raises
    ------
    UsageError
        If ``folder`` holds a run that was begun with other settings or songs, there is no corpus, or no room for songs.
    OutputError
        If ``folder`` cannot be written to, or another run is writing into it.
    """
    with writing_alone(require_writable_folder(folder)):
        _train(folder, config, corpus, songs, only, tell)


def _train(
    folder: Path, config: TrainingConfig, corpus: Path, songs: Sequence[Path], only: Sequence[str],
    tell: Callable[[dict[str, Any]], None],
) -> None:  # fmt: skip
    """Do the work of :func:`train`, in a folder that this run has for itself."""
    options = {name: value for name, value in attrs.asdict(config).items() if name not in _COSTS}
    _go_on(folder, options)
    pool = _filled_pool(corpus, config)
    device = torch.device(config.device)
    spleeter = VocalMask(*networks(device), mask_extension="average")
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    chances = [np.random.default_rng([config.seed, 99, number]) for number in range(VALIDATION_BATCHES)]
    size = min(16, config.batch)
    validation = [draw(pool, pool.parts[:HELD_OUT], Drawing(), size, chance) for chance in chances]
    for phase in _phases(folder, config, options, pool, songs, only):
        if not _checkpoint_of(folder, phase).exists():
            _PhaseRun(folder, config, phase, pool, spleeter, validation, tell).go()


def _filled_pool(corpus: Path, config: TrainingConfig) -> Pool:
    """Return a pool with the songs that are held out and one more; the corpus's other songs are added as they come."""
    pool = Pool(torch.device(config.device), config.room_s)
    if not corpus.is_dir():
        raise UsageError(f"{corpus} holds no rendered songs", "make them with `mashkit stem-songs`")
    pool.follow(corpus)
    while True:
        pool.check()
        full = pool.full  # read before the songs are counted, because the last ones may come in between
        if len(pool.parts) > HELD_OUT:
            return pool
        if full:
            raise UsageError(f"there is room for {len(pool.parts)} of {HELD_OUT + 1} songs", "give a larger --room")
        time.sleep(0.5)


def _phases(
    folder: Path, config: TrainingConfig, options: Mapping[str, Any], pool: Pool, songs: Sequence[Path],
    only: Sequence[str],
) -> Iterator[_Phase]:  # fmt: skip
    """Yield the base, then add the real songs to the pool, and yield the phases that are trained on them too."""
    parts = functools.partial(_parts_for_training, pool)
    yield _Phase("base", config.base_seconds, config.rate, 0.0, parts, None)
    _go_on(folder, {**options, "songs": sorted(path.name for path in songs)})
    for path in songs:
        if not pool.add(path.name, read_song(path), real=True):
            raise UsageError(f"there is no room for {path.name}", "give a larger --room")
    for path in songs:
        if config.fold_seconds > 0 and any(text in path.name for text in only):
            without = functools.partial(parts, left_out=path.name)
            yield _Phase(f"fold-{path.name}", config.fold_seconds, config.tuning_rate, config.real, without, "base")
    yield _Phase("all", config.all_seconds, config.tuning_rate, config.real if songs else 0.0, parts, "base")


def _parts_for_training(pool: Pool, left_out: str | None = None) -> Sequence[Part]:
    """Return the songs that are in the pool now, without those held out for validation and the one left out."""
    pool.check()
    held_out = {part.song for part in pool.parts[:HELD_OUT]}
    return [part for part in list(pool.parts) if part.song not in held_out and part.song != left_out]


def _go_on(folder: Path, options: Mapping[str, Any]) -> None:
    """Write the run's options; raise UsageError if they differ from the options with which the run was begun."""
    path = folder / OPTIONS
    begun = {}
    if path.exists() and any((folder / name).exists() for name in ("state.pt", "base.safetensors")):
        begun = require_same(path, options)
    write_json(path, {**begun, **options})


class _PhaseRun:
    """The training of one phase, begun anew or resumed from the run's ``state.pt``."""

    def __init__(
        self, folder: Path, config: TrainingConfig, phase: _Phase, pool: Pool, spleeter: VocalMask,
        validation: Sequence[Batch], tell: Callable[[dict[str, Any]], None],
    ) -> None:  # fmt: skip
        self._folder = folder
        self._config = config
        self._phase = phase
        self._pool = pool
        self._spleeter = spleeter
        self._validation = validation
        self._tell = tell
        self._device = torch.device(config.device)
        self._autocast = config.precision == "bf16-mixed"
        # A forked generator, because the caller's must not change.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self._network = StemNet(config.size).to(self._device)
        if phase.begin_with:
            self._network.load_state_dict(self._beginning())
        self._averaged = copy.deepcopy(self._network).eval().requires_grad_(False)
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(), lr=phase.rate, weight_decay=1e-4, betas=(0.9, 0.99),
            fused=self._device.type == "cuda",
        )  # fmt: skip
        self._validations = 0  # of this phase
        self._step, spent = self._resumed()
        self._cut_curves()
        self._began = time.monotonic() - spent
        self._running: list[Tensor] = []

    def _beginning(self) -> Mapping[str, Tensor]:
        """Return the weights that the phase begins with."""
        return load(self._folder / f"{self._phase.begin_with}.safetensors").weights

    def _resumed(self) -> tuple[int, float]:
        """Take over what a stopped run of this phase saved; return its number of steps and its seconds."""
        state = self._folder / "state.pt"
        if not state.exists():
            return 0, 0.0
        kept = torch.load(state, map_location=self._device, weights_only=True)
        if kept["phase"] != self._phase.name:
            return 0, 0.0
        self._network.load_state_dict(kept["network"])
        self._averaged.load_state_dict(kept["averaged"])
        self._optimizer.load_state_dict(kept["optimizer"])
        # An older state has no number of validations. Then those up to its own step count, each step once.
        written = list(curves(self._folder))
        until = {written[place]["step"] for place in self._validated(written)} & set(range(kept["step"] + 1))
        self._validations = kept.get("validations", len(until))
        return kept["step"], kept["spent"]

    def _validated(self, written: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the places of this phase's validations among those of the run."""
        return [place for place, one in enumerate(written) if one["phase"] == self._phase.name]

    def _cut_curves(self) -> None:
        """Remove the validations that came after the state that was taken over, because they are made again."""
        path = self._folder / CURVES
        if not path.exists():
            return
        written = list(curves(self._folder))
        late = self._validated(written)[self._validations :]
        # A last line that was cut off goes too, because the next one would be added to it.
        write_text(path, "".join(f"{json.dumps(one)}\n" for place, one in enumerate(written) if place not in late))

    def go(self) -> None:
        """Train until the phase's time is over, and save its checkpoint."""
        saved = time.monotonic()
        while True:
            now = time.monotonic()
            progress = (now - self._began) / self._phase.seconds
            if progress >= 1:
                break
            self._train_step(progress)
            if self._step % self._config.validate_every == 0:
                self._validate(now - self._began)
                self._running.clear()
            if now - saved > self._config.save_every:
                saved = now
                self._save_state()
        seconds = time.monotonic() - self._began
        if self._phase.begin_with:
            self._go_half_way_back()
        self._validate(seconds)
        self._save_checkpoint()

    def _train_step(self, progress: float) -> None:
        """Do one step; ``progress`` is the share of the phase's time that is over, which sets the learning rate."""
        warm_up = min(1.0, progress / 0.05 + 0.02)
        for group in self._optimizer.param_groups:
            group["lr"] = self._phase.rate * warm_up * (0.5 * (1 + math.cos(math.pi * progress)) + 0.005)
        random = np.random.default_rng([self._config.seed, self._step, *self._phase.name.encode()])
        with torch.no_grad():
            drawing = Drawing(real=self._phase.real)
            batch = draw(self._pool, self._phase.parts(), drawing, self._config.batch, random)
        self._network.train()
        given = losses(self._network, batch, self._spleeter, self._autocast)
        weighted = (WEIGHTS[name] * one for name, one in given.items())
        total = sum(weighted, torch.zeros((), device=self._device)).mean()
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
        self._optimizer.step()
        self._step += 1
        _average(self._averaged, self._network, min(0.999, self._step / (self._step + 10)))
        self._running.append(total.detach())

    def _validate(self, seconds: float) -> None:
        """Validate the averaged network, and add the losses to ``curves.jsonl``."""
        with torch.no_grad():
            found = [losses(self._averaged, batch, self._spleeter, self._autocast) for batch in self._validation]
        told: dict[str, Any] = {"phase": self._phase.name, "step": self._step, "seconds": round(seconds, 1)}
        told["songs"] = len(self._pool.parts)
        if self._running:
            told["training_loss"] = round(float(torch.stack(self._running).mean()), 4)
        for name in WEIGHTS:
            told[name] = round(float(torch.cat([one[name] for one in found]).mean()), 4)
        append_line(self._folder / CURVES, json.dumps(told))
        self._validations += 1
        self._tell(told)

    def _save_state(self) -> None:
        with replacing(self._folder / "state.pt") as temporary:
            torch.save(
                {
                    "phase": self._phase.name, "network": self._network.state_dict(),
                    "averaged": self._averaged.state_dict(), "optimizer": self._optimizer.state_dict(),
                    "step": self._step, "spent": time.monotonic() - self._began, "validations": self._validations,
                },
                temporary,
            )  # fmt: skip

    def _go_half_way_back(self) -> None:
        """Move the weights half way back to those of the beginning.

        This keeps what real songs taught and does not get worse on songs unlike them (Wortsman et al., Robust
        fine-tuning of zero-shot models, CVPR 2022, who also choose a half).
        """
        before = self._beginning()
        with torch.no_grad():
            for name, value in self._averaged.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(before[name].to(self._device), 0.5)

    def _save_checkpoint(self) -> None:
        parts = self._phase.parts()
        save(
            _checkpoint_of(self._folder, self._phase), self._averaged,
            {
                "phase": self._phase.name, "steps": self._step, "seconds": round(time.monotonic() - self._began, 1),
                "config": attrs.asdict(self._config), "songs": {
                    "rendered": len({part.song for part in parts if not part.real}),
                    "real": sorted({part.song for part in parts if part.real}) if self._phase.real else [],
                },
            },
        )  # fmt: skip


def _checkpoint_of(folder: Path, phase: _Phase) -> Path:
    return folder / f"{phase.name}.safetensors"


def _average(averaged: StemNet, network: StemNet, keep: float) -> None:
    """Move the running average of weights and statistics towards the network's present values."""
    with torch.no_grad():
        ours = [value for value in averaged.state_dict().values() if value.is_floating_point()]
        theirs = [value for value in network.state_dict().values() if value.is_floating_point()]
        torch._foreach_lerp_(ours, theirs, 1 - keep)


def curves(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the validations of a run, without a last line that was cut off."""
    path = folder / CURVES
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
