//! Puts what was measured into a page of `docs/`, between two markers that the page has for it.

use std::fs;

use anyhow::Context as _;

/// `<!-- NAME -->` and `<!-- /NAME -->` stay, on lines of their own; what is between them is replaced.
pub(crate) fn write(page: &str, name: &str, text: &str) -> anyhow::Result<()> {
    let path = format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let (begins, ends) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let old = fs::read_to_string(&path)?;
    let (start, rest) = old.split_once(&begins).context("no place for it")?;
    let (_, end) = rest.split_once(&ends).context("no end of its place")?;
    fs::write(path, [start, &begins, text, &ends, end].concat())?;
    Ok(())
}
