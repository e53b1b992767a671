import hashlib, json, sqlite3, sys

PERSONAL = set("""actor_user_id actor_email actor_name credential_id tool on_behalf_of client_ip
    user_agent request_id group_name path query request_body response_body before after changes
    summary""".split())
OUTSIDE = {"salt", "prev_hash", "hash"}
sha256 = lambda text: hashlib.sha256(text.encode()).hexdigest()

def canonical(row, kept=None):
    object = {name: row[name] for name in set(row.keys()) - OUTSIDE}
    for name in PERSONAL:
        if kept:
            object[name] = kept[name]
        elif row[name] is not None:
            key = hashlib.sha256(row["salt"] + name.encode()).digest()
            object[name] = hashlib.sha256(key + str(row[name]).encode()).hexdigest()
    return json.dumps(object, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

trail = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
trail.row_factory = sqlite3.Row
entries, lines, pruned = {}, {}, {0: "0" * 64}
for event, seq, kept, content in trail.execute("SELECT * FROM audit_redactions ORDER BY 1, 2"):
    entries[seq] = json.loads(kept), content
    lines[event] = lines.get(event, "") + f"{seq} {kept} {content}\n"
for (after,) in trail.execute("SELECT after FROM audit_events WHERE action = 'tollgate.prune'"):
    pruned[json.loads(after)["up_to_seq"]] = json.loads(after)["hash"]
seq, last = 0, pruned[0]
for row in trail.execute("SELECT * FROM audit_events ORDER BY seq"):
    if seq == 0 and 1 < row["seq"] <= max(pruned) + 1:
        seq, last = row["seq"] - 1, row["prev_hash"]
    kept, content = entries.get(row["seq"], (None, None))
    digest = sha256(f"{last}\n{canonical(row, kept)}")
    sound = (row["seq"], row["prev_hash"], row["hash"]) == (seq + 1, last, digest)
    sound &= pruned.get(seq, last) == last and (not kept or sha256(canonical(row)) == content)
    if row["action"] == "tollgate.redact":
        sound &= json.loads(row["after"])["digest"] == sha256(lines.pop(seq + 1, ""))
    if not sound:
        sys.exit(f"the trail is broken at row {row['seq']}")
    seq, last = row["seq"], digest
print(seq, last) if not lines else sys.exit(f"no redaction is recorded in {min(lines)}")
