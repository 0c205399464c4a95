//! What the fuzz targets of `fuzz/` reach of registries: what a tenant's pull secret and a registry's answers hold.

use super::challenge::Challenge;
use super::{ImageConfig, Keyring, Manifest, Platform, Reference};

/// Reads a pull secret, and looks up what it holds for an image.
pub fn pull_secret(json: &[u8], image: &str) {
    let mut keyring = Keyring::default();
    let read = keyring.add(json);
    if let (Ok(()), Ok(reference)) = (read, image.parse::<Reference>()) {
        for credentials in keyring.lookup(&reference) {
            credentials.basic();
        }
    }
}

/// Reads an image's name as a registry is asked for it.
///
/// # Panics
/// Where what is printed of it is read as another.
pub fn reference(name: &str) {
    if let Ok(reference) = name.parse::<Reference>() {
        let again = reference.to_string().parse();
        assert_eq!(again.as_ref(), Ok(&reference), "a reference is printed as another");
    }
}

/// Reads a registry's answer as each of the documents that it could be.
pub fn answer(bytes: &[u8]) {
    if let Ok(Manifest::Index(index)) = Manifest::read(bytes) {
        let _ = Platform::own().choose(&index);
    }
    let _ = ImageConfig::read(bytes);
    let _ = Challenge::read(str::from_utf8(bytes));
}
