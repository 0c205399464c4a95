//! `bootlace certs`: a serving certificate for those who bring their own, what a certificate says, and new ones for the webhook
//! that keeps its own.

mod rotate;

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use time::{Duration, OffsetDateTime};

use crate::server::tls::certificate::{self, Facts};
use crate::server::tls::files::{CA, CERT, KEY};
use crate::server::tls::secret_state::CA_KEY;
use crate::server::tls::{Issued, Lifetimes, Names, authority};

/// What to do about certificates.
#[derive(Debug, clap::Args)]
pub(super) struct CertsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a CA, and a serving certificate under it.
    ///
    /// Writes ca.crt, ca.key, tls.crt and tls.key. Put tls.crt and tls.key into the Secret that the webhook
    /// serves with, ca.crt into caBundle, and ca.key away safely.
    Make(Make),
    /// Show whom certificates are for, who signed them, and how long they hold.
    Show {
        /// A PEM file, or a folder of .crt and .pem files.
        path: PathBuf,
    },
    /// Have the webhook renew the certificate or the CA that it keeps in a Secret.
    ///
    /// No review and no request of a task fails meanwhile: a new CA is trusted everywhere before anything is served under
    /// it, and the old one goes on being trusted. After a key has leaked: rotate ca, wait until tasks that began before have
    /// ended, then rotate drop-old-cas.
    Rotate(rotate::RotateArgs),
}

#[derive(Debug, clap::Args)]
struct Make {
    /// A DNS name that the certificate is for; the API server calls `<service>.<namespace>.svc`. Can be repeated.
    #[arg(long, value_name = "NAME", required_unless_present = "ip")]
    dns: Vec<String>,
    /// An address that the certificate is for. Can be repeated.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// The folder to write to; it is made where it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Days that the serving certificate holds. The CA holds ten years, or as long where that is longer.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
}

/// Makes or shows certificates.
///
/// # Errors
/// Where a file is in the way, or cannot be read or written.
pub(super) fn run(args: &CertsArgs) -> anyhow::Result<()> {
    let now = OffsetDateTime::now_utc();
    match &args.what {
        What::Make(make) => write(make, now),
        What::Rotate(rotate) => rotate::run(rotate),
        What::Show { path } => {
            let shown = show(path, now)?;
            std::io::stdout().write_all(shown.as_bytes()).context("standard output cannot be written")
        }
    }
}

fn write(make: &Make, now: OffsetDateTime) -> anyhow::Result<()> {
    let names = Names { dns: make.dns.iter().cloned().collect(), ip: make.ip.iter().copied().collect() };
    let serving = Duration::days(make.days.into());
    let lifetimes = Lifetimes { serving, ca: Lifetimes::default().ca.max(serving) };
    let Issued { ca_cert, ca_key, cert, key, .. } = authority::issue(&names, now, lifetimes)?;
    std::fs::create_dir_all(&make.out).with_context(|| format!("{} cannot be made", make.out.display()))?;
    let files = [(CA, ca_cert, 0o644), (CA_KEY, ca_key, 0o600), (CERT, cert, 0o644), (KEY, key, 0o600)];
    if !make.force {
        // All are looked at before one is written: half a set would be worse than none.
        for (name, ..) in &files {
            let path = make.out.join(name);
            ensure!(!path.exists(), "{} is there already: replace it with --force", path.display());
        }
    }
    for (name, content, mode) in &files {
        put(&make.out.join(name), content, *mode)?;
    }
    println!("wrote {CA}, {CA_KEY}, {CERT} and {KEY} to {}", make.out.display());
    Ok(())
}

/// Writes beside, then renames: whoever reads sees the old content or the new, and the mode from the start.
fn put(path: &Path, content: &str, mode: u32) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        if beside.exists() {
            std::fs::remove_file(&beside)?;
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    written().with_context(|| format!("{} cannot be written", path.display()))
}

fn show(path: &Path, now: OffsetDateTime) -> anyhow::Result<String> {
    let files = files(path)?;
    let mut shown = String::new();
    for file in &files {
        let pem = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let chain = certificate::chain(&pem).with_context(|| file.display().to_string())?;
        for (position, certificate) in chain.iter().enumerate() {
            let facts = certificate::facts(certificate).with_context(|| file.display().to_string())?;
            shown += &describe(file, position, &facts, now);
        }
    }
    Ok(shown)
}

fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = || format!("{} cannot be read", path.display());
    let entries = std::fs::read_dir(path).with_context(unreadable)?;
    let mut files: Vec<_> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>().with_context(unreadable)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "crt" || extension == "pem"));
    if files.is_empty() {
        bail!("{} holds no .crt and no .pem file: name a file", path.display());
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

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-21 10:00 UTC);

    fn make(out: &Path, force: bool) -> Make {
        let dns = vec!["bootlace.bootlace-system.svc".to_owned()];
        Make { dns, ip: vec!["127.0.0.1".parse().unwrap()], out: out.to_owned(), days: 90, force }
    }

    #[test]
    fn a_set_is_made_once_and_its_keys_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new");
        write(&make(&out, false), NOW).unwrap();
        for (file, mode) in [(CA, 0o644), (CA_KEY, 0o600), (CERT, 0o644), (KEY, 0o600)] {
            let permissions = std::fs::metadata(out.join(file)).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, mode, "{file}");
        }
        let before = std::fs::read(out.join(CERT)).unwrap();
        let error = write(&make(&out, false), NOW).unwrap_err().to_string();
        assert!(error.contains("--force"), "{error}");
        assert_eq!(std::fs::read(out.join(CERT)).unwrap(), before);
        write(&make(&out, true), NOW).unwrap();
        assert_ne!(std::fs::read(out.join(CERT)).unwrap(), before);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 4);
    }

    #[test]
    fn what_is_shown_says_for_whom_and_how_long() {
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
    fn what_cannot_be_shown_says_why() {
        let folder = tempfile::tempdir().unwrap();
        assert!(show(folder.path(), NOW).unwrap_err().to_string().contains("no .crt"));
        std::fs::write(folder.path().join("a.crt"), "nonsense").unwrap();
        let error = format!("{:#}", show(folder.path(), NOW).unwrap_err());
        assert!(error.contains("a.crt") && error.contains("BEGIN CERTIFICATE"), "{error}");
    }
}
