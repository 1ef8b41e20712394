-- How far the schedule of each pipeline was handled. `timing` is what the schedule says: another one begins anew.
-- `followed` is which runs and versions of others had their run, for schedules that follow others.
CREATE TABLE schedules (
    pipeline   TEXT   NOT NULL PRIMARY KEY,
    timing     TEXT   NOT NULL,
    through_ms BIGINT NOT NULL,
    followed   TEXT   NOT NULL
);

-- Pipelines whose schedule rests.
CREATE TABLE pauses (
    pipeline  TEXT   NOT NULL PRIMARY KEY,
    actor     TEXT   NOT NULL,
    paused_ms BIGINT NOT NULL
);
