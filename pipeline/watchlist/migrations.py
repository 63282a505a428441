"""The tables of the watchlist, and how an older file becomes a newer one."""

from pipeline.store.sqlite import Format

APPLICATION_ID = 0x6D757365  # "muse", in the file's header

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE watchlist (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            version INTEGER NOT NULL
        ) STRICT""",
        "INSERT INTO watchlist VALUES (1, 0)",
        """CREATE TABLE identity (
            id TEXT PRIMARY KEY,
            name TEXT,
            purpose TEXT,
            valid_until TEXT,
            created_at TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE enrolment (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            identity_id TEXT NOT NULL REFERENCES identity ON DELETE CASCADE,
            kind TEXT NOT NULL CHECK (kind = 'picture'),
            picture BLOB NOT NULL,
            sha256 TEXT NOT NULL,
            added_at TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX enrolment_of_identity ON enrolment (identity_id)",
        """CREATE TABLE vector (
            enrolment_id INTEGER NOT NULL REFERENCES enrolment ON DELETE CASCADE,
            engine_digest TEXT NOT NULL,
            float16 BLOB NOT NULL,
            PRIMARY KEY (enrolment_id, engine_digest)
        ) STRICT, WITHOUT ROWID""",
    ),
    (  # texts beside pictures; ids go on where they were, since running pipelines know enrolments by them
        """CREATE TABLE enrolment_2 (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            identity_id TEXT NOT NULL REFERENCES identity ON DELETE CASCADE,
            kind TEXT NOT NULL CHECK (kind IN ('picture', 'text')),
            content BLOB NOT NULL,
            sha256 TEXT NOT NULL,
            added_at TEXT NOT NULL
        ) STRICT""",
        "INSERT INTO enrolment_2 SELECT id, identity_id, kind, picture, sha256, added_at FROM enrolment",
        "DELETE FROM sqlite_sequence WHERE name = 'enrolment_2'",
        "INSERT INTO sqlite_sequence SELECT 'enrolment_2', seq FROM sqlite_sequence WHERE name = 'enrolment'",
        """CREATE TABLE vector_2 (
            enrolment_id INTEGER NOT NULL REFERENCES enrolment_2 ON DELETE CASCADE,
            engine_digest TEXT NOT NULL,
            float16 BLOB NOT NULL,
            PRIMARY KEY (enrolment_id, engine_digest)
        ) STRICT, WITHOUT ROWID""",
        "INSERT INTO vector_2 SELECT * FROM vector",
        "DROP TABLE vector",
        "DROP TABLE enrolment",
        "ALTER TABLE enrolment_2 RENAME TO enrolment",
        "ALTER TABLE vector_2 RENAME TO vector",
        "CREATE INDEX enrolment_of_identity ON enrolment (identity_id)",
    ),
    (  # which shared watchlist this is, or follows, and what of it has been seen
        "ALTER TABLE watchlist ADD COLUMN own_id TEXT",
        "ALTER TABLE watchlist ADD COLUMN follows_id TEXT",
        "ALTER TABLE watchlist ADD COLUMN listed_version INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE identity ADD COLUMN listed_at INTEGER",
    ),
)

WATCHLIST = Format("watchlist", STEPS, mark=APPLICATION_ID)
