-- When a daemon last said that a run which is queued waits with it.
ALTER TABLE runs ADD COLUMN waited_ms BIGINT;
