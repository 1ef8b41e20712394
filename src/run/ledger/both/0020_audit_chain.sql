-- Entries from before they were chained; each is taken over into the chain when the store is opened next.
ALTER TABLE audit RENAME TO audit_unchained;

-- The audit trail: each entry holds the SHA-256 of the one before it. Entries are only ever added.
CREATE TABLE audit (
    seq     BIGINT NOT NULL PRIMARY KEY,
    at_ms   BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    outcome TEXT   NOT NULL,
    prev    TEXT   NOT NULL,
    hash    TEXT   NOT NULL
);

CREATE INDEX audit_by_action ON audit (action, seq);

-- The newest entry, of the trail of this name. One row; who adds an entry holds it.
CREATE TABLE audit_head (
    id    BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    trail TEXT   NOT NULL,
    seq   BIGINT NOT NULL,
    hash  TEXT   NOT NULL
);

-- What was signed: the trail had this entry, of this hash, at this time.
CREATE TABLE audit_checkpoints (
    trail     TEXT   NOT NULL,
    seq       BIGINT NOT NULL,
    hash      TEXT   NOT NULL,
    at_ms     BIGINT NOT NULL,
    signer    TEXT   NOT NULL,
    signature TEXT   NOT NULL,
    PRIMARY KEY (seq, signature)
);
