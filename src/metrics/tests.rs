//! What is told is what `docs/metrics.md` says, and what dashboards hold on to.

use std::collections::{BTreeMap, BTreeSet};

use http::{Method, StatusCode};
use insta::assert_snapshot;

use super::*;

/// Metrics in which everything that has a label has happened.
fn busy() -> Metrics {
    let metrics = Metrics::new();
    metrics.request_answered(&Method::PUT, StatusCode::OK, Way::Change, Duration::ZERO);
    metrics.upstream_answered(None, Duration::ZERO);
    metrics.event(Action::GroupUpdate, Outcome::Applied);
    for organization in [1, 2] {
        let organization = OrganizationId(organization);
        metrics.noticed(organization, 3);
        let resets_at = Instant::now() + Duration::from_secs(60);
        metrics.quota_remaining(Some(organization), 7, resets_at);
    }
    metrics.quota_remaining(None, 29, Instant::now());
    metrics.quota_refused(Pool::Me);
    metrics.quota_paced("waited");
    metrics.quota_limited(StatusCode::TOO_MANY_REQUESTS);
    metrics.certificate(jiff::Timestamp::UNIX_EPOCH);
    metrics
}

/// Each metric that `text` tells, as a query calls it, with its type and its labels.
fn told(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut told: BTreeMap<_, (_, BTreeSet<_>)> = BTreeMap::new();
    let mut family = ("", "");
    for line in text.lines() {
        if let Some(name_and_type) = line.strip_prefix("# TYPE ") {
            family = name_and_type.split_once(' ').unwrap();
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let name = if family.1 == "histogram" {
            family.0
        } else {
            name
        };
        let labels = labels.split(',').filter_map(|label| label.split_once('='));
        let labels = labels.map(|(label, _)| label).filter(|name| *name != "le");
        let entry = told.entry(name.to_owned()).or_default();
        entry.0 = family.1.to_owned();
        entry.1.extend(labels.map(str::to_owned));
    }
    told
}

#[test]
fn no_name_and_no_label_changes_unnoticed() {
    let told = told(&busy().text());
    let lines = told.iter().map(|(name, (kind, labels))| {
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        format!("{name}{{{}}} {kind}", labels.join(","))
    });
    assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    process_cpu_seconds_total{} counter
    process_max_fds{} gauge
    process_open_fds{} gauge
    process_resident_memory_bytes{} gauge
    process_start_time_seconds{} gauge
    tollgate_audit_commit_duration_seconds{} histogram
    tollgate_audit_database_bytes{} gauge
    tollgate_audit_disk_free_bytes{} gauge
    tollgate_audit_disk_size_bytes{} gauge
    tollgate_audit_events_total{action,outcome} counter
    tollgate_audit_failures_total{write} counter
    tollgate_audit_unknown_outcomes_total{} counter
    tollgate_build_info{version} info
    tollgate_cache_bytes{} gauge
    tollgate_cache_entries{} gauge
    tollgate_cache_evictions_total{cause} counter
    tollgate_cache_requests_total{result} counter
    tollgate_certificate_expiry_timestamp_seconds{} gauge
    tollgate_changes_noticed_total{organization} counter
    tollgate_in_flight_requests{} gauge
    tollgate_quota_limited_total{status} counter
    tollgate_quota_paced_total{result} counter
    tollgate_quota_refused_total{pool} counter
    tollgate_quota_remaining{organization} gauge
    tollgate_quota_resets_in_seconds{organization} gauge
    tollgate_ready{} gauge
    tollgate_request_duration_seconds{cache} histogram
    tollgate_requests_total{method,status} counter
    tollgate_trace_spans_total{result} counter
    tollgate_upstream_duration_seconds{} histogram
    tollgate_upstream_requests_total{status} counter
    ");
}

#[test]
fn the_documentation_tells_each_with_its_type_and_its_labels() {
    let page = include_str!("../../docs/metrics.md");
    let words = |cell: &str| {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let mut documented = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        // The other tables are of a label's values.
        if let ["", name, kind, labels, meaning, ""] = cells[..] {
            assert!(!meaning.is_empty(), "{line}");
            let name = name.trim_matches('`').to_owned();
            documented.insert(name, (kind.to_owned(), words(labels)));
        }
    }
    assert_eq!(told(&busy().text()), documented);
    for way in Way::ALL {
        let row = format!("| `{}` | is ", way.as_str());
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn what_alerts_ask_for_is_there_before_it_happens() {
    let text = Metrics::new().text();
    for line in [
        "tollgate_audit_unknown_outcomes_total 0",
        r#"tollgate_audit_failures_total{write="intent"} 0"#,
        r#"tollgate_audit_failures_total{write="event"} 0"#,
        r#"tollgate_cache_requests_total{result="hit"} 0"#,
        r#"tollgate_cache_evictions_total{cause="size"} 0"#,
        r#"tollgate_request_duration_seconds_count{cache="own"} 0"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
    }
}

#[test]
fn what_is_prepared_counts_as_what_is_looked_up() {
    let metrics = Metrics::new();
    for (method, status) in [
        (Method::GET, StatusCode::OK),
        (Method::GET, StatusCode::NOT_MODIFIED),
        (Method::HEAD, StatusCode::OK),
        (Method::from_bytes(b"BREW").unwrap(), StatusCode::OK),
    ] {
        metrics.request_answered(&method, status, Way::Hit, Duration::from_millis(2));
    }
    metrics.cache_request("hit");
    metrics.cache_request("miss");
    let text = metrics.text();
    for line in [
        r#"tollgate_requests_total{method="GET",status="200"} 1"#,
        r#"tollgate_requests_total{method="GET",status="304"} 1"#,
        r#"tollgate_requests_total{method="HEAD",status="200"} 1"#,
        r#"tollgate_requests_total{method="other",status="200"} 1"#,
        r#"tollgate_request_duration_seconds_count{cache="hit"} 4"#,
        r#"tollgate_request_duration_seconds_bucket{le="0.001",cache="hit"} 0"#,
        r#"tollgate_request_duration_seconds_bucket{le="0.0025",cache="hit"} 4"#,
        r#"tollgate_cache_requests_total{result="hit"} 1"#,
        r#"tollgate_cache_requests_total{result="miss"} 1"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_counts_down_to_its_reset_and_no_further() {
    let metrics = Metrics::new();
    let resets_at = Instant::now() + Duration::from_secs(90);
    metrics.quota_remaining(Some(OrganizationId(1)), 7, resets_at);
    for (advanced, left) in [(0, 90), (60, 30), (60, 0)] {
        tokio::time::advance(Duration::from_secs(advanced)).await;
        let line = format!("tollgate_quota_resets_in_seconds{{organization=\"1\"}} {left}\n");
        let text = metrics.text();
        assert!(text.contains(&line), "{line} in\n{text}");
    }
}

#[test]
fn who_may_see_one_organization_is_told_all_of_it_and_nothing_else() {
    let metrics = busy();
    let series = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        // A countdown may have gone on meanwhile.
        let names = lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
        names.collect()
    };
    let mut all = series(&metrics.text());
    all.retain(|series| series.contains(r#"organization="1""#));
    assert!(all.len() >= 3, "{all:?}");
    let one = metrics.text_of(&[OrganizationId(1)]);
    assert_eq!(series(&one), all);
    assert!(one.contains("tollgate_quota_remaining{organization=\"1\"} 7\n"));
    assert!(one.contains("tollgate_changes_noticed_total{organization=\"1\"} 3\n"));
    assert!(one.contains("# TYPE tollgate_quota_remaining gauge\n"));
    let both = metrics.text_of(&[OrganizationId(1), OrganizationId(2)]);
    assert_eq!(series(&both).len(), 2 * all.len());
    for nothing in [&[][..], &[OrganizationId(3)]] {
        assert_eq!(metrics.text_of(nothing), "# EOF\n");
    }
    // Asking for one that is not there makes no series of it.
    assert!(!metrics.text().contains(r#"organization="3""#));
}

#[test]
fn what_is_sampled_is_told_as_it_is_at_that_moment() {
    let metrics = Metrics::new();
    let asked = AtomicU64::new(0);
    metrics.sample_with(move |metrics| {
        let asked = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        metrics.cache_holds(asked, asked * 1000);
    });
    let _earlier = metrics.text();
    let text = metrics.text();
    assert!(text.contains("tollgate_cache_entries 1\n"), "{text}");
    assert!(text.contains("tollgate_cache_bytes 1000\n"), "{text}");
}

#[test]
fn the_process_is_told_of_as_it_is() {
    let text = Metrics::new().text();
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(series, _)| *series == name).unwrap();
        value.parse::<f64>().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    let now = crate::clock::Clock::system().now();
    let age = now.as_second() as f64 - value("process_start_time_seconds");
    assert!((-2.0..86_400.0).contains(&age), "{age} s old");
    assert!(value("process_cpu_seconds_total") >= 0.0);
}

/// The series that `query` names, each with the labels that it picks by.
fn asked(query: &str) -> Vec<(&str, Vec<&str>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = query.match_indices(is_name).map(|(start, _)| start);
    let words = starts.filter(|&start| !query[..start].ends_with(is_name));
    let ours = words.filter(|&start| {
        let word = &query[start..];
        word.starts_with("tollgate_") || word.starts_with("process_")
    });
    let series = ours.map(|start| {
        let word = &query[start..];
        let (name, rest) = word.split_at(word.find(|c| !is_name(c)).unwrap_or(word.len()));
        let picked = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let picked = picked.map_or("", |(picked, _)| picked).split(',');
        let labels = picked.filter_map(|label| label.split_once(['=', '!']));
        (name, labels.map(|(label, _)| label.trim()).collect())
    });
    series.collect()
}

fn assert_told(file: &str, text: &str, least: usize) {
    let told = told(&busy().text());
    let wanted = asked(text);
    let names: BTreeSet<_> = wanted.iter().map(|(name, _)| name).collect();
    assert!(names.len() >= least, "{file} asks for {names:?}");
    for (name, labels) in wanted {
        let parts = ["_bucket", "_sum", "_count"];
        let of = parts.iter().find_map(|part| name.strip_suffix(part));
        let family = of.filter(|of| told.get(*of).is_some_and(|(kind, _)| kind == "histogram"));
        let Some((kind, known)) = told.get(family.unwrap_or(name)) else {
            panic!("{file}: there is no {name}");
        };
        let is_whole = kind == "histogram" && family.is_none();
        assert!(!is_whole, "{file}: {name} alone is no series");
        for label in labels {
            // The last two are the scraper's.
            let exists = known.contains(label) || ["job", "instance"].contains(&label);
            assert!(exists, "{file}: {name} has no label {label}");
        }
    }
    // What is added up by a label is one of the series beside it.
    for query in text.lines() {
        let names = asked(query).into_iter().map(|(name, _)| name);
        let labels: BTreeSet<&str> = names
            .filter_map(|name| {
                let parts = ["_bucket", "_sum", "_count"];
                let of = parts.iter().find_map(|part| name.strip_suffix(part));
                told.get(name).or_else(|| told.get(of?))
            })
            .flat_map(|(_, labels)| labels.iter().map(AsRef::as_ref))
            .collect();
        for by in query.split(" by (").skip(1) {
            let by = by.split(')').next().unwrap_or_default().split(',');
            for label in by.map(str::trim) {
                let exists = labels.contains(label) || ["le", "job", "instance"].contains(&label);
                assert!(exists, "{file}: {query} has no label {label}");
            }
        }
    }
}

#[test]
fn dashboard_and_alerts_ask_for_what_there_is() {
    let rules = include_str!("../../config/prometheus/tollgate.rules.yml");
    assert_told("tollgate.rules.yml", rules, 9);
    let tests = include_str!("../../config/prometheus/tollgate.tests.yml");
    assert_told("tollgate.tests.yml", tests, 5);
    let dashboard = include_str!("../../config/grafana/tollgate.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    // Quotes in queries are escaped in the file.
    fn texts(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => into.push(text.clone()),
            serde_json::Value::Array(values) => values.iter().for_each(|value| texts(value, into)),
            serde_json::Value::Object(values) => {
                values.values().for_each(|value| texts(value, into));
            }
            _ => {}
        }
    }
    let mut queries = Vec::new();
    texts(&dashboard, &mut queries);
    assert_told("tollgate.json", &queries.join("\n"), 25);
}

#[test]
fn a_name_or_a_label_that_is_not_there_is_noticed() {
    for wrong in [
        "tollgate_cache_request_total",
        "rate(tollgate_request_duration_seconds[5m])",
        "tollgate_requests_total{code=\"200\"}",
        "1 - process_open_files",
        "sum by (code) (rate(tollgate_requests_total[5m]))",
    ] {
        let told = std::panic::catch_unwind(|| assert_told("query", wrong, 1));
        assert!(told.is_err(), "{wrong}");
    }
}

#[test]
fn how_long_upstream_took_is_told_by_the_bounds_that_were_not_passed() {
    let metrics = Metrics::new();
    let told = |metrics: &Metrics| {
        let Upstream { half, most, .. } = metrics.upstream();
        (half, most)
    };
    assert_eq!(told(&metrics), (None, None));
    let answered = |millis, times| {
        for _ in 0..times {
            metrics.upstream_answered(Some(StatusCode::OK), Duration::from_millis(millis));
        }
    };
    let at_most = |millis| Some(Took::AtMost(Duration::from_millis(millis)));
    answered(80, 1);
    assert_eq!(told(&metrics), (at_most(100), at_most(100)));
    answered(80, 97);
    answered(2_000, 1);
    assert_eq!(told(&metrics), (at_most(100), at_most(2_500)));
    answered(40_000, 1);
    assert_eq!(told(&metrics), (at_most(100), at_most(2_500)));
    answered(40_000, 1);
    let over = Some(Took::Over(Duration::from_secs(30)));
    assert_eq!(told(&metrics), (at_most(100), over));
    metrics.upstream_answered(None, Duration::ZERO);
    assert_eq!(
        (metrics.upstream().requests, metrics.upstream().failed),
        (102, 1)
    );
}
