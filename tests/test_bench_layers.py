"""Layers that scorers share: to the bit, charged to each that needs them, and within the bounds of the disk."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'mashkit[bench]'")

from light import Turntable
from mashkit.bench.layers import SUFFIX, LayerStore, SharedRenderer
from mashkit.bench.scorers import ScorerTask
from mashkit.bench.tasks import Elapsed, stopwatch
from mashkit.pipeline import Kit
from mashkit.rendering.renderer import Renderer
from mashkit.synthetic.source import SyntheticSource
from mashkit.types import Audio, Condition, Key, Layer, MashupPlan, Role
from mashkit.workers.pickling import pack, unpack

CACHE = 1 << 28


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource([(Key(0, "major"), 120.0)], bars=4)


@pytest.fixture
def plan(source: SyntheticSource) -> MashupPlan:
    clip = source.clips[0]
    layers = [
        Layer(role=Role.VOCAL, clip_id=clip.id),
        Layer(role=Role.HARMONIC, clip_id=clip.id, semitones=1.0),
        Layer(role=Role.PERCUSSION, clip_id=clip.id, speed=1.05),
    ]
    return MashupPlan(condition=Condition.MATCHED, layers=layers, duration_s=4.0, seed=0)


@pytest.mark.plugins  # something has to be stretched
def test_another_process_gets_the_same_bits_and_the_same_bill(
    source: SyntheticSource, plan: MashupPlan, tmp_path: Path
) -> None:
    stretcher = Kit().stretcher
    plain = Renderer(source, stretcher).mashup(plan).mix.samples
    bills = []
    for _ in range(2):
        renderer = SharedRenderer(source, stretcher, LayerStore(tmp_path / "s"), cache_bytes=CACHE)
        with stopwatch() as elapsed:
            mix = renderer.mashup(plan).mix.samples
        whole, rendering = renderer.settled(elapsed)
        np.testing.assert_array_equal(mix, plain)
        assert whole.cpu_s >= rendering.cpu_s > 0
        bills.append((elapsed.cpu_s, rendering))
        assert renderer.settled(Elapsed(1.0, 1.0)) == (Elapsed(1.0, 1.0), Elapsed())  # what is settled is settled
    assert bills[0][1] == bills[1][1]  # the second is charged what the first has paid
    assert bills[1][0] < bills[0][0] - bills[0][1].cpu_s / 2  # and has not paid it
    assert len(list((tmp_path / "s").iterdir())) == 2  # the vocal is not stretched


@pytest.mark.plugins
def test_layers_of_another_sound_or_stretcher_are_others(
    source: SyntheticSource, plan: MashupPlan, tmp_path: Path
) -> None:
    other = SyntheticSource([(Key(5, "major"), 120.0)], bars=4)
    renamed = attrs.evolve(plan, layers=[attrs.evolve(layer, clip_id=other.clips[0].id) for layer in plan.layers])
    store = LayerStore(tmp_path)
    # The other song has the same drums: as long as the sound is the same, so is the layer.
    for here, own, stretcher, held in (
        (source, plan, "signalsmith", 2),
        (other, renamed, "signalsmith", 3),
        (source, plan, "librosa", 5),
    ):
        SharedRenderer(here, Kit(stretcher=stretcher).stretcher, store, cache_bytes=CACHE).mashup(own).stems  # noqa: B018
        assert len(list(tmp_path.glob(f"*{SUFFIX}"))) == held
    # In another process it is a plain renderer: what it is charged there would be lost.
    renderer = SharedRenderer(source, Kit().stretcher, store, cache_bytes=CACHE)
    assert type(unpack(pack(renderer))) is Renderer


def test_layers_of_a_stretcher_whose_code_changed_are_others(
    source: SyntheticSource, plan: MashupPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LayerStore(tmp_path)
    for code, held in (("one", 2), ("one", 2), ("other", 4)):
        monkeypatch.setattr("mashkit.bench.identity.code_sha256", lambda _, code=code: code)
        SharedRenderer(source, Turntable(), store, cache_bytes=CACHE).mashup(plan).stems  # noqa: B018
        assert len(list(tmp_path.glob(f"*{SUFFIX}"))) == held


def test_a_store_is_bounded_and_a_damaged_file_is_no_layer(tmp_path: Path) -> None:
    audio = Audio(np.ones((2, 1000), np.float32), 8000)
    store = LayerStore(tmp_path / "new", limit=20_000)
    assert store.find("a") is None
    for name in "abc":
        store.keep(name, audio, Elapsed(2.0, 1.0))
    found = store.find("a")
    assert found is not None
    np.testing.assert_array_equal(found[0].samples, audio.samples)
    assert (found[0].sample_rate, found[1]) == (8000, Elapsed(2.0, 1.0))
    assert store.find("c") is None  # of 8,000 bytes each, two fit
    path = tmp_path / "new" / f"b{SUFFIX}"
    path.write_bytes(path.read_bytes()[:-100])
    assert store.find("b") is None
    (tmp_path / "file").write_text("no folder")
    LayerStore(tmp_path / "file").keep("a", audio, Elapsed())  # it cannot be written, and nobody fails


@pytest.mark.whole
def test_inputs_are_parted_so_that_their_layers_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    task = ScorerTask()
    inputs = task.inputs(
        {"collection": "rendered", "songs": 6, "vocals": 2, "seed": 5, "other_stretcher": "", "other_separator": ""},
        None,
    )
    assert task.batches(inputs) == [inputs]
    monkeypatch.setattr("mashkit.bench.scorers.LAYERS_BYTES", 300e6)
    parts = task.batches(inputs)
    assert len(parts) > 2
    assert [one for part in parts for one in part] == inputs
    monkeypatch.setattr("mashkit.bench.scorers.LAYERS_BYTES", 1)
    assert all(parts for parts in task.batches(inputs))  # what is too large for it alone is measured none the less
