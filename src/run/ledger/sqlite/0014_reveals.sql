-- How many pseudonyms were turned back into values: for each actor and rule of a policy (a digest of what the rule
-- says), by minutes since 1970. Rows of more than an hour ago go.
CREATE TABLE reveals (
    actor  TEXT    NOT NULL,
    rule   TEXT    NOT NULL,
    minute INTEGER NOT NULL,
    taken  INTEGER NOT NULL,
    PRIMARY KEY (actor, rule, minute)
) STRICT, WITHOUT ROWID;
