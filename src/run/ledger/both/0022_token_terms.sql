-- What became of a token since it was made, and what it is limited to. `pipelines` holds patterns of names, one a line;
-- none is no limit. A token that was revoked keeps its name: the trail speaks of it.
CREATE TABLE token_terms (
    name         TEXT   NOT NULL PRIMARY KEY,
    pipelines    TEXT   NOT NULL,
    last_used_ms BIGINT,
    revoked_ms   BIGINT
);
