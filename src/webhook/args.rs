//! The command line of `bootlace webhook`. Every flag is also an env variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, builder::NonEmptyStringValueParser};
use k8s_openapi::jiff::SignedDuration;

use super::boot_args::BootArgs;
use super::entrypoints::EntrypointArgs;
use super::reviews::CallerPolicy;
use crate::process::logs::LogArgs;
use crate::process::seconds;
use crate::server::lifecycle::DRAIN_DELAY;
use crate::server::tls::Lifetimes;
use bootlace_core::plan::InstallationSettings;

/// Serve admission reviews.
#[derive(Debug, Clone, clap::Args)]
#[command(group = ArgGroup::new("source").args(["tls_secret", "tls_dir", "profiles"]).required(true).multiple(true))]
pub struct WebhookArgs {
    /// Where reviews are served, over TLS.
    #[arg(long, env = "BOOTLACE_LISTEN", default_value = "0.0.0.0:8443", value_name = "ADDRESS:PORT")]
    pub(super) listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are served, over plain HTTP.
    #[arg(
        long,
        env = "BOOTLACE_METRICS_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub(super) metrics_listen: SocketAddr,

    #[command(flatten)]
    pub(super) boot: BootArgs,

    /// Keep CA and serving certificate in this Secret: made by whichever replica comes first, shared by all.
    #[arg(
        long, env = "BOOTLACE_TLS_SECRET", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(),
        requires = "service", conflicts_with_all = ["tls_dir", "profiles"],
    )]
    pub(super) tls_secret: Option<String>,
    /// How long serving certificates in the Secrets live, as in 8760h. They are renewed when two thirds of it are over, which
    /// leaves time for an outage and for clocks that differ by an hour: use at least a day.
    #[arg(
        long, env = "BOOTLACE_CERTIFICATE_LIFETIME", value_name = "DURATION", requires = "tls_secret",
        default_value = "8760h", value_parser = lifetime,
    )]
    pub(super) certificate_lifetime: time::Duration,
    /// How long the CA in the Secret lives, which is renewed likewise. Pods that were told of the old CA alone can reach the
    /// store until that ends: use three times as long as the longest task takes, at least.
    #[arg(
        long, env = "BOOTLACE_CA_LIFETIME", value_name = "DURATION", requires = "tls_secret",
        default_value = "87648h", value_parser = lifetime,
    )]
    pub(super) ca_lifetime: time::Duration,
    /// The Service in front of the webhook, whose names the certificate carries.
    #[arg(long, env = "BOOTLACE_SERVICE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) service: Option<String>,
    /// The namespace of the Service and the Secret. Without it: the one that the webhook runs in.
    #[arg(long, env = "BOOTLACE_NAMESPACE", value_name = "NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    pub(super) namespace: Option<String>,
    /// The MutatingWebhookConfiguration whose caBundle is kept in step with the Secret's CA.
    #[arg(
        long, env = "BOOTLACE_CONFIGURATION", value_name = "NAME", requires = "tls_secret",
        value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) configuration: Option<String>,
    /// Serve with tls.crt and tls.key of this folder, and keep up with their changes. Whoever makes them also
    /// sets caBundle.
    #[arg(long, env = "BOOTLACE_TLS_DIR", value_name = "DIR")]
    pub(super) tls_dir: Option<PathBuf>,

    /// Run without a cluster, on the BootProfiles of this folder or file as they are at the start. Without
    /// --tls-dir the certificate is made in memory, for localhost.
    #[arg(long, env = "BOOTLACE_PROFILES", value_name = "DIR")]
    pub(super) profiles: Option<PathBuf>,
    /// Write the CA of the certificate that was made in memory to this file.
    #[arg(
        long,
        env = "BOOTLACE_CA_OUT",
        value_name = "FILE",
        requires = "profiles",
        conflicts_with = "tls_dir"
    )]
    pub(super) ca_out: Option<PathBuf>,

    /// Ask callers for a client certificate under the CAs of this file, as PEM; its changes are kept up with. Nothing is looked
    /// up for callers that show none. The API server shows one where its admission configuration says so.
    #[arg(long, env = "BOOTLACE_CLIENT_CA", value_name = "FILE", requires = "client_names")]
    pub(super) client_ca: Option<PathBuf>,
    /// The common name or a DNS name in the API server's certificate, by commas: under the CA may stand others too.
    #[arg(
        long, env = "BOOTLACE_CLIENT_NAMES", value_name = "NAMES", value_delimiter = ',', requires = "client_ca",
        value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) client_names: Vec<String>,
    /// Answer nobody else at all.
    #[arg(long, env = "BOOTLACE_CLIENT_REQUIRED", requires = "client_ca")]
    pub(super) client_required: bool,

    /// Where task pods reach the store: https:// and its Service's name. Without it no task's env goes through a Secret,
    /// and boot reports no Events.
    #[arg(
        long, env = "BOOTLACE_STORE_URL", value_name = "URL", requires = "store-authority",
        value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) store_url: Option<String>,
    /// The CA that the store's certificate is under, as PEM; its changes are kept up with. With --tls-secret that is the
    /// Secret's own CA.
    #[arg(
        long,
        env = "BOOTLACE_STORE_CA",
        value_name = "FILE",
        requires = "store_url",
        group = "store-authority"
    )]
    pub(super) store_ca: Option<PathBuf>,
    /// Keep a serving certificate for the store in this Secret, under the CA of --tls-secret.
    #[arg(
        long, env = "BOOTLACE_STORE_TLS_SECRET", value_name = "NAME", requires_all = ["tls_secret", "store_service"],
        conflicts_with = "store_ca", group = "store-authority", value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) store_tls_secret: Option<String>,
    /// The Service in front of the store, whose names that certificate carries.
    #[arg(
        long, env = "BOOTLACE_STORE_SERVICE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) store_service: Option<String>,

    /// Keep the keys in this Secret that sign what pods are given, so that the store knows it by that. The store mounts it.
    #[arg(
        long, env = "BOOTLACE_SIGNING_SECRET", value_name = "NAME", requires = "store_url",
        conflicts_with = "profiles", value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) signing_secret: Option<String>,

    /// Seconds to serve on after SIGTERM while the cluster forgets this replica. [default: 5, without a cluster 0]
    #[arg(long, env = "BOOTLACE_DRAIN_DELAY", value_name = "SECONDS", value_parser = seconds)]
    pub(super) drain_delay: Option<Duration>,
    /// Seconds after that in which reviews already received are answered. Both together have to stay below the
    /// pod's terminationGracePeriodSeconds.
    #[arg(long, env = "BOOTLACE_DRAIN_TIMEOUT", value_name = "SECONDS", value_parser = seconds, default_value = "15")]
    pub(super) drain_timeout: Duration,

    #[command(flatten)]
    pub(super) entrypoints: EntrypointArgs,

    #[command(flatten)]
    pub(super) logs: LogArgs,
}

impl WebhookArgs {
    pub(super) fn settings(&self) -> InstallationSettings {
        // The store is known once its CA is, and Kubernetes' version once the API server has said it.
        self.boot.settings()
    }

    pub(super) fn lifetimes(&self) -> Lifetimes {
        Lifetimes { ca: self.ca_lifetime, serving: self.certificate_lifetime }
    }

    pub(super) fn callers(&self) -> CallerPolicy {
        match &self.client_ca {
            None => CallerPolicy::Any,
            Some(_) => {
                CallerPolicy::Named { names: self.client_names.clone(), others: !self.client_required }
            }
        }
    }

    pub(super) fn drain_delay(&self) -> Duration {
        let default = if self.profiles.is_some() { Duration::ZERO } else { DRAIN_DELAY };
        self.drain_delay.unwrap_or(default)
    }
}

/// Shorter ones would be renewed more often than is looked whether they are due.
const SHORTEST: time::Duration = time::Duration::seconds(30);
/// What the calendar of certificates has room for, by far.
const LONGEST: time::Duration = time::Duration::days(100 * 365);

/// A duration as Go writes it.
fn lifetime(text: &str) -> Result<time::Duration, String> {
    let form = || "write a duration in hours, minutes or seconds, such as 2160h or 1h30m".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| form())?;
    let duration = time::Duration::try_from(Duration::try_from(duration).map_err(|_| form())?);
    let duration = duration.map_err(|_| form())?;
    if (SHORTEST..=LONGEST).contains(&duration) {
        return Ok(duration);
    }
    Err("a certificate lives for 30s at least, and for a hundred years (876000h) at most".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: WebhookArgs,
    }

    fn parse(line: &str) -> Result<WebhookArgs, String> {
        Command::try_parse_from(["webhook"].into_iter().chain(line.split_whitespace()))
            .map(|command| command.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_way_to_a_certificate_parses() {
        for line in [
            "--tls-secret s --service bootlace --namespace ns --configuration bootlace",
            "--tls-secret s --service bootlace",
            "--tls-dir /etc/tls --namespace ns",
            "--profiles ./profiles --ca-out ca.crt",
            "--profiles ./profiles --tls-dir /etc/tls",
            "--tls-secret s --service b --store-url https://s --store-tls-secret t --store-service s",
            "--tls-dir /etc/tls --store-url https://s --store-ca /etc/tls/ca.crt",
            "--tls-dir /etc/tls --entrypoint-registry a.example,*.b.example --entrypoint-ca ca.crt --pull-secrets-of etl",
        ] {
            parse(line).unwrap();
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (line, hint) in [
            ("", "--tls-secret"),
            ("--tls-secret s", "--service"),
            ("--tls-secret s --service b --tls-dir d", "--tls-dir"),
            ("--tls-secret s --service b --profiles d", "--profiles"),
            ("--tls-dir d --configuration c", "--tls-secret"),
            ("--tls-dir d --ca-out f", "--profiles"),
            ("--tls-dir d --store-url https://s", "--store-ca"),
            ("--tls-dir d --store-url https://s --store-tls-secret t --store-service s", "--tls-secret"),
            ("--tls-secret s --service b --store-url https://s --store-tls-secret t", "--store-service"),
            ("--profiles d --drain-delay soon", "number of seconds"),
            ("--tls-dir d --entrypoint-ca f", "--entrypoint-registry"),
            ("--tls-dir d --pull-secrets-of etl", "--entrypoint-registry"),
            ("--profiles d --entrypoint-registry a.example --pull-secrets-of etl", "--profiles"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }

    #[test]
    fn lifetimes_are_durations_that_a_certificate_can_have() {
        let lifetimes = |line: &str| parse(line).unwrap().lifetimes();
        assert_eq!(lifetimes("--tls-secret s --service b"), Lifetimes::default());
        let given = lifetimes("--tls-secret s --service b --certificate-lifetime 1h30m --ca-lifetime 48h");
        let expected = Lifetimes { ca: time::Duration::days(2), serving: time::Duration::minutes(90) };
        assert_eq!(given, expected);
        for (value, hint) in [
            ("90", "hours, minutes or seconds"),
            ("soon", "hours, minutes or seconds"),
            ("-1h", "hours, minutes or seconds"),
            ("29s", "30s at least"),
            ("99999999h", "at most"),
            ("9999999999999999h", "hours, minutes or seconds"),
        ] {
            let error = parse(&format!("--tls-secret s --service b --ca-lifetime={value}")).unwrap_err();
            assert!(error.contains(hint), "{value}: {error}");
        }
    }

    #[test]
    fn without_a_cluster_nobody_has_to_forget_this_replica() {
        assert_eq!(parse("--profiles d").unwrap().drain_delay(), Duration::ZERO);
        assert_eq!(parse("--tls-dir d").unwrap().drain_delay(), DRAIN_DELAY);
        assert_eq!(parse("--tls-dir d --drain-delay 0.5").unwrap().drain_delay(), Duration::from_millis(500));
    }
}
