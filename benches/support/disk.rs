//! What the disk itself can do, to compare with.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use tokio::time::Instant;

/// How often a second a page of 4 KiB, appended to a file in this folder, is on disk.
pub(crate) fn fsyncs(folder: &Path) -> anyhow::Result<f64> {
    let mut file = File::create(folder.join("fsync"))?;
    let (count, started) = (1_000_u32, Instant::now());
    for _ in 0..count {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}
