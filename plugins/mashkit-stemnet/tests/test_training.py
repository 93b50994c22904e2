"""Songs are rendered the same for the same seed, mixes are sums of their stems, and training learns and goes on."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest
import soundfile
import torch

from mashkit.atomicfile import writing_alone
from mashkit.cli import main
from mashkit.errors import OutputError, UsageError
from mashkit.registry import Registry
from mashkit_mashnet_train.recipes.scores import Chord, Excerpt, Note
from mashkit_spleeter_torch.separator import VocalMask
from mashkit_spleeter_torch.weights import networks
from mashkit_stemnet import rendering, training
from mashkit_stemnet.checkpoint import load
from mashkit_stemnet.drums import PIECES, invented_kit, piece_called, read_kit
from mashkit_stemnet.mixing import Drawing, Pool, draw
from mashkit_stemnet.network import LEVEL, Size, StemNet, fused
from mashkit_stemnet.rendering import STEMS
from mashkit_stemnet.spectra import analysed, synthesized
from mashkit_stemnet.tones import Patch

RATE = 44_100


def song(seed: int, seconds: float = 8.0) -> np.ndarray:
    """Return stems, int16 (4, 2, frames): none, hits of an invented kit, a bass, chords."""
    random = np.random.default_rng(seed)
    frames = int(seconds * RATE)
    stems = np.zeros((4, 2, frames), np.float32)
    kit = invented_kit(random)
    for beat in range(int(2 * seconds)):
        shot = kit["kick" if beat % 2 == 0 else "snare"][0][:, : frames - beat * RATE // 2]
        stems[1, :, beat * RATE // 2 : beat * RATE // 2 + shot.shape[1]] += 0.5 * shot
    for stem, kind, pitch in ((2, "bass", 36), (3, "pluck", 64)):
        tone = Patch(random, kind).tone(pitch)
        for beat in range(int(seconds) - 1):
            stems[stem, :, beat * RATE : beat * RATE + min(RATE, tone.shape[1])] += 0.3 * tone[:, :RATE]
    return np.round(np.clip(stems, -1, 1) * 32_767).astype(np.int16)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(4):
        np.save(folder / f"song-{number}.0.npy", song(number))
    return folder


def real_song(folder: Path) -> Path:
    """Write the stems of a song into a folder, and return it."""
    folder.mkdir(parents=True)
    for name, stem in zip(STEMS[1:], song(9)[1:], strict=True):
        soundfile.write(folder / f"{name}.wav", stem.T, RATE)
    return folder


@pytest.fixture(scope="module")
def pool(corpus: Path) -> Pool:
    made = Pool(torch.device("cpu"), 200)
    for path in sorted(corpus.glob("*.npy")):
        assert made.add(path.stem, list(np.load(path)), real=False)
    return made


# ----------------------------------------------------------------------------------------------------------- sounds
def test_kits_have_what_is_struck(tmp_path: Path) -> None:
    assert set(invented_kit(np.random.default_rng(0))) <= set(PIECES)
    names = ("Kick 01", "SnareHard", "HH_closed_hat", "BD deep", "Clap_1", "Hat Op", "piano")
    found = [piece_called(name) for name in names]
    assert found == ["kick", "snare", "hat", "kick", "clap", "open", None]
    with pytest.raises(UsageError, match="not a drum kit"):
        read_kit(tmp_path)


def test_the_same_seed_renders_the_same_song() -> None:
    pytest.importorskip("tinysoundfont")
    from mashkit_mashnet_train.recipes.rendered import bundled_soundfont
    from mashkit_stemnet.rendering import render_song

    chords = tuple(Chord(4 * bar, 4 * bar + 4, root, root, (0, 4, 7)) for bar, root in enumerate((0, 5, 7, 0)))
    notes = tuple(Note(beat, beat + 1, 60 + beat % 5) for beat in range(16))
    excerpt = Excerpt(
        song="x", number=0, bars=4, tempo=100.0, key=None, melody=notes, bridge=(), piano=notes, chords=chords
    )
    one, again, other = (render_song(excerpt, [], [], [bundled_soundfont()], seed, sung=0.0) for seed in (1, 1, 2))
    assert one.dtype == np.int16
    assert one.shape[:2] == (len(STEMS), 2)
    np.testing.assert_array_equal(one, again)
    assert one.shape != other.shape or not np.array_equal(one, other)
    assert all(np.abs(one[stem]).max() > 1000 for stem in (1, 2, 3))
    assert np.abs(one[0]).max() == 0


def test_songs_of_other_options_are_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "render_song", lambda *_, **__: np.zeros((4, 2, 10), np.int16))
    monkeypatch.setattr(rendering, "in_processes", lambda work, excerpts, _: map(work, excerpts))
    excerpt = Excerpt(song="x", number=0, bars=4, tempo=100.0, key=None, melody=(), bridge=(), piano=(), chords=())
    inputs = tmp_path / "inputs"
    (inputs / "kit").mkdir(parents=True)
    for name in ("one.sf2", "two.sf2", "midi.tar", "kit/kick.wav"):
        (inputs / name).write_text(name)
    one = [inputs / "one.sf2"]
    rendering.render(tmp_path, [], [], [], [inputs / "two.sf2"])  # nothing is rendered yet: the soundfont may change
    assert rendering.render(tmp_path, [excerpt], [], [], one) == 1
    with pytest.raises(UsageError, match="begun otherwise: not the same seed, sung, soundfonts"):
        rendering.render(tmp_path, [excerpt], [], [], [inputs / "two.sf2"], sung=0.0, seed=1)
    more = attrs.evolve(excerpt, song="y")
    assert rendering.render(tmp_path, [excerpt, more], [], [], one) == 2
    contents = tmp_path / rendering.CONTENTS
    assert json.loads(contents.read_text())["soundfonts"] == ["one.sf2"]
    # Other content under the same name.
    read, kits = [inputs / "midi.tar"], [inputs / "kit"]
    options = json.loads(contents.read_text())
    contents.write_text(json.dumps({name: options[name] for name in options if "files" not in name and name != "kits"}))
    assert rendering.render(tmp_path, [excerpt], [], kits, one, read=read) == 1  # begun before there were hashes
    for changed, said in (("midi.tar", "files"), ("one.sf2", "files"), ("kit/kick.wav", "kit_files")):
        (inputs / changed).write_text("other")
        with pytest.raises(UsageError, match=f"not the same {said} "):
            rendering.render(tmp_path, [excerpt], [], kits, one, read=read)
        (inputs / changed).write_text(changed)
    with pytest.raises(UsageError, match="none is not a folder"):
        rendering.render(tmp_path, [excerpt], [], [inputs / "none"], one, read=read)
    with writing_alone(tmp_path), pytest.raises(OutputError, match="another run is writing into"):
        rendering.render(tmp_path, [excerpt], [], kits, one, read=read)


# ------------------------------------------------------------------------------------------------------------ mixes
def test_spectra_come_back() -> None:
    samples = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 9 * 1024 + 4096)).astype(np.float32))
    back = synthesized(analysed(samples))
    torch.testing.assert_close(back, samples[:, 3072 : 3072 + back.shape[1]], atol=1e-5, rtol=0)


def test_mixes_are_drawn_anew_and_by_seed(pool: Pool) -> None:
    drawing = Drawing(frames=64)
    one = draw(pool, pool.parts, drawing, 4, np.random.default_rng(3)).stems
    torch.manual_seed(int(one.numel()))  # what else torch drew does not matter
    again = draw(pool, pool.parts, drawing, 4, np.random.default_rng(3)).stems
    other = draw(pool, pool.parts, drawing, 4, np.random.default_rng(4)).stems
    assert one.shape == (4, len(STEMS), 2, drawing.samples)
    assert torch.isfinite(one).all()
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    level = one.sum(dim=1).square().mean(dim=(1, 2)).sqrt()
    assert ((level > LEVEL / 5) & (level < 2 * LEVEL)).all()


def test_a_full_pool_says_so(corpus: Path) -> None:
    small = Pool(torch.device("cpu"), 20)
    stems = list(np.load(next(corpus.glob("*.npy"))))
    assert not small.add("one", stems, real=False)
    assert small.parts == []


def test_a_corpus_for_which_there_is_no_room_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="room for 2 of 13 songs"):
        training.train(tmp_path, training.TrainingConfig(room_s=50), corpus, [])


def test_a_song_of_the_corpus_that_cannot_be_read_ends_the_training(tmp_path: Path) -> None:
    (tmp_path / "song.0.npy").write_bytes(b"no array")
    with pytest.raises(UsageError, match=r"song\.0\.npy cannot be read"):
        training.train(tmp_path / "run", training.TrainingConfig(room_s=50), tmp_path, [])


# --------------------------------------------------------------------------------------------------------- training
@pytest.mark.slow
def test_a_network_learns_a_batch(pool: Pool) -> None:
    torch.manual_seed(0)
    batch = draw(pool, pool.parts, Drawing(frames=64), 2, np.random.default_rng(0))
    network = StemNet(Size(channels=8, growth=4, scales=3)).train()
    spleeter = VocalMask(*networks(torch.device("cpu")), mask_extension="average")
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    seen = []
    for _ in range(25):
        loss = training.losses(network, batch, spleeter, autocast=False)["drums"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(float(loss.detach()))
    assert seen[-1] < seen[0] - 0.1


def test_fusing_changes_nothing() -> None:
    torch.manual_seed(0)
    network = StemNet(Size(channels=8, growth=4, scales=3))
    torch.nn.init.normal_(network.last.weight, std=0.1)
    spectra = torch.randn(1, 2, 32, 2048, dtype=torch.complex64)
    network.train()(spectra, spectra)  # statistics that are not those of a new network
    network.eval()
    with torch.no_grad():
        before = network(spectra, spectra)
        after = fused(network)(spectra, spectra)
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        *({f"{phase}_seconds": value} for phase in ("base", "fold", "all") for value in (-1, math.nan, math.inf)),
        {"base_seconds": 0},
        {"all_seconds": 0},
        {"batch": 0},
        {"validate_every": 0},
        {"rate": 0},
        {"real": 1.1},
        {"room_s": 0},
        {"seed": -1},
        {"precision": "16"},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_before_the_run(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        training.TrainingConfig(**settings)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--base-seconds", "0"), "0 is not a number of seconds above 0"),
        (("--all-seconds", "0"), "0 is not a number of seconds above 0"),
        (("--base-seconds", "nan"), "nan is not a number of seconds"),
        (("--fold-seconds=-1",), "-1 is not a number of seconds"),
        (("--all-seconds", "inf"), "inf is not a number of seconds"),
        (("--all-seconds", "long"), "invalid seconds value: 'long'"),
        (("--room", "0"), "0 is not a number of seconds above 0"),
    ],
)
def test_seconds_that_make_no_sense_are_told(
    given: tuple[str, ...], said: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train-separator", "--corpus", str(corpus), "-o", str(tmp_path / "run"), *given])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> training.TrainingConfig:
    """A run of three phases of a tenth of a second each, validated on one batch."""
    monkeypatch.setattr(training, "HELD_OUT", 1)
    monkeypatch.setattr(training, "VALIDATION_BATCHES", 1)
    return training.TrainingConfig(
        size=Size(channels=8, growth=4, scales=3), base_seconds=0.1, fold_seconds=0.1, all_seconds=0.1, batch=1,
        room_s=200, precision="32-true",
    )  # fmt: skip


def test_without_seconds_for_folds_there_are_none(short: training.TrainingConfig, corpus: Path, tmp_path: Path) -> None:
    config = attrs.evolve(short, fold_seconds=0, room_s=400)
    drawn = torch.get_rng_state()
    training.train(tmp_path, config, corpus, [real_song(tmp_path / "songs" / "Real")])
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {"base.safetensors", "all.safetensors"}
    assert torch.equal(torch.get_rng_state(), drawn)  # the caller's generator is as it was


def test_a_run_leaves_its_files_and_is_not_done_twice(
    short: training.TrainingConfig, corpus: Path, tmp_path: Path
) -> None:
    training.train(tmp_path, short, corpus, [])
    assert load(tmp_path / "all.safetensors").training["steps"] >= 1
    validations = list(training.curves(tmp_path))
    assert {one["phase"] for one in validations} == {"base", "all"}
    training.train(tmp_path, attrs.evolve(short, room_s=300), corpus, [])
    assert list(training.curves(tmp_path)) == validations
    with pytest.raises(UsageError, match="begun otherwise: not the same rate, seed"):
        training.train(tmp_path, attrs.evolve(short, seed=5, rate=1e-2), corpus, [])
    with pytest.raises(UsageError, match="begun otherwise: not the same songs"):
        training.train(tmp_path, short, corpus, [real_song(tmp_path / "songs" / "Real")])
    training.train(tmp_path, short, corpus, [])


def test_the_last_validation_is_of_the_weights_that_are_saved(
    short: training.TrainingConfig, corpus: Path, tmp_path: Path, pool: Pool
) -> None:
    config = attrs.evolve(short, tuning_rate=0.3)
    training.train(tmp_path, config, corpus, [])
    spleeter = VocalMask(*networks(torch.device("cpu")), mask_extension="average")
    batch = draw(pool, pool.parts[:1], Drawing(), 1, np.random.default_rng([config.seed, 99, 0]))
    last = {row["phase"]: row for row in training.curves(tmp_path)}
    for phase in ("base", "all"):
        network = load(tmp_path / f"{phase}.safetensors").network()
        with torch.no_grad():
            found = training.losses(network, batch, spleeter, autocast=False)
        for name, one in found.items():
            assert last[phase][name] == pytest.approx(float(one.mean()), abs=2e-3), (phase, name)


def test_a_run_that_was_stopped_goes_on(
    short: training.TrainingConfig, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = attrs.evolve(short, save_every=0.0)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    save = training.save
    monkeypatch.setattr(training, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        training.train(tmp_path, config, corpus, [])
    monkeypatch.setattr(training, "save", save)
    kept = torch.load(tmp_path / "state.pt", weights_only=True)
    assert not (tmp_path / "base.safetensors").exists()
    training.train(tmp_path, config, corpus, [])
    # Its time was up already: nothing is added, and what was kept is what is written.
    base = load(tmp_path / "base.safetensors")
    assert base.training["steps"] == kept["step"]
    torch.testing.assert_close(base.weights["last.weight"], kept["averaged"]["last.weight"], atol=1e-3, rtol=1e-2)


@pytest.mark.slow
def test_each_validation_is_there_once_after_a_run_was_stopped(
    short: training.TrainingConfig, corpus: Path, tmp_path: Path
) -> None:
    config = attrs.evolve(short, base_seconds=1.0, save_every=0.0, validate_every=1)

    def stop_in(phase: str, after: int) -> Callable[[dict[str, Any]], None]:
        told: list[dict[str, Any]] = []

        def tell(one: dict[str, Any]) -> None:
            told.append(one)
            if one["phase"] == phase and len(told) > after:
                raise KeyboardInterrupt

        return tell

    with pytest.raises(KeyboardInterrupt):
        training.train(tmp_path, config, corpus, [], tell=stop_in("base", 1))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert len(list(training.curves(tmp_path))) == 2
    assert (state["step"], state["validations"]) == (1, 1)
    torch.save({name: value for name, value in state.items() if name != "validations"}, tmp_path / "state.pt")
    with (tmp_path / training.CURVES).open("a") as file:
        file.write('{"phase": "base", "st')  # it was killed while it wrote
    with pytest.raises(KeyboardInterrupt):
        training.train(tmp_path, config, corpus, [], tell=stop_in("all", 0))
    training.train(tmp_path, config, corpus, [])
    found = list(training.curves(tmp_path))
    for phase in ("base", "all"):
        steps = [one["step"] for one in found if one["phase"] == phase]
        last = load(tmp_path / f"{phase}.safetensors").training["steps"]
        assert steps == [*range(1, last + 1), last]  # the last is of what is saved
    with writing_alone(tmp_path), pytest.raises(OutputError, match="another run is writing into"):
        training.train(tmp_path, config, corpus, [])


def test_songs_that_are_not_measured_are_trained_on(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: dict[str, set[str]] = {}

    def run(*given: Any) -> SimpleNamespace:
        phase = given[2]
        return SimpleNamespace(
            go=lambda: trained.update({phase.name: {part.song for part in phase.parts() if part.real}})
        )

    monkeypatch.setattr(training, "HELD_OUT", 1)
    monkeypatch.setattr(training, "VALIDATION_BATCHES", 0)
    monkeypatch.setattr(training, "_PhaseRun", run)
    monkeypatch.setattr(training, "curves", lambda folder: iter(()))
    for name in ("One", "Two"):
        real_song(tmp_path / "songs" / name)
    command = ["train-separator", "--corpus", corpus, "-o", tmp_path / "run", "--room", 400, "--device", "cpu"]
    assert main([*map(str, command), "--songs", str(tmp_path / "songs"), "--only", "Two"]) == 0
    assert trained == {"base": set(), "fold-Two": {"One"}, "all": {"One", "Two"}}
    for given, told in (
        (["--songs", str(tmp_path / "songs"), "--only", "Three"], "holds no song named Three"),
        (["--only", "Two"], "--only chooses songs of --songs"),
        (["--songs", str(tmp_path / "songs" / "One")], "holds no song (give a folder"),
    ):
        assert main([*map(str, command), *given]) == 2
        assert told in capsys.readouterr().err


def test_commands_are_there() -> None:
    names = {command.name for commands in Registry().plugins.hook.mashkit_register_commands() for command in commands}
    assert {"stem-songs", "train-separator"} <= names
