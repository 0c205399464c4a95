//! The parts of a container that Bootlace needs.

use super::field::{Array, Object};
use super::resources::Resources;
use super::{Json, WrongType};

/// The list that contains a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// `initContainers`.
    Init,
    /// `containers`.
    App,
}

/// The parts of a container that Bootlace needs.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    /// The list that contains it.
    pub list: List,
    /// Its index in the list.
    pub index: usize,
    /// `name`.
    pub name: &'a str,
    /// `image`.
    pub image: &'a str,
    /// `command`; `None` if the array is empty, as for the kubelet.
    pub command: Option<Vec<&'a str>>,
    /// `args`; empty if the array is absent.
    pub args: Vec<&'a str>,
    /// Names in `env`.
    pub env: Vec<&'a str>,
    /// `env`. Mostly only the names are needed.
    variables: Option<Array<'a>>,
    /// `envFrom`, which is only read if a profile provides env.
    sources: Option<Array<'a>>,
    /// `volumeMounts`; `None` if the array is absent.
    pub mounts: Option<Vec<Mount<'a>>>,
    /// `volumeDevices`.
    pub devices: Vec<Device<'a>>,
    /// Whether `lifecycle` is present.
    pub has_lifecycle: bool,
    /// `lifecycle.postStart`, if it is set.
    pub post_start: Option<LifecycleHandler<'a>>,
    /// `lifecycle.preStop`, if it is set.
    pub pre_stop: Option<LifecycleHandler<'a>>,
    /// `terminationMessagePath`, if it is set.
    pub termination_message_path: Option<&'a str>,
    /// `restartPolicy` of the container, if it is set.
    pub restart_policy: Option<&'a str>,
    /// Whether it is a native sidecar: an init container with `restartPolicy: Always`.
    pub is_sidecar: bool,
    /// The container itself, for fields that are only read if needed.
    object: Object<'a>,
}

/// A volume mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Name of the volume.
    pub volume: &'a str,
    /// Path in the container.
    pub path: &'a str,
    /// `subPath`: the mounted folder of the volume, if it is not the whole volume.
    pub sub_path: Option<&'a str>,
    /// Whether `subPathExpr` is set, which only the kubelet can resolve.
    pub sub_path_expr: bool,
    /// `readOnly`.
    pub read_only: bool,
}

/// A block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device<'a> {
    /// Name of the volume.
    pub volume: &'a str,
    /// Path in the container.
    pub path: &'a str,
}

impl Mount<'_> {
    /// Whether it is mounted at `path`. Trailing slashes are ignored.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        self.path.trim_end_matches('/') == path.trim_end_matches('/')
    }
}

/// A lifecycle handler of the pod.
/// <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#LifecycleHandler>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleHandler<'a> {
    /// `exec`: a command in the container.
    Exec(Vec<&'a str>),
    /// `sleep`: seconds.
    Sleep(i64),
    /// `httpGet`.
    HttpGet(HttpGet<'a>),
    /// Another kind, by its field name.
    Other(&'static str),
}

impl LifecycleHandler<'_> {
    /// How long it sleeps; 0 for other kinds. The API server accepts no negative value.
    #[must_use]
    pub fn sleep_seconds(&self) -> u32 {
        match self {
            Self::Sleep(seconds) => u32::try_from(*seconds).unwrap_or_default(),
            _ => 0,
        }
    }
}

/// A `httpGet` handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGet<'a> {
    /// `host`; defaults to the address of the pod.
    pub host: Option<&'a str>,
    /// `port`. The name of a port of the container is resolved to its number.
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
            post_start: handler(container, &lifecycle.object("postStart")?)?,
            pre_stop: handler(container, &lifecycle.object("preStop")?)?,
            termination_message_path: container
                .str("terminationMessagePath")?
                .filter(|path| !path.is_empty()),
            restart_policy: container.str("restartPolicy")?,
            is_sidecar: container.str("restartPolicy")? == Some("Always"),
            object: *container,
        })
    }
}

/// A variable in `env` of a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variable<'a> {
    /// `name`.
    pub name: &'a str,
    /// `value`, which the kubelet expands; `None` if it is empty.
    pub text: Option<&'a str>,
    /// `valueFrom`, if it is an optional key of a `ConfigMap` or Secret, so that the variable may not be set.
    pub optional: Option<&'a Json<'a>>,
    /// Whether `valueFrom` is present.
    pub has_value_from: bool,
}

/// A source in `envFrom` of a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnvFrom<'a> {
    /// The field for the kind of the object: `configMapRef` or `secretRef`.
    pub field: &'static str,
    /// Name of the object.
    pub name: &'a str,
    /// Prefix of all keys.
    pub prefix: &'a str,
    /// Whether the object may be missing.
    pub optional: bool,
}

impl<'a> Container<'a> {
    /// Whether it is an init container that ends before the containers of the pod start, so no native
    /// sidecar.
    /// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>
    #[must_use]
    pub fn ends_before_tasks(&self) -> bool {
        self.list == List::Init && self.restart_policy != Some("Always")
    }

    /// Whether `env` is present as an array.
    #[must_use]
    pub fn has_env(&self) -> bool {
        self.variables.is_some()
    }

    /// Whether `envFrom` is present as an array.
    #[must_use]
    pub fn has_env_from(&self) -> bool {
        self.sources.is_some()
    }

    /// `resources`.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn resources(&self) -> Result<Resources<'a>, WrongType> {
        Resources::read(&self.object)
    }

    /// The variables in `env`, in order.
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

    /// The variables that are set no matter which objects exist.
    pub fn sure_variables(&self) -> impl Iterator<Item = Variable<'a>> + use<'a> {
        self.variables().filter(|variable| variable.optional.is_none())
    }

    /// The sources in `envFrom`, in order.
    ///
    /// # Errors
    /// If a field has the wrong type.
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
                // The value is only parsed if needed, and a number or boolean without quotes is a common
                // mistake.
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

fn handler<'a>(
    container: &Object<'a>,
    handler: &Object<'a>,
) -> Result<Option<LifecycleHandler<'a>>, WrongType> {
    if !handler.is_present() {
        return Ok(None);
    }
    if handler.has("exec") {
        let command = handler.object("exec")?.array("command")?.map(Array::strs).transpose()?;
        return Ok(Some(LifecycleHandler::Exec(command.unwrap_or_default())));
    }
    if handler.has("sleep") {
        return Ok(Some(LifecycleHandler::Sleep(
            handler.object("sleep")?.integer("seconds")?.unwrap_or_default(),
        )));
    }
    if handler.has("httpGet") {
        return http_get(container, &handler.object("httpGet")?)
            .map(|get| Some(LifecycleHandler::HttpGet(get)));
    }
    Ok(handler.has("tcpSocket").then_some(LifecycleHandler::Other("tcpSocket")))
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

/// The number of the port of the container with this name.
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
