-- What shows that the trail is the one that was written, beside its own chain.

-- One row: which trail this is, so that a checkpoint of another one proves nothing here.
CREATE TABLE audit_database (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    id         TEXT NOT NULL,                         -- random, hexadecimal
    created_at TEXT NOT NULL
) STRICT;

INSERT INTO audit_database (only, id, created_at)
VALUES (1, lower(hex(randomblob(16))), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));

-- What was signed of this trail, so that the newest can be shown. The copies that count are elsewhere.
CREATE TABLE audit_checkpoints (
    seq  INTEGER PRIMARY KEY,                         -- the last row then
    note TEXT NOT NULL                                -- the signed note
) STRICT;

-- === redactions ===

-- What a row can still be checked with after a person was erased from it. An entry holds nothing of them:
-- the salt of its commitments is gone. The event `tollgate.redact` holds a digest over its entries.
CREATE TABLE audit_redactions (
    redaction_seq INTEGER NOT NULL,                   -- the row of the event
    seq           INTEGER NOT NULL,                   -- the row that holds no longer what was written
    commitments   TEXT NOT NULL                       -- JSON: column -> commitment to what was written, or null
                  CHECK (json_valid(commitments)),
    content_hash  TEXT NOT NULL                       -- SHA-256 over the row as the redaction left it
                  CHECK (length(content_hash) = 64),
    PRIMARY KEY (redaction_seq, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_redactions_by_row ON audit_redactions (seq, redaction_seq);

CREATE TRIGGER audit_redactions_no_update BEFORE UPDATE ON audit_redactions
BEGIN
    SELECT RAISE(ABORT, 'audit_redactions is append-only: a row is never changed');
END;

-- === prunes ===

-- Up to which row the newest prune removes. Rows up to there may be deleted, and no other: the event comes
-- first, so that a prune that was interrupted has said what it was about.
CREATE VIEW audit_pruned AS
SELECT coalesce((
    SELECT json_extract(after, '$.up_to_seq') FROM audit_events
    WHERE action = 'tollgate.prune' AND outcome = 'applied' ORDER BY seq DESC LIMIT 1
), 0) AS up_to_seq;

DROP TRIGGER audit_events_no_delete;
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
WHEN old.seq > (SELECT up_to_seq FROM audit_pruned)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: a row is never deleted, but by a prune that says so');
END;

DROP TRIGGER audit_event_groups_no_delete;
CREATE TRIGGER audit_event_groups_no_delete BEFORE DELETE ON audit_event_groups
WHEN old.seq > (SELECT up_to_seq FROM audit_pruned)
BEGIN
    SELECT RAISE(ABORT, 'audit_event_groups is append-only: a row is never deleted, but by a prune that says so');
END;

CREATE TRIGGER audit_redactions_no_delete BEFORE DELETE ON audit_redactions
WHEN old.redaction_seq > (SELECT up_to_seq FROM audit_pruned)
BEGIN
    SELECT RAISE(ABORT, 'audit_redactions is append-only: a row is never deleted, but by a prune that says so');
END;
