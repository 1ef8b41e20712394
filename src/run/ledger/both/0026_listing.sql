-- Runs are listed page by page, newest first.
CREATE INDEX runs_by_age ON runs (created_ms, run_id);
