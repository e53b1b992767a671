//! Which source wins, and in which forms a key is read.

use super::*;

#[test]
fn nothing_set_is_the_default() {
    let (config, origins) = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.rows(), Config::default().rows());
    assert_eq!(*origins.of("cache.ttl"), Origin::Default);
    assert_eq!(
        config.upstream.url.to_string(),
        "https://api.track.toggl.com"
    );
    assert_eq!(config.listen.proxy.to_string(), "127.0.0.1:8080");
}

#[test]
fn the_file_beats_the_default_and_a_variable_beats_the_file() {
    let file = "[cache]\nttl = \"2m\"\nmax_size = \"1GiB\"\n";
    let (config, origins) = load(file, &[("TOLLGATE_CACHE__TTL", "3m")]);
    assert_eq!(value(&config, "cache.ttl").unwrap(), "3m");
    assert_eq!(origins.of("cache.ttl").to_string(), "TOLLGATE_CACHE__TTL");
    assert_eq!(value(&config, "cache.max_size").unwrap(), "1GiB");
    assert_eq!(origins.of("cache.max_size").to_string(), "tollgate.toml:3");
    assert_eq!(origins.of("cache.enabled").to_string(), "default");
}

#[test]
fn each_form_that_toml_has_for_a_key_is_read() {
    let file = "log.filter = 'warn'\nlimits = { max_in_flight = 0x10 }\n[cache]\nenabled = false";
    let (config, origins) = load(file, &[]);
    assert_eq!(config.log.filter.as_str(), "warn");
    assert_eq!(config.limits.max_in_flight, 16);
    assert!(!config.cache.enabled);
    assert_eq!(
        origins.of("limits.max_in_flight").to_string(),
        "tollgate.toml:2"
    );
}

#[test]
fn each_key_can_be_set_by_its_variable() {
    for row in Config::default().rows() {
        let text = row.value.unwrap_or_else(|| match row.key {
            "log.format" => "json".to_owned(),
            "log.otlp_endpoint" => "http://collector:4318".to_owned(),
            _ => "path".to_owned(),
        });
        let variables = [(names::variable(row.key), text)];
        let loaded = Config::load(&Sources {
            file: None,
            variables: variables.clone().into(),
        });
        match loaded {
            Ok((_, origins)) => {
                assert_eq!(
                    *origins.of(row.key),
                    Origin::Variable(variables[0].0.clone())
                );
            }
            // Each is known, and wants the other.
            Err(_) => assert!(row.key.starts_with("listen.tls_"), "{}", row.key),
        }
    }
}

#[test]
fn a_list_is_an_array_in_the_file_and_has_commas_in_a_variable() {
    let file = "[identity]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]";
    let (config, _) = load(file, &[("TOLLGATE_IDENTITY__TOOLS", "hr-sync, airbyte")]);
    assert_eq!(
        value(&config, "identity.trusted_proxies").unwrap(),
        "10.0.0.0/8,::1/128"
    );
    assert_eq!(value(&config, "identity.tools").unwrap(), "hr-sync,airbyte");
    let file = "[identity]\ntools = [\"hr-sync\"]";
    let (config, _) = load(file, &[("TOLLGATE_IDENTITY__TOOLS", "")]);
    assert_eq!(config.identity.tools, []);
}

#[test]
fn what_others_put_into_the_environment_is_left_alone() {
    // The last three are what Kubernetes sets for a service called `tollgate`.
    for name in [
        "PATH",
        "TOLLGATE_CONFIG",
        "TOLLGATE_SERVICE_HOST",
        "TOLLGATE_PORT",
        "TOLLGATE_PORT_80_TCP",
    ] {
        load("", &[(name, "tcp://10.0.0.1:80")]);
    }
}
