-- What each credential's lists have shown, so that a list is compared with an earlier one of the same
-- view alone: a member sees less than an admin, and that is no change. Like 0002, none of it is evidence.
--
-- What is found becomes a row of audit_events with the action `group.observed`. It happened between two
-- lists: `occurred_at` is the earlier, `completed_at` the later one, `duration_ms` the time between them.

-- The last whole list of an organization's groups that a credential was shown.
CREATE TABLE known_views (
    credential_id   TEXT NOT NULL,                    -- the keyed hash, as in audit_events
    organization_id INTEGER NOT NULL,
    seen_at         TEXT NOT NULL,                    -- when the list was asked for
    tells_users     INTEGER,                          -- 1, 0: whether it told members; NULL: it was empty
    emptied_at      TEXT,                             -- when one was suddenly empty, which a second one has to confirm
    PRIMARY KEY (credential_id, organization_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX known_views_by_organization ON known_views (organization_id, seen_at);

-- A group as a view shows it, with our own changes since the list in it.
CREATE TABLE known_view_groups (
    credential_id   TEXT NOT NULL,
    organization_id INTEGER NOT NULL,
    group_id        INTEGER NOT NULL,
    state           TEXT,                             -- JSON; NULL: gone, or not to be told for sure
    seen_at         TEXT NOT NULL,                    -- from when on it was true; older lists say nothing of it
    PRIMARY KEY (credential_id, organization_id, group_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX known_view_groups_by_group ON known_view_groups (group_id);

-- Which organization a workspace belongs to, where a path or a list told.
CREATE TABLE known_workspaces (
    workspace_id    INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL,
    seen_at         TEXT NOT NULL
) STRICT;

-- Changes that left something open: what upstream made of them, or what they did to groups. Removed by
-- the list that tells.
CREATE TABLE audit_unsettled (
    number          INTEGER PRIMARY KEY,              -- the oldest make room
    event_id        TEXT NOT NULL,                    -- twice, where it may concern two organizations
    organization_id INTEGER,                          -- NULL: any
    group_id        INTEGER,                          -- NULL: any
    elsewhere       INTEGER NOT NULL                  -- 1: nobody knows which organization, so no list alone tells
                    CHECK (elsewhere IN (0, 1))       -- that it had no effect
) STRICT;

CREATE INDEX audit_unsettled_by_organization ON audit_unsettled (organization_id);
