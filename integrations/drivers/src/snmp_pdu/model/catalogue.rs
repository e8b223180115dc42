//! The models that ship. Adding one is one file in `models/` and one line here.

use std::sync::LazyLock;

use super::{Model, file};

macro_rules! models {
    ($($key:literal),+ $(,)?) => {
        /// Every model's key and text.
        pub(super) const FILES: &[(&str, &str)] =
            &[$(($key, include_str!(concat!("../models/", $key, ".toml")))),+];
    };
}

models![
    "apc_spdu",
    "apc_rpdu",
    "apc_rpdu2",
    "apc_cpdu",
    "raritan_px2",
    "sentry3",
    "sentry4",
    "eaton_g3",
    "enlogic",
    "cyberpower_epdu",
    "aten",
];

static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| {
    let parse = |(key, text): &(&'static str, &str)| match file::parse(key, text) {
        Ok(model) => Some(model),
        Err(error) => {
            tracing::error!(%error, model = key, "a PDU model file is wrong and left out");
            None
        }
    };
    FILES.iter().filter_map(parse).collect()
});

/// Lists every model, in the order in which people are offered them.
pub(in super::super) fn all() -> &'static [Model] {
    &MODELS
}

/// Finds a model by its key.
pub(in super::super) fn find(key: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_right() {
        for (key, text) in FILES {
            if let Err(error) = file::parse(key, text) {
                panic!("models/{key}.toml: {error}");
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_ships() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/snmp_pdu/models");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().trim_end_matches(".toml").to_owned())
            .collect();
        files.sort();
        let mut listed: Vec<&str> = FILES.iter().map(|(key, _)| *key).collect();
        listed.sort_unstable();
        assert_eq!(files, listed, "add the model to models! in catalogue.rs");
    }

    #[test]
    fn the_table_in_docs_says_what_the_files_say() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pdus.md");
        let text = std::fs::read_to_string(page).unwrap();
        let shown: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        let row = |model: &Model| {
            format!("| {} | {} | {} |", model.title, model.reading.words(), model.switching.words())
        };
        let mut table = vec!["| Model | Reading | Switching |".to_owned(), "|---|---|---|".to_owned()];
        table.extend(all().iter().map(row));
        let table = table.join("\n");
        assert!(shown.join("\n") == table, "docs/pdus.md must have this one table:\n{table}");
    }

    #[test]
    fn what_a_model_supersedes_exists_and_never_turns_back() {
        for model in all() {
            for other in &model.supersedes {
                let other = find(other).unwrap_or_else(|| panic!("{} supersedes unknown {other}", model.key));
                assert!(
                    !other.supersedes.iter().any(|key| key == model.key),
                    "{} and {} supersede each other",
                    model.key,
                    other.key
                );
            }
        }
    }
}
