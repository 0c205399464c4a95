//! Parses an annotation whose value is a YAML list.
//!
//! The annotation is untrusted, so its cost is bounded before memory is allocated: by its length before it is
//! parsed, and by the budget of the parser. Anchors, aliases and merge keys are refused, because with them a
//! few bytes can expand to any amount of memory, and no annotation needs them.

use serde_json::Value;

/// Maximum bytes of the annotation. The API server allows 256 KiB for all annotations of a pod together; the
/// largest list within the limits of the entries is far smaller.
const MAX_BYTES: usize = 64 * 1024;
/// Maximum number of scalars, lists and mappings. 64 entries with a dozen fields have 1,600.
const MAX_NODES: usize = 2_000;
/// Maximum nesting depth of lists and mappings. An entry needs two.
const MAX_DEPTH: usize = 8;

/// Parses the entries.
///
/// # Errors
/// A short description of the problem, if the text is not a valid list.
pub fn read(text: &str) -> Result<Vec<Value>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, the limit is {MAX_BYTES}", text.len()));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_anchors: 0,
            max_aliases: 0,
            max_merge_keys: 0,
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_total_scalar_bytes: MAX_BYTES,
        },
        // An excerpt would repeat the annotation in messages and logs.
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options(text, options) {
        Ok(Value::Array(entries)) => Ok(entries),
        Ok(_) => Err("it is not a list".to_owned()),
        Err(error) => Err(describe(&error)),
    }
}

fn describe(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::budget::BudgetBreach as Breach;
    if let serde_saphyr::Error::Budget { breach, .. } = error {
        return match breach {
            Breach::Anchors { .. } | Breach::Aliases { .. } | Breach::MergeKeys { .. } => {
                "anchors, aliases and merge keys are not supported".to_owned()
            }
            Breach::Nodes { .. } => format!("it has more than {MAX_NODES} values"),
            Breach::Depth { .. } => {
                format!("its lists and mappings are nested more than {MAX_DEPTH} levels deep")
            }
            other => format!("it is too large ({other:?})"),
        };
    }
    let message = error.to_string();
    message.lines().next().unwrap_or_default().trim_end_matches([':', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six lines of aliases that stand for 9^6 values.
    fn bomb() -> String {
        let list = |item: &str| format!("[{}]", [item; 9].join(","));
        let items = [("a", "\"x\""), ("b", "*a"), ("c", "*b"), ("d", "*c"), ("e", "*d"), ("f", "*e")];
        items.map(|(name, item)| format!("- &{name} {}\n", list(item))).concat()
    }

    #[test]
    fn values_that_cost_more_than_they_weigh_are_refused() {
        for (text, reason) in [
            (bomb(), "anchors, aliases and merge keys"),
            ("- &a 1".to_owned(), "anchors, aliases and merge keys"),
            (
                format!("- &a {}\n{}", "x".repeat(60_000), "- *a\n".repeat(100)),
                "anchors, aliases and merge keys",
            ),
            ("- {<<: {a: b}}".to_owned(), "anchors, aliases and merge keys"),
            ("- x\n".repeat(MAX_NODES), "more than 2000 values"),
            ("- ".repeat(100) + "x", "nested more than 8 levels deep"),
            ("- ".to_owned() + &"[".repeat(1000), "recursion limit exceeded"),
            ("-".to_owned() + &" ".repeat(MAX_BYTES), "the limit is 65536"),
            ("[]\n---\n[]".to_owned(), ""),
            ("{}".to_owned(), "it is not a list"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(reason), "{}: {error}", text.get(..40).unwrap_or(&text));
            assert!(error.len() < 200, "the message repeats the annotation: {error}");
        }
    }

    #[test]
    fn a_list_of_any_ordinary_length_is_read() {
        let entries = "- {key: A, mountPath: /a, task: t, run: r, kind: ConfigMap}\n".repeat(100);
        assert_eq!(read(&entries).unwrap().len(), 100);
    }
}
