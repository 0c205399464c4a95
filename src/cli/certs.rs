//! `bootlace certs`: creates a serving certificate, shows certificates, and rotates those that the webhook
//! manages.

mod rotate;

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use time::{Duration, OffsetDateTime};

use crate::command_error::CommandError;
use crate::server::tls::certificate::{self, Facts};
use crate::server::tls::files::{CA, CERT, KEY};
use crate::server::tls::secret_state::CA_KEY;
use crate::server::tls::{Issued, Lifetimes, Names, authority};

/// Manage certificates.
#[derive(Debug, clap::Args)]
pub(super) struct CertsArgs {
    #[command(subcommand)]
    command: CertsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CertsCommand {
    /// Create a CA, and a serving certificate that it signs.
    ///
    /// Writes ca.crt, ca.key, tls.crt and tls.key. Store tls.crt and tls.key in the Secret of the webhook and
    /// ca.crt in caBundle, and keep ca.key in a safe place.
    Make(Make),
    /// Show the names, the issuer and the validity of certificates.
    Show {
        /// A PEM file, or a directory with .crt and .pem files.
        path: PathBuf,
    },
    /// Renew the certificate or the CA that the webhook manages in a Secret.
    ///
    /// No review and no request of a task fails during the rotation: a new CA is trusted everywhere before it
    /// is used, and the old one stays trusted. If a key has leaked: rotate ca, wait until earlier tasks have
    /// ended, then rotate drop-old-cas.
    Rotate(rotate::RotateArgs),
}

#[derive(Debug, clap::Args)]
struct Make {
    /// DNS name of the certificate. The API server uses `<service>.<namespace>.svc`. Can be repeated.
    #[arg(long, value_name = "NAME", required_unless_present = "ip")]
    dns: Vec<String>,
    /// IP address of the certificate. Can be repeated.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// Output directory. It is created if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Validity of the serving certificate in days. The CA is valid for ten years, or as long if that is
    /// longer.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Replace existing files.
    #[arg(long)]
    force: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// A file already exists, or cannot be read or written.
pub(super) fn run(args: &CertsArgs) -> anyhow::Result<()> {
    let now = OffsetDateTime::now_utc();
    match &args.command {
        CertsCommand::Make(make) => write(make, now),
        CertsCommand::Rotate(rotate) => rotate::run(rotate),
        CertsCommand::Show { path } => {
            let shown = show(path, now)?;
            std::io::stdout().write_all(shown.as_bytes()).map_err(CommandError::WriteOutput)?;
            Ok(())
        }
    }
}

fn write(make: &Make, now: OffsetDateTime) -> anyhow::Result<()> {
    let names = Names { dns: make.dns.iter().cloned().collect(), ip: make.ip.iter().copied().collect() };
    let serving = Duration::days(make.days.into());
    let lifetimes = Lifetimes { serving, ca: Lifetimes::default().ca.max(serving) };
    let Issued { ca_cert, ca_key, cert, key, .. } = authority::issue(&names, now, lifetimes)?;
    let failed = |error| CommandError::WriteFile { path: make.out.clone(), error };
    std::fs::create_dir_all(&make.out).map_err(failed)?;
    let files = [(CA, ca_cert, 0o644), (CA_KEY, ca_key, 0o600), (CERT, cert, 0o644), (KEY, key, 0o600)];
    if !make.force {
        // Checks all files before it writes one: a mixed set would be worse than none.
        for (name, ..) in &files {
            let path = make.out.join(name);
            if path.exists() {
                return Err(CommandError::FileExists(path).into());
            }
        }
    }
    for (name, content, mode) in &files {
        write_file(&make.out.join(name), content, *mode)?;
    }
    println!("wrote {CA}, {CA_KEY}, {CERT} and {KEY} to {}", make.out.display());
    Ok(())
}

/// Writes to another file, then renames it: readers see either the old or the new content, and always the
/// mode.
fn write_file(path: &Path, content: &str, mode: u32) -> Result<(), CommandError> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        if new.exists() {
            std::fs::remove_file(&new)?;
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|error| CommandError::WriteFile { path: path.to_owned(), error })
}

fn show(path: &Path, now: OffsetDateTime) -> Result<String, CommandError> {
    let files = files(path)?;
    let mut shown = String::new();
    for file in &files {
        let invalid = |error| CommandError::Certificate { path: file.clone(), error };
        let pem = std::fs::read(file).map_err(read_error(file))?;
        let chain = certificate::chain(&pem).map_err(invalid)?;
        for (position, certificate) in chain.iter().enumerate() {
            let facts = certificate::facts(certificate).map_err(invalid)?;
            shown += &describe(file, position, &facts, now);
        }
    }
    Ok(shown)
}

fn read_error(path: &Path) -> impl FnOnce(std::io::Error) -> CommandError {
    let path = path.to_owned();
    move |error| CommandError::ReadFile { path, error }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, CommandError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(read_error(path))?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>();
    let mut files: Vec<PathBuf> = files.map_err(read_error(path))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "crt" || extension == "pem"));
    if files.is_empty() {
        return Err(CommandError::NoCertificateFile(path.to_owned()));
    }
    files.sort();
    Ok(files)
}

fn describe(file: &Path, position: usize, facts: &Facts, now: OffsetDateTime) -> String {
    let Facts { subject, issuer, names, not_before, not_after, is_ca } = facts;
    let place = if position == 0 { String::new() } else { format!(", certificate {}", position + 1) };
    let kind = if *is_ca { "CA" } else { "serving" };
    let signed = if subject == issuer { "itself".to_owned() } else { issuer.clone() };
    let named: Vec<_> = names.dns.iter().cloned().chain(names.ip.iter().map(ToString::to_string)).collect();
    let named = if named.is_empty() { "(no names)".to_owned() } else { named.join(", ") };
    let state = if now < *not_before {
        "not yet valid".to_owned()
    } else if now >= *not_after {
        "EXPIRED".to_owned()
    } else {
        format!("{} days left", (*not_after - now).whole_days())
    };
    format!(
        "{}{place}\n  kind       {kind}\n  subject    {subject}\n  signed by  {signed}\n  names      {named}\n  \
         valid      {not_before} to {not_after} ({state})\n",
        file.display(),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::command_error;
    use bootlace_core::code::Code;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-21 10:00 UTC);

    fn make(out: &Path, force: bool) -> Make {
        let dns = vec!["bootlace.bootlace-system.svc".to_owned()];
        Make { dns, ip: vec!["127.0.0.1".parse().unwrap()], out: out.to_owned(), days: 90, force }
    }

    #[test]
    fn existing_files_are_kept_and_keys_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new");
        write(&make(&out, false), NOW).unwrap();
        for (file, mode) in [(CA, 0o644), (CA_KEY, 0o600), (CERT, 0o644), (KEY, 0o600)] {
            let permissions = std::fs::metadata(out.join(file)).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, mode, "{file}");
        }
        let before = std::fs::read(out.join(CERT)).unwrap();
        let error = write(&make(&out, false), NOW).unwrap_err();
        assert_eq!(command_error::code(&error), Code::CertificateFileExists);
        assert_eq!(std::fs::read(out.join(CERT)).unwrap(), before);
        write(&make(&out, true), NOW).unwrap();
        assert_ne!(std::fs::read(out.join(CERT)).unwrap(), before);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 4);
    }

    #[test]
    fn show_prints_names_and_validity() {
        let folder = tempfile::tempdir().unwrap();
        write(&make(folder.path(), false), NOW).unwrap();
        let shown = show(folder.path(), NOW).unwrap();
        for part in [
            "bootlace.bootlace-system.svc, 127.0.0.1",
            "(90 days left)",
            "kind       CA",
            "signed by  itself",
        ] {
            assert!(shown.contains(part), "{part} is not in:\n{shown}");
        }
        let later = show(&folder.path().join(CERT), NOW + Duration::days(91)).unwrap();
        assert!(later.contains("EXPIRED") && !later.contains("kind       CA"), "{later}");
    }

    #[test]
    fn show_rejects_other_files() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(show(folder.path(), NOW).unwrap_err(), CommandError::NoCertificateFile(_)));
        std::fs::write(folder.path().join("a.crt"), "nonsense").unwrap();
        let error = show(folder.path(), NOW).unwrap_err();
        assert!(
            matches!(&error, CommandError::Certificate { path, .. } if path.ends_with("a.crt")),
            "{error}"
        );
    }
}
