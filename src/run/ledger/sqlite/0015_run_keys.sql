-- Which run was asked for under a caller's own key. `digest` is SHA-256 of who asked and the key. Rows of more than a
-- day ago go.
CREATE TABLE run_keys (
    digest     TEXT    NOT NULL PRIMARY KEY,
    run_id     TEXT    NOT NULL REFERENCES runs (run_id),
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX run_keys_by_age ON run_keys (created_ms);
