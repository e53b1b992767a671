-- Views for people. Who somebody is may become known after their first change, so the name is looked up
-- when it is asked for; what they did is stored as it was said then.

CREATE VIEW who_changed_what AS
SELECT
    e.occurred_at,
    coalesce(e.actor_name, i.name, e.actor_email, i.email, p.name, -- the best name there is,
             e.tool, substr(e.credential_id, 1, 12)) AS actor,     -- else the tool, else what stands for the credential
    e.action,
    e.outcome,
    e.organization_id,
    e.group_id,
    e.group_name,
    e.summary,
    e.client_ip,
    e.id
FROM audit_events e
LEFT JOIN identities i ON i.credential_id = e.credential_id
LEFT JOIN known_people p
    ON p.organization_id = e.organization_id AND p.user_id = coalesce(e.actor_user_id, i.user_id);

-- One row a changed field, of the changes that did change something.
CREATE VIEW group_changes AS
SELECT
    e.occurred_at,
    coalesce(e.actor_name, i.name, e.actor_email, i.email, p.name,
             e.tool, substr(e.credential_id, 1, 12)) AS actor,
    e.organization_id,
    coalesce(json_extract(c.value, '$.group_id'), e.group_id) AS group_id,
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
WHERE e.outcome IN ('applied', 'partial');
