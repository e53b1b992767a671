//! What takes effect in a gateway that runs, and what needs a restart.

use insta::assert_snapshot;

use super::*;

const OTHER: &str = r#"
[listen]
proxy = "127.0.0.1:1"
admin = "127.0.0.1:2"
tls_cert = "other.crt"
tls_key = "other.key"
[upstream]
url = "http://127.0.0.1:3"
connect_timeout = "1s"
request_timeout = "1s"
ca_file = "other.pem"
[cache]
ttl = "1s"
stale_while_revalidate = "1s"
stale_if_error = "1s"
max_size = "9MiB"
max_entry_size = "9KiB"
filters = "on"
refusal_ttl = "1s"
[quota]
reserve = 1
pace = "off"
max_wait = "1s"
[audit]
database = "sqlite://other.db"
scope = "groups"
on_failure = "forward"
max_body_size = "1KiB"
retention = "400d"
[identity]
lookup = false
ttl = "1s"
key_file = "other.key"
trusted_proxies = ["10.0.0.1"]
tools = ["other"]
[guard]
max_removed_share = 1
max_removed = 1
[limits]
max_connections = 1
max_in_flight = 1
header_timeout = "1s"
body_timeout = "1s"
shutdown_grace = "1s"
[admin]
token = "hush-hush"
public_metrics = true
[log]
format = "json"
filter = "warn"
otlp_endpoint = "http://127.0.0.1:4"
[[watch]]
organization = 1
credential_file = "other.token"
every = "5m"
"#;

fn keys(changed: &[Changed]) -> Vec<&str> {
    changed.iter().map(|changed| changed.key).collect()
}

#[test]
fn each_key_takes_effect_or_needs_a_restart() {
    let (old, new) = (Config::default(), load(OTHER, &[]).0);
    let renewed = old.renewed(&new);
    let changed = old.differences(&renewed);
    let needs_restart = renewed.differences(&new);
    // TLS is turned on here, which takes a restart.
    assert_snapshot!(keys(&changed).join("\n"), @r"
    cache.ttl
    cache.stale_while_revalidate
    cache.stale_if_error
    cache.refusal_ttl
    quota.reserve
    quota.pace
    quota.max_wait
    audit.scope
    audit.on_failure
    audit.max_body_size
    limits.max_connections
    limits.max_in_flight
    limits.header_timeout
    limits.body_timeout
    limits.shutdown_grace
    admin.token
    log.filter
    ");
    let mut all = [keys(&changed), keys(&needs_restart)].concat();
    all.sort_unstable();
    let rows = old.rows();
    // This version has one value for each, and a `[[watch]]` needs the cache.
    let fixed = ["mode", "guard.mode", "cache.enabled"];
    let mut known: Vec<_> = rows.iter().map(|row| row.key).collect();
    known.retain(|key| !fixed.contains(key));
    known.push("watch");
    known.sort_unstable();
    assert_eq!(all, known);
    let told: Vec<_> = changed.iter().map(ToString::to_string).collect();
    assert!(told.contains(&"cache.ttl: 60s → 1s".to_owned()), "{told:?}");
    assert!(told.contains(&"admin.token: (none) → (hidden)".to_owned()));
}

#[test]
fn another_certificates_files_take_effect_where_there_is_tls() {
    let tls = |name: &str| {
        let file = format!("[listen]\ntls_cert = \"{name}.crt\"\ntls_key = \"{name}.key\"\n");
        load(&file, &[]).0
    };
    let renewed = tls("old").renewed(&tls("new"));
    assert!(renewed.differences(&tls("new")).is_empty());
    let off = tls("old").renewed(&Config::default());
    assert!(off.differences(&tls("old")).is_empty(), "it stays on");
}
