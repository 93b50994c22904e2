"""Files and folders as people have them: in parts, in pieces, of unknown length, oddly named; each made by code.

Every maker writes into a folder and returns the path. Those of :data:`WHOLE` are songs of ``seconds`` seconds by the
end, those of :data:`REFUSED` cannot be read whole, and their value is what an error must say. No two are one song.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from mashkit.testing import signals
from mashkit.types import Key

SECONDS = 32.0
RATE = 44_100


def song(name: str, seconds: float = SECONDS, rate: int = RATE) -> npt.NDArray[np.float32]:
    """Return a song of its own for a name, shape (frames, 2): chords, and a shaker on the beat."""
    seed = zlib.crc32(name.encode())
    audio = signals.chord_progression(
        Key(seed % 12, "minor" if seed & 16 else "major"), seconds=seconds, tempo=90 + seed % 50, sample_rate=rate
    )
    noise = np.random.default_rng(seed).normal(0, 0.03, audio.samples.shape)
    beat = np.arange(audio.frames) / rate % (60 / (90 + seed % 50))
    return np.ascontiguousarray((audio.samples + noise * np.exp(-beat / 0.05)).T, dtype=np.float32)


def encoded(samples: npt.NDArray[np.float32], kind: str, rate: int = RATE) -> bytes:
    """Return a sound file's bytes; ``kind`` is like "WAV/PCM_16"."""
    file = io.BytesIO()
    format_, _, subtype = kind.partition("/")
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], subtype or None, format=format_) as sound:
        for start in range(0, len(samples), rate):
            sound.write(samples[start : start + rate])
    return file.getvalue()


def halves(name: str, kind: str, seconds: float, rate: int = RATE) -> tuple[bytes, bytes]:
    """Return the two halves of a song, a file each."""
    samples = song(name, seconds, rate)
    return encoded(samples[: len(samples) // 2], kind, rate), encoded(samples[len(samples) // 2 :], kind, rate)


def _written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


# ------------------------------------------------------------------------------------------------- one after another
ID3V2 = b"ID3\4\0\0\0\0\0\x0bTIT2\0\0\0\1\0\0\3"
"""A tag of 11 bytes behind its header."""
ID3V1 = b"TAG" + b"a tune".ljust(125, b"\0")
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8)
LYRICS = b"LYRICSBEGININD0000200000027LYRICS200"


def joined_mp3(folder: Path, seconds: float = SECONDS) -> Path:
    """Write two mp3s end to end, each with its own Xing header."""
    return _written(folder, "joined.mp3", b"".join(halves("joined.mp3", "MP3", seconds)))


def joined_mp3_with_tags(folder: Path, seconds: float = SECONDS) -> Path:
    """Write two tagged mp3s end to end: ID3v1, APE and ID3v2 lie between them."""
    one, other = halves("tagged.mp3", "MP3", seconds)
    return _written(folder, "joined with tags.mp3", ID3V2 + one + APE + ID3V1 + ID3V2 + other + ID3V1)


def joined_mp2(folder: Path, seconds: float = SECONDS) -> Path:
    """Write two MPEG layer II streams end to end; needs ffmpeg, for libsndfile writes none."""
    streams = []
    for part in halves("joined.mp2", "WAV/PCM_16", seconds):
        command = ["ffmpeg", "-loglevel", "error", "-f", "wav", "-i", "-", "-f", "mp2", "-"]
        streams.append(subprocess.run(command, input=part, stdout=subprocess.PIPE, check=True).stdout)
    return _written(folder, "joined.mp2", b"".join(streams))


def tagged_mp3(folder: Path, seconds: float = SECONDS) -> Path:
    """Write an mp3 with a tag before it, and lyrics, APE and ID3v1 behind it."""
    data = encoded(song("tags.mp3", seconds), "MP3")
    return _written(folder, "tags.mp3", ID3V2 + data + LYRICS + APE + ID3V1)


def mp3_with_junk_inside(folder: Path, seconds: float = SECONDS) -> Path:
    """Write an mp3 without Xing header with 5,000 bytes of another kind between two of its frames."""
    samples = song("junk.mp3", seconds)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 2, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5) as sound:
        sound.write(samples)
    data = file.getvalue()
    first, second, third = (start for start, _ in list(_mpeg_frames(data))[20:23])
    assert first < second < third
    return _written(folder, "junk.mp3", data[_first_frame_end(data) : second] + bytes(5000) + b"!" + data[second:])


def _mpeg_frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of MPEG-1 layer III frames."""
    rates = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    position = 0
    while position + 4 <= len(data) and data[position] == 0xFF:
        end = position + 144_000 * rates[data[position + 2] >> 4] // RATE + (data[position + 2] >> 1 & 1)
        yield position, end
        position = end


def _first_frame_end(data: bytes) -> int:
    return next(iter(_mpeg_frames(data)))[1]


def chained_vorbis(folder: Path, seconds: float = SECONDS) -> Path:
    """Write a chain of two Ogg Vorbis links."""
    return _written(folder, "chained.ogg", b"".join(halves("chained.ogg", "OGG/VORBIS", seconds)))


def chained_opus(folder: Path, seconds: float = SECONDS) -> Path:
    """Write a chain of two Ogg Opus links."""
    return _written(folder, "chained.opus", b"".join(halves("chained.opus", "OGG/OPUS", seconds, 48_000)))


def chained_flac(folder: Path, seconds: float = SECONDS) -> Path:
    """Write a chain of two links of FLAC in Ogg."""
    links = [_paged_flac(data, serial) for serial, data in enumerate(halves("chained.oga", "FLAC/PCM_16", seconds), 7)]
    return _written(folder, "chained.oga", b"".join(links))


def _paged_flac(data: bytes, serial: int) -> bytes:
    """Return FLAC in Ogg pages (RFC 9639, 10.1), frames at packet borders of 65,025 bytes at most."""
    position = 4
    while not data[position] & 0x80:
        position += 4 + int.from_bytes(data[position + 1 : position + 4])
    position += 4 + int.from_bytes(data[position + 1 : position + 4])
    # One header packet more is not needed: the last block of metadata may be STREAMINFO itself.
    head = b"\x7fFLAC\1\0\0\0fLaC" + bytes([0x80]) + data[5:42]
    body = data[position:]
    bodies = [head, *(body[at : at + 60_000] for at in range(0, len(body), 60_000))]
    total = int.from_bytes(data[21:26]) & (1 << 36) - 1
    pages = []
    for number, content in enumerate(bodies):
        last = number == len(bodies) - 1
        lacing = bytes([255] * (len(content) // 255) + [len(content) % 255])
        header = struct.pack(
            "<4sBBqIIIB",
            b"OggS",
            0,
            2 if number == 0 else 4 * last,
            total * (number > 0),
            serial,
            number,
            0,
            len(lacing),
        )
        pages.append(_with_checksum(header + lacing + content))
    return b"".join(pages)


def _with_checksum(page: bytes) -> bytes:
    return page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:]


_OGG_TABLE = [0] * 256
for _index in range(256):
    _value = _index << 24
    for _ in range(8):
        _value = (_value << 1 ^ (0x04C11DB7 if _value >> 31 else 0)) & 0xFFFFFFFF
    _OGG_TABLE[_index] = _value


def _ogg_crc(page: bytes) -> int:
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[value >> 24 ^ byte]
    return value


def pages(data: bytes) -> list[bytes]:
    """Return the pages of an Ogg file."""
    found, position = [], 0
    while position < len(data):
        count = data[position + 26]
        end = position + 27 + count + sum(data[position + 27 : position + 27 + count])
        found.append(data[position:end])
        position = end
    return found


def ogg_with_a_skeleton(folder: Path, seconds: float = SECONDS) -> Path:
    """Write Ogg Vorbis between whose pages another stream lies, which holds no sound."""
    first, *others = pages(encoded(song("skeleton.ogg", seconds), "OGG/VORBIS"))
    fishead = b"fishead\0\3\0\0\0" + bytes(52)
    bos, eos = (
        _with_checksum(struct.pack("<4sBBqIIIBB", b"OggS", 0, flag, 0, 99, number, 0, 1, len(body)) + body)
        for number, (flag, body) in enumerate(((2, fishead), (4, b"")))
    )
    return _written(folder, "skeleton.ogg", bos + first + others[0] + eos + b"".join(others[1:]))


def joined_flac(folder: Path, seconds: float = SECONDS) -> Path:
    """Write two FLAC files end to end."""
    return _written(folder, "joined.flac", b"".join(halves("joined.flac", "FLAC/PCM_16", seconds)))


def joined_wav(folder: Path, seconds: float = SECONDS) -> Path:
    """Write two WAV files end to end."""
    return _written(folder, "joined.wav", b"".join(halves("joined.wav", "WAV/PCM_16", seconds)))


def joined_aiff(folder: Path, seconds: float = SECONDS) -> Path:
    """Write two AIFF files end to end."""
    return _written(folder, "joined.aiff", b"".join(halves("joined.aiff", "AIFF/PCM_16", seconds)))


def wav_then_flac(folder: Path, seconds: float = SECONDS) -> Path:
    """Write a WAV and a FLAC file end to end."""
    one, _ = halves("two kinds.wav", "WAV/PCM_16", seconds)
    _, other = halves("two kinds.wav", "FLAC/PCM_16", seconds)
    return _written(folder, "two kinds.wav", one + other)


def flac_that_says_less(folder: Path, seconds: float = SECONDS) -> Path:
    """Write FLAC whose header counts half of its samples."""
    data = bytearray(encoded(song("less.flac", seconds), "FLAC/PCM_16"))
    data[22:26] = struct.pack(">I", round(seconds * RATE) // 2)
    return _written(folder, "less.flac", bytes(data))


# ---------------------------------------------------------------------------------------------------- unknown length
def flac_from_a_pipe(folder: Path, seconds: float = SECONDS) -> Path:
    """Write FLAC whose header does not know its length, as encoders leave it that write to a pipe."""
    data = bytearray(encoded(song("piped.flac", seconds), "FLAC/PCM_16"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return _written(folder, "piped.flac", bytes(data))


def _streamed_wav(folder: Path, name: str, seconds: float, length: int) -> Path:
    data = bytearray(encoded(song(name, seconds), "WAV/PCM_16"))
    at = data.index(b"data")
    data[4:8] = struct.pack("<I", min(length + at if length else 0, 0xFFFFFFFF))
    data[at + 4 : at + 8] = struct.pack("<I", length)
    return _written(folder, name, bytes(data))


def wav_of_ffmpeg(folder: Path, seconds: float = SECONDS) -> Path:
    """Write a streamed WAV of length 0xFFFFFFFF."""
    return _streamed_wav(folder, "streamed ff.wav", seconds, 0xFFFFFFFF)


def wav_of_the_largest_int(folder: Path, seconds: float = SECONDS) -> Path:
    """Write a streamed WAV of length 0x7FFFFFFF."""
    return _streamed_wav(folder, "streamed 7f.wav", seconds, 0x7FFFFFFF)


def wav_of_sox(folder: Path, seconds: float = SECONDS) -> Path:
    """Write a streamed WAV of length 0x7FFFF000."""
    return _streamed_wav(folder, "streamed sox.wav", seconds, 0x7FFFF000)


def wav_of_arecord(folder: Path, seconds: float = SECONDS) -> Path:
    """Write a streamed WAV of length 0x80000000."""
    return _streamed_wav(folder, "streamed 80.wav", seconds, 0x80000000)


def wav_never_finished(folder: Path, seconds: float = SECONDS) -> Path:
    """Write a WAV whose writer died before it set the length."""
    return _streamed_wav(folder, "unfinished.wav", seconds, 0)


def rf64_never_finished(folder: Path, seconds: float = SECONDS) -> Path:
    """Write RF64 whose lengths of 64 bits are unset."""
    data = bytearray(encoded(song("unset.rf64", seconds), "RF64/PCM_16"))
    data[20:44] = bytes(24)
    return _written(folder, "unset.rf64", bytes(data))


def bw64(folder: Path, seconds: float = SECONDS) -> Path:
    """Write BW64, RF64's successor."""
    return _written(folder, "wide.wav", b"BW64" + encoded(song("wide.wav", seconds), "RF64/PCM_16")[4:])


def au_of_unknown_length(folder: Path, seconds: float = SECONDS) -> Path:
    """Write AU of length 0xFFFFFFFF."""
    data = encoded(song("streamed.au", seconds), "AU/PCM_16")
    return _written(folder, "streamed.au", data[:8] + b"\xff\xff\xff\xff" + data[12:])


def caf_of_unknown_length(folder: Path, seconds: float = SECONDS) -> Path:
    """Write CAF whose sound is of length −1: up to the end."""
    data = encoded(song("streamed.caf", seconds), "CAF/PCM_16")
    at = data.index(b"data") + 4
    return _written(folder, "streamed.caf", data[:at] + struct.pack(">q", -1) + data[at + 8 :])


def w64_of_unknown_length(folder: Path, seconds: float = SECONDS) -> Path:
    """Write Wave64 of length 2^63 − 1."""
    data = encoded(song("streamed.w64", seconds), "W64/PCM_16")
    at = data.index(b"data\xf3\xac") + 16
    return _written(folder, "streamed.w64", data[:at] + struct.pack("<Q", 2**63 - 1) + data[at + 8 :])


def aiff_of_unknown_length(folder: Path, seconds: float = SECONDS) -> Path:
    """Write AIFF with no length anywhere, as ffmpeg leaves it in a pipe."""
    data = bytearray(encoded(song("streamed.aiff", seconds), "AIFF/PCM_16"))
    common, sound = data.index(b"COMM"), data.index(b"SSND")
    for at in (4, common + 10, sound + 4):
        data[at : at + 4] = bytes(4)
    return _written(folder, "streamed.aiff", bytes(data))


WHOLE: tuple[Callable[..., Path], ...] = (
    joined_mp3, joined_mp3_with_tags, tagged_mp3, mp3_with_junk_inside, chained_vorbis, chained_opus,
    chained_flac, ogg_with_a_skeleton, joined_flac, joined_wav, joined_aiff, wav_then_flac, flac_that_says_less,
    flac_from_a_pipe, wav_of_ffmpeg, wav_of_the_largest_int, wav_of_sox, wav_of_arecord, wav_never_finished,
    rf64_never_finished, bw64, au_of_unknown_length, caf_of_unknown_length, w64_of_unknown_length,
    aiff_of_unknown_length,
)  # fmt: skip
"""Makers of files that are read whole."""


# ----------------------------------------------------------------------------------------------------------- refused
def _part(folder: Path, name: str, kind: str, share: float = 0.5, *, magic: bytes = b"") -> Path:
    data = encoded(song(name), kind, 48_000 if "OPUS" in kind else RATE)
    return _written(folder, name, (magic or data[:4]) + data[4 : int(share * len(data))])


def half_rf64(folder: Path) -> Path:
    """Write half an RF64 file."""
    return _part(folder, "half.rf64", "RF64/PCM_16")


def half_bw64(folder: Path) -> Path:
    """Write half a BW64 file."""
    return _part(folder, "half bw64.wav", "RF64/PCM_16", magic=b"BW64")


def half_wav(folder: Path) -> Path:
    """Write half a WAV file."""
    return _part(folder, "half.wav", "WAV/FLOAT")


def half_aiff(folder: Path) -> Path:
    """Write half an AIFF file."""
    return _part(folder, "half.aiff", "AIFF/PCM_24")


def half_aifc(folder: Path) -> Path:
    """Write half an AIFF-C file."""
    return _part(folder, "half.aifc", "AIFF/FLOAT")


def half_caf(folder: Path) -> Path:
    """Write half a CAF file."""
    return _part(folder, "half.caf", "CAF/PCM_16")


def half_alac(folder: Path) -> Path:
    """Write half a CAF file of ALAC."""
    return _part(folder, "half alac.caf", "CAF/ALAC_16")


def half_w64(folder: Path) -> Path:
    """Write half a Wave64 file."""
    return _part(folder, "half.w64", "W64/PCM_16")


def half_au(folder: Path) -> Path:
    """Write half an AU file."""
    return _part(folder, "half.au", "AU/PCM_16")


def half_flac(folder: Path) -> Path:
    """Write half a FLAC file."""
    return _part(folder, "half.flac", "FLAC/PCM_16")


def half_mp3(folder: Path) -> Path:
    """Write half an mp3."""
    return _part(folder, "half.mp3", "MP3")


def half_mp2(folder: Path) -> Path:
    """Write an MPEG layer II stream of silent frames that ends within one."""
    frame = b"\xff\xfd\xa0\x04" + bytes(622)  # 192 kbit/s at 44.1 kHz; no bits for any band
    return _written(folder, "half.mp2", (1000 * frame)[:-300])


def half_vorbis(folder: Path) -> Path:
    """Write half an Ogg Vorbis file."""
    return _part(folder, "half.ogg", "OGG/VORBIS")


def half_opus(folder: Path) -> Path:
    """Write half an Ogg Opus file."""
    return _part(folder, "half.opus", "OGG/OPUS")


def half_voc(folder: Path) -> Path:
    """Write half a VOC file."""
    return _part(folder, "half.voc", "VOC/PCM_16")


def half_nist(folder: Path) -> Path:
    """Write half a NIST Sphere file."""
    return _part(folder, "half.nist", "NIST/PCM_16")


def half_mat4(folder: Path) -> Path:
    """Write half a Matlab 4 file."""
    return _part(folder, "half.mat", "MAT4/FLOAT")


def mp3_without_its_last_frames(folder: Path) -> Path:
    """Write an mp3 that ends between two frames, half a per cent before its Xing header says."""
    data = encoded(song("ends early.mp3"), "MP3")
    starts = [start for start, _ in _mpeg_frames(data)]
    return _written(folder, "ends early.mp3", data[: starts[int(0.993 * len(starts))]])


def flac_from_a_pipe_cut(folder: Path) -> Path:
    """Write half a FLAC file that does not know its length."""
    path = flac_from_a_pipe(folder)
    data = path.read_bytes()
    path.unlink()
    return _written(folder, "piped and cut.flac", data[: len(data) // 2])


def chain_whose_second_link_is_cut(folder: Path) -> Path:
    """Write a chain of Ogg Vorbis that ends within its second link."""
    one, other = halves("cut chain.ogg", "OGG/VORBIS", SECONDS)
    return _written(folder, "cut chain.ogg", one + other[: len(other) // 2])


def chain_of_two_rates(folder: Path) -> Path:
    """Write a chain of Ogg Vorbis of 44.1 kHz and 48 kHz."""
    one, _ = halves("two rates.ogg", "OGG/VORBIS", SECONDS)
    _, other = halves("two rates.ogg", "OGG/VORBIS", SECONDS, 48_000)
    return _written(folder, "two rates.ogg", one + other)


def mono_and_stereo_mp3(folder: Path) -> Path:
    """Write a stereo mp3 and one of one channel end to end."""
    one, _ = halves("mono and stereo.mp3", "MP3", SECONDS)
    samples = song("mono and stereo.mp3")
    return _written(folder, "mono and stereo.mp3", one + encoded(samples[:, :1], "MP3"))


def two_sounds_at_once(folder: Path) -> Path:
    """Write an Ogg file of two Vorbis streams that sound together."""
    one, *ones = pages(encoded(song("at once.ogg"), "OGG/VORBIS"))
    other, *others = pages(encoded(song("and this.ogg"), "OGG/VORBIS"))
    return _written(folder, "at once.ogg", one + other + b"".join(ones) + b"".join(others))


def wav_longer_than_it_says(folder: Path) -> Path:
    """Write a WAV of 32 s whose header says 16, as one of more than 4 GB does."""
    data = bytearray(encoded(song("long.wav"), "WAV/PCM_16"))
    at = data.index(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", (len(data) - at - 8) // 2)
    return _written(folder, "long.wav", bytes(data))


def a_rate_of_no_device(folder: Path) -> Path:
    """Write a WAV whose header says 2^31 − 1 Hz."""
    data = bytearray(encoded(song("fast.wav"), "WAV/PCM_16"))
    data[24:28] = struct.pack("<I", 2**31 - 1)
    return _written(folder, "fast.wav", bytes(data))


def a_rate_of_one(folder: Path) -> Path:
    """Write a WAV whose header says 1 Hz: resampled, it would be 44,100 times as long."""
    data = bytearray(encoded(song("slow.wav"), "WAV/PCM_16"))
    data[24:28] = struct.pack("<I", 1)
    return _written(folder, "slow.wav", bytes(data))


def many_channels(folder: Path) -> Path:
    """Write a WAV whose header says 1,024 channels."""
    data = bytearray(encoded(song("wide sound.wav"), "WAV/PCM_16"))
    data[22:24] = struct.pack("<H", 1024)
    data[32:34] = struct.pack("<H", 2048)
    return _written(folder, "wide sound.wav", bytes(data))


def flac_that_announces_years(folder: Path) -> Path:
    """Write FLAC whose header says 2^36 − 1 samples."""
    data = bytearray(encoded(song("years.flac"), "FLAC/PCM_16"))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    return _written(folder, "years.flac", bytes(data))


def a_pipe(folder: Path) -> Path:
    """Make a named pipe nobody writes to."""
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


def a_socket(folder: Path) -> Path:
    """Make a socket nobody listens at."""
    here = Path.cwd()
    os.chdir(folder)  # its path may have 107 bytes only
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket.flac")
    finally:
        os.chdir(here)
    return folder / "socket.flac"


def a_link_to_nothing(folder: Path) -> Path:
    """Make a link whose target is gone."""
    (folder / "gone.mp3").symlink_to(folder / "no such file.mp3")
    return folder / "gone.mp3"


def a_link_to_itself(folder: Path) -> Path:
    """Make a link that leads to itself."""
    (folder / "round.ogg").symlink_to(folder / "round.ogg")
    return folder / "round.ogg"


def unreadable_kinds(folder: Path) -> Path:
    """Write a WavPack file, of a kind that libsndfile cannot decode."""
    return _written(folder, "packed.wv", b"wvpk" + bytes(400))


_CUT = "is cut short"
REFUSED: dict[Callable[[Path], Path], str] = {
    half_rf64: _CUT, half_bw64: _CUT, half_wav: _CUT, half_aiff: _CUT, half_aifc: _CUT, half_caf: _CUT,
    half_alac: _CUT, half_w64: _CUT, half_au: _CUT, half_flac: "is cut short|lost sync", half_mp3: _CUT, half_mp2: _CUT,
    half_vorbis: _CUT, half_opus: _CUT, half_voc: _CUT, half_nist: "only in part", half_mat4: "only in part",
    mp3_without_its_last_frames: _CUT, flac_from_a_pipe_cut: _CUT, chain_whose_second_link_is_cut: _CUT,
    chain_of_two_rates: "2 sounds, one after the other, of 44100 Hz .* and 48000 Hz",
    mono_and_stereo_mp3: "2 sounds, one after the other, of .* 1 channel and .* 2 channels",
    two_sounds_at_once: "2 sounds at once", wav_longer_than_it_says: "continues for",
    a_rate_of_no_device: "sample rate of 2,147,483,647 Hz", a_rate_of_one: "sample rate of 1 Hz",
    many_channels: "1024 channels", flac_that_announces_years: "samples are missing", a_pipe: "is a pipe",
    a_socket: "is a socket", a_link_to_nothing: "file that does not exist", a_link_to_itself: "symbolic links",
    unreadable_kinds: "libsndfile cannot decode",
}  # fmt: skip
"""Makers of what cannot be read whole, and what is said of it."""


# ------------------------------------------------------------------------------------------------------------- names
NAMES = (
    b"caf\xe9.flac",
    b"\xff\xfe\x80.flac",
    b"two\nlines\r.flac",
    b"quotes \" ' `$(x)`.flac",
    b"<script>alert(1)</script><b>&amp;.flac".replace(b"/", b"_"),
    b"-rf --json.flac",
    b"[red]markup[_red].flac",
    b"\x1b[31mred\x1b[0m\x07.flac",
    "\u202etxt.exe\u202c 🎵👩‍🎤 שיר.flac".encode(),
    b"a\\xe9 back\\slash.flac",
    b"n" * 250 + b".flac",
)
"""Names a file system takes and programs stumble over."""


def oddly_named(folder: Path, seconds: float = SECONDS) -> list[Path]:
    """Write songs under :data:`NAMES`."""
    paths = []
    for number, name in enumerate(NAMES):
        path = folder / os.fsdecode(name)
        path.write_bytes(encoded(song(f"name {number}", seconds), "FLAC/PCM_16"))
        paths.append(path)
    return paths


# ----------------------------------------------------------------------------------------------------------- folders
def folder_with_leftovers(folder: Path, seconds: float = SECONDS) -> list[Path]:
    """Make a folder as a file server, a synchroniser and a phone leave it; return the songs to be found."""
    data = encoded(song("left over", seconds), "FLAC/PCM_16")
    for place in (
        *(".Trash-1000/files", "@eaDir/song.flac", ".stversions", "__MACOSX", "#recycle", "$RECYCLE.BIN/S-1"),
        *("lost+found", "album/.cache", "System Volume Information"),
    ):
        (folder / place).mkdir(parents=True)
        (folder / place / "copy.flac").write_bytes(data)
    (folder / "._song.flac").write_bytes(b"resource fork")
    (folder / "cover.jpg").write_bytes(b"picture")
    (folder / "notes.mid").write_bytes(b"MThd")
    found = []
    for place in ("album", "disc 2"):
        (folder / place).mkdir(exist_ok=True)
        found.append(folder / place / f"{place}.flac")
        found[-1].write_bytes(encoded(song(place, seconds), "FLAC/PCM_16"))
    (folder / "album" / "round").symlink_to(folder)
    (folder / "a link").symlink_to(folder / "disc 2")
    (folder / "z.flac").symlink_to(found[0])
    return found
