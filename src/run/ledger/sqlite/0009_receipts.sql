-- SHA-256 of the receipt of the published version: what the ledger holds against a log that is rolled back.
ALTER TABLE run_streams ADD COLUMN receipt TEXT;

CREATE INDEX run_streams_by_dataset ON run_streams (dataset, version);
