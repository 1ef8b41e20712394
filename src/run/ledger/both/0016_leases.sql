-- Who may do what only one may: run a pipeline, keep up a dataset. Used where several machines share the store; on one
-- machine the operating system's file locks do. A row stays when it is let go, so that `epoch` only ever grows: who holds
-- an older one is out, whatever it still believes.
CREATE TABLE leases (
    name       TEXT   NOT NULL PRIMARY KEY,
    holder     TEXT   NOT NULL,
    epoch      BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

-- The epoch of its pipeline's lease under which a run began, and the process that has it. None before it began, and where
-- leases are file locks.
ALTER TABLE runs ADD COLUMN epoch BIGINT;
ALTER TABLE runs ADD COLUMN holder TEXT;
