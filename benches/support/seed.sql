-- Events ?1 to ?2 of an invented trail, six seconds apart. Valid in every column but the chain's: what
-- asks here is a filter, not `verify`.
--
-- Ten organizations, of which 1 has most events. A sync tool makes half of all changes, only in
-- organization 1, and is never refused: so there are pairs of values that are frequent and never meet.
WITH RECURSIVE
    numbers (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ?2),
    -- Two numbers without a pattern: multiplied by large primes.
    mixed (i, r, s) AS (
        SELECT i, (i * 2654435761) % 4294967291 % 1000000, (i * 40503 + 12345) % 2147483647 % 1000000
        FROM numbers
    ),
    placed (i, r, s, sync, organization) AS (
        SELECT i, r, s, r % 2 = 0, CASE WHEN r % 2 = 0 OR s % 10 < 2 THEN 1 ELSE 1 + s % 10 END
        FROM mixed
    ),
    made (i, r, s, sync, organization, person, grp, action, outcome) AS (
        SELECT
            i, r, s, sync, organization,
            CASE WHEN sync THEN 7000 ELSE 7001 + s % 400 END,
            organization * 1000 + CASE WHEN r % 100 < 5 THEN 0 ELSE s % 300 END,
            CASE
                WHEN r % 1000 < 700 THEN 'group.patch'
                WHEN r % 1000 < 850 THEN 'group.update'
                WHEN r % 1000 < 900 THEN 'api.write'
                WHEN r % 1000 < 930 THEN 'membership.change'
                WHEN r % 1000 < 950 THEN 'group.create'
                WHEN r % 1000 < 970 THEN 'group.delete'
                WHEN r % 1000 < 985 THEN 'project_group.add'
                WHEN r % 1000 < 999 THEN 'project_group.remove'
                ELSE 'group.observed'
            END,
            CASE
                WHEN sync THEN 'applied'
                WHEN s % 1000 < 80 THEN 'rejected'
                WHEN s % 1000 < 90 THEN 'partial'
                WHEN s % 1000 < 92 THEN 'unknown'
                ELSE 'applied'
            END
        FROM placed
    )
INSERT INTO audit_events (
    seq, id, occurred_at, completed_at, duration_ms, action, outcome, actor_user_id, actor_email, actor_name,
    credential_id, tool, client_ip, user_agent, request_id, organization_id, group_id, group_name, method,
    path, status, request_body, relations, flags, before, after, changes, summary, format, salt, prev_hash, hash
)
SELECT
    i,
    printf('0193f0a2-7c11-7000-8000-%012x', i),
    strftime('%Y-%m-%dT%H:%M:%S.000Z', 1700000000 + i * 6, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%S.080Z', 1700000000 + i * 6, 'unixepoch'),
    80,
    action,
    outcome,
    person,
    printf('person%d@acme.example', person),
    printf('Person %d', person),
    printf('%08x', (person * 2654435761) % 4294967291) || printf('%056x', person),
    CASE WHEN sync THEN 'hr-sync' WHEN s % 3 = 0 THEN 'dashboard' END,
    printf('192.0.2.%d', person % 250),
    'python-requests/2.32',
    printf('request-%d', i),
    organization,
    CASE WHEN action IN ('membership.change', 'api.write') THEN NULL ELSE grp END,
    CASE WHEN action IN ('membership.change', 'api.write') THEN NULL ELSE printf('Group %d', grp) END,
    'PATCH',
    printf('/api/v9/organizations/%d/groups/%d', organization, grp),
    CASE outcome WHEN 'rejected' THEN 403 WHEN 'unknown' THEN NULL ELSE 200 END,
    printf('[{"op":"add","path":"/users","value":[%d]}]', 7001 + s % 400),
    '[]',
    '[]',
    printf('{"group_id":%d,"name":"Group %d","users":[{"user_id":7001,"name":"Person 7001"}],"workspaces":[3]}', grp, grp),
    printf('{"group_id":%d,"name":"Group %d","users":[{"user_id":7001,"name":"Person 7001"}],"workspaces":[3]}', grp, grp),
    CASE action
        WHEN 'api.write' THEN '[]'
        ELSE printf('[{"field":"users","change":"%s","id":%d,"label":"Person %d"%s}]',
            CASE WHEN s % 2 = 0 THEN 'added' ELSE 'removed' END, 7001 + s % 400, 7001 + s % 400,
            CASE action
                WHEN 'membership.change' THEN printf(',"group_id":%d,"group_name":"Group %d"', grp, grp)
                ELSE ''
            END)
    END,
    printf('in "Group %d": added Person %d (%d)', grp, 7001 + s % 400, 7001 + s % 400),
    2,
    zeroblob(16),
    printf('%064x', i - 1),
    printf('%064x', i)
FROM made;
