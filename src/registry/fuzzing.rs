//! Entry points for the fuzz targets of `fuzz/`: pull secrets of tenants and responses of registries.

use super::challenge::Challenge;
use super::{ImageConfig, Keyring, Manifest, Platform, Reference};

/// Parses a pull secret, and looks up the credentials for an image.
pub fn pull_secret(json: &[u8], image: &str) {
    let mut keyring = Keyring::default();
    let read = keyring.add(json);
    if let (Ok(()), Ok(reference)) = (read, image.parse::<Reference>()) {
        for credentials in keyring.lookup(&reference) {
            credentials.basic();
        }
    }
}

/// Parses an image reference.
///
/// # Panics
/// If the printed reference is parsed as another one.
pub fn reference(name: &str) {
    if let Ok(reference) = name.parse::<Reference>() {
        let again = reference.to_string().parse();
        assert_eq!(again.as_ref(), Ok(&reference), "a reference is printed as another");
    }
}

/// Parses the response of a registry as each kind of document.
pub fn answer(bytes: &[u8]) {
    if let Ok(Manifest::Index(index)) = Manifest::read(bytes) {
        let _ = Platform::own().choose(&index);
    }
    let _ = ImageConfig::read(bytes);
    let _ = Challenge::read(str::from_utf8(bytes));
}
