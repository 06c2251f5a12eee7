//! What a pod is given, and how vmcp is started with that.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::ExitStatus,
};

use serde::Deserialize;
use tempfile::TempDir;
use vmcp_testkit::process::{Process, Program};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slow/pod/cases");
const SANDBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slow/pod/sandbox.sh");

/// The file that vmcp is told to serve.
pub(super) const FILE: &str = "/etc/vmcp-config/config.yaml";

/// What every pod has in its environment.
pub(super) const ENVIRONMENT: [(&str, &str); 7] = [
    ("VMCP_NAME", "desk"),
    ("VMCP_NAMESPACE", "floor"),
    ("VMCP_SESSION_HMAC_SECRET", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
    ("XDG_CONFIG_HOME", "/tmp"),
    ("HOME", "/tmp"),
    ("TOOLHIVE_RUNTIME", "kubernetes"),
    ("UNSTRUCTURED_LOGS", "false"),
];

/// What a pod is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pod {
    /// Behind those that every pod has.
    #[serde(default)]
    arguments: Vec<String>,
    /// Beside what every pod has.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// By their paths. Each stands in a volume of its folder's.
    files: BTreeMap<String, String>,
    /// Files that are empty and can be written; nothing else can.
    #[serde(skip)]
    writable: Vec<String>,
}

/// A pod that was started, and its volumes.
pub(super) struct Running {
    pub(super) process: Process,
    root: TempDir,
    turn: usize,
}

impl Pod {
    /// Reads a case.
    pub(super) fn read(case: &str) -> Self {
        let text = fs::read_to_string(Path::new(CASES).join(case).with_extension("yaml"));
        serde_saphyr::from_str(&text.unwrap()).unwrap()
    }

    /// The names of all cases.
    pub(super) fn cases() -> Vec<String> {
        let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let cases = fs::read_dir(CASES).unwrap().map(|entry| name(entry.unwrap().path()));
        let mut cases: Vec<_> = cases.collect();
        cases.sort();
        cases
    }

    /// Puts something in the place of `<name>`.
    pub(super) fn with(mut self, name: &str, text: &str) -> Self {
        for held in self.files.values_mut().chain(self.environment.values_mut()) {
            *held = held.replace(&format!("<{name}>"), text);
        }
        self
    }

    /// The same pod where the operator writes the backends into the file, and not for the pod to find.
    pub(super) fn listing(self, backends: &[&str]) -> Self {
        let mut listed = "backends:\n".to_owned();
        for name in backends {
            let _ = write!(
                listed,
                "    - name: {name}
      url: <{name}>
      transport: streamable-http
      metadata:
          group: office
          namespace: floor
          tool_type: mcp
          workload_status: Ready
          workload_type: mcp_server\n"
            );
        }
        match self.text().contains("source: discovered") {
            true => self.edited("source: discovered", "source: inline").followed_by(&listed),
            false => self,
        }
    }

    /// Exchanges something in the configuration, which has to be there.
    pub(super) fn edited(mut self, from: &str, to: &str) -> Self {
        let text = self.files.get_mut(FILE).unwrap();
        assert!(text.contains(from), "{text}");
        *text = text.replace(from, to);
        self
    }

    /// Adds to the configuration.
    pub(super) fn followed_by(mut self, more: &str) -> Self {
        self.files.get_mut(FILE).unwrap().push_str(more);
        self
    }

    /// The same pod where it is one of a cluster, with its account there.
    #[cfg(feature = "kubernetes")]
    pub(super) fn in_cluster(mut self, pod: &vmcp_testkit::kubernetes::Pod) -> Self {
        let environment = pod.environment().into_iter();
        self.environment.extend(environment.map(|(name, held)| (name.to_owned(), held)));
        for name in ["token", "ca.crt", "namespace"] {
            let path = format!("/var/run/secrets/kubernetes.io/serviceaccount/{name}");
            self.files.insert(path, fs::read_to_string(pod.folder().join(name)).unwrap());
        }
        self
    }

    /// Adds a file.
    #[cfg(feature = "kubernetes")]
    pub(super) fn holding(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    /// Adds a variable.
    #[cfg(feature = "kubernetes")]
    pub(super) fn having(mut self, name: &str, held: &str) -> Self {
        self.environment.insert(name.to_owned(), held.to_owned());
        self
    }

    /// The same files under other names.
    pub(super) fn elsewhere(mut self) -> Self {
        let files = std::mem::take(&mut self.files).into_iter();
        self.files = files.map(|(path, text)| (path + ".old", text)).collect();
        self
    }

    /// Mounts a file that can be written.
    pub(super) fn writable(mut self, path: &str) -> Self {
        self.writable.push(path.to_owned());
        self
    }

    pub(super) fn text(&self) -> &str {
        &self.files[FILE]
    }

    /// Starts vmcp and waits until it is ready.
    pub(super) async fn start(&self) -> Running {
        let root = self.root();
        let process = self.program(root.path()).start().await.unwrap();
        Running { process, root, turn: 0 }
    }

    /// Starts vmcp, which may not become ready.
    #[cfg(feature = "kubernetes")]
    pub(super) async fn begin(&self) -> Running {
        let root = self.root();
        let process = self.program(root.path()).ready_path("/health").start().await.unwrap();
        Running { process, root, turn: 0 }
    }

    /// Starts vmcp, waits until it has ended by itself, and gives its status and what it has said.
    pub(super) async fn end(&self) -> (ExitStatus, String) {
        let root = self.root();
        let mut process = self.program(root.path()).spawn().unwrap();
        (process.wait().await.unwrap(), process.log())
    }

    /// A folder with all volumes.
    fn root(&self) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        self.write(root.path(), 0);
        for path in &self.writable {
            let path = root.path().join(&path[1..]);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        }
        root
    }

    /// Writes all volumes as a kubelet does: the files of one stand in a folder that a link leads to, which is exchanged
    /// in one step.
    fn write(&self, root: &Path, turn: usize) {
        for (path, text) in &self.files {
            let path = root.join(path.strip_prefix('/').unwrap());
            let (volume, name) = (path.parent().unwrap(), path.file_name().unwrap());
            fs::create_dir_all(volume.join(format!("..{turn}"))).unwrap();
            fs::write(volume.join(format!("..{turn}")).join(name), text).unwrap();
            if turn == 0 {
                symlink(Path::new("..data").join(name), path).unwrap();
            }
        }
        for volume in self.volumes(root) {
            symlink(format!("..{turn}"), volume.join("..data_tmp")).unwrap();
            fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
            if let Some(before) = turn.checked_sub(1) {
                fs::remove_dir_all(volume.join(format!("..{before}"))).unwrap();
            }
        }
    }

    fn volumes(&self, root: &Path) -> Vec<PathBuf> {
        let volume = |path: &String| root.join(&path[1..]).parent().unwrap().to_owned();
        let mut volumes: Vec<_> = self.files.keys().map(volume).collect();
        volumes.dedup();
        volumes
    }

    fn program(&self, root: &Path) -> Program {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test starts vmcp as a pod does, for which it has to be root (mounts, chroot, setpriv): run it by sudo"
        );
        let root = root.to_str().unwrap();
        let mut arguments: Vec<String> =
            ["--mount", "bash", SANDBOX, root, env!("CARGO_BIN_EXE_vmcp")]
                .map(str::to_owned)
                .into();
        let environment = ENVIRONMENT.into_iter();
        let own = self.environment.iter().map(|(name, held)| (name.as_str(), held.as_str()));
        arguments.extend(environment.chain(own).map(|(name, held)| format!("{name}={held}")));
        let command = ["/vmcp", "serve", "--config=/etc/vmcp-config/config.yaml"];
        arguments.extend(command.map(str::to_owned));
        arguments.extend(["--host=0.0.0.0", "--port={port}"].map(str::to_owned));
        arguments.extend(self.arguments.iter().cloned());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        Program::new("unshare", &arguments)
    }
}

impl Running {
    /// Exchanges what is in the volumes.
    pub(super) fn exchange(&mut self, pod: &Pod) {
        self.turn += 1;
        pod.write(self.root.path(), self.turn);
    }

    /// Where a file that can be written stands for everybody else. It goes with this value.
    pub(super) fn written(&self, path: &str) -> PathBuf {
        self.root.path().join(&path[1..])
    }
}
