//! The command line as people and scripts meet it: what is printed where, and how it ends.

mod client;
mod configuration;
mod known;
mod policy;
mod programs;
mod serving;
mod sources;
mod terminal;

use std::{path::Path, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};
use vmcp_testkit::raw::{Answer, Kind, RawServer, fixed};

/// How long a command may take that should end by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of files, in which commands run.
struct Desk {
    directory: TempDir,
    /// Texts that differ from run to run, and what stands for them.
    stand_ins: Vec<(String, &'static str)>,
}

impl Desk {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), stand_ins: Vec::new() }
    }

    /// Shows `stand_in` wherever `text` is printed.
    fn showing(mut self, text: &str, stand_in: &'static str) -> Self {
        self.stand_ins.push((text.to_owned(), stand_in));
        self
    }

    fn with(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path().join(name), text).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Runs vmcp and gives what it wrote to its outputs, and its exit status.
    async fn run(&self, arguments: &[&str]) -> (String, String, i32) {
        self.run_with(&[], arguments).await
    }

    /// The same with variables in its environment.
    async fn run_with(
        &self,
        variables: &[(&str, &str)],
        arguments: &[&str],
    ) -> (String, String, i32) {
        let child = Command::new(env!("CARGO_BIN_EXE_vmcp"))
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(self.path())
            .env("TOKEN", "s3cret")
            .env("XDG_STATE_HOME", self.path().join("state"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, child).await.expect("it ends").unwrap();
        let code = output.status.code().expect("it ends by itself");
        (self.plain(&output.stdout), self.plain(&output.stderr), code)
    }

    /// Checks everything that a command prints: standard output, then `! ` before each line of
    /// standard error, then the exit status if it is not 0.
    #[track_caller]
    fn check(&self, arguments: &[&str], expected: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let (out, error, code) = self.run(arguments).await;
            let error: String = error.lines().map(|line| format!("! {line}\n")).collect();
            let code = if code == 0 { String::new() } else { format!("exit {code}\n") };
            let actual = format!("{out}{error}{code}");
            let expected = expected.strip_prefix('\n').unwrap_or(expected);
            assert_eq!(actual, expected, "at {place}: vmcp {}\n{actual}", arguments.join(" "));
        }
    }

    fn plain(&self, bytes: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for (real, stand_in) in &self.stand_ins {
            text = text.replace(real, stand_in);
        }
        without_times(&text)
    }
}

/// `12 ms` is `N ms`.
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_suffix(" ms") {
        Some(rest) => format!("{}N ms\n", rest.trim_end_matches(|c: char| c.is_ascii_digit())),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// A server with something of each kind.
fn shop() -> RawServer {
    let text = |text: &str| format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#);
    RawServer::builder()
        .tool(
            r#"{"name":"order","description":"Orders something.\nAnd more.","inputSchema":{"type":"object","properties":{"item":{"type":"string"},"count":{"type":["integer","null"]},"note":{}},"required":["item"]}}"#,
            text("ordered"),
        )
        .tool(r#"{"name":"break","inputSchema":{"type":"object"}}"#, r#"{"content":[{"type":"text","text":"it broke\n\u001b[31mbadly"}],"isError":true}"#)
        .tool(r#"{"name":"look","description":"Shows \u001b[31mred","inputSchema":{"type":"object"}}"#, r#"{"content":[{"type":"text","text":"a picture:"},{"type":"image","mimeType":"image/png","data":"AAAAAAAA"}]}"#)
        .tool(r#"{"name":"count","inputSchema":{"type":"object"}}"#, r#"{"content":[],"structuredContent":{"stock":1.10}}"#)
        .resource(r#"{"uri":"shop://terms","name":"terms","description":"What holds."}"#, r#"{"contents":[{"uri":"shop://terms","text":"No returns."}]}"#)
        .resource(r#"{"uri":"shop://logo","name":"logo"}"#, r#"{"contents":[{"uri":"shop://logo","blob":"AAEC"}]}"#)
        .offer(Kind::Templates, r#"{"uriTemplate":"shop://item/{id}","name":"item"}"#, fixed(Answer::text("")))
        .prompt(r#"{"name":"greet","description":"Greets.","arguments":[{"name":"who","required":true},{"name":"how"}]}"#, r#"{"messages":[{"role":"user","content":{"type":"text","text":"Hello"}}]}"#)
}

/// A configuration of these backends.
fn configuration(backends: &str) -> String {
    format!(
        "name: shops\nbackends:\n{backends}incomingAuth: {{type: anonymous}}\n\
         aggregation: {{conflictResolution: prefix, conflictResolutionConfig: {{prefixFormat: '{{workload}}_'}}}}\n"
    )
}
