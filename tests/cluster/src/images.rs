//! The container images of the node: that of Bootlace, and those of its tests. The node imports them at its
//! start and pulls none.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bootlace_image::archive::{self, Config};
use bootlace_image::layer::Layer;
use bootlace_image::product::{self, Binaries};

use crate::builds;
use crate::cache::Entry;
use crate::clients::debian;
use crate::command::{command, output};
use crate::stage::Progress;

/// The Bootlace image.
pub const PRODUCT: &str = "localhost/bootlace:dev";
/// The image of the previous version. See [`crate::previous`].
pub const PREVIOUS: &str = "localhost/bootlace:previous";
/// A shell and the usual Unix programs.
pub const BUSYBOX: &str = "localhost/busybox:test";
/// One static program, without a shell or libc. See the package `bootlace-probe`.
pub const PROBE: &str = "localhost/probe:test";
/// The probe, with ENTRYPOINT, CMD and ENV.
pub const ENTRYPOINT: &str = "localhost/entrypoint:test";
/// The probe, with the users, the home folder and the USER of the distroless images for static programs.
pub const DISTROLESS: &str = "localhost/distroless:test";
/// Busybox and the probe, with ENV.
pub const KIT: &str = "localhost/kit:test";
/// The ENV of [`ENTRYPOINT`] and [`KIT`].
const ENV: [&str; 3] =
    ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "OF_IMAGE=image", "BOTH=image"];
/// Busybox and an S3 server, `versitygw`. See [`crate::store`].
pub const STORE: &str = "localhost/store:test";
/// An image like the plugin images of Optimus: a shell, and an entrypoint that sources the env of its job and
/// then starts the command in the `args` of the pod, here the probe.
pub const OPTIMUS_PLUGIN: &str = "localhost/optimus-plugin:test";
/// The boot image of `examples/boot-image`, as its Dockerfile builds it.
pub const BOOT_EXAMPLE: &str = "localhost/boot-example:test";
/// The `iptables` of Debian, with which the init container of a mesh redirects the traffic of its pod.
pub const IPTABLES: &str = "localhost/iptables:test";
/// The Debian packages in [`IPTABLES`].
const MESH: [&str; 1] = ["iptables"];
/// A CSI driver in the form of the Secrets Store CSI driver: `tools-csi`.
pub const CSI_DRIVER: &str = "localhost/csi-driver:test";
/// The sandbox image of pods, which `node/containerd.toml` names.
const PAUSE: &str = "localhost/pause:test";

/// The variable with the registry that the images were pushed to, `host:port/path`. Not set if the nodes have
/// the images.
pub const REGISTRY: &str = "BOOTLACE_REGISTRY";

/// Replaces the image names in `text` by their names on this cluster.
#[must_use]
pub fn with_registry(text: &str) -> String {
    match std::env::var(REGISTRY) {
        Ok(registry) if !registry.is_empty() => in_registry(text, &registry),
        _ => text.to_owned(),
    }
}

fn in_registry(text: &str, registry: &str) -> String {
    text.replace("localhost/", &format!("{registry}/"))
}

/// The name and tag of the image in an archive, without the registry: `busybox:test` for `busybox.tar`.
///
/// # Errors
/// If the path has no file name.
pub fn reference(archive: &Path) -> Result<String> {
    let name =
        archive.file_stem().and_then(OsStr::to_str).context("the path of the archive has no file name")?;
    Ok(if name == "bootlace" { "bootlace:dev".to_owned() } else { format!("{name}:test") })
}

/// The cargo profile for test images. The profile `dist` takes minutes longer.
pub const PROFILE: &str = "release";
/// The program of the Debian package busybox-static.
const MACHINE_BUSYBOX: &str = "/bin/busybox";

/// The programs that cargo builds for the images.
pub struct Programs {
    /// The programs of Bootlace. `None` for a cluster without Bootlace.
    product: Option<Binaries>,
    probe: PathBuf,
}

/// Builds the programs for the images.
///
/// # Errors
/// If a build fails.
pub async fn programs(with_product: bool, progress: &Progress) -> Result<Programs> {
    let product = if with_product { Some(product(PROFILE, progress).await?) } else { None };
    Ok(Programs { product, probe: builds::cargo(root(), None, PROFILE, "bootlace-probe", progress).await? })
}

/// Builds the programs of Bootlace, with the cargo profile `profile` for `bootlace`.
///
/// # Errors
/// If a build fails.
pub async fn product(profile: &str, progress: &Progress) -> Result<Binaries> {
    product_of(root(), None, profile, progress).await
}

/// As [`product()`], from the source code in the folder `root`, in the target folder `target` of cargo.
///
/// # Errors
/// As [`product()`].
pub async fn product_of(
    root: &Path,
    target: Option<&Path>,
    profile: &str,
    progress: &Progress,
) -> Result<Binaries> {
    let build = async |(profile, name)| builds::cargo(root, target, profile, name, progress).await;
    let [bootlace, launch, launch_http] = Binaries::builds(profile);
    Ok(Binaries {
        bootlace: build(bootlace).await?,
        launch: build(launch).await?,
        launch_http: build(launch_http).await?,
    })
}

/// Writes the archives of all images to `folder`. `store` is the path of the S3 server.
///
/// # Errors
/// If a file cannot be written.
pub async fn write(folder: &Path, programs: &Programs, store: &Path) -> Result<()> {
    let root = root();
    let file = |name: &str| folder.join(format!("{name}.tar"));
    if let Some(product) = &programs.product {
        product::write(product, PRODUCT, &file("bootlace"))?;
    }
    let (layer, config) = busybox().await?;
    archive::write(&file("busybox"), BUSYBOX, &layer, &config)?;
    archive::write(&file("store"), STORE, &layer.program("/bin/versitygw", store)?, &config)?;
    let (layer, config) = busybox().await?;
    let layer = layer.program("/bootlace-init", &root.join("examples/boot-image/bootlace-init"))?;
    archive::write(&file("boot-example"), BOOT_EXAMPLE, &layer, &config)?;

    let env = || ENV.map(str::to_owned).to_vec();
    let entrypoint = include_str!("../images/optimus-plugin.sh");
    let layer = layer.program("/probe", &programs.probe)?;
    let kit = Config { env: env(), cmd: config.cmd.clone(), ..Config::default() };
    archive::write(&file("kit"), KIT, &layer, &kit)?;
    let plugin = layer.file("/opt/entrypoint.sh", 0o755, entrypoint);
    let config = Config {
        env: config.env.iter().cloned().chain(["JOB_DIR=/data".to_owned()]).collect(),
        entrypoint: vec!["/opt/entrypoint.sh".to_owned()],
        ..Config::default()
    };
    archive::write(&file("optimus-plugin"), OPTIMUS_PLUGIN, &plugin, &config)?;

    let layer = Layer::new().program("/probe", &programs.probe)?;
    let entrypoint = vec!["/probe".to_owned()];
    let config = Config { entrypoint: entrypoint.clone(), ..Config::default() };
    archive::write(&file("probe"), PROBE, &layer, &config)?;
    let cmd = vec!["argv".to_owned(), "environ".to_owned()];
    let config = Config { entrypoint: entrypoint.clone(), cmd, env: env(), ..Config::default() };
    archive::write(&file("entrypoint"), ENTRYPOINT, &layer, &config)?;
    let distroless = Layer::new()
        .program("/probe", &programs.probe)?
        .folder("/tmp", 0o1777)
        .file("/etc/passwd", 0o644, "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
        .file("/etc/group", 0o644, "nonroot:x:65532:\n");
    let config = Config { user: "65532:65532".to_owned(), env: env(), ..Config::default() };
    archive::write(&file("distroless"), DISTROLESS, &distroless, &config)?;
    let config = Config { entrypoint, cmd: vec!["wait".to_owned()], ..Config::default() };
    archive::write(&file("pause"), PAUSE, &layer, &config)?;
    Ok(())
}

/// Writes the archive of [`IPTABLES`] to the cache if necessary, and returns its path. Only the scenarios
/// need it, so only they need the Debian package on the machine.
///
/// # Errors
/// If a package of Debian is not installed, or the archive cannot be written.
pub async fn iptables() -> Result<PathBuf> {
    let versions = output(command("dpkg-query").arg("--show").args(debian::SHELL).args(MESH)).await?;
    let entry = Entry::open("iptables", &[versions.as_bytes()])?;
    let archive = entry.folder().join("iptables.tar");
    if entry.is_complete() {
        return Ok(archive);
    }
    let (_, config) = busybox().await?;
    archive::write(&archive, IPTABLES, &debian::layer(&MESH).await?, &config)?;
    entry.complete().map(|_| archive)
}

/// Writes the archive of [`CSI_DRIVER`] to the cache if necessary, and returns its path. Only the scenarios
/// need it.
///
/// # Errors
/// If the program of the driver cannot be read, or the archive cannot be written.
pub fn csi_driver(program: &Path) -> Result<PathBuf> {
    let content = std::fs::read(program).with_context(|| format!("read {}", program.display()))?;
    let entry = Entry::open("csi-driver", &[&content])?;
    let archive = entry.folder().join("csi-driver.tar");
    if entry.is_complete() {
        return Ok(archive);
    }
    let config = Config { entrypoint: vec!["/csi-driver".to_owned()], ..Config::default() };
    archive::write(&archive, CSI_DRIVER, &Layer::new().program("/csi-driver", program)?, &config)?;
    entry.complete().map(|_| archive)
}

/// Copies the program `bootlace` of the image to `file`, for the scenarios. They cannot build it, because the
/// environment that cargo sets for tests would make it rebuild many crates.
///
/// # Errors
/// If it cannot be copied.
pub fn copy_command_line(programs: &Programs, file: &Path) -> Result<()> {
    let Some(product) = &programs.product else { return Ok(()) };
    let binary = &product.bootlace;
    std::fs::copy(binary, file).with_context(|| format!("copy {}", binary.display())).map(drop)
}

/// Busybox with a link for each of its programs, as in the official image `busybox`.
async fn busybox() -> Result<(Layer, Config)> {
    let mut layer = Layer::new()
        .program("/bin/busybox", Path::new(MACHINE_BUSYBOX))?
        .folder("/tmp", 0o1777)
        .folder("/root", 0o700)
        .file(
            "/etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        )
        .file("/etc/group", 0o644, "root:x:0:\nnobody:x:65534:\n");
    for program in output(command(MACHINE_BUSYBOX).arg("--list")).await?.lines() {
        if program != "busybox" {
            layer = layer.symlink(&format!("/bin/{program}"), "busybox");
        }
    }
    let config = Config {
        env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        cmd: vec!["sh".to_owned()],
        ..Config::default()
    };
    Ok((layer, config))
}

/// The root folder of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("BOOTLACE_ROOT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_in_a_registry_keep_their_name_and_tag() {
        let text = format!("image: {BUSYBOX}\nother: docker.io/library/busybox");
        let named = in_registry(&text, "registry.example.com:5000/team");
        assert_eq!(
            named,
            "image: registry.example.com:5000/team/busybox:test\nother: docker.io/library/busybox"
        );
        for image in [
            PRODUCT,
            BUSYBOX,
            PROBE,
            ENTRYPOINT,
            DISTROLESS,
            KIT,
            STORE,
            OPTIMUS_PLUGIN,
            BOOT_EXAMPLE,
            IPTABLES,
            CSI_DRIVER,
        ] {
            let name = image.strip_prefix("localhost/").unwrap();
            let file = format!("{}.tar", name.split(':').next().unwrap());
            assert_eq!(reference(Path::new(&file)).unwrap(), name);
        }
    }
}
