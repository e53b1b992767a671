//! How each kind of mistake is told.

use super::*;

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let file = "\
[cache]
ttl = 60
max_size = \"1MiB\"
max_entry_size = \"2MiB\"

[limits]
max_in_flight = 0
header_timeout = \"-1s\"

[lisen]
proxy = \"127.0.0.1:80\"
";
    let variables = [
        ("TOLLGATE_AUDIT__SCOPE", "some"),
        ("TOLLGATE_CACHE__TLL", "1s"),
    ];
    assert_snapshot!(mistakes(file, &variables), @r#"
    the configuration has 7 mistakes:
      tollgate.toml:2: cache.ttl: 60 has no unit; allowed: a duration such as `150ms`, `60s`, `24h` or `400d`
      tollgate.toml:4: cache.max_entry_size: one list of 2MiB has no room in the cache of 1MiB
      tollgate.toml:7: limits.max_in_flight: 0 is out of range; allowed: 1 to 1000000
      tollgate.toml:8: limits.header_timeout: "-1s" is negative; allowed: a duration such as `150ms`, `60s`, `24h` or `400d`
      tollgate.toml:10: lisen: is no section; did you mean `listen`?
      TOLLGATE_AUDIT__SCOPE: audit.scope: "some" is none of them; allowed: `all` or `groups`
      TOLLGATE_CACHE__TLL: sets no key; did you mean `TOLLGATE_CACHE__TTL`?
    "#);
}

#[test]
fn a_key_or_section_that_is_not_known() {
    assert_snapshot!(mistakes("[cache]\ntll = \"1s\"", &[]), @r"
    the configuration has a mistake:
      tollgate.toml:2: cache.tll: is no key; did you mean `cache.ttl`?
    ");
    assert_snapshot!(mistakes("[listen]\nurl = \"x\"\ncolour = 1", &[]), @r"
    the configuration has 2 mistakes:
      tollgate.toml:2: listen.url: is no key; did you mean `upstream.url`?
      tollgate.toml:3: listen.colour: is no key; `listen` has proxy, admin, tls_cert, tls_key
    ");
    assert_snapshot!(mistakes("mod = \"active\"", &[]), @r"
    the configuration has a mistake:
      tollgate.toml:1: mod: is no key; did you mean `mode`?
    ");
    assert_snapshot!(mistakes("[database]\nurl = \"x\"", &[]), @r"
    the configuration has a mistake:
      tollgate.toml:1: database: is no section; there are `mode` and the sections listen, upstream, cache, quota, audit, identity, guard, limits, admin, log
    ");
    assert_snapshot!(mistakes("cache = true\n[[log]]\nfilter = \"info\"", &[]), @r"
    the configuration has 2 mistakes:
      tollgate.toml:1: cache: is a section; write its keys below `[cache]`
      tollgate.toml:2: log: is a section; write its keys below `[log]`
    ");
}

#[test]
fn a_variable_that_is_not_known() {
    assert_snapshot!(mistakes("", &[("TOLLGATE_UPSTREAM_URL", "http://x")]), @r"
    the configuration has a mistake:
      TOLLGATE_UPSTREAM_URL: sets no key; did you mean `TOLLGATE_UPSTREAM__URL`?
    ");
    assert_snapshot!(mistakes("", &[("TOLLGATE_UPSTREAM__ULR", "http://x")]), @r"
    the configuration has a mistake:
      TOLLGATE_UPSTREAM__ULR: sets no key; did you mean `TOLLGATE_UPSTREAM__URL`?
    ");
    assert_snapshot!(mistakes("", &[("TOLLGATE_CACHE__COLOUR", "1")]), @r"
    the configuration has a mistake:
      TOLLGATE_CACHE__COLOUR: sets no key; `cache` has enabled, ttl, stale_while_revalidate, stale_if_error, max_size, max_entry_size, filters, refusal_ttl
    ");
    assert_snapshot!(mistakes("", &[("TOLLGATE_COLOUR__RED", "1")]), @r"
    the configuration has a mistake:
      TOLLGATE_COLOUR__RED: sets no key; there are `mode` and the sections listen, upstream, cache, quota, audit, identity, guard, limits, admin, log
    ");
}

#[test]
fn syntax_is_told_besides_what_else_is_wrong() {
    let file = "[cache]\nttl = 60s\nmax_size = \"lots\"\n[audit\nscope = \"groups\"\n";
    assert_snapshot!(mistakes(file, &[]), @r#"
    the configuration has 3 mistakes:
      tollgate.toml:2: cache.ttl: is not TOML: string values must be quoted, expected literal string
      tollgate.toml:3: cache.max_size: "lots" is not a size; allowed: a size such as `64KiB` or `256MiB`
      tollgate.toml:4: is not TOML: unclosed table, expected `]`
    "#);
    // Only once, though what the parser makes of it is no size either.
    assert_snapshot!(mistakes("[cache]\nmax_size = lots", &[]), @r"
    the configuration has a mistake:
      tollgate.toml:2: cache.max_size: is not TOML: string values must be quoted, expected literal string
    ");
    assert_snapshot!(mistakes("[cache]\nttl = \"1s\"\nttl = \"2s\"", &[]), @r"
    the configuration has a mistake:
      tollgate.toml:3: cache.ttl: is not TOML: duplicate key
    ");
}

#[test]
fn a_value_of_another_kind() {
    let file = "\
[listen]
proxy = 8080
[cache]
enabled = \"true\"
max_size = 1048576
ttl = 2024-01-01
[limits]
max_in_flight = \"10\"
max_connections = -5
[identity]
tools = \"hr-sync\"
trusted_proxies = [\"10.0.0.0/8\", \"10.0.0.0/33\"]
[quota]
reserve = 1.5
max_wait = [\"1s\"]
[guard]
max_removed_share = 25
[audit]
retention = { days = 5 }
[log]
filter = 5
";
    assert_snapshot!(mistakes(file, &[]), @r#"
    the configuration has 13 mistakes:
      tollgate.toml:2: listen.proxy: 8080 is not an address with a port; allowed: an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`, or a socket, such as `unix:/run/tollgate/proxy.sock`
      tollgate.toml:4: cache.enabled: "true" is text; take the quotes away; allowed: true or false
      tollgate.toml:5: cache.max_size: 1048576 has no unit; allowed: a size such as `64KiB` or `256MiB`
      tollgate.toml:6: cache.ttl: the value is a date; allowed: a duration such as `150ms`, `60s`, `24h` or `400d`
      tollgate.toml:8: limits.max_in_flight: "10" is text; take the quotes away; allowed: a whole number, 0 or more
      tollgate.toml:9: limits.max_connections: -5 is negative; allowed: a whole number, 0 or more
      tollgate.toml:11: identity.tools: "hr-sync" is not a list; put it in brackets; allowed: a list, each 1 to 32 characters out of a-z, 0-9 and -, but none like an API token
      tollgate.toml:12: identity.trusted_proxies: the list has "10.0.0.0/33", which is neither an address nor a network; allowed: a list, each an IP address or a network, such as `10.0.0.1` or `10.0.0.0/8`
      tollgate.toml:14: quota.reserve: 1.5 is not a whole number; allowed: a whole number, 0 or more
      tollgate.toml:15: quota.max_wait: the list is not a single value; allowed: a duration such as `150ms`, `60s`, `24h` or `400d`
      tollgate.toml:17: guard.max_removed_share: 25 is out of range; allowed: a number from 0 to 1
      tollgate.toml:19: audit.retention: the value is a table; allowed: `never` or a duration such as `150ms`, `60s`, `24h` or `400d`
      tollgate.toml:21: log.filter: 5 is not text; put it in quotes; allowed: a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) or directives such as `info,tollgate=debug`
    "#);
}

#[test]
fn a_wrong_value_under_a_right_variable() {
    let file = "[cache]\nttl = \"soon\"";
    assert_snapshot!(mistakes(file, &[("TOLLGATE_CACHE__TTL", "1m")]), @r#"
    the configuration has a mistake:
      tollgate.toml:2: cache.ttl: "soon" is not a duration; allowed: a duration such as `150ms`, `60s`, `24h` or `400d`
    "#);
}

#[test]
fn upstreams_that_cannot_be_dialled() {
    let urls = [
        "api.track.toggl.com",
        "ftp://host",
        "https://ann:pw@host",
        "https://host/api/v9",
        "https://host?x=1",
        "https://",
        "https://host:99999",
        "https://host:",
        "https://a b",
    ];
    let told = urls.map(|url| mistakes("", &[("TOLLGATE_UPSTREAM__URL", url)]));
    assert_snapshot!(problems(&told), @r#"
    TOLLGATE_UPSTREAM__URL: upstream.url: "api.track.toggl.com" has no scheme
    TOLLGATE_UPSTREAM__URL: upstream.url: "ftp://host" has a scheme that is neither
    TOLLGATE_UPSTREAM__URL: upstream.url: "https://…@host" has a user in it; the callers' credentials are used
    TOLLGATE_UPSTREAM__URL: upstream.url: "https://host/api/v9" has a path or a query
    TOLLGATE_UPSTREAM__URL: upstream.url: "https://host?x=1" has a path or a query
    TOLLGATE_UPSTREAM__URL: upstream.url: "https://" is not a URL
    TOLLGATE_UPSTREAM__URL: upstream.url: "https://host:99999" has an impossible port
    TOLLGATE_UPSTREAM__URL: upstream.url: "https://host:" has an impossible port
    TOLLGATE_UPSTREAM__URL: upstream.url: "https://a b" is not a URL
    "#);
}

#[test]
fn a_password_in_a_url_is_not_told() {
    for (variable, url) in [
        ("TOLLGATE_UPSTREAM__URL", "https://ann:pass@word@host"),
        (
            "TOLLGATE_AUDIT__DATABASE",
            "postgres://ann:password@host/db",
        ),
    ] {
        let told = mistakes("", &[(variable, url)]);
        assert!(!told.contains("pass") && !told.contains("word"), "{told}");
    }
}

#[test]
fn words_that_are_no_level() {
    assert_snapshot!(mistakes("[log]\nfilter = \"verbose\"", &[]), @r#"
    the configuration has a mistake:
      tollgate.toml:2: log.filter: "verbose" is not a level; allowed: a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) or directives such as `info,tollgate=debug`
    "#);
    for filter in ["", "info,", "info,hyper", "tollgate=loud"] {
        mistakes("", &[("TOLLGATE_LOG__FILTER", filter)]);
    }
    for filter in [
        "WARN",
        "info,tollgate=debug",
        "warn,[proxy{status=500}]=trace",
    ] {
        load("", &[("TOLLGATE_LOG__FILTER", filter)]);
    }
}

#[test]
fn databases_that_cannot_be_opened() {
    let urls = [
        "tollgate.db",
        "postgres://host/db",
        "sqlite://",
        "sqlite://:memory:",
        "sqlite://a?b",
    ];
    let told = urls.map(|url| mistakes("", &[("TOLLGATE_AUDIT__DATABASE", url)]));
    assert_snapshot!(problems(&told), @r#"
    TOLLGATE_AUDIT__DATABASE: audit.database: "tollgate.db" does not begin with `sqlite://`
    TOLLGATE_AUDIT__DATABASE: audit.database: "postgres://host/db" is PostgreSQL, which is not available in this version
    TOLLGATE_AUDIT__DATABASE: audit.database: "sqlite://" has no path
    TOLLGATE_AUDIT__DATABASE: audit.database: "sqlite://:memory:" would be gone with the process
    TOLLGATE_AUDIT__DATABASE: audit.database: "sqlite://a?b" has options after the path
    "#);
}

#[test]
fn a_secret_is_not_told_even_when_it_is_wrong() {
    let told = mistakes(
        "[admin]\ntoken = \"hush hush\"",
        &[("TOLLGATE_ADMIN__TOKEN", "")],
    );
    assert_snapshot!(told, @r"
    the configuration has 2 mistakes:
      tollgate.toml:2: admin.token: the value has a space, or a character that is not ASCII; allowed: visible ASCII characters without a space, as they can stand in a header
      TOLLGATE_ADMIN__TOKEN: admin.token: the value is empty; allowed: visible ASCII characters without a space, as they can stand in a header
    ");
    let (config, _) = load("[admin]\ntoken = \"hush\"", &[]);
    assert_eq!(config.admin.token.as_ref().unwrap().expose(), "hush");
    assert!(!format!("{config:?}").contains("hush"));
}

/// The last line of each, without what is allowed.
fn problems(told: &[String]) -> String {
    let problem = |told: &String| {
        let line = told.lines().last().unwrap();
        let (problem, _) = line.rsplit_once("; allowed").unwrap();
        problem.to_owned()
    };
    told.iter().map(problem).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_collector_is_a_url_whose_path_may_be_left_out() {
    for (written, meant) in [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector/", "https://collector/v1/traces"),
        (
            "https://collector/otlp/v1/traces",
            "https://collector/otlp/v1/traces",
        ),
    ] {
        let (config, _) = load("", &[("TOLLGATE_LOG__OTLP_ENDPOINT", written)]);
        assert_eq!(value(&config, "log.otlp_endpoint").as_deref(), Some(meant));
    }
    let told = |url: &str| mistakes(&format!("[log]\notlp_endpoint = \"{url}\""), &[]);
    assert_snapshot!(told("collector:4318"), @r#"
    the configuration has a mistake:
      tollgate.toml:2: log.otlp_endpoint: "collector:4318" has no scheme; allowed: `http://HOST:4318` or `https://HOST`; `/v1/traces` is added where there is no path
    "#);
    assert_snapshot!(told("grpc://collector:4317"), @r#"
    the configuration has a mistake:
      tollgate.toml:2: log.otlp_endpoint: "grpc://collector:4317" has a scheme that is neither; allowed: `http://HOST:4318` or `https://HOST`; `/v1/traces` is added where there is no path
    "#);
    assert_snapshot!(told("https://key:s3cret@collector"), @r#"
    the configuration has a mistake:
      tollgate.toml:2: log.otlp_endpoint: "https://…@collector" has a user in it; set OTEL_EXPORTER_OTLP_HEADERS instead; allowed: `http://HOST:4318` or `https://HOST`; `/v1/traces` is added where there is no path
    "#);
    assert_snapshot!(told("http://collector/v1/traces?key=1"), @r#"
    the configuration has a mistake:
      tollgate.toml:2: log.otlp_endpoint: "http://collector/v1/traces?key=1" has a query; allowed: `http://HOST:4318` or `https://HOST`; `/v1/traces` is added where there is no path
    "#);
}
