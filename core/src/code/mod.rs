//! The stable codes of the messages that users see: `BL1203` at the end of a refusal, a termination message
//! or a log line leads to the section of that name in docs/troubleshooting.md, whatever the wording of the
//! message becomes.
//!
//! A code is never reused for another meaning. The codes of the launcher are in its package. `tests/messages`
//! checks that each code has a message and a section.

mod coded;

pub use bootlace_launch::code::truncate;
pub use coded::Coded;

bootlace_launch::codes_with_launcher! {
    // Admission: the request, the pod (10xx), profiles (11xx), containers (12xx), env and commands (13xx),
    // pods that are injected already (14xx), boot images (15xx), outputs (16xx), inputs (17xx),
    // overlays (18xx), hooks (19xx).
    /// The admission review cannot be parsed.
    ReviewMalformed = "BL1001",
    /// A field of the pod has the wrong type.
    PodMalformed = "BL1002",
    /// Bootlace has a bug: please report it.
    InternalError = "BL1003",
    /// A lookup that the pod needs is unavailable.
    LookupUnavailable = "BL1004",
    /// The pod names a BootProfile that does not exist.
    ProfileNotFound = "BL1101",
    /// The pod names a BootProfile of which no version is valid.
    ProfileNotActive = "BL1102",
    /// A template of a BootProfile is invalid.
    TemplateInvalid = "BL1104",
    /// A template of a BootProfile cannot be rendered for the pod.
    TemplateNotRendered = "BL1105",
    /// A link of a BootProfile is left out, because it cannot be rendered for the pod.
    LinkLeftOut = "BL1106",
    /// A part of the context of a task is left out, because the pod does not determine it.
    ContextLeftOut = "BL1107",
    /// The pod has no containers.
    NoContainers = "BL1201",
    /// The pod has too many containers.
    TooManyContainers = "BL1202",
    /// The containers annotation names a container that does not exist.
    UnknownContainer = "BL1203",
    /// The containers annotation names an init container that runs before boot.
    InitContainerNotAllowed = "BL1204",
    /// The containers annotation is empty.
    NoContainerNamed = "BL1205",
    /// The pod uses a name that is reserved for Bootlace.
    NameTaken = "BL1206",
    /// A mount of the pod conflicts with one that Bootlace adds.
    MountConflict = "BL1207",
    /// A container mounts a volume that is reserved for Bootlace.
    ReservedVolumeMounted = "BL1208",
    /// The pod requires an architecture that the boot image does not support.
    ArchitectureNotSupported = "BL1209",
    /// The container has a postStart handler that Bootlace cannot run.
    HandlerNotSupported = "BL1210",
    /// The memory limit of the pod is too low to boot.
    MemoryLimitTooLow = "BL1211",
    /// The Kubernetes version does not support image volumes.
    ImageVolumeTooOld = "BL1212",
    /// The command of a container is unknown.
    CommandUnknown = "BL1301",
    /// The command of an init container is unknown.
    InitCommandUnknown = "BL1302",
    /// An init container cannot get the boot env from a hook.
    HookInInitContainer = "BL1303",
    /// The entrypoint annotation is invalid.
    EntrypointInvalid = "BL1304",
    /// The env mode annotation is invalid.
    EnvModeInvalid = "BL1305",
    /// The Kubernetes version does not support env mode File.
    FileModeTooOld = "BL1306",
    /// Env mode File needs env.file.keys.
    FileKeysMissing = "BL1307",
    /// Env mode Secret needs the store.
    StoreMissing = "BL1308",
    /// Env mode Secret needs an admission request.
    SecretNeedsRequest = "BL1309",
    /// The env mode needs the postStart hook, which the profile disables.
    HookDisabled = "BL1310",
    /// The task would run without the boot env, unnoticed.
    EnvNotVerified = "BL1311",
    /// The boot configuration is too large.
    SpecTooLarge = "BL1312",
    /// The lookup of an image failed, and another attempt may succeed.
    ImageLookupFailed = "BL1313",
    /// The configuration in a pod that is already injected cannot be parsed.
    InjectedSpecUnreadable = "BL1401",
    /// A pod that is already injected differs from what Bootlace would inject.
    InjectedSpecDiffers = "BL1402",
    /// The boot image annotation is empty.
    InitImageEmpty = "BL1501",
    /// The boot image annotation is not an image reference.
    InitImageInvalid = "BL1502",
    /// The profile does not allow the boot image.
    InitImageNotAllowed = "BL1503",
    /// The pipe-out annotation is not a YAML list.
    OutputsInvalid = "BL1601",
    /// An output is invalid.
    OutputInvalid = "BL1602",
    /// Two outputs have the same key.
    OutputDuplicate = "BL1603",
    /// An output names a container that is not a task.
    OutputContainerUnknown = "BL1604",
    /// An output names an init container.
    OutputInitContainer = "BL1605",
    /// An output does not name its container.
    OutputContainerAmbiguous = "BL1606",
    /// The pod has too many outputs.
    TooManyOutputs = "BL1607",
    /// The run of a pod with outputs is unknown.
    OutputsNeedRun = "BL1608",
    /// Outputs need the store.
    OutputsNeedStore = "BL1609",
    /// The Kubernetes version does not support outputs.
    OutputsTooOld = "BL1610",
    /// An output is not in a volume that the sidecar can share.
    OutputVolumeNotShared = "BL1611",
    /// An output is in a mount with subPathExpr.
    OutputSubPathExpression = "BL1612",
    /// Waiting for an output needs the store.
    WaitNeedsStore = "BL1613",
    /// The Kubernetes version does not support waiting for an output.
    WaitTooOld = "BL1614",
    /// The configuration of the outputs is too large.
    OutputsTooLarge = "BL1615",
    /// The pipe-in annotation is not a YAML list.
    InputsInvalid = "BL1701",
    /// An input is invalid.
    InputInvalid = "BL1702",
    /// A field contains more than the name of a pipe.
    PlaceholderNotAlone = "BL1703",
    /// A placeholder has an invalid key.
    PlaceholderKeyInvalid = "BL1704",
    /// A placeholder is in a field that Bootlace does not replace.
    PlaceholderNotReplaced = "BL1705",
    /// The run of a pod with inputs is unknown.
    InputsNeedRun = "BL1706",
    /// The pod reads from too many runs.
    TooManyRuns = "BL1707",
    /// An input is not stored yet.
    InputNotStored = "BL1708",
    /// Several tasks stored an input under the same key.
    InputTaskAmbiguous = "BL1709",
    /// Several map indexes stored an input under the same key.
    InputIndexAmbiguous = "BL1710",
    /// An input is not of the kind that the field needs.
    InputKindMismatch = "BL1711",
    /// An input is not of the kind that the annotation names.
    InputKindDiffers = "BL1712",
    /// An input has several files, and a variable needs one.
    InputFileAmbiguous = "BL1713",
    /// A volume of the pod has a name that is reserved for Bootlace.
    InputNameTaken = "BL1714",
    /// An input cannot be looked up.
    InputLookupFailed = "BL1715",
    /// An overlay of a BootProfile is invalid.
    OverlayInvalid = "BL1801",
    /// The overlays annotation is empty, or names an overlay twice.
    OverlaysInvalid = "BL1802",
    /// The overlays annotation names an overlay that is unknown or not optional.
    OverlayUnknown = "BL1803",
    /// A condition or value of an overlay cannot be evaluated for the pod.
    OverlayNotEvaluated = "BL1804",
    /// A value of an overlay is not a valid label.
    OverlayLabelInvalid = "BL1805",
    /// A name of an overlay is taken.
    OverlayNameTaken = "BL1806",
    /// An overlay changes a container that does not exist.
    OverlayContainerUnknown = "BL1807",
    /// A value of an overlay has another type than in the pod.
    OverlayTypeDiffers = "BL1808",
    /// A JSON patch of an overlay has a path that does not exist in the pod.
    OverlayPathNotFound = "BL1809",
    /// A test in a JSON patch of an overlay failed.
    OverlayTestFailed = "BL1810",
    /// The overlays add too much to the pod.
    OverlaysTooLarge = "BL1811",
    /// Hooks need the launcher, which does not start the task.
    HooksNeedLauncher = "BL1901",
    /// Hooks need the store.
    HooksNeedStore = "BL1902",
    /// The Kubernetes version does not support hooks in the sidecar.
    HooksTooOld = "BL1903",
    /// The hooks are too large.
    HooksTooLarge = "BL1904",
    // Boot: its container (20xx), sources (21xx), servers (22xx), content (23xx), delivery of the env (24xx),
    // the volume (25xx).
    /// The boot container has no configuration.
    BootSpecMissing = "BL2001",
    /// The configuration of the boot container is invalid.
    BootSpecInvalid = "BL2002",
    /// The boot image has no launcher.
    LauncherMissing = "BL2003",
    /// The boot process cannot start.
    BootNotStarted = "BL2004",
    /// A source does not exist.
    SourceNotFound = "BL2101",
    /// A mounted file of a source cannot be read.
    SourceUnreadable = "BL2102",
    /// A source was not fetched in time.
    SourceTimedOut = "BL2103",
    /// The settings of a source are invalid.
    SourceSettingsInvalid = "BL2104",
    /// The name of a server cannot be resolved.
    ServerNotResolved = "BL2201",
    /// A server cannot be reached.
    ServerUnreachable = "BL2202",
    /// The certificate of a server is not valid.
    ServerCertificateInvalid = "BL2203",
    /// A server denies access.
    ServerDeniedAccess = "BL2204",
    /// A server responds with an error.
    ServerError = "BL2205",
    /// A redirect is refused.
    RedirectRefused = "BL2206",
    /// A lease ends before the task may.
    LeaseTooShort = "BL2207",
    /// The checksum of a source is wrong.
    ChecksumMismatch = "BL2301",
    /// The content of a source is invalid.
    ContentInvalid = "BL2302",
    /// An archive cannot be unpacked.
    ArchiveInvalid = "BL2303",
    /// A source is too large.
    SourceTooLarge = "BL2304",
    /// A variable of a source is not allowed.
    VariableNotAllowed = "BL2305",
    /// A file path of a source is not allowed.
    PathNotAllowed = "BL2306",
    /// Two entries of sources conflict.
    EntriesConflict = "BL2307",
    /// A variable is not listed in env.file.keys.
    FileKeyNotListed = "BL2401",
    /// A variable cannot be delivered to the task.
    VariableNotDeliverable = "BL2402",
    /// The boot env is too large for a Secret.
    EnvTooLargeForSecret = "BL2403",
    /// The Secret for the boot env belongs to another pod.
    EnvSecretTaken = "BL2404",
    /// The boot volume is not mounted correctly.
    VolumeNotMounted = "BL2501",
    /// The boot volume is full.
    VolumeFull = "BL2502",
    /// The memory limit of boot is too low.
    BootMemoryTooLow = "BL2503",
    /// The boot volume cannot be written.
    VolumeNotWritable = "BL2504",
    // The containers that wait for an output: the container (30xx), the output (31xx).
    /// The waiting container has no configuration.
    WaitSpecMissing = "BL3001",
    /// The configuration of the waiting container is invalid.
    WaitSpecInvalid = "BL3002",
    /// The waiting process cannot start.
    WaitNotStarted = "BL3003",
    /// The pod was deleted while it waited.
    WaitTerminated = "BL3004",
    /// An output was not stored in time.
    OutputNotStoredInTime = "BL3101",
    /// An output will never be stored as the pod needs it.
    OutputNeverStored = "BL3102",
    /// An output lacks a file.
    OutputFileMissing = "BL3103",
    /// The kubelet did not mount an output.
    OutputNotMounted = "BL3104",

    // Sidecar: its process (40xx), the outputs of a task (41xx), hooks (42xx).
    /// The configuration of the sidecar is missing or invalid.
    SidecarConfigInvalid = "BL4001",
    /// The sidecar cannot start.
    SidecarNotStarted = "BL4002",
    /// The volume with the handover folders cannot be opened.
    HandoverVolumeUnavailable = "BL4003",
    /// An output is missing.
    OutputMissing = "BL4101",
    /// An output cannot be read.
    OutputUnreadable = "BL4102",
    /// An output is not a regular file.
    OutputNotRegularFile = "BL4103",
    /// An output is too large.
    OutputTooLarge = "BL4104",
    /// An output has too many files.
    OutputTooManyFiles = "BL4105",
    /// The name of a file cannot be a key of a ConfigMap or Secret.
    OutputFileNameInvalid = "BL4106",
    /// Two files of an output have the same name.
    OutputFileNameDuplicate = "BL4107",
    /// The pattern of an output is invalid.
    OutputPatternInvalid = "BL4108",
    /// The files that the launcher copied cannot be read.
    HandoverUnreadable = "BL4109",
    /// Outputs were not stored before the pod ended.
    OutputsNotStoredInTime = "BL4110",
    /// A hook was not sent.
    HookNotSent = "BL4201",
    /// The server of a hook refused the request.
    HookRefused = "BL4202",
    /// A hook cannot be sent as the profile defines it.
    HookInvalid = "BL4203",
    /// What the task left for its abort cannot be used.
    AbortTextInvalid = "BL4204",
    /// The abort of a task is not recorded.
    AbortNotRecorded = "BL4205",

    // Store: its client (50xx), the calling pod (51xx), the request (52xx), limits (53xx), the API server and
    // Pipes (54xx).
    /// The store in the injected configuration is invalid.
    StoreEndpointInvalid = "BL5001",
    /// The token for the store cannot be read.
    StoreTokenUnreadable = "BL5002",
    /// The store cannot be reached.
    StoreUnreachable = "BL5003",
    /// The response is not that of a Bootlace store.
    StoreResponseInvalid = "BL5004",
    /// The store refused the request.
    StoreRefused = "BL5005",
    /// The token is not valid.
    CallerNotAuthenticated = "BL5101",
    /// The pod of the token does not exist or is being deleted.
    CallerGone = "BL5102",
    /// The webhook did not inject the pod as it is.
    CallerNotInjected = "BL5103",
    /// The store does not have the key that signed the pod.
    SigningKeyUnknown = "BL5104",
    /// The configuration of the pod is of another version.
    CallerConfigUnreadable = "BL5105",
    /// The configuration of the pod does not include the request.
    RequestNotAllowed = "BL5106",
    /// The request cannot be parsed.
    RequestMalformed = "BL5201",
    /// The store does not serve this method and path.
    RequestPathUnknown = "BL5202",
    /// The request body did not arrive in time.
    RequestTooSlow = "BL5203",
    /// The content is too large for an object.
    ContentTooLarge = "BL5204",
    /// The content cannot be stored in an object.
    ObjectContentInvalid = "BL5205",
    /// The pod or its namespace has too many requests in progress.
    TooManyRequests = "BL5301",
    /// The store has too many requests in progress.
    StoreBusy = "BL5302",
    /// The quota of the profile for Pipes is used up.
    PipeQuotaExceeded = "BL5303",
    /// A ResourceQuota of the namespace is used up.
    ResourceQuotaExceeded = "BL5304",
    /// A pod changes the records of its aborts too often.
    AbortQuotaExceeded = "BL5305",
    /// The API server did not answer the store.
    StoreApiUnavailable = "BL5401",
    /// The API server refused a request of the store.
    StoreApiRefused = "BL5402",
    /// The CRD of Pipes or Aborts is missing or outdated.
    PipeCrdOutdated = "BL5403",
    /// Another Pipe has the name of the output.
    PipeConflict = "BL5404",
    /// The Pipe or its object is being changed or deleted.
    PipeChanged = "BL5405",

    // The command line and the webhook process: files and the cluster (60xx), manifests and profiles (61xx),
    // certificates (62xx), the start of the webhook (63xx), the monitor (64xx).
    /// The command failed.
    CommandFailed = "BL6001",
    /// A file cannot be read.
    FileUnreadable = "BL6002",
    /// A file cannot be written.
    FileNotWritable = "BL6003",
    /// The cluster cannot be reached.
    ClusterUnreachable = "BL6004",
    /// The API server did not return what the command needs.
    ClusterRequestRefused = "BL6005",
    /// The manifest cannot be parsed.
    ManifestInvalid = "BL6101",
    /// The manifest contains no pod.
    ManifestWithoutPod = "BL6102",
    /// A BootProfile file is invalid.
    ProfileFileInvalid = "BL6103",
    /// Pods would be refused.
    PodsRefused = "BL6104",
    /// The pod can only be injected on a cluster.
    InjectionNeedsCluster = "BL6105",
    /// An injected pod cannot be explained.
    InjectedPodInvalid = "BL6106",
    /// A certificate file already exists.
    CertificateFileExists = "BL6201",
    /// A certificate is invalid.
    CertificateInvalid = "BL6202",
    /// The Secret of the certificates does not exist.
    CertificateSecretNotFound = "BL6203",
    /// The Secret is not managed by Bootlace.
    CertificateSecretNotManaged = "BL6204",
    /// The API server did not accept a request for the Secret.
    CertificateSecretRequest = "BL6205",
    /// The rotation of certificates timed out.
    RotationTimeout = "BL6206",
    /// The address cannot be used.
    AddressUnavailable = "BL6301",
    /// The serving certificate cannot be loaded.
    ServingCertificateInvalid = "BL6302",
    /// A file of certificate authorities cannot be loaded.
    CaFileInvalid = "BL6303",
    /// A pod did not get a node in time.
    ScheduleTimeout = "BL6401",
    /// The tasks of a pod did not start in time.
    StartTimeout = "BL6402",
    /// Another container failed while a task had not ended.
    SidecarFailed = "BL6403",
    /// The monitor cannot send the abort of a task whose pod is gone.
    AbortLeft = "BL6404",
}

impl Code {
    /// The code that a text such as `BL1203` names, if this version has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|code| code.as_str() == text).copied()
    }

    /// The message with the code at its end, in at most `max_bytes`. The message is truncated if necessary,
    /// the code is not.
    #[must_use]
    pub fn append_to(self, message: &str, max_bytes: usize) -> String {
        truncate(&format!("{message} [{self}]"), max_bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_long_keeps_its_code() {
        let code = Code::ReviewMalformed;
        assert_eq!(code.append_to("a", 100), "a [BL1001]");
        assert_eq!(code.append_to("aé", 12), "aé [BL1001]");
        assert_eq!(code.append_to("aé", 11), "a [BL1001]");
    }

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str()));
    }

    #[test]
    fn codes_are_parsed() {
        assert!(Code::ALL.iter().all(|code| Code::parse(code.as_str()) == Some(*code)));
        assert_eq!(Code::parse("BL0000"), None);
    }

    #[test]
    fn a_code_is_never_truncated() {
        assert_eq!(Code::NoContainers.append_to("no containers", 1000), "no containers [BL1201]");
        let long = Code::NoContainers.append_to(&"é".repeat(1000), 100);
        assert!(long.len() <= 100 && long.ends_with("é… [BL1201]"), "{long}");
    }
}
