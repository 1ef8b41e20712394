-- When a run was asked to stop by a daemon that is not at it: the one that is looks with each sign of life.
ALTER TABLE run_turns ADD COLUMN cancel_ms BIGINT;
