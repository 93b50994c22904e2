"""Six short original songs, written as data.

Every bar of 4/4 has sixteen steps, and everything below counts in those steps.

* ``chords``: bars are separated by ``|``; the chords inside a bar share it equally.
* ``melody``: ``note:steps`` tokens, ``r`` is a rest; an empty bar is a bar of rest.
* ``words``: one kana for each sung note.  They stick to vowels and voiced consonants,
  because the singing voice bursts on the way out of many voiceless ones.
* ``patterns``: one string per section name, sixteen steps (or a multiple) long and
  repeated through the section; a section that is not named is silent.  ``X``, ``x`` and
  ``o`` are an accent, a stroke and a ghost stroke, ``-`` holds what sounds, ``.`` is rest.
  In place of a stroke a bass line names the chord tone (``R`` root, ``3``, ``5``, ``8``
  octave, ``a`` half a tone below the next root), and an arpeggio numbers the chord's
  tones from the bottom up, from ``0``.
"""

from dataclasses import dataclass, field
from typing import Literal

Stem = Literal["vocals", "drums", "bass", "other"]


@dataclass(frozen=True)
class Section:
    """A run of bars: its chords, and what is sung over them."""

    name: str
    chords: str
    melody: str = ""
    words: str = ""


@dataclass(frozen=True)
class Part:
    """One pitched instrument: a General MIDI program and what it plays where."""

    program: int
    stem: Stem
    level: float
    """Loudness in LUFS before the song is brought to its final loudness."""
    patterns: dict[str, str]
    centre: int = 60
    """MIDI pitch that chord voicings (or bass notes) stay close to."""
    pan: float = 0.0
    """-1 is hard left, 1 is hard right."""


@dataclass(frozen=True)
class Drums:
    """A drum kit: a groove for each section, and the fill that closes every fourth bar."""

    program: int
    level: float
    grooves: dict[str, dict[str, str]]
    fill: dict[str, str]


@dataclass(frozen=True)
class Song:
    """A whole song."""

    slug: str
    title: str
    tonic: str
    mode: Literal["major", "minor"]
    tempo: int
    """Whole beats per minute."""
    seed: int
    sections: tuple[Section, ...]
    drums: Drums
    parts: tuple[Part, ...] = field(default_factory=tuple)


HARBOUR_LIGHTS = Song(
    slug="harbour-lights",
    title="Harbour Lights",
    tonic="A",
    mode="major",
    tempo=108,
    seed=1,
    sections=(
        Section("intro", "A | E"),
        Section(
            "verse",
            "A | E/G# | F#m7 | D | A | E/G# | D | E",
            """r:2 E4:2 A4:2 B4:2 C#5:4 B4:2 A4:2 | B4:6 A4:2 G#4:6 r:2
            | r:2 A4:2 A4:2 B4:2 C#5:4 E5:2 C#5:2 | D5:4 C#5:2 B4:2 A4:6 r:2
            | r:2 E4:2 A4:2 B4:2 C#5:4 B4:2 A4:2 | B4:4 C#5:2 B4:2 G#4:6 r:2
            | F#4:4 A4:4 D5:4 C#5:2 A4:2 | B4:8 G#4:4 B4:4""",
            "なみまのゆめ がゆれ よるのうみに あらわれ なまえをよび ながらに まどのあめ をみる",
        ),
        Section(
            "chorus",
            "A | E | F#m7 | D | A | E | D E | A",
            """C#5:4 E5:4 C#5:2 B4:2 A4:4 | B4:6 G#4:2 E4:4 G#4:4
            | A4:4 C#5:4 A4:2 B4:2 C#5:4 | D5:6 C#5:2 A4:6 r:2
            | C#5:4 E5:4 C#5:2 B4:2 A4:4 | B4:6 C#5:2 B4:4 G#4:4
            | A4:4 F#4:4 G#4:4 B4:4 | A4:14 r:2""",
            "あおいうみ をのぞむ まだあまい ゆめを おどるなみ にゆられ あゆもう よ",
        ),
        Section("end", "A"),
    ),
    drums=Drums(
        program=16,
        level=-20,
        grooves={
            "intro": {
                "kick": "X.....x.x.......",
                "snare": "....X.......X...",
                "hat": "x.o.x.o.x.o.x.o.",
            },
            "verse": {
                "kick": "X.....x.x.......X.....x.x.x.....",
                "snare": "....X.......X..o",
                "hat": "x.o.x.o.x.o.x.o.",
            },
            "chorus": {
                "kick": "X.....x.x.x.....",
                "snare": "....X.......X...",
                "ride": "x.o.x.o.x.o.x.o.",
            },
            "end": {"kick": "X...............", "hat": "....o...o...o..."},
        },
        fill={
            "kick": "X.......x.......",
            "snare": "....X.....xxX...",
            "hat": "x.o.x.o.........",
            "tom1": "............X.x.",
            "tom3": "..............XX",
        },
    ),
    parts=(
        Part(
            program=34,
            stem="bass",
            level=-21,
            centre=38,
            patterns={
                "intro": "R-R.R-R.R-R.R-R.",
                "verse": "R-R.R-R.R-R.5-a.",
                "chorus": "R-R.R-8.R-R.5-a.",
                "end": "R---------------",
            },
        ),
        Part(
            program=29,
            stem="other",
            level=-28,
            centre=55,
            pan=-0.55,
            patterns={"chorus": "X-----x-x-----x-", "end": "X---------------"},
        ),
        Part(
            program=27,
            stem="other",
            level=-26,
            centre=64,
            pan=0.5,
            patterns={
                "intro": "0-1-2-3-2-1-2-1-",
                "verse": "0-1-2-3-2-1-2-1-",
                "chorus": "x-.ox-.ox-.ox-.o",
            },
        ),
        Part(
            program=16,
            stem="other",
            level=-29,
            centre=62,
            pan=-0.15,
            patterns={
                "intro": "x---------------",
                "verse": "x---------------",
                "chorus": "x-------x-------",
                "end": "x---------------",
            },
        ),
    ),
)

SLOW_RIVER = Song(
    slug="slow-river",
    title="Slow River",
    tonic="Bb",
    mode="major",
    tempo=92,
    seed=2,
    sections=(
        Section("intro", "Bb"),
        Section(
            "verse",
            "Bb | F/A | Gm7 | Eb | Bb/D | Eb | Cm7 | F",
            """D5:4 C5:2 Bb4:2 F4:4 Bb4:4 | C5:6 Bb4:2 A4:6 r:2
            | r:2 Bb4:2 Bb4:2 C5:2 D5:4 C5:2 Bb4:2 | G4:6 Bb4:2 Bb4:6 r:2
            | F4:4 Bb4:4 D5:4 C5:2 Bb4:2 | Eb5:6 D5:2 Bb4:6 r:2
            | r:2 C5:2 C5:2 D5:2 Eb5:4 D5:2 C5:2 | C5:8 A4:4 C5:4""",
            "あめのよる ながれ みずのおもに ゆれる まだあおい もりで ゆめをのぞみ ながら",
        ),
        Section(
            "chorus",
            "Bb | F/A | Gm7 | Eb | Cm7 F7 | Bb",
            """D5:6 C5:2 Bb4:4 F4:4 | A4:4 C5:4 C5:6 r:2
            | Bb4:4 D5:4 D5:2 C5:2 Bb4:4 | G4:4 Bb4:4 Eb5:4 D5:4
            | C5:4 Eb5:4 C5:4 A4:4 | Bb4:14 r:2""",
            "ながれる みずよ ゆめのよう なよるよ わらおう よ",
        ),
        Section("end", "Bb"),
    ),
    drums=Drums(
        program=8,
        level=-23,
        grooves={
            "intro": {"kick": "X.......x.......", "hat": "x...x...x...x..."},
            "verse": {
                "kick": "X.......x.x.....",
                "stick": "....x.......x...",
                "hat": "x.o.x.o.x.o.x.o.",
            },
            "chorus": {
                "kick": "X......xx.......",
                "snare": "....x.......x...",
                "ride": "x.o.x.o.x.o.x.o.",
            },
            "end": {"kick": "X...............", "hat": "....o...o...o..."},
        },
        fill={
            "kick": "X.......x.......",
            "snare": "....x.......x.o.",
            "hat": "x.o.x.o.x.......",
            "tom1": "..........x.....",
            "tom2": "..............x.",
        },
    ),
    parts=(
        Part(
            program=32,
            stem="bass",
            level=-22,
            centre=40,
            patterns={
                "intro": "R---------5---a-",
                "verse": "R-----R-5-----a-",
                "chorus": "R-----R-8---5-a-",
                "end": "R---------------",
            },
        ),
        Part(
            program=0,
            stem="other",
            level=-23,
            centre=62,
            pan=0.15,
            patterns={
                "intro": "X-1-2-1-3-2-1-2-",
                "verse": "X-1-2-1-3-2-1-2-",
                "chorus": "X-1-2-3-x-3-2-1-",
                "end": "X---------------",
            },
        ),
        Part(
            program=48,
            stem="other",
            level=-28,
            centre=67,
            pan=-0.35,
            patterns={"chorus": "x---------------", "end": "x---------------"},
        ),
        Part(
            program=24,
            stem="other",
            level=-30,
            centre=60,
            pan=-0.5,
            patterns={"verse": "........0-1-2---", "chorus": "....2-1-....3-2-"},
        ),
    ),
)

GLASS_ELEVATOR = Song(
    slug="glass-elevator",
    title="Glass Elevator",
    tonic="A",
    mode="minor",
    tempo=122,
    seed=3,
    sections=(
        Section("intro", "Am | E7"),
        Section(
            "verse",
            "Am | F | Dm7 | E7 | Am | F | Dm7 | E7",
            """r:2 A4:2 A4:2 B4:2 C5:4 B4:2 A4:2 | A4:6 G4:2 F4:6 r:2
            | r:2 D4:2 F4:2 A4:2 D5:4 C5:2 A4:2 | B4:6 A4:2 G#4:6 r:2
            | r:2 A4:2 A4:2 B4:2 C5:4 B4:2 A4:2 | C5:4 A4:4 F4:4 A4:4
            | r:2 D5:2 D5:2 C5:2 A4:4 F4:2 A4:2 | B4:8 E4:4 G#4:4""",
            "よるがまわる まわる まどのあめも おどる ゆめをみない よるだよ だれもがいま わらう",
        ),
        Section(
            "chorus",
            "Am | Dm7 | F | E7 | Am | Dm7 | E7 | Am",
            """E5:4 C5:2 A4:4 C5:2 B4:2 A4:2 | D5:6 C5:2 A4:6 r:2
            | C5:4 A4:2 F4:4 A4:2 C5:4 | B4:6 G#4:2 E4:6 r:2
            | E5:4 C5:2 A4:4 C5:2 B4:2 A4:2 | D5:6 C5:2 A4:6 r:2
            | r:2 B4:2 G#4:2 B4:2 E5:4 D5:2 B4:2 | C5:4 B4:4 A4:8""",
            "おどれおどれ いまを ゆめみるよ うにね まわれまわれ よるを あまいゆめの なみで",
        ),
        Section(
            "outro",
            "Am | F E7 | Am",
            "r:2 A4:2 C5:2 B4:2 A4:8 | A4:8 B4:4 G#4:4 | A4:14 r:2",
            "まわるよ まわる よ",
        ),
        Section("end", "Am"),
    ),
    drums=Drums(
        program=25,
        level=-19,
        grooves={
            "intro": {
                "kick": "X...X...X...X...",
                "clap": "....x.......x...",
                "openhat": "..x...x...x...x.",
            },
            "verse": {
                "kick": "X...X...X...X...",
                "clap": "....X.......X...",
                "openhat": "..o...o...o...o.",
                "hat": "o.o.o.o.o.o.o.oo",
            },
            "chorus": {
                "kick": "X...X...X...X...",
                "clap": "....X.......X..o",
                "openhat": "..x...x...x...x.",
                "hat": "oo.ooo.ooo.ooo.o",
            },
            "outro": {
                "kick": "X...X...X...X...",
                "clap": "....X.......X...",
                "openhat": "..x...x...x...x.",
            },
            "end": {"kick": "X...............", "hat": "....o...o...o..."},
        },
        fill={
            "kick": "X...X...X.......",
            "clap": "....X.......X...",
            "snare": "........o.xoxxXX",
            "openhat": "..x...x.........",
        },
    ),
    parts=(
        Part(
            program=38,
            stem="bass",
            level=-21,
            centre=40,
            patterns={
                "intro": "R-.RR-R.R-.RR-R.",
                "verse": "R-..R-8.R-..R-a.",
                "chorus": "R-8.R-8.R-8.5-a.",
                "outro": "R-..R-8.R-..R-a.",
                "end": "R---------------",
            },
        ),
        Part(
            program=0,
            stem="other",
            level=-25,
            centre=64,
            pan=0.25,
            patterns={
                "intro": "X-.x-.X-.x-.X-x-",
                "chorus": "X-.x-.X-.x-.X-x-",
                "outro": "X-.x-.X-.x-.X-x-",
                "end": "X---------------",
            },
        ),
        Part(
            program=89,
            stem="other",
            level=-27,
            centre=60,
            pan=-0.2,
            patterns={
                "verse": "x---------------",
                "chorus": "x---------------",
                "outro": "x---------------",
                "end": "x---------------",
            },
        ),
        Part(
            program=81,
            stem="other",
            level=-31,
            centre=69,
            pan=-0.5,
            patterns={"verse": "0.12.01.2.10.12.", "chorus": "0.12.31.2.13.21."},
        ),
    ),
)

POCKET_CHANGE = Song(
    slug="pocket-change",
    title="Pocket Change",
    tonic="G",
    mode="minor",
    tempo=104,
    seed=4,
    sections=(
        Section("intro", "Gm7"),
        Section(
            "verse",
            "Gm7 | Cm7 | Gm7 | D7 | Gm7 | Cm7 | Ebmaj7 | D7",
            """G4:3 G4:3 Bb4:2 A4:2 G4:2 F4:4 | G4:3 Eb4:3 G4:6 r:4
            | D5:3 D5:3 C5:2 Bb4:2 A4:2 G4:4 | A4:3 F#4:3 D4:6 r:4
            | G4:3 G4:3 Bb4:2 A4:2 G4:2 F4:4 | C5:3 Bb4:3 G4:6 r:4
            | r:2 Eb4:2 G4:2 Bb4:2 D5:3 C5:3 Bb4:2 | A4:6 F#4:6 A4:4""",
            "ゆめがおどる よるだ むねもゆらり ゆらり ならびながら あゆむ みどりのまど をでる",
        ),
        Section(
            "chorus",
            "Gm7 | Ebmaj7 | Cm7 | D7 | Gm7 | Ebmaj7 | Cm7 D7 | Gm7",
            """D5:4 Bb4:2 G4:4 Bb4:2 C5:4 | Bb4:6 G4:4 Bb4:6
            | C5:4 Eb5:2 C5:4 Bb4:2 G4:4 | A4:6 F#4:4 D4:6
            | D5:4 Bb4:2 G4:4 Bb4:2 C5:4 | Bb4:6 D5:4 Bb4:6
            | C5:4 Eb5:4 D5:4 A4:4 | G4:14 r:2""",
            "おどるよる ながい よるだもの わらえ いまだいま いまを あゆもう よ",
        ),
        Section("end", "Gm"),
    ),
    drums=Drums(
        program=0,
        level=-20,
        grooves={
            "intro": {
                "kick": "X..x......x.....",
                "snare": "....X..o.o..X..o",
                "hat": "xoxoxoxoxoxoxoxo",
            },
            "verse": {
                "kick": "X..x......x.....X.x.......xx....",
                "snare": "....X..o.o..X..o",
                "hat": "xoxoxoxoxoxoxoxo",
            },
            "chorus": {
                "kick": "X.x.......x..x..",
                "snare": "....X..o.o..X..o",
                "hat": "x.x.x.x.x.x.x...",
                "openhat": "..............x.",
            },
            "end": {"kick": "X...............", "hat": "....o...o...o..."},
        },
        fill={
            "kick": "X..x......x.....",
            "snare": "....X..o.oxxX.xx",
            "hat": "xoxoxoxo........",
            "tom2": "..............x.",
        },
    ),
    parts=(
        Part(
            program=36,
            stem="bass",
            level=-21,
            centre=38,
            patterns={
                "intro": "R--R..8.R-.5.8a.",
                "verse": "R--R..8.R-.5.8a.",
                "chorus": "R-R..8.5R-.R.5a.",
                "end": "R---------------",
            },
        ),
        Part(
            program=28,
            stem="other",
            level=-28,
            centre=64,
            pan=0.55,
            patterns={
                "intro": "..xo..x...xo..x.",
                "verse": "..xo..x...xo..x.",
                "chorus": "x.xo..x.x.xo..x.",
            },
        ),
        Part(
            program=4,
            stem="other",
            level=-24,
            centre=60,
            pan=-0.3,
            patterns={
                "intro": "X--x------x-....",
                "verse": "X--x------x-....",
                "chorus": "X-------x--x----",
                "end": "X---------------",
            },
        ),
        Part(
            program=61,
            stem="other",
            level=-28,
            centre=67,
            pan=0.2,
            patterns={
                "verse": "................X.x.......X-....",
                "chorus": "x-----------..X.",
                "end": "X---------------",
            },
        ),
    ),
)

MANGO_SEASON = Song(
    slug="mango-season",
    title="Mango Season",
    tonic="C",
    mode="major",
    tempo=102,
    seed=5,
    sections=(
        Section("intro", "C"),
        Section(
            "verse",
            "C | F | C | G | C | F | G | C",
            """r:2 G4:2 G4:2 A4:2 G4:4 E4:4 | A4:4 A4:2 G4:2 F4:6 r:2
            | r:2 E4:2 G4:2 C5:2 C5:4 B4:2 A4:2 | B4:4 A4:2 G4:2 D4:6 r:2
            | r:2 G4:2 G4:2 A4:2 G4:4 E4:4 | A4:4 C5:2 A4:2 F4:6 r:2
            | r:2 G4:2 B4:2 D5:2 D5:4 B4:2 G4:2 | C5:4 B4:2 A4:2 G4:8""",
            "みなみむら あまいよ うみのいろを ながめる ゆらゆらり ゆれるよ おどりながら うみべで",
        ),
        Section(
            "chorus",
            "C | Am | F | G | C | Am | F G7 | C",
            """E5:4 D5:2 C5:6 G4:4 | A4:4 C5:2 A4:6 E4:4
            | F4:4 A4:4 C5:4 A4:4 | B4:6 A4:2 G4:6 r:2
            | E5:4 D5:2 C5:6 G4:4 | A4:4 C5:2 A4:6 E4:4
            | A4:4 C5:4 B4:4 D5:4 | C5:14 r:2""",
            "ゆるゆる あゆむよ うみべの みなみ ゆらゆら わらうよ あまいよ る",
        ),
        Section("end", "C"),
    ),
    drums=Drums(
        program=0,
        level=-20,
        grooves={
            "intro": {
                "kick": "X.......x.......",
                "stick": "....X.......X...",
                "hat": "x.o.x.o.x.o.x.oo",
            },
            "verse": {
                "kick": "X.......x.......",
                "stick": "....X.......X..o",
                "hat": "x.o.x.o.x.o.x.oo",
            },
            "chorus": {
                "kick": "X...x...x...x...",
                "snare": "....X.......X...",
                "hat": "x.o.x.o.x.o.x.o.",
                "conga": "......x.......xx",
            },
            "end": {"kick": "X...............", "hat": "....o...o...o..."},
        },
        fill={
            "kick": "X.......x.......",
            "snare": "....X.....xoX...",
            "hat": "x.o.x.o.........",
            "tom1": ".............x..",
            "tom2": "..............x.",
            "tom3": "...............x",
        },
    ),
    parts=(
        Part(
            program=33,
            stem="bass",
            level=-20,
            centre=38,
            patterns={
                "intro": "R--.R-.3-.5-..a.",
                "verse": "R--.R-.3-.5-..a.",
                "chorus": "R-..5-.8R-..3-a.",
                "end": "R---------------",
            },
        ),
        Part(
            program=27,
            stem="other",
            level=-26,
            centre=66,
            pan=0.4,
            patterns={
                "intro": "..x...x...x...x.",
                "verse": "..x...x...x...x.",
                "chorus": "..x...xo..x...xo",
                "end": "X---------------",
            },
        ),
        Part(
            program=16,
            stem="other",
            level=-27,
            centre=60,
            pan=-0.35,
            patterns={
                "intro": "..xx..xx..xx..xx",
                "verse": "..xo..xo..xo..xo",
                "chorus": "x-----x-x-----x-",
                "end": "x---------------",
            },
        ),
        Part(
            program=12,
            stem="other",
            level=-29,
            centre=72,
            pan=-0.1,
            patterns={"chorus": "0.1.2..1.2.3.21.", "intro": "0.1.2..1.2.3.21."},
        ),
    ),
)

SATELLITE_LETTERS = Song(
    slug="satellite-letters",
    title="Satellite Letters",
    tonic="Db",
    mode="major",
    tempo=110,
    seed=6,
    sections=(
        Section("intro", "Db | Ab"),
        Section(
            "verse",
            "Db | Bbm7 | Gb | Ab | Db | Bbm7 | Ebm7 | Ab",
            """Ab4:2 Ab4:2 F4:2 Ab4:2 Db5:4 C5:2 Bb4:2 | Bb4:6 Ab4:2 F4:6 r:2
            | Gb4:2 Gb4:2 Bb4:2 Db5:2 Db5:4 C5:2 Bb4:2 | C5:6 Bb4:2 Ab4:6 r:2
            | Ab4:2 Ab4:2 F4:2 Ab4:2 Db5:4 C5:2 Bb4:2 | Bb4:4 Db5:4 Bb4:6 r:2
            | r:2 Gb4:2 Bb4:2 Db5:2 Eb5:4 Db5:2 Bb4:2 | C5:8 Ab4:4 C5:4""",
            "よぞらにうまれ ゆれる あおいまどべの ゆめよ だれもがみない よるに ぐるぐるまわ るよる",
        ),
        Section(
            "chorus",
            "Db | Fm7 | Gb | Ab | Db | Bbm7 | Gb Ab7 | Db",
            """Db5:6 Ab4:2 F4:4 Ab4:4 | C5:6 Ab4:2 Ab4:6 r:2
            | Bb4:4 Db5:4 Bb4:2 Ab4:2 Gb4:4 | Ab4:4 C5:4 Eb5:4 C5:4
            | Db5:6 Ab4:2 F4:4 Ab4:4 | Bb4:6 Db5:2 Bb4:6 r:2
            | Bb4:4 Gb4:4 Ab4:4 C5:4 | Db5:14 r:2""",
            "なまえを よべば あおいよる がうまれ よぞらの なみに ゆられる よ",
        ),
        Section("end", "Db"),
    ),
    drums=Drums(
        program=24,
        level=-20,
        grooves={
            "intro": {"kick": "X.......X.......", "hat": "x.x.x.x.x.x.x.x."},
            "verse": {
                "kick": "X.....x.X.......",
                "snare": "....X.......X...",
                "hat": "x.xox.x.x.xox.x.",
            },
            "chorus": {
                "kick": "X.....x.X..x....",
                "snare": "....X.......X...",
                "clap": "....x.......x...",
                "hat": "xoxoxoxoxoxoxoxo",
            },
            "end": {"kick": "X...............", "hat": "....o...o...o..."},
        },
        fill={
            "kick": "X.......X.......",
            "snare": "....X.......X...",
            "hat": "x.x.x.x.........",
            "tom1": "..........x.....",
            "tom2": ".............xx.",
            "tom3": "...............x",
        },
    ),
    parts=(
        Part(
            program=39,
            stem="bass",
            level=-21,
            centre=39,
            patterns={
                "intro": "R.R.R.R.R.R.R.R.",
                "verse": "R.R.R.R.R.R.R.a.",
                "chorus": "R.R8R.R8R.R85.a.",
                "end": "R---------------",
            },
        ),
        Part(
            program=50,
            stem="other",
            level=-26,
            centre=61,
            pan=-0.25,
            patterns={
                "intro": "x---------------",
                "verse": "x---------------",
                "chorus": "x---------------",
                "end": "x---------------",
            },
        ),
        Part(
            program=90,
            stem="other",
            level=-28,
            centre=66,
            pan=0.45,
            patterns={
                "intro": "0-2-1-2-3-2-1-2-",
                "verse": "0.2.1.2.3.2.1.2.",
                "chorus": "0.213.210.213.21",
            },
        ),
        Part(
            program=62,
            stem="other",
            level=-28,
            centre=62,
            pan=0.1,
            patterns={"chorus": "X-....x-X-....x-", "end": "X---------------"},
        ),
    ),
)

SONGS = (
    HARBOUR_LIGHTS,
    SLOW_RIVER,
    GLASS_ELEVATOR,
    POCKET_CHANGE,
    MANGO_SEASON,
    SATELLITE_LETTERS,
)
