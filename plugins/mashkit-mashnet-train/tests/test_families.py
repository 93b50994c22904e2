"""Batches of families: what plays together fits or clashes as it says, and layers are equally often in examples."""

from __future__ import annotations

from collections import Counter

import attrs
import numpy as np
import pytest
import torch

from mashkit.conditions import MAX_OFFSET_S, UNMATCHED
from mashkit.errors import UsageError
from mashkit.types import Analysis, Condition, Key
from mashkit_mashnet.frontend import FINE
from mashkit_mashnet.loops import COMPACT as LOOPS
from mashkit_mashnet.networks import COMPACT, RHYTHM, PreMixNet
from mashkit_mashnet.stem_features import ROLES, WIDE, WIDE_FINE, StemFeatures
from mashkit_mashnet_train import families
from mashkit_mashnet_train.examples import RULES, SHIFTS, SPEEDS, Clips, split_of
from mashkit_mashnet_train.spectra_data import CROP, SpectraData
from mashkit_mashnet_train.store import Record, Store, StoreWriter
from mashkit_mashnet_train.training_data import training_data


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """200 songs of noise in all keys and many tempi, steady as they are rendered: enough for families in each split."""
    random = np.random.default_rng(0)
    writer = StoreWriter(tmp_path_factory.mktemp("families") / "store", {"recipe": "noise"})
    for number in range(200):
        tempo = float(random.uniform(80, 150))
        beats = np.arange(40) * 60 / tempo
        duration = float(beats[-1]) + 1
        key = Key(tonic=int(random.integers(12)), mode="major")
        record = Record(
            id=f"s{number}", song=f"s{number}", duration=duration,
            analysis=Analysis(key=key, tempo=tempo, beats=beats, downbeats=beats[::4]),
        )  # fmt: skip
        frames = [round(duration * front_end.frame_rate) for front_end in (WIDE, WIDE_FINE)]
        stems = {
            role: StemFeatures(
                random.integers(0, 256, (frames[0], WIDE.bands), np.uint8),
                np.zeros((round(duration * 43), 3), np.uint8),
                random.integers(0, 256, (frames[1], WIDE.bands), np.uint8),
            )
            for role in ROLES
        }
        writer.add(record, stems)
    return writer.close()


@pytest.mark.parametrize("unlabelled", [False, True])
@pytest.mark.parametrize("step", range(3))
def test_each_layer_plays_in_as_many_examples_as_any_other(step: int, unlabelled: bool) -> None:
    examples = families.mixed(step, unlabelled=unlabelled)
    for place in range(3):
        used = Counter(example.members[place] for example in examples)
        assert used == dict.fromkeys(range(12), 3 if unlabelled else 2)
    kinds = Counter(example.kind for example in examples)
    assert kinds.pop(Condition.ORIGINAL) == 12
    assert kinds.pop(Condition.MATCHED, 0) == 12 * unlabelled
    assert kinds == dict.fromkeys(UNMATCHED, 4)
    assert all(len(set(example.members)) == 3 for example in examples if example.kind != Condition.ORIGINAL)


def test_what_plays_together_fits_or_clashes_as_it_says(many: Store) -> None:
    clips = Clips([many], "training")
    for seed in range(8):
        found = families.members(clips, np.random.default_rng(seed), CROP, COMPACT.front_end.frame_rate)
        assert len({int(clips.songs[one.layer.clip]) for one in found}) == 12
        keys, tempi = [], []
        for one in found:
            layer = one.layer
            assert SHIFTS[0] <= layer.semitones < SHIFTS[1]
            speed = np.diff(layer.source).mean() / np.diff(layer.mashup).mean()
            assert SPEEDS[0] - 1e-9 <= speed <= SPEEDS[1] + 1e-9
            keys.append(int(clips.table.tonics[layer.clip]) + round(layer.semitones))
            tempi.append(60 / np.diff(layer.mashup).mean())
            assert one.times[-1] <= layer.mashup[-1]
            assert layer.source[-1] <= clips.beats[layer.clip][-1] + 1e-9
        for example in families.mixed(seed, unlabelled=True):
            vocal, harmonic, percussion = example.members
            kind = Condition(example.kind)
            distance = float((keys[harmonic] - keys[vocal] + 6) % 12 - 6)
            assert RULES.key_fits(distance, kind)
            if kind in (Condition.ORIGINAL, Condition.MATCHED, Condition.UNMATCHED_TEMPO):
                assert distance == 0
            for backing in (harmonic, percussion):
                assert RULES.tempo_fits(tempi[vocal] / tempi[backing], kind)
                if kind in (Condition.ORIGINAL, Condition.MATCHED, Condition.UNMATCHED_KEY):
                    assert tempi[vocal] == pytest.approx(tempi[backing])
                    np.testing.assert_array_equal(found[vocal].times, found[backing].times)


def test_a_batch_has_songs_of_one_store(many: Store) -> None:
    few = attrs.evolve(many, records=many.records[:100])
    clips = Clips([many, few], "training", shares=(1, 1))
    own = set()
    for seed in range(8):
        found = families.members(clips, np.random.default_rng(seed), CROP, COMPACT.front_end.frame_rate)
        (pool,) = {clips.pool_of(one.layer.clip).rows for one in found}
        own.add(pool)
    assert own == {pool.rows for pool in clips.pools}


@pytest.mark.parametrize("preset", [COMPACT, RHYTHM])
@pytest.mark.parametrize("variant", ["premixnet-lsro", "postmixnet"])
def test_a_batch_is_made_of_its_number_and_is_heard(many: Store, preset: object, variant: str) -> None:
    unlabelled = variant.endswith("-lsro")
    data = training_data([many], variant, preset, "controlled", 3, unlabelled=unlabelled, drawn="families")
    batch, again = data.batch(4), data.batch(4)
    assert all(torch.equal(batch.inputs[name], again.inputs[name]) for name in batch.inputs)
    assert not torch.equal(batch.inputs["spectra"], data.batch(5).inputs["spectra"])
    assert len(batch) == (36 if unlabelled else 24)
    frames = CROP * (2 if preset is RHYTHM else 1)
    if variant == "postmixnet":
        assert batch.inputs["spectra"].shape == (24, 1, 128, frames)
        return
    assert batch.inputs["spectra"].shape == (36, 128, frames)
    layers = batch.inputs["layers"]
    # A role's layers are its own: vocal 0–11, harmonic 12–23, percussion 24–35.
    assert torch.equal(layers // 12, torch.tensor([[0, 1, 2]]).expand(36, 3))
    assert torch.equal(batch.groups, layers[:, 0])
    assert PreMixNet(preset)(**batch.inputs).shape == (36, 2)


def test_a_contrast_is_an_original_of_which_one_stem_is_out_of_time(many: Store) -> None:
    clips = Clips([many], "training")
    roles: Counter[str] = Counter()
    for seed in range(12):
        random = np.random.default_rng(seed)
        found = families.members(clips, random, CROP, COMPACT.front_end.frame_rate)
        made = families.contrasts(found, random)
        assert [one.member // families.MEMBERS for one in made] == [0, 0, 1, 1, 2, 2, 3, 3]
        for early, other in zip(made[::2], made[1::2], strict=True):
            assert early.member != other.member
            song = found[early.member]
            beat = float(np.diff(song.layer.mashup).mean())
            # Early by a part of a beat, and by whole beats; at each moment it plays what the song plays later.
            ahead = song.layer.mashup[0] - early.layer.mashup[0]
            assert 0.15 <= ahead / beat % 1 <= 0.85
            assert ahead <= MAX_OFFSET_S
            np.testing.assert_allclose(early.layer.to_clip(song.times), song.layer.to_clip(song.times + ahead))
            song = found[other.member]
            heard = other.layer.to_clip(song.times)
            ratio = np.diff(heard).sum() / np.diff(song.layer.to_clip(song.times)).sum()
            assert 0.014 < abs(ratio - 1) < 0.061
            assert other.layer.to_clip(np.zeros(1)) == pytest.approx(song.layer.to_clip(np.zeros(1)))
            for one in (early, other):
                song = found[one.member]
                assert (one.layer.clip, one.layer.semitones) == (song.layer.clip, song.layer.semitones)
                # It sounds as long as the song does: no silence tells.
                moments = one.layer.to_clip(song.times)
                assert moments[0] >= 0
                assert moments[-1] <= clips.records[song.layer.clip].duration
                roles[one.role] += 1
    assert set(roles) == set(ROLES)


@pytest.mark.parametrize("variant", ["premixnet", "premixnet-lsro", "postmixnet"])
def test_a_batch_with_contrasts_has_that_of_families_in_it(many: Store, variant: str) -> None:
    unlabelled = variant.endswith("-lsro")
    plain, more = (
        training_data([many], variant, COMPACT, "controlled", 3, unlabelled=unlabelled, drawn=drawn)
        for drawn in ("families", "contrasts")
    )
    assert plain.fingerprint != more.fingerprint
    assert more.summary["batches"] == "contrasts"
    families_batch, batch = plain.batch(4), more.batch(4)
    count = len(families_batch)
    assert len(batch) == count + 8
    assert torch.equal(batch.targets[count:], torch.zeros(8))
    assert torch.equal(batch.groups[:count], families_batch.groups)
    assert torch.equal(more.validation()[0].inputs["spectra"], plain.validation()[0].inputs["spectra"])
    if variant == "postmixnet":
        assert batch.inputs["spectra"].shape == (count + 8, 1, 128, CROP)
        return
    layers = batch.inputs["layers"]
    assert torch.equal(layers[:count], families_batch.inputs["layers"])
    assert batch.inputs["spectra"].shape == (36 + 8, 128, CROP)
    for number, own in enumerate(layers[count:].tolist()):
        member = int(batch.groups[count + number])
        changed = [place for place in range(3) if own[place] != 12 * place + member]
        assert len(changed) == 1
        assert own[changed[0]] == 36 + number
        original = batch.inputs["spectra"][12 * changed[0] + member]
        assert not torch.equal(batch.inputs["spectra"][36 + number], original)
    assert PreMixNet(COMPACT)(**batch.inputs).shape == (count + 8, 2)


def test_validation_and_vocals_are_as_before(many: Store) -> None:
    made = {
        drawn: SpectraData([many], mixed=False, unlabelled=False, drawn=drawn, validation_groups=6)
        for drawn in ("vocals", "families")
    }
    one, other = (data.validation()[0].inputs["spectra"] for data in made.values())
    assert torch.equal(one, other)
    plain = SpectraData([many], mixed=False, unlabelled=False, validation_groups=6)
    assert plain.fingerprint == made["vocals"].fingerprint != made["families"].fingerprint
    assert torch.equal(plain.batch(0).inputs["spectra"], made["vocals"].batch(0).inputs["spectra"])


def test_what_cannot_be_drawn_is_told(store: Store, many: Store) -> None:
    few = SpectraData([store], mixed=False, unlabelled=False, drawn="families")
    with pytest.raises(UsageError, match=r"6 songs are too few.*--batches vocals"):
        few.batch(0)
    with pytest.raises(UsageError, match="3 vocals in a batch of families"):
        training_data([many], "premixnet", COMPACT, "controlled", 0, unlabelled=False, drawn="families", groups=3)
    assert len(training_data([many], "premixnet", COMPACT, "controlled", 0, unlabelled=False, groups=3).batch(0)) == 12
    for drawn in ("families", "contrasts"):
        with pytest.raises(UsageError, match=f"batches of {drawn} under protocol paper"):
            SpectraData([many], "paper", mixed=False, unlabelled=False, drawn=drawn)
    for variant, preset in (("intervalnet", COMPACT), ("nlc-snn", LOOPS)):
        with pytest.raises(UsageError, match=f"batches of families for {variant}"):
            training_data([many], variant, preset, "controlled", 0, unlabelled=False, drawn="families")
    with pytest.raises(UsageError, match="has no spectra of the log-frequency front end of hop 512"):
        store.spectrum(0, ROLES[0], FINE)
    assert sum(split_of(record.song) == "training" for record in store.records) == 6
