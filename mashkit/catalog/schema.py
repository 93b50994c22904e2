"""Define the database's tables, and convert databases that an older mashkit wrote."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable

from mashkit.atomicfile import transaction

INDEX = "index.sqlite"
"""Name of the SQLite file in the database's folder."""
OBJECTS = "objects"
"""Name of the folder of stems and features in the database's folder."""
SCHEMA_VERSION = 3
"""Version of the tables. Add 1 when a table changes, and add the conversion to :data:`_STEPS`."""

COLUMNS = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
"""SQL query: table and name of every column."""

_TABLES = """
CREATE TABLE songs (
    number INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,   -- of the decoded samples
    path TEXT NOT NULL,            -- where it was when it was last added
    title TEXT NOT NULL,
    licence TEXT NOT NULL,
    sample_rate INTEGER NOT NULL,  -- of the first file, with channels and frames: a quick look at a file's header
    channels INTEGER NOT NULL,     -- tells whether it may be one of these
    frames INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    notes TEXT NOT NULL,           -- JSON list
    protocol TEXT NOT NULL,
    source TEXT NOT NULL,          -- JSON: data set, number, labels
    stems TEXT NOT NULL,           -- JSON: name to path, of true stems
    excerpts TEXT,                 -- JSON: the parts its protocol names, where it does
    known TEXT,                    -- JSON: what labels say of the whole song
    holds TEXT,                    -- JSON list of the roles in it, where it is no whole song
    sound TEXT,                    -- JSON: peak, and where it is silent; NULL where an older mashkit decoded it
    recording TEXT                 -- the song whose recording it is; itself where a person said so; NULL: itself
        REFERENCES songs (sha256) ON DELETE SET NULL
);
CREATE INDEX songs_by_header ON songs (frames, sample_rate, channels);

CREATE TABLE files (               -- what is known of files without decoding them
    digest TEXT PRIMARY KEY,       -- of the bytes; older mashkits also stored one of names, sizes and times
    song TEXT NOT NULL REFERENCES songs (sha256) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX files_of_song ON files (song);

CREATE TABLE prints (              -- what songs sound like (mashkit.features.soundprint)
    song TEXT PRIMARY KEY REFERENCES songs (sha256) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    words BLOB NOT NULL,           -- little-endian uint16: to find songs that may be alike
    shape BLOB NOT NULL            -- to compare two
) WITHOUT ROWID;

CREATE TABLE objects (
    sha256 TEXT PRIMARY KEY,
    suffix TEXT NOT NULL,
    bytes INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE results (             -- what separators and analyzers said, by a key of all it depends on
    key TEXT PRIMARY KEY,
    song TEXT NOT NULL REFERENCES songs (sha256) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    value TEXT NOT NULL            -- JSON
) WITHOUT ROWID;
CREATE INDEX results_of_song ON results (song);

CREATE TABLE components (          -- what made stems and analyses, as Component.describe has it
    fingerprint TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    description TEXT NOT NULL      -- JSON
) WITHOUT ROWID;

CREATE TABLE clips (               -- narrow: a generator reads all of it
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    place INTEGER NOT NULL,        -- of the id, in an order that does not depend on when clips were added
    song INTEGER NOT NULL REFERENCES songs ON DELETE CASCADE,
    duration_s REAL NOT NULL,
    tonic INTEGER NOT NULL,        -- of the relative major, C = 0; -1 unknown
    minor INTEGER NOT NULL,
    tempo REAL,
    tuning REAL,                   -- cents from A = 440 Hz
    downbeats INTEGER NOT NULL,
    vocal REAL NOT NULL,           -- activity of each role
    harmonic REAL NOT NULL,
    percussion REAL NOT NULL,
    bar INTEGER NOT NULL DEFAULT 0, -- beats a bar; 0 unknown
    doubtful INTEGER NOT NULL DEFAULT 0 -- whether that is (mashkit.timing.metre)
);
CREATE INDEX clips_of_song ON clips (song);

CREATE TABLE details (             -- wide: read when a clip is touched
    number INTEGER PRIMARY KEY REFERENCES clips ON DELETE CASCADE,
    start_s REAL NOT NULL,
    excerpt_start_s REAL NOT NULL, -- what the clip was cut from
    excerpt_s REAL NOT NULL,
    on_downbeats INTEGER NOT NULL,
    sample_rate INTEGER NOT NULL,
    label TEXT NOT NULL,
    beats BLOB,                    -- little-endian float64, seconds
    downbeats BLOB,
    grid BLOB,                     -- the beats numbered and smoothed (mashkit.timing.beatmap), the same way
    grid_facts TEXT NOT NULL,      -- JSON: version, bar, downbeat, jitter; or why the beats are distrusted
    rest TEXT NOT NULL,            -- JSON: the rest of the analysis, loudness and entries
    edited TEXT NOT NULL,          -- JSON list of fields
    features TEXT REFERENCES objects,
    separator TEXT NOT NULL REFERENCES components,
    analyzer TEXT NOT NULL REFERENCES components
);

CREATE TABLE stems (
    number INTEGER NOT NULL REFERENCES clips ON DELETE CASCADE,
    role TEXT NOT NULL,
    object TEXT NOT NULL REFERENCES objects,
    halvings INTEGER NOT NULL,
    first INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    PRIMARY KEY (number, role)
) WITHOUT ROWID;
CREATE INDEX stems_of_object ON stems (object);

CREATE TABLE edits (               -- what a person said; survives whatever is computed anew
    song TEXT NOT NULL REFERENCES songs (sha256) ON DELETE CASCADE,
    excerpt_start_s REAL NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,           -- JSON
    analyzer TEXT NOT NULL,        -- whose finding was corrected; "" if the value is locked: it holds against any
    PRIMARY KEY (song, excerpt_start_s, field)
) WITHOUT ROWID;

CREATE TABLE failures (            -- songs that could not be used, when they were last tried
    path TEXT PRIMARY KEY,
    error TEXT NOT NULL,
    fix TEXT
) WITHOUT ROWID;
"""


def _create(database: sqlite3.Connection) -> None:
    for statement in _statements(_TABLES):
        database.execute(statement)


def _from_1(database: sqlite3.Connection) -> None:
    """Convert version 1, a cache: its results have keys that are no longer used, so all stems are computed anew."""
    database.execute("DROP TABLE results")
    _create(database)


def _from_2(database: sqlite3.Connection) -> None:
    """Convert version 2, which had no columns for tuning, metre, missing roles, level, silence and soundprints.

    The metre is copied from the beat grid. When a song is added again, its tuning is measured on the stored stems, and
    the other values are computed from the decoded song.
    """
    database.execute("ALTER TABLE clips ADD COLUMN tuning REAL")
    database.execute("ALTER TABLE clips ADD COLUMN bar INTEGER NOT NULL DEFAULT 0")
    database.execute("ALTER TABLE clips ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0")
    database.execute(
        "UPDATE clips SET bar = coalesce((SELECT json_extract(grid_facts, '$.bar') FROM details d"
        " WHERE d.number = clips.number), 0)"
    )
    for column in ("holds", "sound"):
        database.execute(f"ALTER TABLE songs ADD COLUMN {column} TEXT")
    database.execute("ALTER TABLE songs ADD COLUMN recording TEXT REFERENCES songs (sha256) ON DELETE SET NULL")
    database.execute(next(one for one in _statements(_TABLES) if one.startswith("CREATE TABLE prints")))


_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {0: _create, 1: _from_1, 2: _from_2}
"""Conversions to the current tables, by the version they start from; version 0 is an empty file."""


def migrate(database: sqlite3.Connection) -> None:
    """Convert a database to :data:`SCHEMA_VERSION` in one transaction; other processes that open it wait."""
    with transaction(database):
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version < SCHEMA_VERSION:
            _STEPS[version](database)
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def lacking(present: Iterable[tuple[str, str]]) -> list[str]:
    """Return the tables and columns that a database of :data:`SCHEMA_VERSION` should have but has not.

    Parameters
    ----------
    present : iterable of (str, str)
        What :data:`COLUMNS` returns for the database.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        _create(empty)
        wanted = empty.execute(COLUMNS).fetchall()
    have = set(present)
    tables = {table for table, _ in have}
    found = [f"has no table {table}" if table not in tables else f"has no column {table}.{column}"
             for table, column in wanted if (table, column) not in have]  # fmt: skip
    return list(dict.fromkeys(found))


def _statements(script: str) -> list[str]:
    # executescript() is not used because it commits first, so that an error could leave a part of the tables.
    without_comments = "\n".join(line.partition("--")[0] for line in script.splitlines())
    return [statement.strip() for statement in without_comments.split(";") if statement.strip()]
