import hashlib, json, sqlite3, sys

PERSONAL = set("""actor_user_id actor_email actor_name credential_id tool on_behalf_of client_ip
    user_agent request_id group_name path query request_body response_body before after changes
    summary""".split())
OUTSIDE = {"salt", "prev_hash", "hash"}

trail = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
trail.row_factory = sqlite3.Row
seq, last = 0, "0" * 64
for row in trail.execute("SELECT * FROM audit_events ORDER BY seq"):
    object = {}
    for name in set(row.keys()) - OUTSIDE:
        value = row[name]
        if name in PERSONAL and value is not None:
            key = hashlib.sha256(row["salt"] + name.encode()).digest()
            value = hashlib.sha256(key + str(value).encode()).hexdigest()
        object[name] = value
    text = json.dumps(object, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(f"{last}\n{text}".encode()).hexdigest()
    if (row["seq"], row["prev_hash"], row["hash"]) != (seq + 1, last, digest):
        sys.exit(f"the trail is broken at row {row['seq']}")
    seq, last = row["seq"], digest
print(seq, last)
