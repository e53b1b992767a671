//! `tollgate config`: whether the configuration is right, and what is in effect.

use std::io::{self, Write};

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::json;

use super::environment::FileArgs;
use crate::config::{Config, ConfigError, Mistake, Origin, Origins};
use crate::server::Certificate;
use crate::store::sqlite;

/// Check the configuration, or show what is in effect.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ConfigCommand {
    /// Tell all mistakes in the file and the variables, and what is wrong with the certificate; exit with 2 if
    /// there are any.
    ///
    /// Example: tollgate config check --config /etc/tollgate/tollgate.toml
    Check {
        #[command(flatten)]
        file: FileArgs,
    },
    /// Show each key, its value and where that comes from; secrets are hidden.
    ///
    /// Example: tollgate config show --format json
    Show {
        #[command(flatten)]
        file: FileArgs,
        /// How to write it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// Three columns.
    #[default]
    Table,
    /// An array of `{"key","value","from"}`; a key without a value has `null`.
    Json,
}

/// Runs `tollgate config`. A wrong configuration is a [`ConfigError`]
/// in the error's chain.
pub fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    match &args.command {
        ConfigCommand::Check { file } => {
            let (config, origins) = file.load()?;
            certificate(&config, &origins)?;
            database(&config, &origins)?;
            check(&config, &origins, out)?;
        }
        ConfigCommand::Show { file, format } => {
            let (config, origins) = file.load()?;
            show(&config, &origins, *format, out)?;
        }
    }
    Ok(())
}

// Whether the files can be used that the certificate and its key are in.
fn certificate(config: &Config, origins: &Origins) -> Result<(), ConfigError> {
    let Some((chain, key)) = config.listen.tls() else {
        return Ok(());
    };
    Certificate::read(chain, key).map(drop).map_err(|error| {
        ConfigError::Wrong(vec![Mistake {
            origin: origins.of(error.key).clone(),
            key: Some(error.key.to_owned()),
            problem: format!("{}: {}", error.path.display(), error.problem),
        }])
    })
}

// Whether the database may be where it is to be.
fn database(config: &Config, origins: &Origins) -> Result<(), ConfigError> {
    let path = config.audit.database.path();
    match sqlite::suits(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConfigError::Wrong(vec![Mistake {
            origin: origins.of("audit.database").clone(),
            key: Some("audit.database".to_owned()),
            problem: format!("{} {error}", path.display()),
        }])),
    }
}

fn check(config: &Config, origins: &Origins, out: &mut impl Write) -> io::Result<()> {
    let rows = config.rows();
    let count = |wanted: fn(&Origin) -> bool| {
        rows.iter()
            .filter(|row| wanted(origins.of(row.key)))
            .count()
    };
    let file = count(|origin| matches!(origin, Origin::File { .. }));
    let variables = count(|origin| matches!(origin, Origin::Variable(_)));
    let default = count(|origin| matches!(origin, Origin::Default));
    writeln!(
        out,
        "The configuration is right. Keys set by the file: {file}, by variables: {variables}, \
         left at their default: {default}."
    )
}

fn show(
    config: &Config,
    origins: &Origins,
    format: Format,
    out: &mut impl Write,
) -> io::Result<()> {
    let rows = config
        .rows()
        .into_iter()
        .map(|row| (row.key, row.value, origins.of(row.key)));
    match format {
        Format::Table => {
            let mut table = Table::new();
            table
                .load_style(NOTHING)
                .set_header(["key", "value", "from"]);
            for (key, value, origin) in rows {
                let value = value.unwrap_or_else(|| "(none)".to_owned());
                table.add_row([key, &value, &origin.to_string()]);
            }
            if let Some(keys) = table.column_mut(0) {
                keys.set_padding((0, 1));
            }
            writeln!(out, "{}", table.trim_fmt())
        }
        Format::Json => {
            let rows: Vec<_> = rows
                .map(|(key, value, origin)| {
                    json!({ "key": key, "value": value, "from": origin.to_string() })
                })
                .collect();
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            writeln!(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Sources;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ConfigArgs,
    }

    fn loaded() -> (Config, Origins) {
        let file = "[cache]\nttl = \"2m\"\n\n[admin]\ntoken = \"hush-hush\"\n";
        let variables = [(
            "TOLLGATE_IDENTITY__TOOLS".to_owned(),
            "hr-sync, airbyte".to_owned(),
        )];
        Config::load(&Sources {
            file: Some(("tollgate.toml".into(), file.to_owned())),
            variables: variables.into(),
        })
        .unwrap()
    }

    fn text(write: impl FnOnce(&Config, &Origins, &mut Vec<u8>) -> io::Result<()>) -> String {
        let (config, origins) = loaded();
        let mut out = Vec::new();
        write(&config, &origins, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_tells_each_value_and_where_it_comes_from() {
        let table = text(|config, origins, out| show(config, origins, Format::Table, out));
        insta::assert_snapshot!(table, @r"
        key                           value                        from
        mode                          active                       default
        listen.proxy                  127.0.0.1:8080               default
        listen.admin                  127.0.0.1:8081               default
        listen.tls_cert               (none)                       default
        listen.tls_key                (none)                       default
        upstream.url                  https://api.track.toggl.com  default
        upstream.connect_timeout      5s                           default
        upstream.request_timeout      30s                          default
        upstream.ca_file              (none)                       default
        cache.enabled                 true                         default
        cache.ttl                     2m                           tollgate.toml:2
        cache.stale_while_revalidate  30s                          default
        cache.stale_if_error          1h                           default
        cache.max_size                256MiB                       default
        cache.max_entry_size          8MiB                         default
        cache.filters                 off                          default
        cache.refusal_ttl             10s                          default
        quota.reserve                 10                           default
        quota.pace                    after-429                    default
        quota.max_wait                10s                          default
        audit.database                sqlite://tollgate.db         default
        audit.scope                   all                          default
        audit.on_failure              refuse                       default
        audit.max_body_size           1MiB                         default
        audit.retention               never                        default
        identity.lookup               true                         default
        identity.ttl                  24h                          default
        identity.key_file             tollgate.key                 default
        identity.trusted_proxies      []                           default
        identity.tools                hr-sync,airbyte              TOLLGATE_IDENTITY__TOOLS
        guard.mode                    off                          default
        guard.max_removed_share       0.25                         default
        guard.max_removed             10                           default
        limits.max_connections        10000                        default
        limits.max_in_flight          1024                         default
        limits.header_timeout         10s                          default
        limits.body_timeout           30s                          default
        limits.shutdown_grace         30s                          default
        admin.token                   (hidden)                     tollgate.toml:5
        admin.public_metrics          false                        default
        log.format                    (none)                       default
        log.filter                    info                         default
        log.otlp_endpoint             (none)                       default
        ");
    }

    #[test]
    fn json_tells_the_same() {
        let json = text(|config, origins, out| show(config, origins, Format::Json, out));
        let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        let of = |key| {
            rows.iter()
                .find(|row| row["key"] == key)
                .unwrap()
                .to_string()
        };
        assert_eq!(rows.len(), Config::default().rows().len());
        insta::assert_snapshot!(of("cache.ttl"), @r#"{"key":"cache.ttl","value":"2m","from":"tollgate.toml:2"}"#);
        insta::assert_snapshot!(of("upstream.ca_file"), @r#"{"key":"upstream.ca_file","value":null,"from":"default"}"#);
    }

    #[test]
    fn no_format_shows_a_secret() {
        for format in [Format::Table, Format::Json] {
            let shown = text(|config, origins, out| show(config, origins, format, out));
            assert!(
                shown.contains("(hidden)") && !shown.contains("hush"),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_right_configuration_is_told_to_be_right() {
        insta::assert_snapshot!(text(check), @"The configuration is right. Keys set by the file: 2, by variables: 1, left at their default: 40.");
    }

    #[test]
    fn the_file_is_an_option_of_both_commands() {
        for line in [
            "x check --config f.toml",
            "x show --config f.toml --format json",
        ] {
            assert!(Line::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        assert!(Line::try_parse_from(["x"]).is_err(), "a command is needed");
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_a_mistake_where_it_is_named() {
        let sources = Sources {
            file: Some((
                "tollgate.toml".into(),
                "[listen]\ntls_cert = \"gone/tls.crt\"\ntls_key = \"gone/tls.key\"\n".to_owned(),
            )),
            variables: [].into(),
        };
        let (config, origins) = Config::load(&sources).unwrap();
        let wrong = certificate(&config, &origins).unwrap_err();
        insta::assert_snapshot!(wrong, @r"
        the configuration has a mistake:
          tollgate.toml:2: listen.tls_cert: gone/tls.crt: cannot be read: No such file or directory (os error 2)
        ");
        let (config, origins) = loaded();
        certificate(&config, &origins).unwrap();
    }
}
