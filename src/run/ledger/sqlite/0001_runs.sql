-- Runs, and what each published. Times are Unix milliseconds. No row value ever enters.
CREATE TABLE runs (
    run_id      TEXT    NOT NULL PRIMARY KEY,
    pipeline    TEXT    NOT NULL,
    spec_digest TEXT    NOT NULL,
    "trigger"   TEXT    NOT NULL CHECK ("trigger" IN ('cli', 'api', 'schedule')),
    state       TEXT    NOT NULL
        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'held', 'cancelled')),
    outcome     TEXT,
    error       TEXT,
    created_ms  INTEGER NOT NULL,
    started_ms  INTEGER,
    finished_ms INTEGER
) STRICT;

CREATE INDEX runs_by_pipeline ON runs (pipeline, created_ms);
CREATE INDEX runs_unfinished ON runs (pipeline) WHERE state IN ('queued', 'running');

CREATE TABLE run_streams (
    run_id  TEXT    NOT NULL REFERENCES runs (run_id),
    stream  TEXT    NOT NULL,
    dataset TEXT    NOT NULL,
    version INTEGER,
    rows    INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    seconds REAL    NOT NULL,
    state   TEXT    NOT NULL CHECK (state IN ('published', 'failed', 'held', 'cancelled')),
    PRIMARY KEY (run_id, stream)
) STRICT;
