"""Read from a sound file's structure how many streams of sound it contains, their lengths, and if bytes are missing.

Decoders read a part of a file without an error: libsndfile shortens the header's length to the bytes of the file, and
stops at the end of the first of two streams. So this module walks through a file's bytes before they are decoded. It
decodes no sound.
"""

from __future__ import annotations

import bisect
import io
import itertools
import mmap
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

Contents: TypeAlias = bytes | mmap.mmap
"""The bytes of a file."""

Part: TypeAlias = tuple[int, int] | bytes
"""A range of a file's bytes (start, end), or other bytes that replace a range."""

FRAME_SLACK = 4 * 1152
"""Samples per channel that an mp3 may contain besides its music: encoder and decoder delay, padding, the header's own
frame."""
UNCOUNTED = 1 << 16
"""Number of bytes after a sound's end that are ignored, because some programs write notes there. In 16-bit stereo at
44.1 kHz they would last 0.37 s (ours)."""


class NotWholeError(Exception):
    """A file has less sound than its header announces, or cannot be read as one sound.

    Parameters
    ----------
    problem, fix : str
        As in :class:`mashkit.errors.MashkitError`; the caller adds the file's name.
    """

    def __init__(self, problem: str, fix: str = "fetch or export it again") -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


@attrs.frozen
class Stream:
    """A stream of sound in a file.

    Parameters
    ----------
    parts : tuple of Part
        The parts of the file that the decoder reads.
    held : int, optional
        Number of samples per channel in the stream; None if the decoder's own count is right.
    mpeg : bool
        True if up to :data:`FRAME_SLACK` of these samples may not be music, and the decoder's count is an estimate.
    padded : bool
        True if the decoder returns more samples than ``held``, which are no sound.
    """

    parts: tuple[Part, ...]
    held: int | None = None
    mpeg: bool = False
    padded: bool = False


class PartsFile(io.RawIOBase):
    """A readable file that consists of parts of another file, one after the other.

    Parameters
    ----------
    data : bytes or mmap
    parts : sequence of Part
    """

    def __init__(self, data: Contents, parts: Sequence[Part]) -> None:
        self._data = data
        self._parts = parts
        lengths = (len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts)
        self._starts = list(itertools.accumulate(lengths, initial=0))
        self._length = self._starts[-1]
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position, and return it."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Read bytes into ``buffer``, and return their number."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._position < self._length:
            wanted = len(view) - done
            index = bisect.bisect_right(self._starts, self._position) - 1
            part, offset = self._parts[index], self._position - self._starts[index]
            if isinstance(part, bytes):
                piece = part[offset : offset + wanted]
            else:
                piece = self._data[part[0] + offset : min(part[1], part[0] + offset + wanted)]
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._position += len(piece)
        return done


def survey(data: Contents) -> tuple[Stream, ...]:
    """Return the streams of sound in a file, one after the other.

    Parameters
    ----------
    data : bytes or mmap

    Returns
    -------
    tuple of Stream
        Empty if this module cannot read the format.

    Raises
    ------
    NotWholeError
        If announced sound is missing, or the file contains several sounds that cannot be read as one.
    """
    streams: list[Stream] = []
    begin = 0 if _walk_at(data, 0, sure=2) else _skip_tags(data, 0)
    walk = _walk_at(data, begin, sure=2)
    while walk is not None:
        stream, after = walk(data, begin)
        streams.append(stream)
        begin = _next_stream(data, after, anywhere=walk in (_walk_mpeg, _walk_ogg))
        walk = _walk_at(data, begin)
    return tuple(streams)


def _next_stream(data: Contents, position: int, *, anywhere: bool) -> int:
    """Return where another stream begins after ``position``; the file's end if there is none."""
    position = max(0, min(position, len(data)))
    for start in (position, position - 1):  # some writers do not pad a chunk to an even length
        begin = _skip_tags(data, start) if start >= 0 else len(data)
        if _walk_at(data, begin) is not None:
            return begin
    rest = len(data) - _skip_tags(data, position)
    if not anywhere and rest > UNCOUNTED:
        raise NotWholeError(
            f"continues for {rest:,} bytes after the end that its header gives: these would not be read",
            "export it again, or as FLAC, which has no such limit",
        )
    return len(data)


Walk: TypeAlias = Callable[[Contents, int], tuple[Stream, int]]


def _walk_at(data: Contents, position: int, *, sure: int = 4) -> Walk | None:
    """Return the function that walks through the stream at ``position``; None if no readable stream begins there.

    An MPEG stream needs ``sure`` frames in a row, because noise contains one frame header every 12 kB by chance.
    """
    head = data[position : position + 24]
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _walk_wav
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
        return _walk_aiff
    if head[:4] in (b".snd", b"dns."):
        return _walk_au
    if head[:6] == b"caff\0\1":
        return _walk_caf
    if head[:16] == b"riff" + _W64_RIFF:
        return _walk_w64
    if head[:4] == b"fLaC" and head[4:5] in (b"\0", b"\x80") and head[5:8] == b"\0\0\x22":
        return _walk_flac
    if head[:4] == b"OggS":
        return _walk_ogg
    if _SDS.match(head):
        return _walk_sds
    if any(head.startswith(mark) for mark in _COUNTED):
        return _walk_counted
    if any(mark.match(head) for mark in _UNCOUNTED_FRAMES):
        return _walk_uncounted
    if _mpeg_run(data, position) >= sure:
        return _walk_mpeg
    return None


def _cut(missing: int) -> NotWholeError:
    return NotWholeError(f"is cut short: {missing:,} bytes are missing at the end")


# ------------------------------------------------------------------------------------------------------------- tags
_ZEROS = re.compile(rb"\0+")


def _skip_tags(data: Contents, position: int) -> int:
    """Return where the tags and zeros at ``position`` end: ID3v1, ID3v2, APEv2, Lyrics3."""
    while True:
        length = _tag_length(data, position)
        if length == 0:
            return min(position, len(data))
        position += length


def _tag_length(data: Contents, position: int) -> int:
    head = data[position : position + 32]
    if head[:3] == b"ID3" and len(head) >= 10 and head[3] in (2, 3, 4) and max(head[6:10]) < 0x80:
        # A 28-bit number in four 7-bit bytes, and 10 bytes at the end if flagged (id3.org, id3v2.4.0-structure, 3.1).
        return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + 10 * (head[5] >> 4 & 1)
    if head[:8] == b"APETAGEX" and len(head) >= 24:
        size, _, flags = struct.unpack_from("<III", head, 12)
        # A header's size counts the bytes after it; a footer (without a header) is the tag's end.
        return 32 + int(size) if flags >> 29 & 1 else 32
    if head[:4] == b"TAG+":
        return 227
    if head[:3] == b"TAG" and len(data) - position >= 128:
        return 128
    if head[:11] == b"LYRICSBEGIN":
        ends = [at + 9 for mark in (b"LYRICS200", b"LYRICSEND") if (at := data.find(mark, position)) >= 0]
        return min(ends) - position if ends else 0
    zeros = _ZEROS.match(data, position)
    return zeros.end() - position if zeros else 0


# ------------------------------------------------------------------------------------------------- chunks: WAV, AIFF
def _unknown_32(length: int) -> bool:
    """Return whether a 32-bit length is the placeholder of a writer that could not go back to write the length.

    ffmpeg writes 2^32 − 1, SoX 0x7FFFF000, arecord 2^31 rounded down to a frame; some writers subtract the header's
    length.
    """
    return length >= 0xFFFF_0000 or 0x7FFF_0000 <= length <= 0x8000_0100


def _unknown_64(length: int) -> bool:
    return length >= 0x7FFF_FFFF_FFFF_0000


def _chunks(data: Contents, position: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and length of each chunk, until a name is not a chunk's name or another file begins."""
    while position + 8 <= len(data) and re.fullmatch(rb"[ -~]{4}", data[position : position + 4]):
        if _walk_at(data, position) is not None or _tag_length(data, position):
            return
        name, length = struct.unpack_from(f"{order}4sI", data, position)
        yield name, position + 8, length
        position += 8 + length + (length & 1)


def _ends_in_chunks(data: Contents, position: int, order: str) -> bool:
    """Return whether the rest of the file consists of whole chunks."""
    chunks = list(_chunks(data, position, order))
    return bool(chunks) and 0 <= chunks[-1][1] + chunks[-1][2] + (chunks[-1][2] & 1) - len(data) <= 1


def _after_chunks(data: Contents, position: int, order: str) -> int:
    for _, start, length in _chunks(data, position, order):
        position = start + length + (length & 1)
    return position


def _walk_wav(data: Contents, start: int) -> tuple[Stream, int]:
    """Walk through RIFF, RIFX and their 64-bit forms: EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64)."""
    order = ">" if data[start : start + 4] == b"RIFX" else "<"
    wide = data[start : start + 4] in (b"RF64", b"BW64")
    counts_at = 0
    for name, body, length in _chunks(data, start + 12, order):
        if name == b"ds64" and wide and length >= 24:
            counts_at = body
        if name != b"data":
            continue
        left = len(data) - body
        patches: dict[int, bytes] = {start: b"RF64"} if data[start : start + 4] == b"BW64" else {}
        if wide and length == 0xFFFF_FFFF and counts_at:
            (length,) = struct.unpack_from("<Q", data, counts_at + 8)
            unknown = _unknown_64(length) or _unknown_32(length) or (length == 0 and left > 0)
            if unknown:
                patches[counts_at] = struct.pack("<QQ", len(data) - start - 8, left)
        else:
            unknown = _unknown_32(length) or (length == 0 and not _ends_in_chunks(data, body, order) and left > 0)
            if unknown and (length == 0 or left > length):
                patches[body - 4] = struct.pack(f"{order}I", min(left, 0xFFFF_FFFF))
        if unknown:
            return Stream(_patched(start, len(data), patches)), len(data)
        if length > left:
            raise _cut(length - left)
        behind = body + length + (length & 1)
        if any(one == b"data" and size for one, _, size in _chunks(data, behind, order)):
            raise NotWholeError(
                "holds its sound in several pieces, and only the first would be read", "export it again"
            )
        end = _after_chunks(data, behind, order)
        return Stream(_patched(start, min(end, len(data)), patches)), end
    return Stream(((start, len(data)),)), len(data)


def _walk_aiff(data: Contents, start: int) -> tuple[Stream, int]:
    """Walk through AIFF, AIFF-C and IFF 8SVX: Apple's "Audio Interchange File Format", 1989 and 1991."""
    held: int | None = None
    for name, body, length in _chunks(data, start + 12, ">"):
        if name == b"COMM" and length >= 18 and len(data) >= body + 6:
            (frames,) = struct.unpack_from(">I", data, body + 2)
            held = None if frames == 0 or _unknown_32(frames) else int(frames)
        if name not in (b"SSND", b"BODY"):
            continue
        left = len(data) - body
        if _unknown_32(length) or (length == 0 and not _ends_in_chunks(data, body, ">")):
            return Stream(((start, len(data)),)), len(data)
        if length > left:
            raise _cut(length - left)
        end = _after_chunks(data, body + length + (length & 1), ">")
        return Stream(((start, min(end, len(data))),), held), end
    return Stream(((start, len(data)),)), len(data)


def _patched(start: int, end: int, patches: dict[int, bytes]) -> tuple[Part, ...]:
    """Return the parts of a stream in which ``patches`` (position → bytes) replace some bytes."""
    parts: list[Part] = []
    for at in sorted(patches):
        parts += [(start, at), patches[at]] if at > start else [patches[at]]
        start = at + len(patches[at])
    return (*parts, (start, end))


# ------------------------------------------------------------------------------------------------------ AU, CAF, W64
def _walk_au(data: Contents, start: int) -> tuple[Stream, int]:
    order = ">" if data[start : start + 4] == b".snd" else "<"
    if len(data) - start < 24:
        return Stream(((start, len(data)),)), len(data)
    header, length = struct.unpack_from(f"{order}II", data, start + 4)
    left = len(data) - start - header
    if _unknown_32(length) or (length == 0 and left > 0):
        return Stream(_patched(start, len(data), {start + 8: b"\xff\xff\xff\xff"})), len(data)
    if length > left:
        raise _cut(length - left)
    end = start + header + length
    return Stream(((start, end),)), end


def _walk_caf(data: Contents, start: int) -> tuple[Stream, int]:
    """Walk through a CAF (Apple's "Core Audio Format Specification"): chunks have 64-bit lengths.

    The length −1 means that the sound ends with the file.
    """
    position = start + 8
    while position + 12 <= len(data) and _walk_at(data, position) is None and not _tag_length(data, position):
        name, length = struct.unpack_from(">4sq", data, position)
        left = len(data) - position - 12
        if name == b"data" and length == -1:
            parts = _patched(start, len(data), {position + 4: struct.pack(">q", left)})
            return Stream(parts), len(data)
        if length < 0:
            break
        if length > left and name in (b"data", b"pakt"):
            raise _cut(length - left)
        position += 12 + length
    end = min(position, len(data))
    return Stream(((start, end),)), end


_W64_RIFF = bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_CHUNK = bytes.fromhex("f3acd3118cd100c04f8edb8a")


def _walk_w64(data: Contents, start: int) -> tuple[Stream, int]:
    """Walk through Sony's "Wave64": 16-byte names, 64-bit lengths that include name and length, padding to 8 bytes."""
    position = start + 40
    while position + 24 <= len(data) and data[position + 4 : position + 16] == _W64_CHUNK:
        name, (length,) = data[position : position + 4], struct.unpack_from("<Q", data, position + 16)
        left = len(data) - position
        if name == b"data":
            if _unknown_64(length) or (length <= 24 < left):
                parts = _patched(start, len(data), {position + 16: struct.pack("<Q", left)})
                return Stream(parts), len(data)
            if length > left:
                raise _cut(length - left)
        if length < 24:
            break
        position += length + -length % 8
    end = min(position, len(data))
    return Stream(((start, end),)), end


# ----------------------------------------------------------------------------------------------- formats rare for songs
def _number(at: int, order: str = ">") -> Callable[[Contents, int], int]:
    return lambda data, start: int(struct.unpack_from(f"{order}I", data, start + at)[0])


def _nist_frames(data: Contents, start: int) -> int:
    found = re.search(rb"\nsample_count -i (\d+)", data[start : start + 1024])
    return int(found[1]) if found else 0


def _voc_frames(data: Contents, start: int) -> int:
    """Return 0, because VOC blocks count bytes and not frames; raise NotWholeError if bytes are missing."""
    (position,) = struct.unpack_from("<H", data, start + 20)
    position += start
    while position + 4 <= len(data) and data[position] != 0:
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "little")
    if position > len(data):
        raise _cut(position - len(data))
    return 0


def _mat5_frames(data: Contents, start: int) -> int:
    """Return 0, because MAT5 matrices count bytes and not frames; raise NotWholeError if bytes are missing.

    libsndfile announces the eight bytes of a matrix's own head as well, which do not come at its end.
    """
    order, position = "<" if data[start + 126 : start + 128] == b"IM" else ">", start + 128
    while position + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}II", data, position)
        if kind != 14:
            break
        position += 8 + length
    if position - 8 > len(data):
        raise _cut(position - 8 - len(data))
    return 0


_COUNTED: dict[bytes, Callable[[Contents, int], int]] = {
    b"2BIT": _number(26),
    b"\0\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\x0b\0\0\0": _number(47, "<"),
    b"\0\0\x03\xe8\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\x0b": _number(47),
    b"\x01\x04": _number(30, "<"),
    b"ALawSoundFile**": _number(18),
    b"Creative Voice File": _voc_frames,
    b"MATLAB 5.0 MAT-file": _mat5_frames,
    b"NIST_1A": _nist_frames,
}
"""First bytes of AVR, MAT4, Akai MPC 2000, Psion, VOC, MAT5 and NIST Sphere → the function that reads the frame count
(of headers that libsndfile writes)."""


def _walk_counted(data: Contents, start: int) -> tuple[Stream, int]:
    held = 0
    for mark, count in _COUNTED.items():
        if data[start : start + len(mark)] == mark and len(data) >= start + 128:
            held = count(data, start)
    return Stream(((start, len(data)),), held or None), len(data)


def _paf_frame(data: Contents, start: int) -> tuple[int, int]:
    kind, channels = struct.unpack_from(">II" if data[start : start + 4] == b" paf" else "<II", data, start + 16)
    return 2048, {0: 2, 1: 32, 2: 1}.get(kind, 0) * channels  # 24-bit samples lie in blocks of ten


def _pvf_frame(data: Contents, start: int) -> tuple[int, int]:
    found = re.match(rb"PVF1\n(\d+) \d+ (\d+)\n", data[start : start + 512])
    return (found.end(), int(found[1]) * int(found[2]) // 8) if found else (0, 0)


def _ircam_frame(data: Contents, start: int) -> tuple[int, int]:
    # The machine that wrote the file chose the byte order, and no file has so many channels.
    order = "<" if struct.unpack_from("<I", data, start + 8)[0] <= 0xFFFF else ">"
    channels, encoding = struct.unpack_from(f"{order}II", data, start + 8)
    return 1024, (encoding & 0xFFFF) * channels


def _xi_frame(data: Contents, start: int) -> tuple[int, int]:
    return 338, 2 if data[start + 312] & 0x10 else 1


_UNCOUNTED_FRAMES: dict[re.Pattern[bytes], Callable[[Contents, int], tuple[int, int]]] = {
    re.compile(rb" paf|fap "): _paf_frame,
    re.compile(rb"PVF1\n"): _pvf_frame,
    re.compile(rb"\x64\xa3[\0-\x07]\0|\0[\0-\x07]\xa3\x64"): _ircam_frame,
    re.compile(rb"Extended Instrument: "): _xi_frame,
}
"""First bytes of PAF, PVF, IRCAM and XI → the function that reads the lengths of the header and of a frame, bytes; 0 if
the frame's is not known. Their headers contain no count, so only a cut inside a frame can be found. RAW has no header
at all."""


def _walk_uncounted(data: Contents, start: int) -> tuple[Stream, int]:
    for mark, layout in _UNCOUNTED_FRAMES.items():
        if mark.match(data, start) and len(data) >= start + 338:
            header, frame = layout(data, start)
            if frame and (len(data) - start - header) % frame:
                raise NotWholeError("is cut short: it ends inside a sample")
    return Stream(((start, len(data)),)), len(data)


_SDS = re.compile(rb"\xf0\x7e[\0-\x7f]\x01")
_SDS_HEADER, _SDS_PACKET, _SDS_DATA = 21, 127, 120
"""Bytes of the header and of a packet of an SDS, and of a packet's samples (MIDI 1.0, "Sample Dump Standard")."""


def _walk_sds(data: Contents, start: int) -> tuple[Stream, int]:
    """Walk through an SDS: packets of equal length, the last of them padded.

    libsndfile returns silence for missing packets, and for a last packet that the header's count does not fill. So the
    packets are counted here, and the count is rounded up to whole packets.
    """
    if len(data) < start + _SDS_HEADER:
        return Stream(((start, len(data)),)), len(data)
    bits, counted = data[start + 6], data[start + 10 : start + 13]
    held = sum(byte << 7 * place for place, byte in enumerate(counted))
    samples = _SDS_DATA // max(2, -(-bits // 7))  # of a packet; a byte has 7 bits
    packets = -(-held // samples)
    end = start + _SDS_HEADER + packets * _SDS_PACKET
    if end > len(data):
        raise _cut(end - len(data))
    whole = min(packets * samples, (1 << 21) - 1)  # the count has 21 bits
    count = bytes(whole >> 7 * place & 0x7F for place in range(3))
    return Stream(_patched(start, end, {start + 10: count}), held, padded=True), end


# -------------------------------------------------------------------------------------------------------------- FLAC
_FLAC_TAIL = 1 << 21
"""Number of bytes before the end in which the last frame must begin: the longest possible frame has 65,535 samples of 8
channels, usual ones 4,096 of 2."""
_FLAC_TRIES = 8
"""Largest number of possible frame headers to examine near the end; other bytes rarely look like a frame's header."""
_FLAC_BLOCK = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608} | {code: 256 << (code - 8) for code in range(8, 16)}


def _walk_flac(data: Contents, start: int) -> tuple[Stream, int]:
    """Walk through a FLAC (RFC 9639); the samples are counted from the frames' numbers, not from the header."""
    if len(data) < start + 42:
        return Stream(((start, len(data)),)), len(data)
    block, low = struct.unpack_from(">H", data, start + 8)[0], struct.unpack_from(">I", data, start + 22)[0]
    announced = (data[start + 21] & 15) << 32 | low
    frames = _flac_frames_at(data, start)
    end = min(_found(data, mark, frames) for mark in (b"fLaC", b"RIFF", b"FORM", b"OggS\0\x02"))
    if frames + 2 > end:
        return Stream(((start, end),), held=announced or None), end
    if data[start + 8 : start + 10] != data[start + 10 : start + 12] and not data[frames + 1] & 1:
        # The blocks have several lengths, but the frames count blocks: the number of samples cannot be computed.
        return Stream(((start, end),), held=announced or None), end
    held = _flac_held(data, frames, _before_tags(data, frames, end), block)
    if announced == 0:
        if held is None:
            raise NotWholeError("is cut short: its last frame is incomplete")
        return Stream(((start, end),), held=held), end
    if held is not None and held < announced:
        raise NotWholeError(f"is cut short: {announced - held:,} of {announced:,} samples are missing")
    if held is not None and held > announced:  # the header's count is too small, so it is replaced
        total = (data[start + 21] & 0xF0) | held >> 32
        parts = _patched(start, end, {start + 21: bytes([total]) + struct.pack(">I", held & 0xFFFF_FFFF)})
        return Stream(parts, held=held), end
    return Stream(((start, end),), held=announced), end


def _found(data: Contents, mark: bytes, position: int) -> int:
    """Return where another file that begins with ``mark`` starts at or after ``position``; the data's end if none does.

    A FLAC needs this search, because it does not contain the position of its own end.
    """
    while (position := data.find(mark, position)) >= 0 and _walk_at(data, position) is None:
        position += len(mark)
    return position if position >= 0 else len(data)


def _flac_frames_at(data: Contents, position: int) -> int:
    """Return where the first frame begins."""
    position += 4
    while position + 4 <= len(data):
        kind, length = data[position], int.from_bytes(data[position + 1 : position + 4])
        position += 4 + length
        if kind & 0x80:
            break
    return min(position, len(data))


def _before_tags(data: Contents, start: int, end: int) -> int:
    """Return where the tags at the end begin: ID3v1, APEv2 before it, an ID3v2 of the next stream, zeros."""
    if data[max(start, end - 128) : end][:3] == b"TAG":
        end -= 128
    footer = data[max(start, end - 32) : end]
    if footer[:8] == b"APETAGEX":
        size, _, flags = struct.unpack_from("<III", footer, 12)
        end -= int(size) + 32 * (flags >> 31 & 1)
    id3 = data.rfind(b"ID3", start, end)
    if id3 >= 0 and _skip_tags(data, id3) == end:
        end = id3
    return max(start, end)


def _flac_held(data: Contents, start: int, end: int, block: int) -> int | None:
    """Return the number of samples per channel from the first frame to the end of the last frame.

    None if the first or the last frame is not whole.
    """
    first = _flac_frame(data, start, block)
    if first is None:
        return None
    tail = data[max(start, end - _FLAC_TAIL) : end]
    stripped = len(tail.rstrip(b"\0"))
    at, tried = len(tail), 0
    while tried < _FLAC_TRIES and (at := max(tail.rfind(b"\xff\xf8", 0, at), tail.rfind(b"\xff\xf9", 0, at))) >= 0:
        last = _flac_frame(tail, at, block)
        if last is None:
            continue
        tried += 1
        # Zeros at the end may belong to the frame or be padding, so its checksum is computed with and without them.
        for length in sorted({len(tail), *range(stripped, min(stripped + 3, len(tail)))}, reverse=True):
            if length > at + 2 and _crc(tail[at:length], _CRC16, 16) == 0:
                return last[0] + last[1] - first[0]
    return None


def _flac_frame(data: Contents, at: int, block: int) -> tuple[int, int] | None:
    """Return the first sample and the number of samples of the frame at ``at``; None if no frame begins there."""
    head = data[at : at + 16]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    size, rate = head[2] >> 4, head[2] & 15
    ones = 8 - (~head[4] & 0xFF).bit_length()
    length = max(1, ones)
    if size == 0 or ones in (1, 8) or len(head) < 5 + length:
        return None
    number = head[4] & (0x7F >> ones)
    for byte in head[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    place = 4 + length
    extra = {6: 1, 7: 2}.get(size, 0)
    samples = int.from_bytes(head[place : place + extra]) + 1 if extra else _FLAC_BLOCK[size]
    place += extra + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if len(head) <= place or _crc(head[: place + 1], _CRC8, 8) != 0:
        return None
    return (number if head[1] & 1 else number * block), samples


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    table = []
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> (bits - 1) & 1 else 0)) & ((1 << bits) - 1)
        table.append(value)
    return tuple(table)


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc(data: bytes, table: tuple[int, ...], bits: int) -> int:
    """Return the checksum of RFC 9639, 9.1.8 and 9.3; it is 0 if the data end with their own checksum."""
    value, mask = 0, (1 << bits) - 1
    for byte in data:
        value = (value << 8 & mask) ^ table[(value >> (bits - 8)) ^ byte]
    return value


# --------------------------------------------------------------------------------------------------------------- Ogg
_OGG_SOUNDS = {b"\x01vorbis": "Vorbis", b"OpusHead": "Opus", b"\x7fFLAC": "FLAC", b"Speex   ": "Speex"}
"""First bytes of the first packet of a stream of sound → codec."""


def _walk_ogg(data: Contents, start: int) -> tuple[Stream, int]:
    """Walk through one link of an Ogg chain (RFC 3533): streams that begin together, until new streams begin."""
    pages: dict[int, list[tuple[int, int]]] = {}
    bodies: dict[int, list[tuple[int, int]]] = {}
    granules: dict[int, int] = {}
    sounds: dict[int, str] = {}
    ended: set[int] = set()
    position, began = start, False
    while position < len(data):
        if data[position : position + 4] != b"OggS":
            found = data.find(b"OggS", position)
            if found < 0:
                break  # tags or junk behind the last page
            position = found
            continue
        header = data[position : position + 27]
        count = header[26] if len(header) == 27 else 0
        table = data[position + 27 : position + 27 + count]
        end = position + 27 + count + sum(table)
        if len(header) < 27 or len(table) < count or end > len(data):
            raise NotWholeError("is cut short: its last page is incomplete")
        flags, (serial,) = header[5], struct.unpack_from("<I", header, 14)
        if flags & 2:
            if began:
                break
            first = data[position + 27 + count : end]
            sounds.update((serial, codec) for mark, codec in _OGG_SOUNDS.items() if first.startswith(mark))
        else:
            began = True
        if flags & 4:
            ended.add(serial)
        pages.setdefault(serial, []).append((position, end))
        bodies.setdefault(serial, []).append((position + 27 + count, end))
        (granule,) = struct.unpack_from("<q", header, 6)
        granules[serial] = max(granule, granules.get(serial, 0))
        position = end
    if len(sounds) > 1:
        raise NotWholeError(
            f"holds {len(sounds)} sounds at once, and only one of them would be read",
            "take one out: `ffmpeg -i in -map 0:a:0 out.flac`",
        )
    if not ended.issuperset(sounds or pages):
        raise NotWholeError("is cut short: its last page is missing")
    for serial, codec in sounds.items():
        if codec == "FLAC":
            # A FLAC cut into pages, after 9 bytes (RFC 9639, 10.1). The pages are joined here, because libsndfile
            # cannot read the pages of all encoders.
            (begin, end), *others = bodies[serial]
            return Stream(((begin + 9, end), *others), granules[serial] or None), position
        if len(pages) > 1:  # libsndfile stops at the pages of other streams, for example pictures or a skeleton
            return Stream(tuple(pages[serial])), position
    return Stream(((start, position),)), position


# -------------------------------------------------------------------------------------------------------------- MPEG
_SURE_FRAMES = 4
"""Number of frames in a row that do not occur by chance; see :func:`_walk_at`."""
_MPEG_RESYNC = 1024
"""Number of bytes without a frame after which mpg123 stops its search for one."""
_MPEG_SYNC = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]")
_MPEG_1 = {
    3: tuple(range(0, 449, 32)),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_MPEG_2 = {
    3: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


@attrs.frozen
class _Frame:
    length: int  # bytes
    samples: int  # per channel
    kind: tuple[int, int, int, bool]  # version, layer, rate, mono: constant within a stream


def _mpeg_frame(data: Contents, position: int) -> _Frame | None:
    """Read a frame's header (ISO 11172-3, 2.4.1.3; ISO 13818-3; MPEG 2.5): layers I to III."""
    header = data[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3:
        return None
    kbps = (_MPEG_1 if version == 3 else _MPEG_2)[layer][bitrate]
    samples = 384 if layer == 3 else 576 if layer == 1 and version != 3 else 1152
    hertz, padding = _MPEG_RATES[version][rate], header[2] >> 1 & 1
    slot = 4 if layer == 3 else 1
    length = (samples // 8 // slot * kbps * 1000 // hertz + padding) * slot
    return _Frame(length, samples, (version, layer, hertz, header[3] >> 6 == 3))


def _mpeg_run(data: Contents, position: int) -> int:
    """Return the number of frames of one kind in a row at ``position``, at most :data:`_SURE_FRAMES`."""
    kind = None
    for count in range(_SURE_FRAMES):
        frame = _mpeg_frame(data, position)
        if frame is None or kind not in (None, frame.kind):
            # A stream that ends with the file may be shorter.
            return _SURE_FRAMES if count > 1 and _skip_tags(data, position) == len(data) else count
        kind = frame.kind
        position += frame.length
    return _SURE_FRAMES


def _walk_mpeg(data: Contents, start: int) -> tuple[Stream, int]:
    """Count the frames of a stream, also after junk bytes, until another stream begins.

    Another stream begins at a tag or a Xing or VBRI header in the middle, or where sample rate or channels change.
    """
    position = first = _skip_tags(data, start)
    began = _mpeg_frame(data, position)
    assert began is not None  # noqa: S101 — _walk_at() has found frames here
    kind, samples, frames = began.kind, 0, 0
    parts: list[Part] = []
    while True:
        frame = _mpeg_frame(data, position)
        if frame is not None and frame.kind == kind:
            if position > first and _counts(data, position):
                break
            samples += frame.samples
            frames += 1
            position += frame.length
            continue
        after = _skip_tags(data, position)
        if position < after and _mpeg_run(data, after) == _SURE_FRAMES:
            break
        found = _resync(data, after)
        if found is None:
            break
        again = _mpeg_frame(data, found)
        if again is not None and again.kind != kind:
            position = found
            break
        if found - position >= _MPEG_RESYNC:
            parts.append((start, position))
            start = found
        position = found
    _require_announced(data, first, frames, position)
    parts.append((start, min(position, len(data))))
    return Stream(tuple(parts), samples - _mpeg_padding(data, first), mpeg=True), position


def _resync(data: Contents, position: int) -> int | None:
    """Return where the next run of frames begins; None if there is none."""
    for sync in _MPEG_SYNC.finditer(data, position):
        if _mpeg_run(data, sync.start()) == _SURE_FRAMES:
            return sync.start()
    return None


def _mpeg_padding(data: Contents, first: int) -> int:
    """Return the number of padding samples at both ends, from the "LAME" tag after a Xing header; 0 without the tag."""
    at = _xing(data, first, 42)
    if at < 0 or len(data) < at + 160:
        return 0
    flags = data[at + 7]
    at += 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1) + 21
    both = int.from_bytes(data[at : at + 3])
    return (both >> 12) + (both & 0xFFF)


def _counts(data: Contents, position: int) -> bool:
    """Return whether a frame contains a header with the stream's number of frames."""
    return data[position + 36 : position + 40] == b"VBRI" or _xing(data, position, 42) >= 0


def _xing(data: Contents, position: int, reach: int) -> int:
    return max(data.find(mark, position, position + reach) for mark in (b"Xing", b"Info"))


def _require_announced(data: Contents, first: int, frames: int, end: int) -> None:
    """Raise NotWholeError if there are fewer frames than in the Xing header, or the last frame is incomplete."""
    at = _xing(data, first, 256)
    if at >= 0 and len(data) >= at + 16:
        flags, announced, size = struct.unpack_from(">III", data, at + 4)
        # Programs that write tags do not update the header's number of bytes, so only a loss of more than 1 % counts.
        if flags & 3 == 3 and size > 1.01 * (len(data) - first):
            raise _cut(size - (len(data) - first))
        if flags & 1 and announced > frames + FRAME_SLACK // 1152:
            raise NotWholeError(f"is cut short: {announced - frames:,} of {announced:,} frames are missing")
    if end > len(data):
        raise NotWholeError("is cut short: its last frame is incomplete")
