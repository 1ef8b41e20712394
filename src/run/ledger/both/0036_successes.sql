-- When a pipeline last succeeded is asked for each scheduled one, and runs are kept for good.
CREATE INDEX runs_by_success ON runs (pipeline, finished_ms) WHERE state = 'succeeded';
