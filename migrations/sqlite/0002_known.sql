-- What the gateway knows of the world upstream. None of it is evidence: it can be lost and learned anew.
-- A row with NULLs is something that is gone; it stays, so that older news cannot bring it back.

CREATE TABLE known_groups (
    group_id        INTEGER PRIMARY KEY,
    organization_id INTEGER,                          -- NULL where only a workspace's list told of it
    state           TEXT,                             -- JSON as upstream shows it; NULL: the group is gone
    seen_at         TEXT NOT NULL                     -- from when on it was true; older news never overwrites it
) STRICT;

CREATE TABLE known_project_groups (
    project_group_id INTEGER PRIMARY KEY,
    workspace_id     INTEGER,                         -- all three NULL: the row is gone
    group_id         INTEGER,
    project_id       INTEGER,
    seen_at          TEXT NOT NULL
) STRICT;

-- Names for the numbers in requests. By organization: who asks for a stranger's number in one must not
-- read a name there that only another one's lists have told.
CREATE TABLE known_people (
    organization_id INTEGER NOT NULL,
    user_id         INTEGER NOT NULL,
    name            TEXT NOT NULL,
    seen_at         TEXT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX known_people_by_name ON known_people (name COLLATE NOCASE);

-- Who is behind a credential. Kept, so that a restart does not spend quota on asking again.
CREATE TABLE identities (
    credential_id TEXT PRIMARY KEY,                   -- the keyed hash, as in audit_events
    user_id       INTEGER,
    email         TEXT,
    name          TEXT,
    seen_at       TEXT NOT NULL                       -- when upstream said so, for `identity.ttl`
) STRICT;

CREATE INDEX identities_by_user ON identities (user_id);
CREATE INDEX identities_by_email ON identities (email COLLATE NOCASE);
CREATE INDEX identities_by_name ON identities (name COLLATE NOCASE);
