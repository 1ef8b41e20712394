-- Parts of full loads that are written and not yet published. What the files are called and what is in
-- the clear in them is sealed with a key of the dataset.
CREATE TABLE run_parts (
    run_id      TEXT    NOT NULL REFERENCES runs (run_id),
    stream      TEXT    NOT NULL,
    part        INTEGER NOT NULL,
    -- What was asked for: documents, columns, parts.
    asked       TEXT    NOT NULL,
    -- The source's name for the instant.
    instant     TEXT,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    manifest    TEXT    NOT NULL,
    PRIMARY KEY (run_id, stream, part)
) STRICT;
