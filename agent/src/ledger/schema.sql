-- Times are milliseconds since 1970, UTC.
CREATE TABLE operations (
    id       INTEGER PRIMARY KEY,
    app      TEXT,
    verb     TEXT NOT NULL,
    version  TEXT,
    previous TEXT,
    slot     TEXT,
    why      TEXT,
    who      TEXT NOT NULL,
    begun    INTEGER NOT NULL,
    ended    INTEGER,
    outcome  TEXT NOT NULL,
    message  TEXT
) STRICT;
CREATE INDEX operations_of_app ON operations (app, id);
CREATE TABLE steps (
    operation INTEGER NOT NULL REFERENCES operations (id),
    step      TEXT NOT NULL,
    begun     INTEGER NOT NULL
) STRICT;
CREATE INDEX steps_of_operation ON steps (operation);
CREATE TABLE releases (
    app      TEXT NOT NULL,
    version  TEXT NOT NULL,
    manifest TEXT NOT NULL,
    signer   TEXT NOT NULL,
    git      TEXT NOT NULL,
    bytes    INTEGER NOT NULL,
    staged   INTEGER NOT NULL,
    verdict  TEXT NOT NULL,
    PRIMARY KEY (app, version)
) STRICT;
CREATE TABLE servings (
    id      INTEGER PRIMARY KEY,
    app     TEXT NOT NULL,
    version TEXT NOT NULL,
    slot    TEXT NOT NULL,
    since   INTEGER NOT NULL
) STRICT;
CREATE INDEX servings_of_app ON servings (app, id);
CREATE TABLE warm (
    app        TEXT PRIMARY KEY,
    slot       TEXT NOT NULL,
    until_time INTEGER NOT NULL
) STRICT;
CREATE TABLE migrations (
    app      TEXT NOT NULL,
    manifest TEXT NOT NULL,
    ran      INTEGER NOT NULL,
    PRIMARY KEY (app, manifest)
) STRICT;
