//! Every setting that a program reads is in `.env.example` and in `docs/configuration.md`, and nothing else is.

use std::{collections::BTreeSet, fs, path::Path};

/// The names that begin with `ROOKERY_` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !is_part(c))
        .filter(|word| word.starts_with("ROOKERY_") && !word.ends_with('_') && word.len() > "ROOKERY_".len())
        .map(str::to_owned)
        .collect()
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_setting_is_documented_and_nothing_else_is() {
    let sources = [
        "shared/src/config.rs",
        "shared/src/redis_link/settings.rs",
        "gateway/src/config.rs",
        "api/src/config.rs",
        "api/src/config/identity.rs",
        "standalone/src/config.rs",
    ];
    // Names in quotes are read; names in prose are explained.
    let read_by_programs: BTreeSet<String> = sources
        .iter()
        .flat_map(|path| {
            let text = read(path);
            let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            text.split('"').skip(1).step_by(2).flat_map(names).collect::<Vec<_>>()
        })
        .collect();
    assert!(read_by_programs.len() > 20, "the sources are read: {read_by_programs:?}");
    for path in [".env.example", "docs/configuration.md"] {
        let documented: BTreeSet<String> =
            names(&read(path)).into_iter().filter(|name| !name.starts_with("ROOKERY_CLUSTER_")).collect();
        let missing: Vec<_> = read_by_programs.difference(&documented).collect();
        let unknown: Vec<_> = documented.difference(&read_by_programs).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "{path}: missing {missing:?}, unknown {unknown:?}");
    }
}
