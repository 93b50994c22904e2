"""The only door for sound: decode, encode, resample. What comes in is checked here, so that no backend need be.

One decoder (libsndfile) reads everything: decoders differ by a thousand samples of mp3 delay, and a beat is a beat.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import numpy as np
import soundfile
import soxr

from mashkit.atomicfile import replacing
from mashkit.audiobuffer import IN_MEMORY, AudioBuffer, joined, settle
from mashkit.containers import FRAME_SLACK, Contents, NotWholeError, PartsFile, Stream, survey
from mashkit.errors import AudioFileError, MashkitError, OutputError, UsageError
from mashkit.types import Audio, require_audio

AUDIO_SUFFIXES = frozenset(
    {
        *(".wav", ".wave", ".bwf", ".rf64", ".bw64", ".w64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd"),
        *(".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mp1", ".mpa", ".mpga"),
    }
)
"""Suffixes looked at when a folder is searched for songs."""

UNREADABLE_SUFFIXES = frozenset(
    {
        *(".m4a", ".m4b", ".m4p", ".m4r", ".aac", ".adts", ".mp4", ".alac", ".wma", ".asf", ".webm", ".weba", ".mka"),
        *(".wv", ".ape", ".tta", ".tak", ".ofr", ".shn", ".mpc", ".mp+", ".mpp", ".dsf", ".dff", ".ra", ".rm"),
        *(".ac3", ".eac3", ".dts", ".thd", ".amr", ".spx"),
    }
)
"""Music that libsndfile cannot decode: said so, rather than passed over."""

MAX_CHANNELS = 2
RATES_HZ = (1_000, 768_000)
"""Sample rates taken: from below the telephone's to the highest converters have. A header that says others is damaged,
and sound of 1 Hz would become 44,100 times as long (ours)."""
_BLOCK = 1 << 20
"""Frames decoded at a time (24 s at 44.1 kHz)."""
_UNKNOWN_FRAMES = 1 << 62
"""From here on libsndfile's count of frames says that it does not know."""
_LIKELY_FRAMES = 4
"""Frames a byte of a file for which room is made at once, where they are too many for memory; a header may say
anything. An mp3 of 128 kbit/s has 2.8 (ours)."""


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


def probe(path: Path | str) -> AudioFileInfo:
    """Read a file's header; where that does not say how long it is, decode it to see.

    Raises
    ------
    AudioFileError
        If there is no such file, it is empty, or not audio.
    """
    path = as_path(path)
    with _speaking_of(path):
        require_file(path)
        with _contents(path) as (opened, data):
            try:
                streams = survey(data)
            except NotWholeError:
                streams = ()  # it is decoding that refuses it
            frames = 0
            for stream in streams or (_whole(data),):
                with _decoder(path, opened, data, stream) as file:
                    known = file.frames < _UNKNOWN_FRAMES
                    frames += file.frames if known else _read_samples(file, len(data))[1]
            return AudioFileInfo(file.samplerate, file.channels, frames, f"{file.format}/{file.subtype}")


def load(
    path: Path | str,
    *,
    sample_rate: int | None = None,
    loader: Callable[..., Audio | None] | None = None,
) -> Audio:
    """Decode a whole file.

    Sounds that follow each other in one file (chained Ogg, mp3s joined end to end) are read one after the other.

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
        Whatever is wrong with the file, and nothing else: it is missing, empty, not audio, cannot be read, would be
        read in part, has more than two channels or holds NaN; or the loader failed.
    UsageError
        If an argument is of the wrong type.
    """
    path = as_path(path)
    if sample_rate is not None:
        require_rate(sample_rate)
    with _speaking_of(path):
        require_file(path)
        audio = None if loader is None else _ask(loader, path)
        if audio is None:
            audio = _decode(path)
        if audio.frames == 0:
            raise AudioFileError(path, "holds no sound at all", "export it again")
        return audio if sample_rate is None else resample(audio, sample_rate)


def as_path(path: Any) -> Path:
    """Return what names a file as a path; raises UsageError if it is neither a path nor text."""
    if isinstance(path, str | os.PathLike) and isinstance(os.fspath(path), str):
        return Path(path)
    raise UsageError(f"a file is named by {path!r}, a {type(path).__name__}", "give a Path or a str")


def require_rate(sample_rate: Any) -> None:
    """Raise UsageError unless ``sample_rate`` is a rate to resample to."""
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int | np.integer) or sample_rate <= 0:
        raise UsageError(f"sample rate is {sample_rate!r}", "give a positive whole number of Hz")


@contextlib.contextmanager
def _speaking_of(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into an AudioFileError that names it and says why."""
    try:
        yield
    except AudioFileError:
        raise
    except MashkitError as error:
        raise AudioFileError(path, error.problem, error.fix) from error
    except MemoryError as error:
        raise AudioFileError(path, "is too long for the memory there is", "cut it, or use another machine") from error
    except OSError as error:
        raise AudioFileError(
            path, f"cannot be read: {error.strerror or error}", "check its permissions, and the disk"
        ) from error
    except Exception as error:  # a damaged header may make a decoder say anything
        raise AudioFileError(
            path, f"cannot be decoded: {type(error).__name__}: {error}", "check that it is a sound file"
        ) from error


def _ask(loader: Callable[..., Any], path: Path) -> Audio | None:
    """Return what a plugin decodes; None if it leaves the file to libsndfile."""
    try:
        audio = loader(path=path)
    except MashkitError:
        raise
    except Exception as error:  # it is somebody else's code
        raise AudioFileError(
            path,
            f"{_loader_name(loader)} raised {type(error).__name__}: {error}",
            "report it to the plugin's authors, or remove the plugin",
        ) from error
    if audio is None or isinstance(audio, Audio):
        return audio
    raise AudioFileError(
        path,
        f"{_loader_name(loader)} returned {type(audio).__name__}, not mashkit.Audio or None",
        "report it to the plugin's authors, or remove the plugin",
    )


def _loader_name(loader: object) -> str:
    name = getattr(loader, "__qualname__", getattr(loader, "name", type(loader).__name__))
    return f"a plugin's loader ({name})"


# ------------------------------------------------------------------------------------------------------- decoding
class _Decoder(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A decoder that does not look for its place in what it does not know the length of."""

    def seekable(self) -> bool:
        return self.frames < _UNKNOWN_FRAMES and bool(super().seekable())


@contextlib.contextmanager
def _contents(path: Path) -> Iterator[tuple[BinaryIO, Contents]]:
    """Give a file and its bytes; mapped, because an hour may be a gigabyte, of which headers are looked at."""
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield opened, data


def _whole(data: Contents) -> Stream:
    return Stream(((0, len(data)),))


@contextlib.contextmanager
def _decoder(path: Path, opened: BinaryIO, data: Contents, stream: Stream) -> Iterator[_Decoder]:
    """Give the decoder of a stream.

    It gets the open file and not its name, of which libsndfile would think what the suffix says: noise, of ``.raw``.
    """
    try:
        if stream.parts == ((0, len(data)),) and os.name != "nt":  # there, open files are not shared between runtimes
            opened.seek(0)
            file = _Decoder(opened.fileno(), closefd=False)
        else:
            file = _Decoder(PartsFile(data, stream.parts))
        with file:
            yield file
    except soundfile.LibsndfileError as error:
        raise _not_audio(path, error) from error


def _decode(path: Path) -> Audio:
    with _contents(path) as (opened, data):
        try:
            streams = survey(data) or (_whole(data),)
        except NotWholeError as error:
            raise AudioFileError(path, error.problem, error.fix) from error
        decoded = [_decode_stream(path, opened, data, stream) for stream in streams]
    decoded = [audio for audio in decoded if audio.frames] or decoded[:1]
    if len(decoded) == 1:
        return decoded[0]
    formats = sorted({(audio.sample_rate, audio.channels) for audio in decoded})
    if len(formats) > 1:
        told = " and ".join(f"{rate} Hz with {channels} channel{'s' * (channels > 1)}" for rate, channels in formats)
        raise AudioFileError(
            path, f"holds {len(streams)} sounds, one after the other, of {told}", "make a file of each of them"
        )
    return joined(decoded)


def _decode_stream(path: Path, opened: BinaryIO, data: Contents, stream: Stream) -> Audio:
    with _decoder(path, opened, data, stream) as file:
        if file.channels > MAX_CHANNELS:
            raise AudioFileError(
                path,
                f"has {file.channels} channels",
                "downmix it to stereo first, e.g. `ffmpeg -i in -ac 2 out.flac`",
            )
        if not RATES_HZ[0] <= file.samplerate <= RATES_HZ[1]:
            raise AudioFileError(
                path,
                f"has a sample rate of {file.samplerate:,} Hz, by its header",
                f"resample it: {RATES_HZ[0]:,} to {RATES_HZ[1]:,} Hz are read",
            )
        buffer, frames, bad = _read_samples(file, len(data))
        announced = 0 if stream.mpeg or file.frames >= _UNKNOWN_FRAMES else file.frames
        sample_rate = file.samplerate
    held = max(announced, stream.held or 0)
    if frames < held - (FRAME_SLACK if stream.mpeg else 0):
        # Of an mp3 without a Xing header libsndfile guesses the length from the first frame, and stops there.
        raise AudioFileError(
            path,
            f"would be read only in part ({frames:,} of {held:,} samples)"
            + (": its Xing header is missing or wrong" if stream.mpeg else ""),
            "write one, e.g. `ffmpeg -i in.mp3 -c copy out.mp3`" if stream.mpeg else "fetch or export it again",
        )
    if bad:
        raise AudioFileError(path, f"holds {bad:,} samples that are NaN or infinite", "export it again")
    return buffer.audio(sample_rate)


def _read_samples(file: _Decoder, size: int) -> tuple[AudioBuffer, int, int]:
    """Return all samples, how many frames they are, and how many of them are NaN or infinite; ``size`` is in bytes."""
    room = min(file.frames, max(IN_MEMORY // (4 * file.channels), _LIKELY_FRAMES * size))
    buffer, frames, bad = AudioBuffer(file.channels, room), 0, 0
    at_once = _BLOCK * MAX_CHANNELS // max(file.channels, MAX_CHANNELS)
    while frames < file.frames and len(block := file.read(at_once, dtype="float32", always_2d=True)):
        if frames + len(block) > room:
            room = min(file.frames, 2 * room + _BLOCK)
            buffer = _of_length(buffer, frames, room)
        buffer.samples[:, frames : frames + len(block)] = block.T
        buffer.settle()
        frames += len(block)
        bad += int(np.count_nonzero(~np.isfinite(block)))
    return (buffer if frames == room else _of_length(buffer, frames, frames)), frames, bad


def _of_length(buffer: AudioBuffer, frames: int, room: int) -> AudioBuffer:
    """Return a buffer of another length, with the first ``frames`` of one."""
    other = AudioBuffer(len(buffer.samples), room)
    for start in range(0, frames, _BLOCK):
        part = slice(start, min(start + _BLOCK, frames))
        other.samples[:, part] = buffer.samples[:, part]
        buffer.settle()
        other.settle()
    return other


def resample(audio: Audio, sample_rate: int) -> Audio:
    """Return ``audio`` at another rate (soxr, very high quality); ``audio`` itself when it has that rate already.

    Raises
    ------
    UsageError
        If the rate is not a positive whole number, or ``audio`` is not :class:`Audio`.
    """
    require_audio(audio)
    require_rate(sample_rate)
    if audio.sample_rate == sample_rate:
        return audio
    converted = np.ascontiguousarray(soxr.resample(audio.samples.T, audio.sample_rate, sample_rate, quality="VHQ").T)
    converted.flags.writeable = False  # ours alone: handing it over as it is saves a copy
    return Audio(converted, sample_rate)


def require_encodable(path: Path | str, sample_rate: int) -> None:
    """Raise AudioFileError unless :func:`save` can write that suffix at that rate, Hz: to be asked before long work."""
    path = as_path(path)
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
    UsageError
        If an argument is of the wrong type.
    """
    path = as_path(path)
    require_audio(audio)
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


def sound_name(path: Path) -> str | bytes:
    """Return a path as soundfile takes it: it would encode the text of one strictly."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


# ------------------------------------------------------------------------------------------------- what is no sound
_KINDS = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def require_file(path: Path) -> None:
    """Raise AudioFileError unless ``path`` is a file that is not empty.

    Nothing is opened, because a pipe would be waited for.
    """
    try:
        state = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise AudioFileError(path, "is a link to nothing", "mend or remove it") from None
        raise AudioFileError(path, "no such file or folder", "check the spelling") from None
    except ValueError:  # a name with a zero in it
        raise AudioFileError(path, "no such file or folder", "check the spelling") from None
    except OSError as error:
        raise AudioFileError(
            path, f"cannot be read: {error.strerror}", "check its permissions, and the disk"
        ) from error
    if stat.S_ISDIR(state.st_mode):
        try:
            with os.scandir(path):
                pass
        except OSError as error:
            raise AudioFileError(
                path, f"is a folder that cannot be read: {error.strerror}", "check its permissions"
            ) from error
        raise AudioFileError(path, "is a folder, not a sound file", "name a file in it")
    for is_kind, kind in _KINDS.items():
        if is_kind(state.st_mode):
            raise AudioFileError(path, f"is {kind}, not a file", "write the sound to a file first")
    if state.st_size == 0:
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
