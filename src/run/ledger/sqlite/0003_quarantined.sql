-- Rows of a stream that went to its quarantine.
ALTER TABLE run_streams ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;
