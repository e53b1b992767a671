//! `tollgate man`: the manual pages, made of what `--help` says, so that the two cannot differ.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args as ClapArgs, Command};

/// Write the manual pages, one for each command.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Example:
  tollgate man --out /usr/local/share/man/man1")]
pub struct Args {
    /// The folder that they go to, made if it is not there
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Writes them.
///
/// # Errors
///
/// When the folder or a page cannot be written.
pub fn run(args: &Args, cli: Command) -> anyhow::Result<()> {
    let about = || format!("no manual pages in {}", args.out.display());
    fs::create_dir_all(&args.out).with_context(about)?;
    clap_mangen::generate_to(cli, &args.out).with_context(about)
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn each_command_has_a_page_and_a_command_below_it_too() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("man1");
        let list = Command::new("list").arg(Arg::new("since").long("since"));
        let cli = Command::new("gate").subcommand(Command::new("audit").subcommand(list));
        run(&Args { out: out.clone() }, cli).unwrap();
        for page in ["gate.1", "gate-audit.1"] {
            assert!(out.join(page).is_file(), "{page}");
        }
        let list = fs::read_to_string(out.join("gate-audit-list.1")).unwrap();
        assert!(list.contains("since"), "{list}");
    }
}
