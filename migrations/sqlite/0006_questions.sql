-- What combinations of filters ask for, and the views' order.

-- Two values may be frequent and never meet, such as a tool and `rejected`: whoever walks along one of them
-- and looks for the other walks through millions of rows. So what is asked together stands together, as
-- equalities, and behind it `seq`. A query that leaves one of these columns open asks for each of its values
-- by itself: an organization's few, the dozen actions, the five outcomes.
DROP INDEX audit_events_by_organization;
DROP INDEX audit_events_by_group;
DROP INDEX audit_events_by_action;
DROP INDEX audit_events_by_credential;
DROP INDEX audit_events_by_user;
DROP INDEX audit_events_by_email;
DROP INDEX audit_events_by_name;

CREATE INDEX audit_events_by_organization ON audit_events (organization_id, action, outcome);
CREATE INDEX audit_events_by_group ON audit_events (group_id, organization_id, action, outcome);
CREATE INDEX audit_events_by_action ON audit_events (action, outcome);
CREATE INDEX audit_events_by_credential ON audit_events (credential_id, organization_id, action, outcome);
CREATE INDEX audit_events_by_user ON audit_events (actor_user_id, organization_id, action, outcome);
CREATE INDEX audit_events_by_email
    ON audit_events (actor_email COLLATE NOCASE, organization_id, action, outcome);
CREATE INDEX audit_events_by_name
    ON audit_events (actor_name COLLATE NOCASE, organization_id, action, outcome);

-- For people, who ask the views about one organization or one group and order by time.
CREATE INDEX audit_events_by_organization_time ON audit_events (organization_id, occurred_at);
CREATE INDEX audit_events_by_group_time ON audit_events (group_id, occurred_at) WHERE group_id IS NOT NULL;
-- What is about several groups, or about none that anybody knows, is rare among changes of other things.
CREATE INDEX audit_events_by_organization_time_of_several ON audit_events (organization_id, occurred_at)
    WHERE group_id IS NULL AND instr(changes, '"group_id":') > 0;
CREATE INDEX audit_events_by_organization_time_of_none ON audit_events (organization_id, occurred_at)
    WHERE group_id IS NULL AND changes <> '[]' AND instr(changes, '"group_id":') = 0;

-- The same rows as before, in three parts, so that a group's number is a column that an index knows: what an
-- event says of its one group, of one of several, and of none. All parts have the same kinds of columns:
-- only then does SQLite carry a filter and an order into each of them, and merge what they give.
DROP VIEW group_changes;
CREATE VIEW group_changes AS
SELECT
    e.occurred_at,
    coalesce(e.actor_name, i.name, e.actor_email, i.email, p.name,
             e.tool, substr(e.credential_id, 1, 12)) AS actor,
    e.organization_id,
    e.group_id AS group_id,
    coalesce(json_extract(c.value, '$.group_name'), e.group_name) AS group_name,
    json_extract(c.value, '$.field') AS field,
    json_extract(c.value, '$.change') AS change,
    coalesce(json_extract(c.value, '$.to'), json_extract(c.value, '$.id')) AS value,
    json_extract(c.value, '$.label') AS label,
    json_extract(c.value, '$.from') AS old_value,
    e.id AS event_id
FROM audit_events e
JOIN json_each(e.changes) c
LEFT JOIN identities i ON i.credential_id = e.credential_id
LEFT JOIN known_people p
    ON p.organization_id = e.organization_id AND p.user_id = coalesce(e.actor_user_id, i.user_id)
WHERE e.group_id IS NOT NULL AND +e.outcome IN ('applied', 'partial')
UNION ALL
SELECT
    e.occurred_at,
    coalesce(e.actor_name, i.name, e.actor_email, i.email, p.name,
             e.tool, substr(e.credential_id, 1, 12)) AS actor,
    e.organization_id,
    g.group_id AS group_id,
    coalesce(json_extract(c.value, '$.group_name'), e.group_name) AS group_name,
    json_extract(c.value, '$.field') AS field,
    json_extract(c.value, '$.change') AS change,
    coalesce(json_extract(c.value, '$.to'), json_extract(c.value, '$.id')) AS value,
    json_extract(c.value, '$.label') AS label,
    json_extract(c.value, '$.from') AS old_value,
    e.id AS event_id
FROM audit_events e
JOIN audit_event_groups g ON g.seq = e.seq
JOIN json_each(e.changes) c
LEFT JOIN identities i ON i.credential_id = e.credential_id
LEFT JOIN known_people p
    ON p.organization_id = e.organization_id AND p.user_id = coalesce(e.actor_user_id, i.user_id)
WHERE e.group_id IS NULL AND instr(e.changes, '"group_id":') > 0
    AND json_extract(c.value, '$.group_id') = g.group_id
    AND +e.outcome IN ('applied', 'partial')
UNION ALL
SELECT
    e.occurred_at,
    coalesce(e.actor_name, i.name, e.actor_email, i.email, p.name,
             e.tool, substr(e.credential_id, 1, 12)) AS actor,
    e.organization_id,
    e.group_id AS group_id,
    coalesce(json_extract(c.value, '$.group_name'), e.group_name) AS group_name,
    json_extract(c.value, '$.field') AS field,
    json_extract(c.value, '$.change') AS change,
    coalesce(json_extract(c.value, '$.to'), json_extract(c.value, '$.id')) AS value,
    json_extract(c.value, '$.label') AS label,
    json_extract(c.value, '$.from') AS old_value,
    e.id AS event_id
FROM audit_events e
JOIN json_each(e.changes) c
LEFT JOIN identities i ON i.credential_id = e.credential_id
LEFT JOIN known_people p
    ON p.organization_id = e.organization_id AND p.user_id = coalesce(e.actor_user_id, i.user_id)
WHERE e.group_id IS NULL AND e.changes <> '[]' AND instr(e.changes, '"group_id":') = 0
    AND +e.outcome IN ('applied', 'partial');
