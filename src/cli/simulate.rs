//! `tollgate simulate`: the simulated Toggl API in a process of its own.
//!
//! **Guarantee**: when the first line is on standard output the port is open, and everything that is
//! needed for a first request is there to copy: the address, the people and their tokens, a `curl`.
//! It serves until Ctrl-C or SIGTERM.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;

use crate::domain::ids::OrganizationId;
use crate::shutdown;
use crate::simulator::{Options, Seed, Toggl};

/// Serve a simulated Toggl API, to try things out without an account and without a network.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Example:
  tollgate simulate --quota 240 --latency 150ms
  tollgate simulate --quota 240 --window 60s
  TOLLGATE_UPSTREAM__URL=http://127.0.0.1:8082 tollgate serve")]
pub struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8082")]
    pub listen: SocketAddr,

    /// Who and what there is, as JSON; config/simulator.seed.json is the built-in company
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,

    /// Requests an hour for each person and organization (30 is Free, 240 Starter, 600 Premium), and
    /// 30 about the person; no limit when left out
    #[arg(long, value_name = "N")]
    pub quota: Option<u32>,

    /// How long the quota's hour is: with 60s, a minute shows what an hour would
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub window: Duration,

    /// How long every request takes, such as 150ms
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub latency: Duration,

    /// Slow a token down to one request a second after a burst of N, with 429
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "5")]
    pub leaky_bucket: Option<u32>,
}

/// Serves until the process is told to end.
///
/// # Errors
/// When the seed cannot be read or makes no world, or the address cannot be bound.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let seed = match &args.seed {
        None => Seed::default(),
        Some(file) => {
            let text = tokio::fs::read_to_string(file).await;
            let text = text.with_context(|| format!("cannot read {}", file.display()))?;
            Seed::parse(&text).with_context(|| format!("cannot use {}", file.display()))?
        }
    };
    let options = Options {
        listen: args.listen,
        seed,
        quota: args.quota,
        window: args.window,
        leaky_bucket: args.leaky_bucket,
        latency: args.latency,
        ..Options::default()
    };
    let listen = args.listen;
    let toggl = Toggl::start(options).await;
    let toggl = toggl.with_context(|| format!("cannot simulate Toggl on {listen}"))?;
    let mut stdout = std::io::stdout();
    stdout
        .write_all(banner(&toggl).as_bytes())
        .context("cannot write to standard output")?;
    stdout.flush().context("cannot write to standard output")?;
    let stop = shutdown::on_signal().context("cannot listen for signals")?;
    stop.cancelled().await;
    toggl.stop().await;
    Ok(())
}

/// What somebody needs to know for a first request.
fn banner(toggl: &Toggl) -> String {
    let url = toggl.url();
    let mut text = format!("The simulated Toggl API is at {url}\n\n");
    let width = toggl
        .people()
        .iter()
        .map(|person| person.email.len())
        .max()
        .unwrap_or(0);
    let mut example = None;
    for person in toggl.people() {
        let organizations = toggl.world(|world| {
            let own = world.organizations_of(person.id).into_iter();
            own.map(|(id, name, admin)| (id, name.to_owned(), admin))
                .collect::<Vec<_>>()
        });
        let roles: Vec<String> = organizations
            .iter()
            .map(|(id, name, admin)| {
                let role = if *admin { "administrator" } else { "member" };
                format!("{role} of {name} ({id})")
            })
            .collect();
        if example.is_none()
            && let Some((id, ..)) = organizations.iter().find(|(.., admin)| *admin)
        {
            example = Some((person.token.clone(), *id));
        }
        // A `String` takes whatever is written to it.
        let _ = writeln!(
            text,
            "  {:<8} {:<width$}  password {:<18}  token {}  {}",
            person.handle,
            person.email,
            person.password,
            person.token,
            roles.join(", "),
        );
    }
    let (token, organization) = example.unwrap_or_else(|| ("TOKEN".into(), OrganizationId(1)));
    let _ = writeln!(
        text,
        "\nTry: curl -u {token}:api_token {url}/api/v9/organizations/{organization}/groups"
    );
    text
}

/// Reads a duration as people write it, such as 150ms.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(parsed).map_err(|_| "a duration cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.args)
    }

    #[test]
    fn without_flags_nothing_limits_anybody() {
        let args = parse("simulate").unwrap();
        assert_eq!(args.listen, SocketAddr::from(([127, 0, 0, 1], 8082)));
        assert_eq!((args.quota, args.leaky_bucket), (None, None));
        assert_eq!(args.latency, Duration::ZERO);
        assert_eq!(args.window, Duration::from_secs(3600));
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        let latency = |text: &str| parse(&format!("simulate --latency {text}"));
        assert_eq!(
            latency("150ms").unwrap().latency,
            Duration::from_millis(150)
        );
        assert_eq!(latency("2s").unwrap().latency, Duration::from_secs(2));
        let window = parse("simulate --window 60s").unwrap().window;
        assert_eq!(window, Duration::from_secs(60));
        let error = latency("150").unwrap_err().to_string();
        assert!(error.contains("--latency"), "{error}");
        assert!(parse("simulate --latency=-1s").is_err());
    }

    #[test]
    fn the_bucket_has_a_size_of_its_own_or_five() {
        assert_eq!(
            parse("simulate --leaky-bucket").unwrap().leaky_bucket,
            Some(5)
        );
        assert_eq!(
            parse("simulate --leaky-bucket 9").unwrap().leaky_bucket,
            Some(9)
        );
    }

    #[tokio::test]
    async fn the_banner_has_what_a_first_request_needs() {
        let toggl = Toggl::start(Options::default()).await.unwrap();
        let (banner, url, token) = (banner(&toggl), toggl.url(), toggl.token("ann"));
        assert!(
            banner.starts_with(&format!("The simulated Toggl API is at {url}\n")),
            "{banner}"
        );
        for person in toggl.people() {
            for text in [
                &person.handle,
                &person.email,
                &person.password,
                &person.token,
            ] {
                assert!(banner.contains(text), "{text} is not in\n{banner}");
            }
        }
        assert!(banner.contains("administrator of Acme (4123)"), "{banner}");
        let example = format!("curl -u {token}:api_token {url}/api/v9/organizations/4123/groups");
        assert!(banner.contains(&example), "{banner}");
    }

    #[tokio::test]
    async fn a_seed_that_makes_no_world_is_an_error_that_says_why() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"people":[]}"#).unwrap();
        let seed = format!(
            "simulate --listen 127.0.0.1:0 --seed {}",
            file.path().display()
        );
        let error = run(parse(&seed).unwrap()).await.unwrap_err();
        assert!(
            format!("{error:#}").contains("missing field `organizations`"),
            "{error:#}"
        );
    }
}
