-- Messages on their way to others: alerts and lineage. `place` is a digest of where one goes, `told` says what it tells, so
-- that it is told once. Delivered ones are kept for a day. Names and counts only: no row value ever enters.
CREATE TABLE outbox (
    message_id   TEXT   NOT NULL PRIMARY KEY,
    told         TEXT   NOT NULL UNIQUE,
    place        TEXT   NOT NULL,
    body         TEXT   NOT NULL,
    created_ms   BIGINT NOT NULL,
    due_ms       BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    delivered_ms BIGINT
);

CREATE INDEX outbox_by_place ON outbox (place, delivered_ms, message_id);

-- What each alert last said of a pipeline: `aspect` is `run` or `late`, `state` is `fine` or what is wrong. It is about the
-- run, or the time, that `mark` names; older ones change it no more.
CREATE TABLE alert_states (
    alert    TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    aspect   TEXT NOT NULL,
    state    TEXT NOT NULL,
    mark     TEXT NOT NULL,
    PRIMARY KEY (alert, pipeline, aspect)
);

-- How far the ends of runs were looked at.
CREATE TABLE watch_marks (
    name  TEXT   NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL
);

CREATE INDEX runs_by_end ON runs (finished_ms);
