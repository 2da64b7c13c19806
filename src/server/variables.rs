//! `STEPRILL_*` variables: their values, and those that set nothing.

use std::{collections::HashMap, env, ffi::OsString};

use super::config::{self, PREFIX, UsageError};
use crate::text::nearest;

/// Returns the `STEPRILL_*` variables of the environment.
///
/// # Errors
/// The first whose value is not text, as somebody relies on it.
pub(super) fn of_environment() -> Result<HashMap<String, String>, UsageError> {
    let named = env::vars_os().filter_map(|(key, value)| Some((own(key)?, value)));
    let mut variables = HashMap::new();
    for (key, value) in named {
        let value = value.into_string().map_err(|_| UsageError::NotText(key.clone()))?;
        variables.insert(key, value);
    }
    Ok(variables)
}

/// Returns a line for each variable that looks like a setting but is none, in order of name.
pub(super) fn unknown(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<String> {
    let known: Vec<String> = config::variables().collect();
    let keys = variables.into_iter().filter_map(|(key, _)| own(key));
    let mut unknown: Vec<String> = keys.filter(|key| !known.contains(key) && !is_of_others(key)).collect();
    unknown.sort_unstable();
    // The common prefix would make any two of them look alike.
    let bare = |key: &'_ str| key.strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let names: Vec<String> = known.iter().map(|key| bare(key)).collect();
    let line = |key: String| match nearest(&bare(&key), names.iter().map(String::as_str)) {
        Some(meant) => format!("{key} is not a setting; did you mean {PREFIX}{meant}?"),
        None => format!("{key} is not a setting; --help lists them"),
    };
    unknown.into_iter().map(line).collect()
}

/// Returns the key, if it has our prefix.
fn own(key: OsString) -> Option<String> {
    key.into_string().ok().filter(|key| key.starts_with(PREFIX))
}

/// Returns whether clients and tests use it, or Kubernetes and Docker set it for a service named `steprill`.
fn is_of_others(key: &str) -> bool {
    let name = key.strip_prefix(PREFIX).unwrap_or(key);
    matches!(name, "SERVER" | "URL" | "TOKEN" | "PORT" | "NAME" | "SERVICE_HOST" | "SERVICE_PORT")
        || ["TEST_", "PORT_", "SERVICE_PORT_", "ENV_"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_named_with_what_was_meant() {
        let variables = [
            ("STEPRILL_WORKRES", "3"),
            ("STEPRILL_WORKERS", "3"),
            ("STEPRILL_ZZZ", ""),
            ("STEPRILL_SERVER", "http://localhost"),
            ("STEPRILL_TEST_WITH_STORE", "1"),
            ("STEPRILL_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("STEPRILL_SERVICE_HOST", "10.0.0.1"),
            ("STEPRILL_TOKEN_FILE", "refused elsewhere"),
            ("PATH", "/bin"),
        ];
        let variables = variables.map(|(key, value)| (key.into(), value.into()));
        let expected = [
            "STEPRILL_WORKRES is not a setting; did you mean STEPRILL_WORKERS?",
            "STEPRILL_ZZZ is not a setting; --help lists them",
        ];
        assert_eq!(unknown(variables), expected);
    }
}
