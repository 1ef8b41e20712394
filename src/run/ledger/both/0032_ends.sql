-- The order in which runs came to their ends, which no clock makes. `end_seq` counts from 1; 0 has a run that is not over, and
-- one that was restored from what it published.
ALTER TABLE runs ADD COLUMN end_seq BIGINT NOT NULL DEFAULT 0;

UPDATE runs SET end_seq = ended.seq
FROM (SELECT run_id AS ended_id, row_number() OVER (ORDER BY finished_ms, run_id) AS seq
      FROM runs WHERE finished_ms IS NOT NULL) AS ended
WHERE runs.run_id = ended.ended_id;

-- The last number that was given. One row; who gives one holds it until all is committed, so that ends become visible in
-- their order.
CREATE TABLE run_ends (
    id  BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL
);

INSERT INTO run_ends (id, seq) SELECT 1, coalesce(max(end_seq), 0) FROM runs;

DROP INDEX runs_by_end;
CREATE INDEX runs_by_end ON runs (end_seq);
CREATE INDEX runs_by_success ON runs (pipeline, end_seq, finished_ms) WHERE state = 'succeeded';

-- Up to which end was looked, and which end an alert is about.
ALTER TABLE watch_marks RENAME COLUMN at_ms TO seq;
UPDATE watch_marks
SET seq = (SELECT coalesce(max(runs.end_seq), 0) FROM runs WHERE runs.finished_ms <= watch_marks.seq);
UPDATE alert_states SET mark = '';

-- `since_ms`: what falls due after it is to have a run; before, the schedule was not there, or rested. `gone_ms`: since when
-- the pipeline, or its schedule, is not there.
ALTER TABLE schedules ADD COLUMN since_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE schedules ADD COLUMN gone_ms BIGINT;
UPDATE schedules SET since_ms = through_ms;
