//! What a pod of a virtual server is given: an account, rights, a token, files and an environment.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{api::Api, namespace::Namespace, objects::own, setup::Files, volume::Volume};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// How long a token is good, in seconds. A kubelet asks for about as much.
const TOKEN_SECONDS: u32 = 3607;

/// What a pod may do, by where its virtual server's backends come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// It reads the objects of its namespace.
    Discovered,
    /// It reads its own object only.
    Inline,
}

/// A pod, without a node that would run it: whoever starts the program hands it this.
#[derive(Debug)]
pub struct Pod {
    name: String,
    namespace: Namespace,
    admin: Api,
    api: Api,
    port: u16,
    token: String,
    files: Volume,
    authority: String,
}

impl Pod {
    pub(super) async fn new(
        namespace: &Namespace,
        admin: &Api,
        files: &Arc<Files>,
        name: &str,
        rights: Rights,
    ) -> Result<Self> {
        let account = format!("{name}-vmcp");
        namespace.apply(own("v1", "ServiceAccount", &account)).await?;
        let mut role = own(RBAC, "Role", &account);
        role["rules"] = rules(rights);
        namespace.apply(role).await?;
        let mut binding = own(RBAC, "RoleBinding", &account);
        binding["roleRef"] = json!({
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": account,
        });
        binding["subjects"] =
            json!([{"kind": "ServiceAccount", "name": account, "namespace": namespace.name()}]);
        namespace.apply(binding).await?;
        let authority = files.authority.clone();
        let mut pod = Self {
            name: name.to_owned(),
            namespace: namespace.clone(),
            admin: admin.clone(),
            api: admin.anonymous(),
            port: admin.port(),
            token: String::new(),
            files: Volume::new(&[])?,
            authority,
        };
        pod.renew_token().await?;
        Ok(pod)
    }

    /// Gets a new token, and puts it into the pod's folder. The old one stays good until its time is over.
    pub async fn renew_token(&mut self) -> Result<()> {
        let path = format!("serviceaccounts/{}-vmcp/token", self.name);
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_SECONDS},
        });
        let answer = self.admin.create(&self.namespace.path(&path), &request).await?;
        let token = answer["status"]["token"].as_str().context("no token in the answer")?;
        token.clone_into(&mut self.token);
        self.api = self.admin.with_token(token);
        self.files.write(&[
            ("ca.crt", &self.authority),
            ("namespace", self.namespace.name()),
            ("token", token),
        ])
    }

    /// By which the API server knows it: `system:serviceaccount:c01:hub-vmcp`.
    pub fn account(&self) -> String {
        format!("system:serviceaccount:{}:{}-vmcp", self.namespace.name(), self.name)
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// Requests with the pod's token.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// What would be mounted as `/var/run/secrets/kubernetes.io/serviceaccount`: `token`, `ca.crt`, `namespace`.
    pub fn folder(&self) -> &Path {
        self.files.path()
    }

    /// The variables that every pod of a virtual server has, and those that say where the API server is.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("VMCP_NAME", self.name.clone()),
            ("VMCP_NAMESPACE", self.namespace.name().to_owned()),
            ("VMCP_SESSION_HMAC_SECRET", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
            ("XDG_CONFIG_HOME", "/tmp".to_owned()),
            ("HOME", "/tmp".to_owned()),
            ("TOOLHIVE_RUNTIME", "kubernetes".to_owned()),
            ("UNSTRUCTURED_LOGS", "false".to_owned()),
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()),
            ("KUBERNETES_SERVICE_PORT", self.port.to_string()),
        ]
    }
}

/// The rules of the Role that the operator makes.
fn rules(rights: Rights) -> Value {
    let toolhive = super::definitions::GROUP;
    let reading = ["get", "list", "watch"];
    let mut rules = vec![
        json!({"apiGroups": [toolhive], "resources": ["virtualmcpservers"], "verbs": ["get"]}),
        json!({
            "apiGroups": [toolhive],
            "resources": ["virtualmcpservers/status"],
            "verbs": ["update", "patch"],
        }),
    ];
    if rights == Rights::Discovered {
        rules.push(json!({
            "apiGroups": [""],
            "resources": ["configmaps", "secrets"],
            "verbs": reading,
        }));
        rules.push(json!({
            "apiGroups": [toolhive],
            "resources": [
                "mcpgroups",
                "mcpservers",
                "mcpremoteproxies",
                "mcpserverentries",
                "mcpexternalauthconfigs",
                "mcptoolconfigs",
            ],
            "verbs": reading,
        }));
    }
    rules.into()
}
