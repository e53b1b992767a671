//! `tollgate audit checkpoint`, and the key that checkpoints are signed and checked with.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::cli::environment::FileArgs;
use crate::clock::Clock;
use crate::domain::caller::Key;
use crate::domain::checkpoint::{Checkpoint, SigningKey};
use crate::secret_file;
use crate::store::sqlite::Reader;

/// What stands below the options.
pub(super) const HELP: &str = "\
Whoever holds the note can prove later that no row up to there was changed or is missing, which the
chain alone cannot. Keep it where the database's owner cannot reach it: mail it, print it, put it in
another team's repository. A gateway also writes one to its log every hour and every thousand events.

Examples:
  tollgate audit checkpoint > /mnt/elsewhere/checkpoint.txt
  tollgate audit verify --checkpoint /mnt/elsewhere/checkpoint.txt
  tollgate audit checkpoint --public-key";

/// Where the key is.
#[derive(Args, Debug)]
pub(super) struct KeyArgs {
    /// The gateway's key file [default: the configuration's identity.key_file]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct CheckpointArgs {
    #[command(flatten)]
    key: KeyArgs,

    /// Print instead the key with which anybody can check checkpoints; it is no secret
    #[arg(long)]
    public_key: bool,
}

// === impl KeyArgs ===

impl KeyArgs {
    /// The key that signs.
    pub(super) fn load(&self, configuration: &FileArgs) -> anyhow::Result<SigningKey> {
        let path = match &self.key_file {
            Some(path) => path.clone(),
            None => configuration.load()?.0.identity.key_file,
        };
        // Never made here: another one would sign what no gateway stands for.
        let secret = secret_file::read(&path, "the key file")?;
        Ok(SigningKey::of(&Key::new(&secret)))
    }
}

pub(super) async fn run(
    args: &CheckpointArgs,
    reader: &Reader,
    configuration: &FileArgs,
    out: &mut impl Write,
    clock: &Clock,
) -> anyhow::Result<()> {
    let key = args.key.load(configuration)?;
    if args.public_key {
        writeln!(out, "{}", key.verifier())?;
        return Ok(());
    }
    let head = reader.head().await?;
    let database = reader.database_id().await?;
    let checkpoint = Checkpoint::new(database, head.as_ref(), clock.now());
    write!(out, "{}", checkpoint.sign(&key))?;
    Ok(())
}
