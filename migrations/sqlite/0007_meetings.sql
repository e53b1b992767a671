-- A group and an actor together, and the groups of events about several, as filters ask for them.

-- A busy tool and a busy group may never meet: whoever walks along one of them and looks for the other walks
-- through all its rows. So they stand together. An actor is asked for by name, address, number or credential;
-- rather than an index for each, one that has all four as a text. A query goes through the different texts of
-- the group, one step for each, and picks those that are the actor. Names come first, so that those of whom only
-- a credential is known, whom a query can put together itself, are behind all others. The casts change nothing
-- that was ever written here; without them a row into which somebody forged a blob could not be copied.
--
-- What it costs: one more entry, of some 150 bytes, for each event that says its group; the others are not in
-- it. On a database that is there it reads the table once, as one index does, while 0006 made eleven: 6.5 s for a
-- million events with all that follows here.
CREATE INDEX audit_events_by_group_and_actor ON audit_events (
    group_id,
    json_array(
        CAST(actor_name AS TEXT), CAST(actor_email AS TEXT),
        CAST(actor_user_id AS INTEGER), CAST(credential_id AS TEXT)
    ),
    organization_id, action, outcome
) WHERE group_id IS NOT NULL;

-- An index cannot know the groups of an event about several, so here is what such an event says that filters
-- ask for, once a group. Triggers keep it; it proves nothing by itself, but `verify` compares it. These events
-- are few, so it costs the others nothing and takes no time to fill.
CREATE TABLE audit_several (
    seq             INTEGER NOT NULL,
    group_id        INTEGER NOT NULL,
    who             TEXT NOT NULL,                    -- JSON array: actor_name, actor_email, actor_user_id, credential_id
    organization_id INTEGER,
    action          TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    PRIMARY KEY (seq, group_id)
) STRICT, WITHOUT ROWID;

INSERT INTO audit_several (seq, group_id, who, organization_id, action, outcome)
SELECT g.seq, g.group_id,
    json_array(
        CAST(e.actor_name AS TEXT), CAST(e.actor_email AS TEXT),
        CAST(e.actor_user_id AS INTEGER), CAST(e.credential_id AS TEXT)
    ),
    e.organization_id, e.action, e.outcome
FROM audit_event_groups g CROSS JOIN audit_events e ON e.seq = g.seq;

CREATE INDEX audit_several_by_group ON audit_several (group_id, organization_id, action, outcome, seq);
CREATE INDEX audit_several_by_group_and_actor
    ON audit_several (group_id, who, organization_id, action, outcome, seq);

CREATE TRIGGER audit_several_insert AFTER INSERT ON audit_event_groups
BEGIN
    INSERT INTO audit_several (seq, group_id, who, organization_id, action, outcome)
    SELECT e.seq, new.group_id,
        json_array(
            CAST(e.actor_name AS TEXT), CAST(e.actor_email AS TEXT),
            CAST(e.actor_user_id AS INTEGER), CAST(e.credential_id AS TEXT)
        ),
        e.organization_id, e.action, e.outcome
    FROM audit_events e WHERE e.seq = new.seq;
END;

CREATE TRIGGER audit_several_delete AFTER DELETE ON audit_event_groups
BEGIN
    DELETE FROM audit_several WHERE seq = old.seq AND group_id = old.group_id;
END;

-- When a person is taken out of the trail, also from here.
CREATE TRIGGER audit_several_update AFTER UPDATE ON audit_events
BEGIN
    UPDATE audit_several
    SET who = json_array(
            CAST(new.actor_name AS TEXT), CAST(new.actor_email AS TEXT),
            CAST(new.actor_user_id AS INTEGER), CAST(new.credential_id AS TEXT)
        ),
        organization_id = new.organization_id, action = new.action, outcome = new.outcome
    WHERE seq = new.seq;
END;
