//! Tollgate beside the caches that one would otherwise put there, on the same machine.
//!
//! ```sh
//! cargo bench --bench peers -- freshness          # prints the table of docs/freshness.md
//! cargo bench --bench peers -- freshness write    # and writes it there
//! cargo bench --bench peers -- freshness nginx    # one peer alone, by a part of its name
//! ```
//!
//! nginx and Varnish are Debian packages, installed if they are missing. Each stands in front of the
//! simulator, with the configuration in `config/`, in a folder that is gone afterwards.

mod freshness;
mod peer;
mod stage;
#[path = "../support/mod.rs"]
mod support;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["freshness"] => freshness::run("", false).await,
        ["freshness", "write"] => freshness::run("", true).await,
        ["freshness", name] => freshness::run(name, false).await,
        // `cargo test --all-targets` starts benches too, without a word, to see that they start.
        _ => {
            println!("say what to compare: freshness, freshness write or freshness PEER");
            Ok(())
        }
    }
}
