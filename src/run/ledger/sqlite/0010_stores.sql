-- Stores that were found to keep what publishing relies on, and when that was tested last.
CREATE TABLE stores (
    place     TEXT    NOT NULL PRIMARY KEY,
    tested_ms INTEGER NOT NULL
) STRICT;
