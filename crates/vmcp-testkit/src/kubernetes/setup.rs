//! The files and the command lines of the API server and of etcd.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use rcgen::KeyPair;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    certificate::Issued,
    process::{Process, Program},
};

/// Where `tools/kubernetes/run --install` builds the programs.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/kubernetes");

/// By which names pods know the API server.
const NAMES: [&str; 5] = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
];

/// One line for each request of a service account, without bodies.
const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ['system:serviceaccounts']}
- {level: None}
";

/// What is served, and nothing else: each group costs memory and time at the start. Some of them are here because the
/// server does not get ready without them.
const GROUPS: [&str; 17] = [
    "api/v1",
    "admissionregistration.k8s.io/v1",
    "apiextensions.k8s.io/v1",
    "apiregistration.k8s.io/v1",
    "apps/v1",
    "authentication.k8s.io/v1",
    "authorization.k8s.io/v1",
    "autoscaling/v2",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1",
    "networking.k8s.io/v1",
    "node.k8s.io/v1",
    "policy/v1",
    "rbac.authorization.k8s.io/v1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1",
];

/// What the API server reads when it starts, and its audit log. Gone when this is dropped.
#[derive(Debug)]
pub(super) struct Files {
    directory: TempDir,
    /// The certificate of the authority, in PEM.
    pub(super) authority: String,
    pub(super) admin_token: String,
}

impl Files {
    pub(super) fn write() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("vmcp-test-kubernetes-").tempdir()?;
        let issued = Issued::with_names(&NAMES)?;
        let accounts = KeyPair::generate()?;
        // Nobody outside of this machine gets to the port, and the token is good for this server only.
        let admin_token = "administrator".to_owned();
        let tokens = format!("{admin_token},administrator,administrator,system:masters\n");
        for (name, content) in [
            ("authority.pem", issued.authority.as_str()),
            ("server.pem", &issued.certificate.pem()),
            ("server.key", &issued.key.serialize_pem()),
            ("accounts.key", &accounts.serialize_pem()),
            ("accounts.pem", &accounts.public_key_pem()),
            ("tokens.csv", &tokens),
            ("audit-policy.yaml", AUDIT_POLICY),
        ] {
            fs::write(directory.path().join(name), content)?;
        }
        Ok(Self { directory, authority: issued.authority, admin_token })
    }

    /// Writes what kubectl and helm need to be the administrator.
    pub(super) fn write_kubeconfig(&self, url: &str) -> Result<()> {
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": {"token": self.admin_token}}],
            "clusters": [{
                "name": "test",
                "cluster": {"server": url, "certificate-authority": self.authority_path()},
            }],
        });
        Ok(fs::write(self.kubeconfig_path(), text.to_string())?)
    }

    pub(super) fn kubeconfig_path(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    pub(super) fn authority_path(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    pub(super) fn audit_path(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }
}

pub(super) fn etcd() -> Result<Program> {
    let clients = "http://127.0.0.1:{port}";
    program(
        "etcd",
        &[
            "--data-dir={dir}/etcd",
            &format!("--listen-client-urls={clients}"),
            &format!("--advertise-client-urls={clients}"),
            // It has no peers; any port will do.
            "--listen-peer-urls=http://127.0.0.1:0",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ],
    )
}

pub(super) fn kube_apiserver(files: &Files, etcd: &Process, issuer: &str) -> Result<Program> {
    let file = |name: &str| files.directory.path().join(name).display().to_string();
    let arguments = [
        format!("--etcd-servers={}", etcd.url_of("")),
        "--secure-port={port}".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        // It must be one that others could reach; with this reconciler nobody is told.
        "--advertise-address=10.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--cert-dir={dir}".to_owned(),
        format!("--tls-cert-file={}", file("server.pem")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        format!("--service-account-issuer={issuer}"),
        format!("--service-account-signing-key-file={}", file("accounts.key")),
        format!("--service-account-key-file={}", file("accounts.pem")),
        "--service-account-jwks-uri=https://127.0.0.1:{port}/openid/v1/jwks".to_owned(),
        format!("--audit-policy-file={}", file("audit-policy.yaml")),
        format!("--audit-log-path={}", files.audit_path().display()),
        format!("--runtime-config=api/all=false,{}=true", GROUPS.join("=true,")),
        "--profiling=false".to_owned(),
    ];
    program("kube-apiserver", &arguments.each_ref().map(String::as_str))
}

/// One of the programs. Whatever way the test's process ends, so does it.
fn program(name: &str, arguments: &[&str]) -> Result<Program> {
    let binary = Path::new(PROGRAMS).join(name);
    ensure!(
        binary.exists(),
        "{name} is not in target/tools/kubernetes: `tools/kubernetes/run --install` builds it"
    );
    let binary = binary.display().to_string();
    let mut whole = vec!["--pdeathsig", "KILL", "--", &binary];
    whole.extend(arguments);
    Ok(Program::new("setpriv", &whole))
}
