-- The audit trail (DESIGN §4): what was changed, what is being changed, and nothing that takes either
-- back. docs/audit-format.md says how the rows are chained.

CREATE TABLE audit_events (
    seq                 INTEGER PRIMARY KEY,          -- the order of the trail, from 1, without gaps
    id                  TEXT NOT NULL UNIQUE          -- UUIDv7: known before the row is, and told to the caller
                        CHECK (length(id) = 36),
    occurred_at         TEXT NOT NULL                 -- text, RFC 3339 in UTC with milliseconds: sorts as it reads
                        CHECK (occurred_at GLOB '????-??-??T??:??:??.???Z'),
    completed_at        TEXT NOT NULL                 -- the same; when the outcome was known, not when the row was written
                        CHECK (completed_at GLOB '????-??-??T??:??:??.???Z'),
    duration_ms         INTEGER NOT NULL,             -- from a clock that never jumps, so not the difference of the two
    action              TEXT NOT NULL,                -- open: later versions add actions without a new schema
    outcome             TEXT NOT NULL                 -- closed: a reader must know all of them to trust a filter
                        CHECK (outcome IN ('applied', 'partial', 'rejected', 'unknown', 'not_sent')),
    actor_user_id       INTEGER,                      -- NULL until GET /me told; then `identities` has it
    actor_email         TEXT,                         -- from GET /me, or from a credential that is email:password
    actor_name          TEXT,
    credential_id       TEXT,                         -- a keyed hash; NULL for a request without a credential
    tool                TEXT,                         -- the label of the tool's base URL
    on_behalf_of        TEXT,                         -- what a trusted tool said; nobody checked it
    client_ip           TEXT,                         -- behind a trusted proxy, the address that it forwarded for
    user_agent          TEXT,
    request_id          TEXT,                         -- as in the log and on the answer
    upstream_request_id TEXT,                         -- what upstream's support asks for
    organization_id     INTEGER,
    workspace_id        INTEGER,
    group_id            INTEGER,                      -- NULL for several groups: see audit_event_groups
    group_name          TEXT,                         -- as it was called then: numbers outlive names
    project_id          INTEGER,
    project_group_id    INTEGER,
    method              TEXT NOT NULL,
    path                TEXT NOT NULL,                -- tokens and codes in it are keyed hashes already
    query               TEXT,
    status              INTEGER,                      -- upstream's; NULL where no answer came
    request_body        TEXT,                         -- text, not parsed JSON: what a tool sent may not parse
    response_body       TEXT,
    body_digest         TEXT,                         -- BYTES:HEX of every request body, kept or not
    relations           TEXT NOT NULL                 -- JSON array: other events that this one has to do with
                        CHECK (json_valid(relations)),
    flags               TEXT NOT NULL                 -- JSON array of words
                        CHECK (json_valid(flags)),
    before              TEXT                          -- JSON: the group as it was; NULL where unknown or none
                        CHECK (before IS NULL OR json_valid(before)),
    after               TEXT                          -- JSON: the group as it is now
                        CHECK (after IS NULL OR json_valid(after)),
    changes             TEXT NOT NULL                 -- JSON array: the difference, which `group_changes` unfolds
                        CHECK (json_valid(changes)),
    summary             TEXT NOT NULL,                -- stored, not computed: what was said then stays said
    format              INTEGER NOT NULL,             -- which layout the hash covers
    salt                BLOB NOT NULL                 -- random; makes the commitments to personal columns unguessable
                        CHECK (length(salt) = 16),
    prev_hash           TEXT NOT NULL                 -- hexadecimal, so that people can compare it
                        CHECK (length(prev_hash) = 64),
    hash                TEXT NOT NULL CHECK (length(hash) = 64)
) STRICT;

-- The groups of an event that concerns several, so that each finds it. Follows from `changes`.
CREATE TABLE audit_event_groups (
    seq             INTEGER NOT NULL REFERENCES audit_events (seq),
    organization_id INTEGER,                          -- repeated from the event; NULL where it names none
    group_id        INTEGER NOT NULL,
    PRIMARY KEY (seq, group_id)
) STRICT, WITHOUT ROWID;

-- Changes on their way: written before the request leaves, removed with the event that tells the outcome.
CREATE TABLE audit_intents (
    id          TEXT PRIMARY KEY,                     -- the id of the event to come
    occurred_at TEXT NOT NULL,                        -- the order in which a start makes events of what is left
    intent      TEXT NOT NULL CHECK (json_valid(intent)) -- whole: the event must not depend on anything else
) STRICT;

-- Where in the trail an hour's events are. Rows are in the order of their outcomes, filters ask for when
-- requests came: this turns a time into a range of `seq`, so that pages stay in order without sorting.
CREATE TABLE audit_hours (
    hour      TEXT PRIMARY KEY,                       -- the first 13 characters of occurred_at
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: what a check of the store writes, to know that it can.
CREATE TABLE store_checks (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    checked_at TEXT NOT NULL
) STRICT;

-- === append-only ===

CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: a row is never changed');
END;

CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: a row is never deleted');
END;

-- Also stops INSERT OR REPLACE, for which no DELETE trigger fires, and a second writer's fork.
CREATE TRIGGER audit_events_only_appended BEFORE INSERT ON audit_events
WHEN new.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit_events)
    OR new.prev_hash <> coalesce((SELECT hash FROM audit_events ORDER BY seq DESC LIMIT 1), new.prev_hash)
    OR EXISTS (SELECT 1 FROM audit_events WHERE id = new.id)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: a new row follows the last one and has an id of its own');
END;

CREATE TRIGGER audit_event_groups_no_update BEFORE UPDATE ON audit_event_groups
BEGIN
    SELECT RAISE(ABORT, 'audit_event_groups is append-only: a row is never changed');
END;

CREATE TRIGGER audit_event_groups_no_delete BEFORE DELETE ON audit_event_groups
BEGIN
    SELECT RAISE(ABORT, 'audit_event_groups is append-only: a row is never deleted');
END;

CREATE TRIGGER audit_events_hour AFTER INSERT ON audit_events
BEGIN
    INSERT INTO audit_hours (hour, first_seq, last_seq)
    VALUES (substr(new.occurred_at, 1, 13), new.seq, new.seq)
    ON CONFLICT (hour) DO UPDATE SET last_seq = excluded.last_seq;
END;

-- === what filters ask for ===
-- An index ends with the rowid, which is `seq`: each of these gives its matches newest first.

CREATE INDEX audit_events_by_organization ON audit_events (organization_id);
CREATE INDEX audit_events_by_group ON audit_events (group_id);
CREATE INDEX audit_events_by_action ON audit_events (action);
CREATE INDEX audit_events_by_outcome ON audit_events (outcome);
CREATE INDEX audit_events_by_credential ON audit_events (credential_id);
CREATE INDEX audit_events_by_user ON audit_events (actor_user_id);
CREATE INDEX audit_events_by_email ON audit_events (actor_email COLLATE NOCASE);
CREATE INDEX audit_events_by_name ON audit_events (actor_name COLLATE NOCASE);
CREATE INDEX audit_events_by_time ON audit_events (occurred_at); -- for people, who order the views by it
CREATE INDEX audit_event_groups_by_group ON audit_event_groups (group_id, seq);
