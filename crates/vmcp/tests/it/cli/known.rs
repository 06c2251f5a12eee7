//! What backends offered last, at the next start: listed before they have been asked, and kept for the
//! user alone.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use vmcp_testkit::{
    CHILD,
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    process::{Process, Program},
};

use super::{Desk, shop};

/// A program that notes its starts, and does nothing else while it is held up.
const SLOW: &str = "
import os, runpy, sys, time
desk, child = sys.argv[1:3]
with open(desk + '/starts', 'a') as starts:
    starts.write('x')
while os.path.exists(desk + '/held-up'):
    time.sleep(0.01)
if os.path.exists(desk + '/another.py'):
    child = desk + '/another.py'
runpy.run_path(child, run_name='__main__')
";

/// A desk with that program on it, and the user's state.
struct Home {
    desk: Desk,
}

impl Home {
    fn new() -> Self {
        Self { desk: Desk::new().with("slow.py", SLOW) }
    }

    /// Serves the program with one argument more.
    async fn serve(&self, argument: &str) -> Process {
        let desk = self.desk.path().display();
        let backend = format!("kid=python3 {desk}/slow.py {desk} {CHILD} {argument}");
        self.start(&Program::new(
            env!("CARGO_BIN_EXE_vmcp"),
            &["serve", "--backend", &backend, "--port", "{port}"],
        ))
        .await
    }

    async fn start(&self, program: &Program) -> Process {
        let state = self.desk.path().join("state");
        program
            .clone()
            .environment("XDG_STATE_HOME", state.to_str().unwrap())
            .start()
            .await
            .unwrap()
    }

    /// Serves it until it has been heard, and then no more.
    async fn serve_once(&self, argument: &str) {
        let process = self.serve(argument).await;
        until_heard(&process, "kid").await;
        assert!(process.terminate().await.unwrap().success());
    }

    fn hold_up(&self) {
        fs::write(self.desk.path().join("held-up"), "").unwrap();
    }

    fn let_go(&self) {
        fs::remove_file(self.desk.path().join("held-up")).unwrap();
    }

    fn starts(&self) -> usize {
        self.desk.read("starts").len()
    }

    fn folder(&self) -> PathBuf {
        self.desk.path().join("state/vmcp/offers")
    }

    /// The files with offers.
    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect()
    }

    fn only_file(&self) -> PathBuf {
        let [file] = &self.files()[..] else { panic!("{:?}", self.files()) };
        file.clone()
    }
}

async fn backend(process: &Process, name: &str) -> Value {
    let (_, body) = fetch(&process.url_of("/status")).await.unwrap();
    let report: Value = serde_json::from_slice(&body).unwrap();
    let all = report["backends"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

/// Waits until a backend has said what it offers.
async fn until_heard(process: &Process, name: &str) {
    eventually("the backend has made its offer", async || {
        let status = backend(process, name).await;
        (status["offers"].is_object() && status["offer_problem"].is_null()).then_some(())
    })
    .await;
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn names(list: &Value) -> Vec<&str> {
    let tools = list["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_was_offered_last_is_listed_before_the_program_has_answered() {
    let home = Home::new();
    home.serve_once("same").await;
    assert_eq!((mode(&home.only_file()), mode(&home.folder())), (0o600, 0o700));
    let before = home.starts();
    home.hold_up();
    let process = home.serve("same").await;
    let mut legacy = Client::new(&process.url());
    let initialized = legacy.initialize().await.unwrap().json();
    assert!(initialized["result"]["_meta"]["vmcp/missing"].is_null(), "{initialized}");
    assert!(initialized["result"]["capabilities"]["tools"].is_object(), "{initialized}");
    let list = legacy.request("1", "tools/list", "{}").await.unwrap().json();
    assert!(names(&list).contains(&"kid_echo"), "{list}");
    let modern = ModernClient::new(&process.url());
    let list = modern.request("tools/list", json!({})).await.unwrap().message().json();
    assert!(names(&list).contains(&"kid_echo"), "{list}");
    let status = backend(&process, "kid").await;
    let problem = status["offer_problem"].as_str().unwrap_or_default();
    let seconds = problem.strip_prefix("still starting, ").and_then(|rest| rest.strip_suffix(" s"));
    assert!(seconds.is_some_and(|seconds| seconds.parse::<u64>().is_ok()), "{status}");
    assert!(status["offers"]["tools"].as_u64().unwrap() > 1, "{status}");
    eventually("it is being started", async || (home.starts() > before).then_some(())).await;

    home.let_go();
    let answer = legacy.call("2", "kid_echo", r#"{"text":"here"}"#).await.unwrap().json();
    assert_eq!(answer["result"]["content"][0]["text"], "here", "{answer}");
    until_heard(&process, "kid").await;
}

/// The list of a client that can be asked for samples, to which the program lists one tool more.
async fn sampler_is_listed(process: &Process) -> bool {
    let mut client = Client::new(&process.url());
    client.initialize_as("2025-06-18", r#"{"sampling":{}}"#).await.unwrap().result().unwrap();
    let list = client.request("1", "tools/list", "{}").await.unwrap().json();
    names(&list).contains(&"kid_sampler")
}

#[tokio::test]
async fn what_a_kind_of_client_was_offered_is_listed_before_the_program_has_answered() {
    let home = Home::new();
    let process = home.serve("--by-kind").await;
    until_heard(&process, "kid").await;
    eventually("the kind is known", async || sampler_is_listed(&process).await.then_some(())).await;
    assert!(process.terminate().await.unwrap().success());
    home.hold_up();
    let process = home.serve("--by-kind").await;
    assert!(sampler_is_listed(&process).await);
    // Another kind is read when the program has started, and is not waited for until then.
    let before = home.starts();
    let mut other = Client::new(&process.url());
    other.initialize_as("2025-11-25", r#"{"sampling":{}}"#).await.unwrap().result().unwrap();
    let list = other.request("1", "tools/list", "{}").await.unwrap().json();
    assert!(!names(&list).contains(&"kid_sampler"), "{list}");
    assert!(home.starts() <= before + 1, "it is started to be watched, and for nothing else");
    let mut stream = other.listen(None).await.unwrap();
    home.let_go();
    let told = stream.message().await.unwrap().expect("it is told").json();
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    let list = other.request("2", "tools/list", "{}").await.unwrap().json();
    assert!(names(&list).contains(&"kid_sampler"), "{list}");
}

#[tokio::test]
async fn what_a_program_says_counts_as_soon_as_it_has_answered() {
    let home = Home::new();
    home.serve_once("same").await;
    home.hold_up();
    let process = home.serve("same").await;
    let client = Client::connect(&process.url()).await.unwrap();
    let list = client.request("1", "tools/list", "{}").await.unwrap().json();
    assert!(names(&list).contains(&"kid_echo"), "{list}");
    let mut stream = client.listen(None).await.unwrap();
    let another = fs::read_to_string(CHILD).unwrap().replace("echo", "reply");
    fs::write(home.desk.path().join("another.py"), another).unwrap();
    home.let_go();
    let told = stream.message().await.unwrap().expect("it is told").json();
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    let list = client.request("2", "tools/list", "{}").await.unwrap().json();
    let names = names(&list);
    assert!(names.contains(&"kid_reply") && !names.contains(&"kid_echo"), "{list}");
    assert!(process.terminate().await.unwrap().success());
    let kept = fs::read_to_string(home.only_file()).unwrap();
    assert!(kept.contains("reply") && !kept.contains("echo"), "{kept}");
}

#[tokio::test]
async fn what_is_served_otherwise_is_not_known() {
    let home = Home::new();
    home.serve_once("one").await;
    home.hold_up();
    let process = home.serve("other").await;
    assert!(backend(&process, "kid").await["offers"].is_null());
    home.let_go();
    until_heard(&process, "kid").await;
    assert!(process.terminate().await.unwrap().success());
    assert_eq!(home.files().len(), 2, "each has a file of its own");
    home.hold_up();
    for argument in ["one", "other"] {
        let process = home.serve(argument).await;
        assert!(backend(&process, "kid").await["offers"].is_object(), "{argument}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_vmcps_own_is_not_used() {
    let home = Home::new();
    home.serve_once("same").await;
    let (file, other) = (home.only_file(), home.desk.path().join("other"));
    let good = fs::read(&file).unwrap();
    let damage = |what: &str| match what {
        "is open to others" => {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        "is not as vmcp wrote it" => fs::write(&file, &good[..good.len() / 2]).unwrap(),
        "has form 7, and this vmcp reads form 1" => {
            let text = String::from_utf8(good.clone()).unwrap();
            fs::write(&file, text.replacen(r#"{"version":1"#, r#"{"version":7"#, 1)).unwrap();
        }
        "is too large" => {
            fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(17 << 20).unwrap();
        }
        "cannot be opened" => {
            fs::rename(&file, &other).unwrap();
            symlink(&other, &file).unwrap();
        }
        _ => chown(&file, Some(12345), None).unwrap(),
    };
    let mut ways = vec![
        "is open to others",
        "is not as vmcp wrote it",
        "has form 7, and this vmcp reads form 1",
        "is too large",
        "cannot be opened",
    ];
    // Nobody else can give a file away.
    if rustix::process::geteuid().is_root() {
        ways.push("belongs to another user");
    }
    for way in ways {
        damage(way);
        home.hold_up();
        let process = home.serve("same").await;
        assert!(backend(&process, "kid").await["offers"].is_null(), "{way}");
        let log = process.log();
        let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
        let [warning] = warnings[..] else { panic!("{way}: {log}") };
        assert!(warning.contains(way) && warning.contains("remove it"), "{way}: {warning}");
        home.let_go();
        until_heard(&process, "kid").await;
        assert!(process.terminate().await.unwrap().success());
        assert_eq!(fs::read(&file).unwrap(), good, "{way}: it is written anew");
        assert!(mode(&file) == 0o600 && !file.is_symlink(), "{way}");
    }
}

#[tokio::test]
async fn a_folder_that_others_can_write_to_is_not_used() {
    let home = Home::new();
    home.serve_once("same").await;
    fs::set_permissions(home.folder(), fs::Permissions::from_mode(0o777)).unwrap();
    home.hold_up();
    let process = home.serve("same").await;
    assert!(backend(&process, "kid").await["offers"].is_null());
    assert!(process.log().contains("close it with chmod 700"), "{}", process.log());
}

#[tokio::test]
async fn a_key_that_others_know_names_nothing() {
    let home = Home::new();
    home.serve_once("same").await;
    fs::set_permissions(home.folder().join("key"), fs::Permissions::from_mode(0o640)).unwrap();
    home.hold_up();
    let process = home.serve("same").await;
    assert!(backend(&process, "kid").await["offers"].is_null());
    let log = process.log();
    assert!(log.contains("key is open to others; remove it, and vmcp writes it anew"), "{log}");
}

/// A crash loses nothing that was offered before it.
#[tokio::test]
async fn what_is_offered_is_written_while_vmcp_runs() {
    let home = Home::new();
    let process = home.serve("same").await;
    until_heard(&process, "kid").await;
    eventually("it is written", async || (!home.files().is_empty()).then_some(())).await;
    process.kill().await.unwrap();
    home.hold_up();
    let process = home.serve("same").await;
    assert!(backend(&process, "kid").await["offers"].is_object());
}

#[tokio::test]
async fn nothing_that_is_kept_is_a_secret() {
    let home = Home::new();
    let shop = shop().start().await.unwrap();
    let json = format!(
        r#"{{"mcpServers": {{
            "kid": {{"command": "python3", "args": ["{CHILD}", "s3cret-argument"], "env": {{"KEY": "${{env:TOKEN}}"}}}},
            "shop": {{"url": "{}?key=s3cret-url", "headers": {{"Authorization": "Bearer s3cret-header"}}}}
        }}}}"#,
        shop.url()
    );
    let program = Program::new(
        env!("CARGO_BIN_EXE_vmcp"),
        &["serve", "--mcp-json", "{config}", "--port", "{port}"],
    );
    let serve = async |token: &str| {
        let program = program.clone().config(&json).environment("TOKEN", token);
        let process = home.start(&program).await;
        until_heard(&process, "kid").await;
        until_heard(&process, "shop").await;
        assert!(process.terminate().await.unwrap().success());
    };
    serve("s3cret-variable").await;
    let kept = fs::read_to_string(home.only_file()).unwrap();
    assert!(kept.contains("environment") && kept.contains("shop://terms"), "{kept}");
    for entry in fs::read_dir(home.folder()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"s3cret"), "{}", path.display());
        assert_eq!(mode(&path), 0o600);
    }
    // Another credential may be shown something else.
    serve("s3cret-other").await;
    assert_eq!(home.files().len(), 2);
    // The key is all that keeps a name from telling what is served to whoever can guess it.
    let names = home.files();
    fs::remove_dir_all(home.folder()).unwrap();
    serve("s3cret-variable").await;
    assert!(!names.contains(&home.only_file()), "each user has other names");
}

#[tokio::test]
async fn what_nobody_uses_is_removed() {
    let home = Home::new();
    home.serve_once("same").await;
    let (own, folder) = (home.only_file(), home.folder());
    let day = Duration::from_secs(24 * 60 * 60);
    let put = |name: &str, age: u32| {
        let file = fs::File::create(folder.join(name)).unwrap();
        file.set_modified(SystemTime::now() - day * age).unwrap();
        folder.join(name)
    };
    let named = |number: usize, end: &str| format!("{number:064x}{end}");
    let old = [put(&named(1, ".json"), 31), put(&format!(".{}", named(2, ".json.77")), 31)];
    let young = put(&named(3, ".json"), 2);
    let foreign = put("notes.json", 400);
    fs::File::open(&own).unwrap().set_modified(SystemTime::now() - day * 40).unwrap();
    home.serve_once("same").await;
    assert!(old.iter().all(|path| !path.exists()) && young.exists());
    assert!(foreign.exists(), "it is not vmcp's");
    let age = fs::metadata(&own).unwrap().modified().unwrap().elapsed().unwrap();
    assert!(age < day, "what is used is young again");
    for number in 10..200 {
        put(&named(number, ".json"), 1);
    }
    home.serve_once("same").await;
    assert!(own.exists() && !young.exists(), "the oldest give way");
    assert_eq!(home.files().len(), 100 + 1, "with what is not vmcp's");
}

#[tokio::test]
async fn a_configuration_file_keeps_nothing() {
    let home = Home::new();
    let shop = shop().start().await.unwrap();
    let gateway = Gateway::before(&[("shop", shop.url())]);
    let process = home.start(&gateway.program(env!("CARGO_BIN_EXE_vmcp"))).await;
    until_heard(&process, "shop").await;
    assert!(process.terminate().await.unwrap().success());
    assert!(!home.desk.path().join("state").exists());
}
