//! Checks what boot would refuse for every pod in a source of Vault.

use http::HeaderValue;

use super::{Files, OneSource, Tree, address, client, invalid, is_object_key};
use crate::profile::rule::BrokenRule;
use crate::profile::vault::Vault;
use crate::template;

impl OneSource<'_> {
    /// Checks address and namespace, and the paths and targets of the secrets.
    pub(super) fn vault(&self, field: &str, vault: &Vault) -> Result<Files, BrokenRule> {
        client(&format!("{field}.client"), &vault.client)?;
        address::join(&vault.address, "", []).map_err(|error| invalid(format!("{field}.address"), error))?;
        if vault.namespace.as_deref().is_some_and(|name| HeaderValue::from_str(name).is_err()) {
            return Err(invalid(
                format!("{field}.namespace"),
                "contains a control character, which is not allowed in a header: remove it",
            ));
        }
        let mut files = Tree::default();
        for (position, secret) in vault.secrets.iter().enumerate() {
            let field = format!("{field}.secrets[{position}]");
            for (name, path) in [("mount", &secret.mount), ("path", &secret.path)] {
                if !template::is_one(path) && !is_object_key(path) {
                    let message = "must not contain empty parts, \".\" or \"..\" as parts, or control characters: correct it";
                    return Err(invalid(format!("{field}.{name}"), message));
                }
            }
            for (path, named) in self.keys(&field, secret.into, &secret.prefix, &secret.items)? {
                files.add(&named, &path.to_string())?;
            }
        }
        Ok(files.0.into_iter().collect())
    }
}
