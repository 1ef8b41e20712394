-- What the attempts of a run come to. No row: it has not begun yet, or it is of a time without these.
CREATE TABLE run_turns (
    run_id        TEXT   NOT NULL PRIMARY KEY,
    attempt       BIGINT NOT NULL,
    -- When the process that runs it last said that it does.
    heartbeat_ms  BIGINT,
    -- A run that waits for its next attempt: not earlier than this.
    not_before_ms BIGINT,
    -- Why the last attempt did not succeed.
    error         TEXT
);
