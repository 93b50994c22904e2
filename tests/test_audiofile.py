"""The door for sound: what goes out comes back, and what is damaged is named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mashkit.audio.files import load, probe, resample, save
from mashkit.errors import AudioFileError, OutputError, UsageError
from mashkit.testing import signals
from mashkit.types import Audio


@pytest.mark.parametrize(("suffix", "tolerance"), [(".wav", 0.0), (".flac", 2**-23), (".ogg", 0.1), (".mp3", 0.1)])
def test_what_goes_out_comes_back(tmp_path: Path, suffix: str, tolerance: float) -> None:
    audio = signals.chord_progression(seconds=4.0)
    again = load(save(tmp_path / f"song{suffix}", audio))
    assert again.sample_rate == audio.sample_rate
    assert abs(again.frames - audio.frames) <= (2400 if suffix == ".mp3" else 0)
    frames = min(again.frames, audio.frames)
    assert np.abs(again.samples[:, :frames] - audio.samples[:, :frames]).max() <= tolerance
    assert probe(tmp_path / f"song{suffix}").channels == 2


def test_float_keeps_peaks_and_integers_refuse_them(tmp_path: Path) -> None:
    loud = signals.tone(440, 0.1, amplitude=2.0)
    assert load(save(tmp_path / "loud.wav", loud)).peak == loud.peak
    with pytest.raises(AudioFileError, match="clipped"):
        save(tmp_path / "loud.flac", loud)
    assert not (tmp_path / "loud.flac").exists()


def test_nothing_is_half_written(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="suffix"):
        save(tmp_path / "song.xyz", signals.noise(0.1))
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        save(tmp_path / "file" / "song.flac", signals.noise(0.1))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of a whole file of each format."""
    folder = tmp_path_factory.mktemp("whole")
    audio = signals.chord_progression(seconds=8.0)
    files = {suffix: save(folder / f"song{suffix}", audio).read_bytes() for suffix in (".wav", ".flac", ".ogg", ".mp3")}
    soundfile.write(folder / "song.aiff", audio.samples.T, audio.sample_rate)
    soundfile.write(folder / "song.opus", audio.samples.T[:48_000], 48_000, format="OGG", subtype="OPUS")
    soundfile.write(folder / "song.w64", audio.samples.T, audio.sample_rate, format="W64", subtype="FLOAT")
    files[".w64"] = (folder / "song.w64").read_bytes()
    files[".aiff"] = (folder / "song.aiff").read_bytes()
    files[".opus"] = (folder / "song.opus").read_bytes()
    return files


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff", ".opus"])
def test_whole_files_are_read_and_cut_ones_refused(tmp_path: Path, whole: dict[str, bytes], suffix: str) -> None:
    path = tmp_path / f"-ünï cødé{suffix}"
    path.write_bytes(whole[suffix])
    assert load(path).duration > 0.9
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[suffix][: int(share * len(whole[suffix])) - 1])
        with pytest.raises(AudioFileError, match=path.name):
            load(path)


@pytest.mark.parametrize("behind", [b"TAG" + b"x" * 125, bytes(5000)], ids=["tag", "zeros"])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff", ".opus", ".w64"])
def test_what_follows_the_sound_is_no_sound(
    tmp_path: Path, whole: dict[str, bytes], suffix: str, behind: bytes
) -> None:
    path = tmp_path / f"song{suffix}"
    path.write_bytes(whole[suffix])
    alone = load(path)
    path.write_bytes(whole[suffix] + behind)
    assert np.array_equal(load(path).samples, alone.samples)
    assert probe(path, loadable=True).frames == alone.frames


def test_a_matlab_file_is_whole(tmp_path: Path) -> None:
    audio = signals.chord_progression(seconds=1.0)
    soundfile.write(tmp_path / "song.mat", audio.samples.T, audio.sample_rate, format="MAT5", subtype="FLOAT")
    assert np.array_equal(load(tmp_path / "song.mat").samples, audio.samples)
    (tmp_path / "cut.mat").write_bytes((tmp_path / "song.mat").read_bytes()[:-100])
    with pytest.raises(AudioFileError, match="cut short"):
        load(tmp_path / "cut.mat")


def written(format_: str, subtype: str, channels: int, frames: int, tmp_path: Path) -> tuple[Audio, bytes]:
    """Return sound, and the bytes of a file of a rare format that holds it."""
    audio = Audio(signals.chord_progression(seconds=1.0).samples[:channels, :frames], 44_100)
    file = tmp_path / "written"
    soundfile.write(file, audio.samples.T, audio.sample_rate, format=format_, subtype=subtype)
    return audio, file.read_bytes()


@pytest.mark.parametrize(
    ("format_", "subtype", "channels"),
    [("PAF", "PCM_16", 2), ("PAF", "PCM_24", 1), ("PAF", "PCM_24", 2), ("PVF", "PCM_32", 1), ("PVF", "PCM_16", 2),
     ("IRCAM", "FLOAT", 2), ("IRCAM", "PCM_16", 1), ("XI", "DPCM_16", 1)],
)  # fmt: skip
def test_a_cut_inside_a_sample_is_found_where_no_header_counts(
    format_: str, subtype: str, channels: int, tmp_path: Path
) -> None:
    audio, data = written(format_, subtype, channels, 20_010, tmp_path)
    file = tmp_path / "song"
    file.write_bytes(data)
    assert np.allclose(load(file).samples, audio.samples, atol=1e-4)
    for lost in (1, 127, 5001):
        file.write_bytes(data[:-lost])
        with pytest.raises(AudioFileError, match="cut short: it ends inside a sample"):
            load(file)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_the_last_packet_of_a_sample_dump_is_read_and_missing_ones_are_found(subtype: str, tmp_path: Path) -> None:
    audio, data = written("SDS", subtype, 1, 20_011, tmp_path)  # its last packet is not full
    file = tmp_path / "song.sds"
    file.write_bytes(data + b"more")
    assert np.allclose(load(file).samples, audio.samples, atol=1e-4)
    assert probe(file, loadable=True).frames == 20_011
    for lost in (1, 127, 5001):
        file.write_bytes(data[:-lost])
        with pytest.raises(AudioFileError, match=f"cut short: {lost:,} bytes are missing"):
            load(file)


def test_the_longest_sample_dump_is_read(tmp_path: Path) -> None:
    frames = (1 << 21) - 2  # the count, rounded up to whole packets, has more than 21 bits
    file = tmp_path / "long.sds"
    soundfile.write(file, np.full(frames, 0.1), 44_100, format="SDS", subtype="PCM_16")
    assert load(file).frames == frames


def constant_bitrate(tmp_path: Path) -> bytes:
    """An mp3 stream that does not say how long it is."""
    path = tmp_path / "constant.mp3"
    audio = signals.chord_progression(seconds=8.0)
    with soundfile.SoundFile(
        path, "w", audio.sample_rate, 2, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5
    ) as file:
        file.write(audio.samples.T)
    return path.read_bytes().replace(b"Xing", bytes(4), 1).replace(b"Info", bytes(4), 1)


def test_a_cut_mp3_without_a_header_that_counts(tmp_path: Path) -> None:
    # The half frame at the end gives the cut away.
    stream = constant_bitrate(tmp_path)
    path = tmp_path / "stream.mp3"
    path.write_bytes(stream)
    assert load(path).duration == pytest.approx(8.0, abs=0.1)
    path.write_bytes(stream[: len(stream) // 2 + 37])
    with pytest.raises(AudioFileError, match="last frame is incomplete"):
        load(path)


def test_an_mp3_whose_length_the_decoder_misjudges(tmp_path: Path, whole: dict[str, bytes]) -> None:
    # libsndfile takes the length of a variable-bitrate stream without a header from its first frame, and stops there.
    path = tmp_path / "headless.mp3"
    path.write_bytes(whole[".mp3"].replace(b"Xing", bytes(4), 1).replace(b"Info", bytes(4), 1))
    with pytest.raises(AudioFileError, match="Xing header is missing"):
        load(path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.wav", b"", "empty"),
        ("text.mp3", b"dear diary, today no sound\n" * 50, "libsndfile does not know its format"),
        ("text.wav", b"dear diary", "libsndfile does not know its format"),
        ("zeros.flac", bytes(5000), "libsndfile does not know its format"),
        ("song.m4a", b"\0\0\0\x18ftypM4A ", "convert it"),
    ],
)
def test_not_audio(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=reason):
        load(path)


def test_header_only_wav(tmp_path: Path) -> None:
    path = tmp_path / "header.wav"
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 44_100, 88_200, 2, 16) + b"data" + struct.pack("<I", 0)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(AudioFileError, match="no sound at all"):
        load(path)


def test_nan_samples(tmp_path: Path) -> None:
    samples = signals.noise(0.1).samples.T.copy()
    samples[7] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 44_100, subtype="FLOAT")
    with pytest.raises(AudioFileError, match="2 samples that are NaN"):
        load(tmp_path / "nan.wav")


def test_six_channels(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "surround.wav", np.zeros((100, 6)), 44_100)
    with pytest.raises(AudioFileError, match=r"6 channels.*downmix"):
        load(tmp_path / "surround.wav")


@pytest.mark.parametrize(("suffix", "most"), [(".flac", 8), (".mp3", 2), (".ogg", 255), (".wav", 1024)])
def test_more_channels_than_a_format_has_are_refused(tmp_path: Path, suffix: str, most: int) -> None:
    many = Audio(np.full((most + 1, 3000), 0.1, np.float32), 44_100)
    with pytest.raises(AudioFileError, match=rf"cannot be written with {most + 1} channels: .* at most {most}"):
        save(tmp_path / f"many{suffix}", many)
    path = save(tmp_path / f"many{suffix}", Audio(many.samples[:most], 44_100))
    assert soundfile.info(path).channels == most


def test_no_frame_makes_no_file(tmp_path: Path) -> None:
    for suffix in (".flac", ".mp3", ".ogg", ".wav"):
        with pytest.raises(AudioFileError, match="no frames"):
            save(tmp_path / f"none{suffix}", Audio(np.zeros((2, 0), np.float32), 44_100))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="no such file"):
        load(tmp_path / "nothing.wav")
    with pytest.raises(AudioFileError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize("rate", [22_050, 48_000, 8_000])
def test_resampling_keeps_duration_and_pitch(rate: int) -> None:
    audio = resample(signals.tone(440, 1.0), rate)
    assert audio.sample_rate == rate
    assert abs(audio.duration - 1.0) < 1e-3
    spectrum = np.abs(np.fft.rfft(audio.mono() * np.hanning(audio.frames)))
    assert abs(np.argmax(spectrum) - 440) <= 1


def test_resampling_to_its_own_rate_is_nothing() -> None:
    audio = signals.noise(0.1)
    assert resample(audio, audio.sample_rate) is audio
    with pytest.raises(UsageError, match="sample rate"):
        resample(audio, 0)


def test_a_plugin_may_decode_first(tmp_path: Path) -> None:
    path = tmp_path / "odd.xyz"
    path.write_bytes(b"odd")
    audio = signals.noise(0.1)
    assert load(path, loader=lambda path: audio) is audio
    with pytest.raises(AudioFileError):
        load(path, loader=lambda path: None)


def test_real_songs_are_whole(shared_data: Path) -> None:
    songs = sorted((shared_data / "songs").glob("*/audio.*"))
    assert songs
    for song in songs[:3]:
        audio: Audio = load(song)
        assert audio.duration > 60
