//! Tollgate beside the caches that one would otherwise put there, on the same machine.
//!
//! ```sh
//! cargo bench --bench peers -- freshness          # prints the table of docs/freshness.md
//! cargo bench --bench peers -- freshness write    # and writes it there
//! cargo bench --bench peers -- freshness nginx    # one peer alone, by a part of its name
//! cargo bench --bench peers -- freshness tiny     # one scene of each, to see that it plays
//!
//! cargo bench --bench peers -- load               # prints the tables of docs/performance.md
//! cargo bench --bench peers -- load write         # and writes them and the picture there
//! cargo bench --bench peers -- load 'HTTP/2'      # the scenes whose name has that
//! cargo bench --bench peers -- load tiny          # each scene once and short, to see that it plays
//! ```
//!
//! nginx, Varnish, `wrk` and `h2load` are Debian packages, installed if they are missing. Each server has a
//! folder that is gone afterwards. For `freshness` they stand in front of the simulator, with the
//! configurations in `config/`, for `load` in front of an origin that is quicker, with those in `config/load/`.
//!
//! `PEERS_ROUNDS` and `PEERS_SECONDS` say how often and how long each server is asked in a scene (5 times,
//! 3 s), and `PEERS_FOLDER` on which disk Tollgate's trail lies.

#[path = "../support/disk.rs"]
mod disk;
mod freshness;
mod load;
mod page;
mod peer;
#[path = "../support/plot.rs"]
mod plot;
mod stage;
#[path = "../support/mod.rs"]
mod support;

use self::load::Extent;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["freshness"] => freshness::run("", false, false).await,
        ["freshness", "write"] => freshness::run("", false, true).await,
        ["freshness", "tiny"] => freshness::run("", true, false).await,
        ["freshness", name] => freshness::run(name, false, false).await,
        ["load"] => load::run("", &Extent::asked()?, false).await,
        ["load", "write"] => load::run("", &Extent::asked()?, true).await,
        ["load", "tiny"] => load::run("", &Extent::TINY, false).await,
        ["load", part] => load::run(part, &Extent::asked()?, false).await,
        // What `load` starts.
        ["origin", address] => load::origin(address.parse()?).await,
        ["bare", address, upstream, scene] => {
            load::bare(address.parse()?, upstream.parse()?, scene).await
        }
        // `cargo test --all-targets` starts benches too, without a word, to see that they start.
        _ => {
            println!("say what to compare: freshness [write|tiny|PEER] or load [write|tiny|PART]");
            Ok(())
        }
    }
}
