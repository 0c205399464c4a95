//! Image configurations.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md>

use serde::Deserialize;

/// The command and env of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`, which `args` of a pod replace.
    pub cmd: Vec<String>,
    /// `Env`: `NAME=value` records.
    pub env: Vec<String>,
}

/// The configuration is not valid JSON. The error does not quote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse the image configuration (line {line} column {column}): push the image again")]
pub(crate) struct InvalidConfig {
    line: usize,
    column: usize,
}

impl ImageConfig {
    /// Parses a configuration. Fields that are null or missing are empty, because Docker writes both.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, InvalidConfig> {
        #[derive(Deserialize)]
        struct Image {
            config: Option<Config>,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Config {
            entrypoint: Option<Vec<String>>,
            cmd: Option<Vec<String>>,
            env: Option<Vec<String>>,
        }
        let image: Image = serde_json::from_slice(bytes)
            .map_err(|error| InvalidConfig { line: error.line(), column: error.column() })?;
        let Config { entrypoint, cmd, env } = image.config.unwrap_or_default();
        let [entrypoint, cmd, env] = [entrypoint, cmd, env].map(Option::unwrap_or_default);
        Ok(Self { entrypoint, cmd, env })
    }

    /// The approximate size in memory.
    pub(crate) fn size(&self) -> usize {
        [&self.entrypoint, &self.cmd, &self.env]
            .into_iter()
            .flatten()
            .map(|word| word.len() + size_of::<String>())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_of_real_builders_are_parsed() {
        let read = |json: &str| ImageConfig::read(json.as_bytes());
        let full = read(
            r#"{"architecture": "amd64", "config": {"Entrypoint": ["/a"], "Cmd": ["b", ""], "Env": ["C=d"]}}"#,
        );
        let full = full.unwrap();
        assert_eq!(
            (full.entrypoint, full.cmd, full.env),
            (vec!["/a".into()], vec!["b".into(), String::new()], vec!["C=d".into()])
        );
        for empty in
            ["{}", r#"{"config": null}"#, r#"{"config": {"Entrypoint": null, "Cmd": null, "User": "1"}}"#]
        {
            assert_eq!(read(empty).unwrap(), ImageConfig::default(), "{empty}");
        }
        for broken in ["", "hunter2", r#"{"config": {"Cmd": "hunter2"}}"#, "[]"] {
            let error = read(broken).unwrap_err().to_string();
            assert!(error.contains("(line ") && !error.contains("hunter2"), "{error}");
        }
    }
}
