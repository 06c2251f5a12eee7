//! A server with tasks as revision 2025-11-25 has them. Task ids count from 1 in every session, so
//! any two such servers use the same ones.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use crate::raw::{Answer, Call, Handler, Kind, RawServer, handler};

const CAPABILITIES: &str = r#"{"tools":{"listChanged":true},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#;
/// When everything happened: nobody asks this server for the time.
const THEN: &str = "2025-11-25T10:30:00Z";

/// Tool `work`: done after `delay_ms`. Tool `confirm`: needs an answer from the user, which it asks
/// for on the stream of `tasks/result`. Both can be called as tasks, and `work` also without.
pub fn tasks() -> RawServer {
    let tasks = Arc::new(Tasks::default());
    let with = |act: fn(Arc<Tasks>, Call) -> Acting| -> Handler {
        let tasks = Arc::clone(&tasks);
        handler(move |call| act(Arc::clone(&tasks), call))
    };
    let definition = |name: &str, support: &str| {
        format!(
            r#"{{"name":"{name}","description":"{name}","inputSchema":{{"type":"object"}},"execution":{{"taskSupport":"{support}"}}}}"#
        )
    };
    RawServer::builder()
        .capabilities(CAPABILITIES)
        .offer(
            Kind::Tools,
            &definition("work", "optional"),
            with(|tasks, call| Box::pin(begin(tasks, call))),
        )
        .offer(
            Kind::Tools,
            &definition("confirm", "required"),
            with(|tasks, call| Box::pin(begin(tasks, call))),
        )
        .script("tasks/get", with(|tasks, call| Box::pin(async move { tasks.state(&call) })))
        .script("tasks/list", with(|tasks, call| Box::pin(async move { tasks.list(&call) })))
        .script("tasks/cancel", with(|tasks, call| Box::pin(cancel(tasks, call))))
        .script("tasks/result", with(|tasks, call| Box::pin(result(tasks, call))))
}

type Acting = std::pin::Pin<Box<dyn Future<Output = Answer> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Working,
    InputRequired,
    Completed,
    Cancelled,
}

/// All tasks, by session and id.
#[derive(Default)]
struct Tasks {
    all: Mutex<BTreeMap<(String, String), watch::Sender<Status>>>,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), watch::Sender<Status>>> {
        self.all.lock().expect("no code panics while it holds the tasks")
    }

    /// The task that a request names.
    fn find(&self, call: &Call) -> Option<(String, watch::Sender<Status>)> {
        let id: String = call.param("taskId")?;
        let task = self.lock().get(&(call.session.id().to_owned(), id.clone()))?.clone();
        Some((id, task))
    }

    fn state(&self, call: &Call) -> Answer {
        self.find(call).map_or_else(unknown, |(id, task)| shown(&id, *task.borrow()).into())
    }

    fn list(&self, call: &Call) -> Answer {
        let all = self.lock();
        let own = all.iter().filter(|((session, _), _)| session == call.session.id());
        let own: Vec<String> = own.map(|((_, id), task)| shown(id, *task.borrow())).collect();
        format!(r#"{{"tasks":[{}]}}"#, own.join(",")).into()
    }
}

async fn begin(tasks: Arc<Tasks>, call: Call) -> Answer {
    let delay = Duration::from_millis(call.argument("delay_ms").unwrap_or(100));
    let confirms = call.param::<String>("name").as_deref() == Some("confirm");
    if call.raw_param("task").is_none() {
        if confirms {
            return Answer::error(-32601, "this tool runs as a task only");
        }
        sleep(delay).await;
        return Answer::text("worked");
    }
    let id = (call.session.count.fetch_add(1, Relaxed) + 1).to_string();
    let first = if confirms { Status::InputRequired } else { Status::Working };
    let task = watch::Sender::new(first);
    tasks.lock().insert((call.session.id().to_owned(), id.clone()), task.clone());
    let created = format!(r#"{{"task":{}}}"#, shown(&id, first));
    if !confirms {
        call.server.clone().spawn(async move {
            sleep(delay).await;
            finish(&call, &id, &task, Status::Completed).await;
        });
    }
    created.into()
}

async fn cancel(tasks: Arc<Tasks>, call: Call) -> Answer {
    let Some((id, task)) = tasks.find(&call) else { return unknown() };
    if !finish(&call, &id, &task, Status::Cancelled).await {
        return Answer::error(-32602, "this task has ended");
    }
    shown(&id, Status::Cancelled).into()
}

/// Waits for the end of a task; what the task wants to know it asks here.
async fn result(tasks: Arc<Tasks>, call: Call) -> Answer {
    let Some((id, task)) = tasks.find(&call) else { return unknown() };
    let related =
        format!(r#""_meta":{{"io.modelcontextprotocol/related-task":{{"taskId":"{id}"}}}}"#);
    if *task.borrow() == Status::InputRequired {
        let question = format!(
            r#"{{"mode":"form","message":"Really?","requestedSchema":{{"type":"object","properties":{{"sure":{{"type":"boolean"}}}}}},{related}}}"#
        );
        if call.ask("elicitation/create", &question).await.is_err() {
            return Answer::error(-32000, "nobody answered");
        }
        finish(&call, &id, &task, Status::Completed).await;
    }
    let mut changes = task.subscribe();
    match changes.wait_for(|status| status.is_final()).await.map(|status| *status) {
        Ok(Status::Completed) => {
            format!(r#"{{"content":[{{"type":"text","text":"worked"}}],{related}}}"#).into()
        }
        _ => Answer::error(-32000, "the task was cancelled"),
    }
}

/// Ends a task once and tells its session; `false` if it had ended before.
async fn finish(call: &Call, id: &str, task: &watch::Sender<Status>, status: Status) -> bool {
    let ended = task.send_if_modified(|current| {
        let open = !current.is_final();
        if open {
            *current = status;
        }
        open
    });
    if ended {
        call.session.notify("notifications/tasks/status", &shown(id, status)).await;
    }
    ended
}

fn shown(id: &str, status: Status) -> String {
    let status = status.name();
    format!(
        r#"{{"taskId":"{id}","status":"{status}","createdAt":"{THEN}","lastUpdatedAt":"{THEN}","ttl":60000,"pollInterval":50}}"#
    )
}

fn unknown() -> Answer {
    Answer::error(-32602, "no such task")
}
