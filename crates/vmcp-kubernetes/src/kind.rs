//! The kinds of objects that say which backends there are, and the one that tells of the virtual server itself.

use kube::core::{ApiResource, GroupVersionKind};

/// The API group of ToolHive's objects.
const GROUP: &str = "toolhive.stacklok.dev";

/// The version of it whose objects are understood.
const VERSION: &str = "v1beta1";

/// Both, as manifests write them.
pub(crate) const SERVED: &str = "toolhive.stacklok.dev/v1beta1";

/// A kind of objects that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Group,
    Server,
    RemoteProxy,
    Entry,
    AuthConfig,
    Secret,
    ConfigMap,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Group,
        Self::Server,
        Self::RemoteProxy,
        Self::Entry,
        Self::AuthConfig,
        Self::Secret,
        Self::ConfigMap,
    ];

    /// Its name in manifests.
    pub(crate) fn name(self) -> &'static str {
        self.names().0
    }

    /// Its name in paths and in roles.
    pub(crate) fn plural(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Group => ("MCPGroup", "mcpgroups"),
            Self::Server => ("MCPServer", "mcpservers"),
            Self::RemoteProxy => ("MCPRemoteProxy", "mcpremoteproxies"),
            Self::Entry => ("MCPServerEntry", "mcpserverentries"),
            Self::AuthConfig => ("MCPExternalAuthConfig", "mcpexternalauthconfigs"),
            Self::Secret => ("Secret", "secrets"),
            Self::ConfigMap => ("ConfigMap", "configmaps"),
        }
    }

    /// Whether of its objects only the names and versions are watched. Namespaces hold many of them that are
    /// nobody's business here.
    pub(crate) fn is_content(self) -> bool {
        matches!(self, Self::Secret | Self::ConfigMap)
    }

    pub(crate) fn resource(self) -> ApiResource {
        let (name, plural) = self.names();
        let (group, version) = if self.is_content() { ("", "v1") } else { (GROUP, VERSION) };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, name), plural)
    }
}

/// The kind of the object that describes a virtual server, and whose status the server writes. Nobody may list or
/// watch these.
pub(crate) fn virtual_server() -> ApiResource {
    let kind = GroupVersionKind::gvk(GROUP, VERSION, "VirtualMCPServer");
    ApiResource::from_gvk_with_plural(&kind, "virtualmcpservers")
}
