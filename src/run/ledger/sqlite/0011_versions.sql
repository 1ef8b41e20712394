-- Versions that are of no stream: those of upkeep and of quarantines. A row without a version is work that was
-- tried. What the ledger holds against a log that is rolled back.
CREATE TABLE versions (
    dataset TEXT    NOT NULL,
    run_id  TEXT    NOT NULL,
    version INTEGER,
    receipt TEXT
) STRICT;

CREATE UNIQUE INDEX versions_by_dataset ON versions (dataset, run_id, version);
