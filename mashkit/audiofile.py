"""The only door for sound: decode, encode, resample. What comes in is checked here, so that no backend need be.

One decoder (libsndfile) reads everything: decoders differ by a thousand samples of mp3 delay, and a beat is a beat.
"""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import attrs
import numpy as np
import soundfile
import soxr

from mashkit.atomicfile import replacing
from mashkit.audiobuffer import AudioBuffer, settle
from mashkit.errors import AudioFileError, OutputError, UsageError
from mashkit.types import Audio

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"})
"""Suffixes looked at when a folder is searched for songs."""

UNREADABLE_SUFFIXES = frozenset({".m4a", ".aac", ".mp4", ".wma", ".alac"})
"""Music that libsndfile cannot decode: said so, rather than passed over."""

MAX_CHANNELS = 2
_BLOCK = 1 << 20
"""Frames decoded at a time (24 s at 44.1 kHz)."""
MP3_DELAY = 4 * 1152
"""Samples an mp3 may hold beyond its music: encoder and decoder delay, padding, the header's own frame."""

Contents: TypeAlias = bytes | mmap.mmap
"""What is in a file."""


_MP3_ENCODED = frozenset({8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})


@attrs.frozen
class _Encoding:
    """How :func:`save` writes a suffix: libsndfile's names, and the sample rates, Hz, that the encoder takes."""

    format: str
    subtype: str | None
    takes: Callable[[int], bool]
    rates: str


_ENCODINGS = {
    ".flac": _Encoding(
        "FLAC",
        "PCM_24",
        lambda rate: rate < 65_536 or (rate <= 655_350 and rate % 10 == 0),  # RFC 9639, section 9.1.2
        "whole Hz to 65,535 and whole tens to 655,350 Hz",
    ),
    ".wav": _Encoding("WAV", "FLOAT", lambda rate: rate < 2**31, "any rate"),
    # libvorbis sets itself up for 200 kHz at most, and libsndfile ends the process where it cannot.
    ".ogg": _Encoding("OGG", "VORBIS", lambda rate: rate <= 200_000, "200,000 Hz or less"),
    ".mp3": _Encoding("MP3", None, _MP3_ENCODED.__contains__, f"{', '.join(map(str, sorted(_MP3_ENCODED)))} Hz"),
}
_RIFF_BYTES = 2**32 - 2**16
"""From so many bytes of samples on a WAV is written as RF64, because RIFF counts bytes with 32 bits."""


@attrs.frozen
class AudioFileInfo:
    """What a sound file says of itself."""

    sample_rate: int
    channels: int
    frames: int
    format: str

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def probe(path: Path) -> AudioFileInfo:
    """Read a file's header.

    Raises
    ------
    AudioFileError
        If there is no such file, it is empty, or not audio.
    """
    require_file(path)
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise _not_audio(path, error) from error
    return AudioFileInfo(info.samplerate, info.channels, info.frames, f"{info.format}/{info.subtype}")


def load(
    path: Path | str,
    *,
    sample_rate: int | None = None,
    loader: Callable[..., Audio | None] | None = None,
) -> Audio:
    """Decode a whole file.

    Parameters
    ----------
    path : Path or str
    sample_rate : int, optional
        Resample to this rate, Hz; by default the file's own is kept.
    loader : callable, optional
        The hook ``mashkit_load_audio``: asked first, by ``path=``; libsndfile decodes when it returns None.

    Returns
    -------
    Audio
        One or two channels, not empty. Peaks above 1 in float files are kept.

    Raises
    ------
    AudioFileError
        If the file is missing, empty, not audio, cut short, has more than two channels or holds NaN.
    """
    path = Path(path)
    require_file(path)
    audio = loader(path=path) if loader is not None else None
    if audio is None:
        audio = _decode(path)
    if audio.frames == 0:
        raise AudioFileError(path, "holds no sound at all", "export it again")
    return audio if sample_rate is None else resample(audio, sample_rate)


def _decode(path: Path) -> Audio:
    try:
        with soundfile.SoundFile(path) as file:
            if file.channels > MAX_CHANNELS:
                raise AudioFileError(
                    path,
                    f"has {file.channels} channels",
                    "downmix it to stereo first, e.g. `ffmpeg -i in -ac 2 out.flac`",
                )
            buffer, frames, bad = _read_samples(file)
            sample_rate = file.samplerate
    except soundfile.LibsndfileError as error:
        raise _not_audio(path, error) from error
    # Mapped: an hour may be a gigabyte, of which this looks at headers.
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cut = _cut_short(data)
        held = _mp3_samples(data)
    if cut:
        raise AudioFileError(path, f"is cut short: {cut}", "fetch or export it again")
    if frames < 0.99 * held - MP3_DELAY:
        # A variable-bitrate stream without its Xing header: libsndfile guesses the length from the first frame.
        raise AudioFileError(
            path,
            f"would be read only in part ({frames:,} of {held:,} samples): its Xing header is missing",
            "write one, e.g. `ffmpeg -i in.mp3 -c copy out.mp3`",
        )
    if bad:
        raise AudioFileError(path, f"holds {bad:,} samples that are NaN or infinite", "export it again")
    return buffer.audio(sample_rate)


def _read_samples(file: soundfile.SoundFile) -> tuple[AudioBuffer, int, int]:
    """Return all samples, how many frames they are, and how many of them are NaN or infinite."""
    buffer, frames, bad = AudioBuffer(file.channels, file.frames), 0, 0
    while frames < file.frames and len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        buffer.samples[:, frames : frames + len(block)] = block.T
        buffer.settle()
        frames += len(block)
        bad += int(np.count_nonzero(~np.isfinite(block)))
    if frames == file.frames:
        return buffer, frames, bad
    # Less than the header announces.
    shorter = AudioBuffer(file.channels, frames)
    shorter.samples[:] = buffer.samples[:, :frames]
    return shorter, frames, bad


def resample(audio: Audio, sample_rate: int) -> Audio:
    """Return ``audio`` at another rate (soxr, very high quality); ``audio`` itself when it has that rate already.

    Raises
    ------
    UsageError
        If the rate is not positive.
    """
    if sample_rate <= 0:
        raise UsageError(f"sample rate is {sample_rate}", "give a positive whole number of Hz")
    if audio.sample_rate == sample_rate:
        return audio
    converted = np.ascontiguousarray(soxr.resample(audio.samples.T, audio.sample_rate, sample_rate, quality="VHQ").T)
    converted.flags.writeable = False  # ours alone: handing it over as it is saves a copy
    return Audio(converted, sample_rate)


def require_encodable(path: Path | str, sample_rate: int) -> None:
    """Raise AudioFileError unless :func:`save` can write that suffix at that rate, Hz: to be asked before long work."""
    path = Path(path)
    encoding = _ENCODINGS.get(path.suffix.lower())
    if encoding is None:
        raise AudioFileError(path, "cannot be written: unknown suffix", f"use {', '.join(_ENCODINGS)}")
    if not encoding.takes(sample_rate):
        raise AudioFileError(
            path,
            f"cannot be written at {sample_rate:,} Hz: {encoding.format} has {encoding.rates}",
            "write a .wav, or resample first",
        )


def save(path: Path | str, audio: Audio, *, comment: str = "") -> Path:
    """Encode a whole file: .flac (24 bit), .wav (32-bit float), .ogg (Vorbis) or .mp3, by its suffix.

    Parameters
    ----------
    path : Path or str
    audio : Audio
    comment : str
        Kept in the file's comment field.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    AudioFileError
        If the suffix is none of these, its format does not have the sample rate, or peaks above 1 would be clipped by
        an integer format.
    OutputError
        If the file cannot be written; nothing is left half-written.
    """
    path = Path(path)
    require_encodable(path, audio.sample_rate)
    encoding = _ENCODINGS[path.suffix.lower()]
    if encoding.subtype != "FLOAT" and audio.peak > 1.0:
        raise AudioFileError(
            path, f"would be clipped: the peak is {audio.peak:.3f}", "lower the gain, or write a .wav, which is float"
        )
    format_ = encoding.format
    if format_ == "WAV" and audio.samples.nbytes >= _RIFF_BYTES:
        format_ = "RF64"
    with replacing(path) as temporary, temporary.open("w+b", buffering=0) as file:
        disk = _Disk(file)
        try:
            with soundfile.SoundFile(
                disk, "w", audio.sample_rate, audio.channels, encoding.subtype, format=format_
            ) as encoder:
                if comment:
                    encoder.comment = comment
                # In blocks: libvorbis keeps what it is given on the stack, and a minute at once overflows it.
                for start in range(0, audio.frames, audio.sample_rate):
                    encoder.write(audio.samples[:, start : start + audio.sample_rate].T)
                    settle(audio.samples)
                    disk.check()
        except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts that all frames were taken
            disk.check()
            raise OutputError(f"cannot write {path}: {error}", "write another format") from error
        disk.check()
    return path


class _Disk:
    """A file for libsndfile to write to, which keeps the reason why a write failed.

    libsndfile itself says "System error." of a full disk where it writes FLAC and WAV, and nothing where it writes
    Vorbis and MP3.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._error: OSError | None = None
        self.seek, self.tell, self.read, self.readinto = file.seek, file.tell, file.read, file.readinto

    def write(self, data: memoryview | bytes) -> int:
        left = memoryview(data)
        try:
            while len(left):
                left = left[self._file.write(left) :]
        except OSError as error:
            self._error = error
        return len(data) - len(left)

    def check(self) -> None:
        """Raise the OSError of the first write that failed, if one did."""
        if self._error is not None:
            raise self._error


# ------------------------------------------------------------------------------------------------- damaged files
def require_file(path: Path) -> None:
    """Raise AudioFileError unless ``path`` is a file that is not empty."""
    if not path.exists():
        raise AudioFileError(path, "no such file or folder", "check the spelling")
    if path.is_dir():
        raise AudioFileError(path, "is a folder, not a sound file", "name a file in it")
    if path.stat().st_size == 0:
        raise AudioFileError(path, "is empty (0 bytes)", "fetch or export it again")


def _not_audio(path: Path, error: Exception) -> AudioFileError:
    if path.suffix.lower() in UNREADABLE_SUFFIXES:
        return AudioFileError(
            path, "is in a format libsndfile cannot decode", "convert it, e.g. `ffmpeg -i in out.flac`"
        )
    detail = str(error).rpartition(": ")[2].rstrip(".")
    # libsndfile says "File does not exist" of text named .mp3; we have looked, it does.
    if "does not exist" in detail or "not recognised" in detail:
        detail = "this is no sound libsndfile knows"
    return AudioFileError(path, f"cannot be decoded: {detail}", "check that it is a sound file, or export it again")


def _cut_short(data: Contents) -> str:
    """Say what is missing at a file's end, "" if nothing can be seen to be: decoders read a cut file without a word."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _cut_chunk(data, "<", b"data")
    if data[:4] == b"FORM":
        return _cut_chunk(data, ">", b"SSND")
    if data[:4] == b"OggS":
        return _cut_ogg(data)
    if _is_mp3(data):
        return _cut_mp3(data)
    return ""


def _is_mp3(data: Contents) -> bool:
    return data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0)


def _cut_chunk(data: Contents, order: str, wanted: bytes) -> str:
    """Walk IFF chunks to ``wanted`` and compare its announced length with what is there."""
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from(f"{order}4sI", data, position)
        if name == wanted:
            missing = position + 8 + length - len(data)
            # Writers that stream leave the largest number as a placeholder: nothing can be said then.
            return f"{missing:,} bytes are missing at the end" if missing > 0 and length < 0xFFFFFF00 else ""
        position += 8 + length + (length & 1)
    return ""


def _cut_ogg(data: Contents) -> str:
    """Look at the last page (RFC 3533): it must carry the end-of-stream flag, and be whole."""
    last = data.rfind(b"OggS")
    header, segments = data[last : last + 27], data[last + 27 :]
    if len(header) < 27 or not header[5] & 4:
        return "its last page is missing"
    count = header[26]
    whole = len(segments) >= count and len(segments) >= count + sum(segments[:count])
    return "" if whole else "its last page is incomplete"


_MP3_KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _cut_mp3(data: Contents) -> str:
    """Walk layer III frames (ISO 11172-3, 2.4.1.3): encoders write whole ones, so half a frame at the end is a cut."""
    position = _id3_size(data)
    # A Xing/Info header counts the bytes of the stream; taggers leave it alone, so only a real loss (1 %) counts.
    for tag in (b"Xing", b"Info"):
        at = data.find(tag, position, position + 256)
        if at >= 0 and len(data) >= at + 16:
            flags, _, announced = struct.unpack_from(">III", data, at + 4)
            if flags & 3 == 3 and announced > 1.01 * (len(data) - position):
                return f"{announced - (len(data) - position):,} bytes are missing at the end"
    ends = [end for end, _ in _mp3_frames(data)]
    return "its last frame is incomplete" if ends and ends[-1] > len(data) else ""


def _mp3_samples(data: Contents) -> int:
    """Return how many samples a channel the layer III frames hold; 0 for other formats."""
    return sum(samples for _, samples in _mp3_frames(data)) if _is_mp3(data) else 0


def _mp3_frames(data: Contents) -> Iterator[tuple[int, int]]:
    """Yield (end, samples) of each layer III frame up to the first byte that starts none: tags, padding or junk."""
    position = _id3_size(data)
    while position + 4 <= len(data):
        length = _mp3_frame_length(data[position : position + 4])
        if length == 0:
            return
        position += length
        yield position, 1152 if data[position - length + 1] >> 3 & 3 == 3 else 576


def _mp3_frame_length(header: bytes) -> int:
    """Return the bytes of a layer III frame, 0 if this is no such header."""
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if header[0] != 0xFF or header[1] & 0xE0 != 0xE0 or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return 0
    kbps = _MP3_KBPS[3 if version == 3 else 2][bitrate]
    samples = 1152 if version == 3 else 576
    return samples // 8 * kbps * 1000 // _MP3_RATES[version][rate] + (header[2] >> 1 & 1)


def _id3_size(data: Contents) -> int:
    """Return the bytes of an ID3v2 tag at the front: a 28-bit number in four 7-bit bytes."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    return 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9])
