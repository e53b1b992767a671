-- What shows that the trail is the one that was written, beside its own chain.

-- One row: which trail this is, so that a checkpoint of another one proves nothing here.
CREATE TABLE audit_database (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    id         TEXT NOT NULL,                         -- random, hexadecimal
    created_at TEXT NOT NULL
) STRICT;

INSERT INTO audit_database (only, id, created_at)
VALUES (1, lower(hex(randomblob(16))), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
