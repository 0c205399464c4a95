//! The command line of `bootlace webhook`. Every flag has an environment variable.

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

/// Run the admission webhook.
#[derive(Debug, Clone, clap::Args)]
#[command(group = ArgGroup::new("source").args(["tls_secret", "tls_dir", "profiles"]).required(true).multiple(true))]
pub struct WebhookArgs {
    /// Listen address for reviews (HTTPS).
    #[arg(long, env = "BOOTLACE_LISTEN", default_value = "0.0.0.0:8443", value_name = "ADDRESS:PORT")]
    pub(super) listen: SocketAddr,
    /// Listen address for /healthz, /readyz and /metrics (HTTP).
    #[arg(
        long,
        env = "BOOTLACE_METRICS_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub(super) metrics_listen: SocketAddr,

    #[command(flatten)]
    pub(super) boot: BootArgs,

    /// Secret with the CA and the serving certificate. The webhook creates and renews it; all replicas share
    /// it.
    #[arg(
        long, env = "BOOTLACE_TLS_SECRET", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(),
        requires = "service", conflicts_with_all = ["tls_dir", "profiles"],
    )]
    pub(super) tls_secret: Option<String>,
    /// Lifetime of serving certificates in the Secrets, such as 8760h. They are renewed after two thirds of
    /// it. Use at least a day, so that outages and clocks that differ by an hour do not matter.
    #[arg(
        long, env = "BOOTLACE_CERTIFICATE_LIFETIME", value_name = "DURATION", requires = "tls_secret",
        default_value = "8760h", value_parser = lifetime,
    )]
    pub(super) certificate_lifetime: time::Duration,
    /// Lifetime of the CA in the Secret, which is renewed in the same way. A pod that only trusts the old CA
    /// can use the store until the old CA expires. Use at least three times the duration of the longest task.
    #[arg(
        long, env = "BOOTLACE_CA_LIFETIME", value_name = "DURATION", requires = "tls_secret",
        default_value = "87648h", value_parser = lifetime,
    )]
    pub(super) ca_lifetime: time::Duration,
    /// Service of the webhook. The certificate is for its DNS names.
    #[arg(long, env = "BOOTLACE_SERVICE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) service: Option<String>,
    /// Namespace of the Service and the Secret. Defaults to the namespace of the webhook.
    #[arg(long, env = "BOOTLACE_NAMESPACE", value_name = "NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    pub(super) namespace: Option<String>,
    /// MutatingWebhookConfiguration whose caBundle the webhook updates with the CA in the Secret.
    #[arg(
        long, env = "BOOTLACE_CONFIGURATION", value_name = "NAME", requires = "tls_secret",
        value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) configuration: Option<String>,
    /// Directory with tls.crt and tls.key, reloaded when they change. The caBundle must contain their CA.
    #[arg(long, env = "BOOTLACE_TLS_DIR", value_name = "DIR")]
    pub(super) tls_dir: Option<PathBuf>,

    /// Run without a cluster, with the BootProfiles in this directory or file, which is read once. Without
    /// --tls-dir, a certificate for localhost is created in memory.
    #[arg(long, env = "BOOTLACE_PROFILES", value_name = "DIR")]
    pub(super) profiles: Option<PathBuf>,
    /// Write the CA of the certificate in memory to this file.
    #[arg(
        long,
        env = "BOOTLACE_CA_OUT",
        value_name = "FILE",
        requires = "profiles",
        conflicts_with = "tls_dir"
    )]
    pub(super) ca_out: Option<PathBuf>,

    /// File with the CAs of client certificates, as PEM, reloaded when it changes. Without a valid client
    /// certificate, a caller gets no lookups. The API server sends a certificate if its admission
    /// configuration contains one.
    #[arg(long, env = "BOOTLACE_CLIENT_CA", value_name = "FILE", requires = "client_names")]
    pub(super) client_ca: Option<PathBuf>,
    /// Common names or DNS names of the client certificate of the API server, separated by commas.
    #[arg(
        long, env = "BOOTLACE_CLIENT_NAMES", value_name = "NAMES", value_delimiter = ',', requires = "client_ca",
        value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) client_names: Vec<String>,
    /// Reject callers without a valid client certificate.
    #[arg(long, env = "BOOTLACE_CLIENT_REQUIRED", requires = "client_ca")]
    pub(super) client_required: bool,

    /// URL of the store for task pods: https:// and the name of its Service. Without it, env mode Secret and
    /// outputs are not available, and boot creates no Events.
    #[arg(
        long, env = "BOOTLACE_STORE_URL", value_name = "URL", requires = "store-authority",
        value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) store_url: Option<String>,
    /// File with the CA of the store, as PEM, reloaded when it changes. Not needed with --store-tls-secret.
    #[arg(
        long,
        env = "BOOTLACE_STORE_CA",
        value_name = "FILE",
        requires = "store_url",
        group = "store-authority"
    )]
    pub(super) store_ca: Option<PathBuf>,
    /// Secret with the serving certificate of the store, which the webhook creates with the CA in
    /// --tls-secret.
    #[arg(
        long, env = "BOOTLACE_STORE_TLS_SECRET", value_name = "NAME", requires_all = ["tls_secret", "store_service"],
        conflicts_with = "store_ca", group = "store-authority", value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) store_tls_secret: Option<String>,
    /// Service of the store. Its certificate is for the DNS names of the Service.
    #[arg(
        long, env = "BOOTLACE_STORE_SERVICE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) store_service: Option<String>,

    /// Secret with the keys that sign the configuration of injected containers. The webhook creates it, and
    /// the store mounts it.
    #[arg(
        long, env = "BOOTLACE_SIGNING_SECRET", value_name = "NAME", requires = "store_url",
        conflicts_with = "profiles", value_parser = NonEmptyStringValueParser::new(),
    )]
    pub(super) signing_secret: Option<String>,

    /// Seconds after SIGTERM in which new reviews are still accepted, until the cluster has removed the
    /// endpoint. [default: 5, without a cluster 0]
    #[arg(long, env = "BOOTLACE_DRAIN_DELAY", value_name = "SECONDS", value_parser = seconds)]
    pub(super) drain_delay: Option<Duration>,
    /// Seconds after that in which received reviews are completed. Both together must be less than
    /// terminationGracePeriodSeconds of the pod.
    #[arg(long, env = "BOOTLACE_DRAIN_TIMEOUT", value_name = "SECONDS", value_parser = seconds, default_value = "15")]
    pub(super) drain_timeout: Duration,

    #[command(flatten)]
    pub(super) entrypoints: EntrypointArgs,

    #[command(flatten)]
    pub(super) logs: LogArgs,
}

impl WebhookArgs {
    pub(super) fn settings(&self) -> InstallationSettings {
        // The store is added when its CA is known, and the version of Kubernetes when the API server has
        // responded.
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

/// Shorter lifetimes would end between two checks for renewal.
const SHORTEST: time::Duration = time::Duration::seconds(30);
/// Far below the maximum of the date format in certificates.
const LONGEST: time::Duration = time::Duration::days(100 * 365);

/// Parses a duration in the format of Go.
fn lifetime(text: &str) -> Result<time::Duration, String> {
    let form = || "must be a duration in hours, minutes or seconds, such as 2160h or 1h30m".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| form())?;
    let duration = time::Duration::try_from(Duration::try_from(duration).map_err(|_| form())?);
    let duration = duration.map_err(|_| form())?;
    if (SHORTEST..=LONGEST).contains(&duration) {
        return Ok(duration);
    }
    Err("must be at least 30s and at most a hundred years (876000h)".to_owned())
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
    fn valid_combinations_parse() {
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
    fn invalid_combinations_are_rejected() {
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
            ("--profiles d --drain-delay soon", "--drain-delay"),
            ("--tls-dir d --entrypoint-ca f", "--entrypoint-registry"),
            ("--tls-dir d --pull-secrets-of etl", "--entrypoint-registry"),
            ("--profiles d --entrypoint-registry a.example --pull-secrets-of etl", "--profiles"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }

    #[test]
    fn lifetimes_have_limits() {
        let lifetimes = |line: &str| parse(line).unwrap().lifetimes();
        assert_eq!(lifetimes("--tls-secret s --service b"), Lifetimes::default());
        let actual = lifetimes("--tls-secret s --service b --certificate-lifetime 1h30m --ca-lifetime 48h");
        let expected = Lifetimes { ca: time::Duration::days(2), serving: time::Duration::minutes(90) };
        assert_eq!(actual, expected);
        for (value, hint) in [
            ("90", "hours, minutes or seconds"),
            ("soon", "hours, minutes or seconds"),
            ("-1h", "hours, minutes or seconds"),
            ("29s", "at least 30s"),
            ("99999999h", "at most"),
            ("9999999999999999h", "hours, minutes or seconds"),
        ] {
            let error = parse(&format!("--tls-secret s --service b --ca-lifetime={value}")).unwrap_err();
            assert!(error.contains(hint), "{value}: {error}");
        }
    }

    #[test]
    fn without_a_cluster_there_is_no_drain_delay() {
        assert_eq!(parse("--profiles d").unwrap().drain_delay(), Duration::ZERO);
        assert_eq!(parse("--tls-dir d").unwrap().drain_delay(), DRAIN_DELAY);
        assert_eq!(parse("--tls-dir d --drain-delay 0.5").unwrap().drain_delay(), Duration::from_millis(500));
    }
}
