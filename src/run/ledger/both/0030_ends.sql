-- Which end of its pipeline's runs this one was, counted from 1: clocks may be wrong. 0: it is not over, or it is of a time
-- without these.
ALTER TABLE runs ADD COLUMN ended BIGINT NOT NULL DEFAULT 0;

CREATE INDEX runs_by_ended ON runs (pipeline, ended);
