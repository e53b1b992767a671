-- Who spent the quota, and what was left of it when upstream last told. None of it is evidence: rows are
-- added to, and go after thirty days.

CREATE TABLE quota_usage (
    hour          TEXT NOT NULL,                      -- when the hour began, as in audit_events: sorts as it reads
    credential_id TEXT NOT NULL,                      -- the keyed hash, as in audit_events
    pool          TEXT NOT NULL,                      -- what upstream counts against: `organization/4123`,
                                                      -- `workspace/51001` where nobody told whose it is, `me`, `unclear`
    tool          TEXT NOT NULL,                      -- the label of the base URL; empty without one
    endpoint      TEXT NOT NULL,                      -- the operation, as the reference has it: no number of anybody's
    upstream      INTEGER NOT NULL,                   -- sent
    cached        INTEGER NOT NULL,                   -- answered from the cache
    refused       INTEGER NOT NULL,                   -- refused by the gateway, and not sent
    limited       INTEGER NOT NULL,                   -- of those sent: refused by upstream for the quota's or the rate's sake
    PRIMARY KEY (hour, credential_id, pool, tool, endpoint)
) STRICT, WITHOUT ROWID;

-- Also for a gateway that starts again in an hour that is closed.
CREATE TABLE quota_standing (
    credential_id TEXT NOT NULL,                      -- with which it was asked; those of one person share it
    pool          TEXT NOT NULL,
    remaining     INTEGER NOT NULL,
    resets_at     TEXT NOT NULL,
    told_at       TEXT NOT NULL,                      -- older news never overwrites it
    message       TEXT,                               -- upstream's words when nothing was left
    PRIMARY KEY (credential_id, pool)
) STRICT, WITHOUT ROWID;
