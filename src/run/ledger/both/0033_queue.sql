-- What waits is looked for every few seconds, however many runs there were.
CREATE INDEX runs_waiting ON runs (created_ms, run_id) WHERE state = 'queued';
