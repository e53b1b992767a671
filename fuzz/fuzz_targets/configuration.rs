//! Looks for a configuration that breaks the reading, or that is shown as another than it is.
//!
//! Input: a `tollgate.toml`.
//!
//! ```sh
//! cargo +nightly fuzz run --sanitizer none configuration
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::config::{Config, Sources};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let sources = Sources {
        file: Some(("tollgate.toml".into(), text.to_owned())),
        ..Sources::default()
    };
    let config = match Config::load(&sources) {
        Ok((config, _)) => config,
        Err(wrong) => {
            assert!(wrong.to_string().contains("tollgate.toml"), "{wrong}");
            return;
        }
    };
    // As `config show` tells it, it can be set by variables, and is the same then.
    let shown = config.rows();
    let variables = shown.iter().filter_map(|row| {
        let value = row.value.clone().filter(|value| value != "(hidden)")?;
        let name = row.key.replace('.', "__").to_uppercase();
        Some((format!("TOLLGATE_{name}"), value))
    });
    let sources = Sources {
        file: None,
        variables: variables.collect(),
    };
    let again = match Config::load(&sources) {
        Ok((config, _)) => config.rows(),
        Err(wrong) => panic!("what is shown is refused: {wrong}"),
    };
    let hidden = |value: &Option<String>| value.as_deref() == Some("(hidden)");
    for (row, again) in shown
        .iter()
        .zip(&again)
        .filter(|(row, _)| !hidden(&row.value))
    {
        assert_eq!(row, again);
    }
});
