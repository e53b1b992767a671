//! `tollgate audit verify`.

use std::io::Write;

use anyhow::bail;

use crate::store::sqlite::{Reader, Verdict};

pub(super) async fn run(reader: &Reader, out: &mut impl Write) -> anyhow::Result<()> {
    match reader.verify().await? {
        Verdict::Intact { head: None, .. } => {
            writeln!(out, "The trail is intact: it has no rows.")?;
        }
        Verdict::Intact {
            rows,
            head: Some(head),
            ..
        } => {
            let noun = if rows == 1 { "row" } else { "rows" };
            writeln!(
                out,
                "The trail is intact: {rows} {noun}, the last with the hash {}.",
                head.hash
            )?;
            writeln!(
                out,
                "A trail that was cut off or rewritten as a whole is intact too: compare this hash with one noted elsewhere."
            )?;
        }
        Verdict::Broken { rows, fault } => {
            let before = match rows {
                0 => "no row comes before it".to_owned(),
                1 => "the one row before it is as it was written".to_owned(),
                rows => format!("the {rows} rows before it are as they were written"),
            };
            bail!("the trail is broken: {fault}; {before}");
        }
    }
    Ok(())
}
