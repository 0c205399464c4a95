//! A container of the pod: what Bootlace decides by.

use super::field::{Array, Object};
use super::resources::Resources;
use super::{Json, WrongType};

/// The list of a pod's spec that a container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// `initContainers`.
    Init,
    /// `containers`.
    App,
}

/// What Bootlace reads of a container.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    /// The list that it is in.
    pub list: List,
    /// Its place in that list.
    pub index: usize,
    /// `name`.
    pub name: &'a str,
    /// `image`.
    pub image: &'a str,
    /// `command`; an empty array counts as none, as it does for the kubelet.
    pub command: Option<Vec<&'a str>>,
    /// `args`; none where the array is absent.
    pub args: Vec<&'a str>,
    /// Names in `env`.
    pub env: Vec<&'a str>,
    /// `env` itself, of which mostly the names are enough.
    variables: Option<Array<'a>>,
    /// `envFrom` itself, read only where a profile gives env.
    sources: Option<Array<'a>>,
    /// `volumeMounts`; `None` where the array is absent.
    pub mounts: Option<Vec<Mount<'a>>>,
    /// `volumeDevices`.
    pub devices: Vec<Device<'a>>,
    /// Whether `lifecycle` is there.
    pub has_lifecycle: bool,
    /// `lifecycle.postStart`, where it is set.
    pub post_start: Option<PostStart<'a>>,
    /// `terminationMessagePath`, where it is set.
    pub termination_message_path: Option<&'a str>,
    /// Whether it says itself when it is started again: `restartPolicy`.
    pub restart_policy: Option<&'a str>,
    /// Whether it is an init container that runs beside those behind it: `restartPolicy` is `Always`.
    pub is_sidecar: bool,
    /// The container itself, for what is read only where it is needed.
    object: Object<'a>,
}

/// A mount, by its volume and its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The volume's name.
    pub volume: &'a str,
    /// The path in the container.
    pub path: &'a str,
    /// `subPath`: the folder of the volume that is mounted, where it is not all of it.
    pub sub_path: Option<&'a str>,
    /// Whether `subPathExpr` names that folder, in words that the kubelet alone can fill in.
    pub sub_path_expr: bool,
    /// `readOnly`.
    pub read_only: bool,
}

/// A block device, by its volume and its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device<'a> {
    /// The volume's name.
    pub volume: &'a str,
    /// The path in the container.
    pub path: &'a str,
}

impl Mount<'_> {
    /// Whether it is at `path`: a slash at the end of either means nothing.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        self.path.trim_end_matches('/') == path.trim_end_matches('/')
    }
}

/// A postStart handler that the pod brings.
/// <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#LifecycleHandler>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostStart<'a> {
    /// `exec`: a command in the container.
    Exec(Vec<&'a str>),
    /// `sleep`: seconds.
    Sleep(i64),
    /// `httpGet`.
    HttpGet(HttpGet<'a>),
    /// Another kind, by its field name.
    Other(&'static str),
}

/// A `httpGet` handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGet<'a> {
    /// `host`; the pod's own address without it.
    pub host: Option<&'a str>,
    /// `port`, names resolved to numbers where the container declares them.
    pub port: String,
    /// `path`.
    pub path: &'a str,
    /// Whether `scheme` is `HTTPS`.
    pub https: bool,
    /// `httpHeaders`.
    pub headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Container<'a> {
    pub(super) fn read(list: List, index: usize, container: &Object<'a>) -> Result<Self, WrongType> {
        let lifecycle = container.object("lifecycle")?;
        Ok(Self {
            list,
            index,
            name: container.str("name")?.unwrap_or_default(),
            image: container.str("image")?.unwrap_or_default(),
            command: container
                .array("command")?
                .map(Array::strs)
                .transpose()?
                .filter(|command| !command.is_empty()),
            args: container.array("args")?.map(Array::strs).transpose()?.unwrap_or_default(),
            env: env_names(container)?,
            variables: container.array("env")?,
            sources: container.array("envFrom")?,
            mounts: mounts(container)?,
            devices: devices(container)?,
            has_lifecycle: lifecycle.is_present(),
            post_start: post_start(container, &lifecycle.object("postStart")?)?,
            termination_message_path: container
                .str("terminationMessagePath")?
                .filter(|path| !path.is_empty()),
            restart_policy: container.str("restartPolicy")?,
            is_sidecar: container.str("restartPolicy")? == Some("Always"),
            object: *container,
        })
    }
}

/// A variable in a container's `env`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variable<'a> {
    /// `name`.
    pub name: &'a str,
    /// `value`, which the kubelet expands; none where it is empty.
    pub text: Option<&'a str>,
    /// `valueFrom`, where it is a key of a `ConfigMap` or a Secret that may be missing: then nothing is set.
    pub optional: Option<&'a Json<'a>>,
    /// Whether `valueFrom` is there.
    pub has_value_from: bool,
}

/// A source in a container's `envFrom`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnvFrom<'a> {
    /// The field of the object's kind: `configMapRef` or `secretRef`.
    pub field: &'static str,
    /// The object's name.
    pub name: &'a str,
    /// Put in front of every key.
    pub prefix: &'a str,
    /// Whether the object may be missing.
    pub optional: bool,
}

impl<'a> Container<'a> {
    /// Whether it ends before the pod's containers start: an init container, and no native sidecar.
    /// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>
    #[must_use]
    pub fn ends_before_tasks(&self) -> bool {
        self.list == List::Init && self.restart_policy != Some("Always")
    }

    /// Whether `env` is there as an array.
    #[must_use]
    pub fn has_env(&self) -> bool {
        self.variables.is_some()
    }

    /// Whether `envFrom` is there as an array.
    #[must_use]
    pub fn has_env_from(&self) -> bool {
        self.sources.is_some()
    }

    /// `resources`.
    ///
    /// # Errors
    /// Where a field has another type than the API gives it.
    pub fn resources(&self) -> Result<Resources<'a>, WrongType> {
        Resources::read(&self.object)
    }

    /// The variables in `env`, in their order.
    pub fn variables(&self) -> impl Iterator<Item = Variable<'a>> + use<'a> {
        self.variables.into_iter().flat_map(Array::objects).filter_map(|variable| {
            let variable = variable.ok()?;
            let text = variable.str("value").ok()?.filter(|text| !text.is_empty());
            let from = variable.object("valueFrom").ok()?;
            let may_be_missing = |field| from.object(field).is_ok_and(|key| key.is_true("optional"));
            let optional = (text.is_none()
                && ["configMapKeyRef", "secretKeyRef"].into_iter().any(may_be_missing))
            .then(|| variable.raw("valueFrom"))
            .flatten();
            Some(Variable {
                name: variable.str("name").ok()??,
                text,
                optional,
                has_value_from: from.is_present(),
            })
        })
    }

    /// Of its variables those that are set whatever objects there are.
    pub fn sure_variables(&self) -> impl Iterator<Item = Variable<'a>> + use<'a> {
        self.variables().filter(|variable| variable.optional.is_none())
    }

    /// The sources in `envFrom`, in their order.
    ///
    /// # Errors
    /// Where a field has another type than the API gives it.
    pub fn env_from(&self) -> Result<Vec<EnvFrom<'a>>, WrongType> {
        let mut sources = Vec::new();
        for source in self.sources.into_iter().flat_map(Array::objects) {
            let source = source?;
            let prefix = source.str("prefix")?.unwrap_or_default();
            for field in ["configMapRef", "secretRef"] {
                let object = source.object(field)?;
                if let Some(name) = object.str("name")? {
                    sources.push(EnvFrom { field, name, prefix, optional: object.is_true("optional") });
                }
            }
        }
        Ok(sources)
    }
}

fn env_names<'a>(container: &Object<'a>) -> Result<Vec<&'a str>, WrongType> {
    container.array("env")?.map_or_else(
        || Ok(Vec::new()),
        |env| {
            let name = |variable: Result<Object<'a>, WrongType>| {
                let variable = variable?;
                // Read only where it is needed, and a number or a boolean without quotes is the usual mistake.
                variable.str("value")?;
                Ok(variable.str("name")?.unwrap_or_default())
            };
            env.objects().map(name).collect()
        },
    )
}

fn mounts<'a>(container: &Object<'a>) -> Result<Option<Vec<Mount<'a>>>, WrongType> {
    container
        .array("volumeMounts")?
        .map(|mounts| {
            mounts
                .objects()
                .map(|mount| {
                    let mount = mount?;
                    Ok(Mount {
                        volume: mount.str("name")?.unwrap_or_default(),
                        path: mount.str("mountPath")?.unwrap_or_default(),
                        sub_path: mount.str("subPath")?.filter(|path| !path.is_empty()),
                        sub_path_expr: mount.str("subPathExpr")?.is_some_and(|path| !path.is_empty()),
                        read_only: mount.is_true("readOnly"),
                    })
                })
                .collect()
        })
        .transpose()
}

fn devices<'a>(container: &Object<'a>) -> Result<Vec<Device<'a>>, WrongType> {
    let devices = container.array("volumeDevices")?.into_iter().flat_map(Array::objects);
    let device = |device: Result<Object<'a>, WrongType>| {
        let device = device?;
        let (volume, path) = (device.str("name")?, device.str("devicePath")?);
        Ok(Device { volume: volume.unwrap_or_default(), path: path.unwrap_or_default() })
    };
    devices.map(device).collect()
}

fn post_start<'a>(container: &Object<'a>, handler: &Object<'a>) -> Result<Option<PostStart<'a>>, WrongType> {
    if !handler.is_present() {
        return Ok(None);
    }
    if handler.has("exec") {
        let command = handler.object("exec")?.array("command")?.map(Array::strs).transpose()?;
        return Ok(Some(PostStart::Exec(command.unwrap_or_default())));
    }
    if handler.has("sleep") {
        return Ok(Some(PostStart::Sleep(handler.object("sleep")?.integer("seconds")?.unwrap_or_default())));
    }
    if handler.has("httpGet") {
        return http_get(container, &handler.object("httpGet")?).map(|get| Some(PostStart::HttpGet(get)));
    }
    Ok(handler.has("tcpSocket").then_some(PostStart::Other("tcpSocket")))
}

fn http_get<'a>(container: &Object<'a>, get: &Object<'a>) -> Result<HttpGet<'a>, WrongType> {
    let port = get.int_or_string("port")?.unwrap_or_default();
    let headers = get.array("httpHeaders")?.map_or_else(
        || Ok(Vec::new()),
        |headers| {
            headers
                .objects()
                .map(|header| {
                    let header = header?;
                    Ok((header.str("name")?.unwrap_or_default(), header.str("value")?.unwrap_or_default()))
                })
                .collect()
        },
    )?;
    Ok(HttpGet {
        host: get.str("host")?.filter(|host| !host.is_empty()),
        port: named_port(container, &port)?.unwrap_or(port),
        path: get.str("path")?.unwrap_or_default(),
        https: get.str("scheme")? == Some("HTTPS"),
        headers,
    })
}

/// The number of the container's port that is called `name`.
fn named_port(container: &Object<'_>, name: &str) -> Result<Option<String>, WrongType> {
    let Some(ports) = container.array("ports")? else { return Ok(None) };
    for port in ports.objects() {
        let port = port?;
        if port.str("name")? == Some(name) {
            return Ok(port.integer("containerPort")?.map(|number| number.to_string()));
        }
    }
    Ok(None)
}
