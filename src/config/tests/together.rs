//! What must be so between keys, and the bounds of each.

use super::*;

#[test]
fn proxy_and_admin_side_on_one_address() {
    assert_snapshot!(mistakes("[listen]\nadmin = \"127.0.0.1:8080\"", &[]), @r"
    the configuration has a mistake:
      tollgate.toml:2: listen.admin: proxy and admin side cannot share 127.0.0.1:8080; give them two ports
    ");
    for (proxy, admin) in [
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "[::]:80"),
        ("[::1]:80", "[::]:80"),
    ] {
        mistakes(
            &format!("[listen]\nproxy = {proxy:?}\nadmin = {admin:?}"),
            &[],
        );
    }
    for (proxy, admin) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:80", "127.0.0.2:80"),
        ("0.0.0.0:80", "[::1]:80"),
    ] {
        load(
            &format!("[listen]\nproxy = {proxy:?}\nadmin = {admin:?}"),
            &[],
        );
    }
}

#[test]
fn unix_sockets_that_are_one_and_a_certificate_that_nobody_sees() {
    let one = "proxy = \"unix:/run/a\"\nadmin = \"unix:/run/a\"";
    assert_snapshot!(mistakes(&format!("[listen]\n{one}"), &[]), @r"
    the configuration has a mistake:
      tollgate.toml:3: listen.admin: proxy and admin side cannot share unix:/run/a; give them two sockets
    ");
    let tls = "tls_cert = \"a.crt\"\ntls_key = \"a.key\"";
    let two = "proxy = \"unix:/run/a\"\nadmin = \"unix:/run/b\"";
    assert_snapshot!(mistakes(&format!("[listen]\n{two}\n{tls}"), &[]), @r"
    the configuration has a mistake:
      tollgate.toml:4: listen.tls_cert: nobody would see it: Unix sockets are served without TLS
    ");
    load(&format!("[listen]\n{two}"), &[]);
    load(&format!("[listen]\nproxy = \"unix:/run/a\"\n{tls}"), &[]);
}

#[test]
fn a_proxy_in_front_of_itself() {
    let variables = [("TOLLGATE_UPSTREAM__URL", "http://localhost:8080")];
    assert_snapshot!(mistakes("", &variables), @r"
    the configuration has a mistake:
      TOLLGATE_UPSTREAM__URL: upstream.url: http://localhost:8080 is the proxy itself, which would ask itself for ever
    ");
    load("[listen]\nproxy = \"127.0.0.1:80\"", &variables);
}

#[test]
fn bounds() {
    let file = "\
upstream = { connect_timeout = \"0s\", request_timeout = \"0s\" }
cache = { max_size = \"0B\", max_entry_size = \"0B\" }
identity = { ttl = \"0s\" }
limits = { max_connections = 0, max_in_flight = 1000001, header_timeout = \"0s\", body_timeout = \"0s\" }
";
    assert_snapshot!(mistakes(file, &[]), @r"
    the configuration has 9 mistakes:
      tollgate.toml:1: upstream.connect_timeout: must be longer than 0s
      tollgate.toml:1: upstream.request_timeout: must be longer than 0s
      tollgate.toml:2: cache.max_size: must be more than 0B; `cache.enabled = false` turns the cache off
      tollgate.toml:2: cache.max_entry_size: must be more than 0B; `cache.enabled = false` turns the cache off
      tollgate.toml:3: identity.ttl: must be longer than 0s
      tollgate.toml:4: limits.header_timeout: must be longer than 0s
      tollgate.toml:4: limits.body_timeout: must be longer than 0s
      tollgate.toml:4: limits.max_connections: 0 is out of range; allowed: 1 to 1000000
      tollgate.toml:4: limits.max_in_flight: 1000001 is out of range; allowed: 1 to 1000000
    ");
    load(
        "limits = { max_connections = 1, max_in_flight = 1000000, shutdown_grace = \"0s\" }",
        &[],
    );
    load(
        "[cache]\nmax_size = \"1MiB\"\nmax_entry_size = \"1MiB\"\nttl = \"0s\"",
        &[],
    );
}

#[test]
fn a_key_that_is_wrong_already_is_not_told_twice() {
    let told = mistakes(
        "[cache]\nmax_size = \"lots\"\nmax_entry_size = \"1GiB\"",
        &[],
    );
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn a_certificate_without_its_key() {
    let mut config = Config::default();
    config.listen.tls_cert = Some("tls.crt".into());
    let told = check::all(&config, &Origins::default(), &Default::default());
    assert_snapshot!(told[0], @"listen.tls_cert: a certificate and its key go together; set both or neither");
    config.listen.tls_key = Some("tls.key".into());
    assert_eq!(
        check::all(&config, &Origins::default(), &Default::default()),
        []
    );
}
