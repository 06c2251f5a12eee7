//! A namespace and the objects in it, which an administrator makes and changes.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{
    api::{Api, Watch},
    definitions::{GROUP, KINDS, VERSION},
    pod::{Pod, Rights},
    setup::Files,
};

/// Kinds of Kubernetes' own: kind, plural, and below which path they are.
const OWN: [(&str, &str, &str); 7] = [
    ("ConfigMap", "configmaps", "/api/v1"),
    ("Secret", "secrets", "/api/v1"),
    ("Service", "services", "/api/v1"),
    ("ServiceAccount", "serviceaccounts", "/api/v1"),
    ("Lease", "leases", "/apis/coordination.k8s.io/v1"),
    ("Role", "roles", "/apis/rbac.authorization.k8s.io/v1"),
    ("RoleBinding", "rolebindings", "/apis/rbac.authorization.k8s.io/v1"),
];

/// A namespace. An object of it is named `RESOURCE/NAME`, and its status, which is written by itself,
/// `RESOURCE/NAME/status`.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
    admin: Api,
    files: Arc<Files>,
}

impl Namespace {
    pub(super) fn new(name: String, admin: Api, files: Arc<Files>) -> Self {
        Self { name, admin, files }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where something is in the API: `mcpservers`, `mcpservers/alpha`, `mcpservers/alpha/status`; also with a query.
    ///
    /// # Panics
    ///
    /// If the testkit does not know the resource.
    pub fn path(&self, of: &str) -> String {
        let resource = of.split(['/', '?']).next().unwrap_or_default();
        let own = OWN.iter().find(|(_kind, plural, _group)| *plural == resource);
        let ours = KINDS.iter().any(|(_kind, _singular, plural, _short)| *plural == resource);
        let group = match own {
            Some((_kind, _plural, group)) => (*group).to_owned(),
            None if ours => format!("/apis/{GROUP}/{VERSION}"),
            None => panic!("no resource of the testkit's: {resource}"),
        };
        format!("{group}/namespaces/{}/{of}", self.name)
    }

    /// Makes an object with this specification, and with this status if it has one, or changes the one of that name to it
    /// (server-side apply). What an earlier call has set and this one does not name is removed.
    pub async fn apply(&self, mut object: Value) -> Result<Value> {
        let status = object.as_object_mut().and_then(|members| members.remove("status"));
        let path = self.path_of(&object)?;
        let applied = self.admin.apply(&path, &object).await?;
        let Some(mut status) = status else { return Ok(applied) };
        status["observedGeneration"] = applied["metadata"]["generation"].clone();
        let mut part = json!({"status": status, "metadata": {"name": object["metadata"]["name"]}});
        for member in ["apiVersion", "kind"] {
            part[member] = object[member].take();
        }
        self.admin.apply(&format!("{path}/status"), &part).await
    }

    pub async fn get(&self, of: &str) -> Result<Value> {
        self.admin.get(&self.path(of)).await
    }

    /// All objects of a resource: `mcpservers`.
    pub async fn list(&self, resource: &str) -> Result<Vec<Value>> {
        self.admin.list(&self.path(resource)).await
    }

    /// Changes what the patch names; null removes.
    pub async fn merge_patch(&self, of: &str, patch: Value) -> Result<Value> {
        self.admin.merge_patch(&self.path(of), &patch).await
    }

    pub async fn delete(&self, of: &str) -> Result<()> {
        self.admin.delete(&self.path(of)).await
    }

    /// Watches a resource from now on.
    pub async fn watch(&self, resource: &str) -> Result<Watch> {
        let path = self.path(resource);
        let list = self.admin.get(&path).await?;
        let version =
            list["metadata"]["resourceVersion"].as_str().context("a list has a version")?;
        self.admin.watch(&format!("{path}?resourceVersion={version}")).await
    }

    /// What the operator gives the pods of the virtual server of that name: an account with rights, and its token.
    pub async fn pod(&self, name: &str, rights: Rights) -> Result<Pod> {
        Pod::new(self, &self.admin, &self.files, name, rights).await
    }

    fn path_of(&self, object: &Value) -> Result<String> {
        let kind = object["kind"].as_str().context("an object has a kind")?;
        let name = object["metadata"]["name"].as_str().context("an object has a name")?;
        let own = OWN.iter().map(|(kind, plural, _group)| (*kind, *plural));
        let ours = KINDS.iter().map(|(kind, _singular, plural, _short)| (*kind, *plural));
        match own.chain(ours).find(|(known, _plural)| *known == kind) {
            Some((_kind, plural)) => Ok(self.path(&format!("{plural}/{name}"))),
            None => bail!("no kind of the testkit's: {kind}"),
        }
    }
}
