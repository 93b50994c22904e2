"""Decode, encode and resample sound files. All sound enters mashkit here and is checked here, so no backend checks it.

One decoder (libsndfile) reads all formats, because decoders differ by up to a thousand samples of mp3 delay, which
would move beats. A plugin may decode a file instead (hook ``mashkit_load_audio``).
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import numpy as np
import soundfile
import soxr

from mashkit.arguments import is_path, plain_path
from mashkit.atomicfile import replacing
from mashkit.audio.buffers import IN_MEMORY, AudioBuffer, joined, settle
from mashkit.audio.containers import FRAME_SLACK, Contents, NotWholeError, PartsFile, Stream, survey
from mashkit.errors import AudioFileError, MashkitError, OutputError, UsageError
from mashkit.types import Audio, require_audio
from mashkit.types.audio import RATES_HZ

AUDIO_SUFFIXES = frozenset(
    {
        *(".wav", ".wave", ".bwf", ".rf64", ".bw64", ".w64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd"),
        *(".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mp1", ".mpa", ".mpga"),
    }
)
"""Suffixes that count as songs when a folder is searched."""

UNREADABLE_SUFFIXES = frozenset(
    {
        *(".m4a", ".m4b", ".m4p", ".m4r", ".aac", ".adts", ".mp4", ".alac", ".wma", ".asf", ".webm", ".weba", ".mka"),
        *(".wv", ".ape", ".tta", ".tak", ".ofr", ".shn", ".mpc", ".mp+", ".mpp", ".dsf", ".dff", ".ra", ".rm"),
        *(".ac3", ".eac3", ".dts", ".thd", ".amr", ".spx"),
    }
)
"""Suffixes of music that libsndfile cannot decode; such files are reported as errors, not skipped."""

MAX_CHANNELS = 2
_BLOCK = 1 << 20
"""Frames decoded at a time (24 s at 44.1 kHz)."""
_UNKNOWN_FRAMES = 1 << 62
"""A frame count of libsndfile from here on means that the length is unknown."""
_LIKELY_FRAMES = 4
"""Frames per byte of a file for which a buffer is made at first, if the header's count is too large for memory, because
the header may be wrong. An mp3 of 128 kbit/s has 2.8 (ours)."""


_MP3_ENCODED = frozenset({8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})


@attrs.frozen
class _Encoding:
    """How :func:`save` encodes a suffix: libsndfile's names, and the rates, Hz, and channels that it accepts."""

    format: str
    subtype: str | None
    takes: Callable[[int], bool]
    rates: str
    channels: int


_ENCODINGS = {
    ".flac": _Encoding(
        "FLAC",
        "PCM_24",
        lambda rate: rate < 65_536 or (rate <= 655_350 and rate % 10 == 0),  # RFC 9639, section 9.1.2
        "whole Hz to 65,535 and whole tens to 655,350 Hz",
        8,
    ),
    ".wav": _Encoding("WAV", "FLOAT", lambda rate: rate < 2**31, "any rate", 1024),
    # libvorbis accepts at most 200 kHz and 255 channels; with more of either, libsndfile ends the process.
    ".ogg": _Encoding("OGG", "VORBIS", lambda rate: rate <= 200_000, "200,000 Hz or less", 255),
    ".mp3": _Encoding("MP3", None, _MP3_ENCODED.__contains__, f"{', '.join(map(str, sorted(_MP3_ENCODED)))} Hz", 2),
}
_RIFF_BYTES = 2**32 - 2**16
"""A WAV with this many bytes of samples or more is written as RF64, because RIFF counts bytes with 32 bits."""


@attrs.frozen
class AudioFileInfo:
    """Facts from a sound file's header."""

    sample_rate: int
    channels: int
    frames: int
    format: str

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def probe(path: Path | str, *, loadable: bool = False) -> AudioFileInfo:
    """Read a file's header; if the header does not contain the length, decode the file to measure it.

    Parameters
    ----------
    path : Path or str
    loadable : bool
        Whether to refuse what :func:`load` refuses, as far as it is known without decoding: a file that is cut short,
        more than two channels, an unusual sample rate.

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
            except NotWholeError as error:
                if loadable:
                    raise AudioFileError(path, error.problem, error.fix) from error
                streams = ()
            found = []
            for stream in streams or (_whole(data),):
                with _decoder(path, opened, data, stream) as file:
                    if loadable:
                        _require_usual(path, file.samplerate, file.channels)
                    known = file.frames < _UNKNOWN_FRAMES
                    frames = file.frames if known else _read_samples(file, len(data))[1]
                    frames = _without_padding(stream, frames)
                    found.append(AudioFileInfo(file.samplerate, file.channels, frames, f"{file.format}/{file.subtype}"))
            found = [one for one in found if one.frames] or found[:1]
            _require_one_format(path, [(one.sample_rate, one.channels) for one in found])
            return attrs.evolve(found[0], frames=sum(one.frames for one in found))


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
        Resample to this rate, Hz; by default keep the file's rate.
    loader : callable, optional
        The hook ``mashkit_load_audio``, called first with ``path=``; libsndfile decodes the file if it returns None.

    Returns
    -------
    Audio
        One or two channels, not empty. Peaks above 1 in float files are kept.

    Raises
    ------
    AudioFileError
        If the file is missing, empty or not audio, cannot be read, would be read only in part, has more than two
        channels or contains NaN, or if the loader failed. A problem of the file raises no other error.
    UsageError
        If an argument is of the wrong type.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> path = mk.save("a.flac", signals.tone(440, 2.0, sample_rate=48_000))
    >>> mk.load(path)
    Audio(sample_rate=48000)
    >>> mk.load(path, sample_rate=22_050).frames
    44100
    >>> mk.load("b.flac")
    Traceback (most recent call last):
        ...
    mashkit.errors.AudioFileError: b.flac: no such file or folder (check the spelling)
    """
    path = as_path(path)
    if sample_rate is not None:
        require_rate(sample_rate)
    with _speaking_of(path):
        require_file(path)
        audio = None if loader is None else _ask(loader, path)
        if audio is None:
            audio = _decode(path)
        if sample_rate is not None:
            audio = resample(audio, sample_rate)
        if audio.frames == 0:
            raise AudioFileError(path, "holds no sound at all", "export it again")
        return audio


def as_path(path: Any) -> Path:
    """Return a file name as :func:`mashkit.arguments.plain_path` does; raises UsageError if it is no path or text."""
    if is_path(path):
        return plain_path(path)
    raise UsageError(f"a file is named by {path!r}, a {type(path).__name__}", "give a Path or a str")


def require_rate(sample_rate: Any) -> None:
    """Raise UsageError unless ``sample_rate`` is a positive whole number."""
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int | np.integer) or sample_rate <= 0:
        raise UsageError(f"sample rate is {sample_rate!r}", "give a positive whole number of Hz")


@contextlib.contextmanager
def _speaking_of(path: Path) -> Iterator[None]:
    """Convert every error in the block into an AudioFileError that contains the file's name and the reason."""
    try:
        yield
    except AudioFileError:
        raise
    except MashkitError as error:
        raise AudioFileError(path, error.problem, error.fix) from error
    except MemoryError as error:
        raise AudioFileError(path, "is too long for this machine's memory", "cut it, or use another machine") from error
    except OSError as error:
        raise AudioFileError(
            path, f"cannot be read: {error.strerror or error}", "check its permissions, and the disk"
        ) from error
    except Exception as error:  # a damaged header may make a decoder raise any error
        raise AudioFileError(
            path, f"cannot be decoded: {type(error).__name__}: {error}", "check that it is a sound file"
        ) from error


def _ask(loader: Callable[..., Any], path: Path) -> Audio | None:
    """Return the sound that a plugin decoded; None if the plugin leaves the file to libsndfile."""
    try:
        audio = loader(path=path)
    except MashkitError:
        raise
    except Exception as error:  # a plugin's code may raise any error
        raise AudioFileError(
            path,
            f"{_loader_name(loader)} raised {type(error).__name__}: {error}",
            "report it to the plugin's authors, or remove the plugin",
        ) from error
    if audio is None:
        return None
    if isinstance(audio, Audio):
        _require_usual(path, audio.sample_rate, audio.channels)
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
    """A decoder that does not seek in a file of unknown length."""

    def seekable(self) -> bool:
        return self.frames < _UNKNOWN_FRAMES and bool(super().seekable())


@contextlib.contextmanager
def _contents(path: Path) -> Iterator[tuple[BinaryIO, Contents]]:
    """Yield an open file and its bytes, memory-mapped because an hour may be a gigabyte and only headers are read."""
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield opened, data


def _whole(data: Contents) -> Stream:
    return Stream(((0, len(data)),))


@contextlib.contextmanager
def _decoder(path: Path, opened: BinaryIO, data: Contents, stream: Stream) -> Iterator[_Decoder]:
    """Yield the decoder of a stream.

    The decoder gets the open file and not its name, because libsndfile would choose the format by the suffix: it would
    read any file named ``.raw`` as samples, and return noise.
    """
    try:
        # On Windows, C runtimes do not share open files.
        if stream.parts == ((0, len(data)),) and os.name != "nt":
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
    _require_one_format(path, [(audio.sample_rate, audio.channels) for audio in decoded])
    return decoded[0] if len(decoded) == 1 else joined(decoded)


def _require_one_format(path: Path, formats: Sequence[tuple[int, int]]) -> None:
    """Raise AudioFileError if the sounds of a file differ in rate or channels, because they cannot be joined."""
    if len(set(formats)) > 1:
        told = " and ".join(
            f"{rate} Hz with {channels} channel{'s' * (channels > 1)}" for rate, channels in sorted(set(formats))
        )
        raise AudioFileError(
            path, f"holds {len(formats)} sounds, one after the other, of {told}", "make a file of each of them"
        )


def _require_usual(path: Path, sample_rate: int, channels: int) -> None:
    """Raise AudioFileError if a file has too many channels or an unusual sample rate."""
    if channels > MAX_CHANNELS:
        raise AudioFileError(
            path,
            f"has {channels} channels",
            "downmix it to stereo first, e.g. `ffmpeg -i in -ac 2 out.flac`",
        )
    if not RATES_HZ[0] <= sample_rate <= RATES_HZ[1]:
        raise AudioFileError(
            path,
            f"has a sample rate of {sample_rate:,} Hz, according to its header",
            f"resample it: {RATES_HZ[0]:,} to {RATES_HZ[1]:,} Hz are read",
        )


def _decode_stream(path: Path, opened: BinaryIO, data: Contents, stream: Stream) -> Audio:
    with _decoder(path, opened, data, stream) as file:
        # Before reading, because a damaged header may announce more than the memory holds.
        _require_usual(path, file.samplerate, file.channels)
        buffer, frames, bad = _read_samples(file, len(data))
        announced = 0 if stream.mpeg or file.frames >= _UNKNOWN_FRAMES else file.frames
        sample_rate = file.samplerate
    if _without_padding(stream, frames) < frames:
        frames = announced = _without_padding(stream, frames)
        buffer = _of_length(buffer, frames, frames)
    held = max(announced, stream.held or 0)
    if frames < held - (FRAME_SLACK if stream.mpeg else 0):
        # For an mp3 without a Xing header libsndfile estimates the length from the first frame, and stops there.
        raise AudioFileError(
            path,
            f"would be read only in part ({frames:,} of {held:,} samples)"
            + (": its Xing header is missing or wrong" if stream.mpeg else ""),
            "write one, e.g. `ffmpeg -i in.mp3 -c copy out.mp3`" if stream.mpeg else "fetch or export it again",
        )
    if bad:
        raise AudioFileError(path, f"holds {bad:,} samples that are NaN or infinite", "export it again")
    return buffer.audio(sample_rate)


def _without_padding(stream: Stream, frames: int) -> int:
    """Return how many of the decoder's frames are sound."""
    return min(frames, stream.held) if stream.padded and stream.held is not None else frames


def _read_samples(file: _Decoder, size: int) -> tuple[AudioBuffer, int, int]:
    """Return all samples, the number of frames, and the number of NaN or infinite samples.

    ``size`` is the file's size in bytes.
    """
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
    """Return a new buffer with room for ``room`` frames, and copy the first ``frames`` of ``buffer`` into it."""
    other = AudioBuffer(len(buffer.samples), room)
    for start in range(0, frames, _BLOCK):
        part = slice(start, min(start + _BLOCK, frames))
        other.samples[:, part] = buffer.samples[:, part]
        buffer.settle()
        other.settle()
    return other


def resample(audio: Audio, sample_rate: int) -> Audio:
    """Return ``audio`` at another sample rate (soxr, very high quality); ``audio`` itself if it has that rate already.

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
    converted.flags.writeable = False  # no other code has this array, so Audio need not copy it
    return Audio(converted, sample_rate)


def require_encodable(path: Path | str, sample_rate: int) -> None:
    """Raise AudioFileError unless :func:`save` can write that suffix at that rate, Hz; call it before long work."""
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
        Written to the file's comment field.

    Returns
    -------
    Path
        The path of the written file.

    Raises
    ------
    AudioFileError
        If the suffix is another one, its format does not have the sample rate or so many channels, there is no frame,
        or a format other than .wav would clip peaks above 1.
    OutputError
        If the file cannot be written; then no incomplete file is left.
    UsageError
        If an argument is of the wrong type.

    Examples
    --------
    >>> import mashkit as mk
    >>> from mashkit.testing import signals
    >>> mk.save("a.flac", signals.tone(440, 2.0), comment="A4").name
    'a.flac'
    >>> loud = signals.tone(440, 2.0, amplitude=1.5)
    >>> mk.save("loud.wav", loud).name
    'loud.wav'
    >>> mk.save("loud.flac", loud)
    Traceback (most recent call last):
        ...
    mashkit.errors.AudioFileError: loud.flac: would be clipped: the peak is 1.500
    (lower the gain, or write a .wav, which is float)
    """
    path = as_path(path)
    require_audio(audio)
    require_encodable(path, audio.sample_rate)
    encoding = _ENCODINGS[path.suffix.lower()]
    if audio.frames == 0:
        raise AudioFileError(path, "would hold no sound: the audio has no frames", "save audio with a frame or more")
    if audio.channels > encoding.channels:
        raise AudioFileError(
            path,
            f"cannot be written with {audio.channels} channels: {encoding.format} has at most {encoding.channels}",
            "downmix it first, or write another format",
        )
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
                # Written in blocks, because libvorbis copies its input to the stack, and a minute at once overflows it.
                for start in range(0, audio.frames, audio.sample_rate):
                    encoder.write(audio.samples[:, start : start + audio.sample_rate].T)
                    settle(audio.samples)
                    disk.check()
        except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts that all frames were written
            disk.check()
            raise OutputError(f"cannot write {path}: {error}", "write another format") from error
        disk.check()
    return path


class _Disk:
    """A file for libsndfile to write to, which stores the first error of a write.

    On a full disk libsndfile itself reports only "System error." for FLAC and WAV, and no error for Vorbis and MP3.
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
    """Return a path for soundfile, as bytes except on Windows, because soundfile would encode text strictly."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


# --------------------------------------------------------------------------------------------- files without sound
_KINDS = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def require_file(path: Path) -> None:
    """Raise AudioFileError unless ``path`` is a file that is not empty.

    The path is not opened, because opening a pipe would wait for a writer.
    """
    try:
        state = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise AudioFileError(path, "is a link to a file that does not exist", "repair or remove the link") from None
        raise AudioFileError(path, "no such file or folder", "check the spelling") from None
    except ValueError:  # the name contains a zero byte
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
            path, "is in a format that libsndfile cannot decode", "convert it, e.g. `ffmpeg -i in out.flac`"
        )
    detail = str(error).rpartition(": ")[2].rstrip(".")
    # libsndfile reports "File does not exist" for text named .mp3, but require_file() has found the file.
    if "does not exist" in detail or "not recognised" in detail:
        detail = "libsndfile does not know its format"
    return AudioFileError(path, f"cannot be decoded: {detail}", "check that it is a sound file, or export it again")
