//! What grows with what is kept, and what does not.
//!
//! ```sh
//! cargo bench --bench scale                # all four, and the pictures
//! cargo bench --bench scale -- connections # or hits, events, start
//! cargo bench --bench scale -- tiny        # all of them once, small, to see that they run
//! ```
//!
//! - `hits`: finding a list among 10, 10 000 and 1 000 000, each time another one.
//! - `events`: durable events a second, 64 at once, into an empty trail and into long ones.
//! - `connections`: the process's memory with so many connections on which a list was read and nothing is asked.
//! - `start`: from the start of the process to its first `200` at `/readyz`, over long trails.
//!
//! `SCALE_FOLDER` is where the trails are kept from one run to the next (`scale-10000000.db`, 18 GB; made in a
//! quarter of an hour). Writes `docs/scaling.svg` where all four were measured, and prints the figures.

mod measures;
mod picture;

#[path = "../support/lists.rs"]
mod lists;
#[path = "../support/plot.rs"]
mod plot;
#[path = "../support/trail.rs"]
mod trail;

use std::path::{Path, PathBuf};

use anyhow::bail;

use self::picture::Line;

/// How much there is of each.
struct Sizes {
    lists: &'static [u64],
    events: &'static [u64],
    /// Events that are written to measure how fast that goes.
    written: u32,
    connections: &'static [u64],
}

const ALL: Sizes = Sizes {
    lists: &[10, 10_000, 1_000_000],
    events: &[0, 100_000, 1_000_000, 10_000_000],
    written: 32_000,
    connections: &[0, 100, 1_000, 10_000],
};

const TINY: Sizes = Sizes {
    lists: &[10, 100],
    events: &[0, 1_000],
    written: 640,
    connections: &[0, 10],
};

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scaling.svg");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let folder = std::env::var_os("SCALE_FOLDER")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let mut lines = Vec::new();
            for part in ["hits", "events", "connections", "start"] {
                lines.push(measured(part, &ALL, &folder).await?);
            }
            let note = "Each dot is one size; the height is from nothing to the most.";
            let picture = picture::lines("What grows with what is kept", note, &lines);
            std::fs::write(PICTURE, picture.into_string())?;
        }
        ["tiny"] => {
            for part in ["hits", "events", "connections", "start"] {
                measured(part, &TINY, &folder).await?;
            }
        }
        [part] => drop(measured(part, &ALL, &folder).await?),
        _ => bail!("say one of hits, events, connections and start, or nothing for all"),
    }
    Ok(())
}

async fn measured(part: &str, sizes: &Sizes, folder: &Path) -> anyhow::Result<Line> {
    let line = match part {
        "hits" => measures::hits(sizes.lists),
        "events" => measures::events(sizes.events, sizes.written, folder).await?,
        "connections" => measures::connections(sizes.connections).await?,
        "start" => measures::starts(sizes.events, folder).await?,
        other => bail!("{other} is none of hits, events, connections and start"),
    };
    println!("\n{}", line.name);
    for (size, value) in &line.dots {
        println!("{size:>12} {value:>12.2}");
    }
    Ok(line)
}
