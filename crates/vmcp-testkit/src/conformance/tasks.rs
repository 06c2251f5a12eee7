//! The conformance fixture's tools that become tasks, as the tasks extension of the modern era has
//! them, where the client says that it knows tasks. Those that must be tasks are refused to others.

use std::time::Duration;

use rmcp::{
    ErrorData,
    model::{CallToolRequestParams, CallToolResponse, CreateTaskResult},
    task_manager::{TaskContext, TaskExit, TaskOptions},
};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::{
    Context, Fixture,
    asking::{Outcome, Script, Step, missing_capability},
    calls::{failure, text},
    definitions,
    questions::{ask_name, content, elicitation, form},
    result, typed,
};

/// How often a client is to look.
const POLL: u64 = 100;

type Finished = Result<rmcp::model::CallToolResult, TaskExit>;

impl Fixture {
    /// The answer of a tool that can be a task; `None` for the others.
    pub(super) async fn call_as_task(
        &self,
        request: &CallToolRequestParams,
        arguments: &Map<String, Value>,
        context: &Context,
    ) -> Option<Result<CallToolResponse, ErrorData>> {
        let knows_tasks = context.client_capabilities().is_some_and(|all| all.supports_tasks());
        if !knows_tasks && definitions::TASKS.contains(&&*request.name) {
            return Some(Err(tasks_are_required()));
        }
        let argument = |name: &str| arguments.get(name).cloned().unwrap_or_default();
        Some(Ok(match &*request.name {
            "slow_compute" => {
                let pause = Duration::from_secs_f64(argument("seconds").as_f64().unwrap_or(0.0));
                let label = argument("label").as_str().unwrap_or("nothing").to_owned();
                if knows_tasks {
                    self.begin(context, move |task| compute(task, pause, label))
                } else {
                    sleep(pause).await;
                    CallToolResponse::Complete(result(context, computed(&label)))
                }
            }
            "failing_job" => self.begin(context, |task| async move {
                pass(&task, Duration::from_millis(500)).await?;
                Ok(typed(failure("The job has failed.")))
            }),
            "protocol_error_job" => self.begin(context, |_| async {
                Err(TaskExit::Error(ErrorData::internal_error("The job broke down.", None)))
            }),
            "confirm_delete" => {
                let file = argument("filename").as_str().unwrap_or_default().to_owned();
                let asking = move |task| confirm(task, file);
                return Some(self.begin_asking(context, asking));
            }
            "multi_input" => return Some(self.begin_asking(context, ask_twice)),
            "test_tool_with_task" => return Some(self.ask_first(request, context).await),
            _ => return None,
        }))
    }

    /// Asks in the manner of a call, and makes a task of what follows.
    async fn ask_first(
        &self,
        request: &CallToolRequestParams,
        context: &Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let script = Script::new(|round| {
            Ok(match round.answer("user_name")? {
                Some(answer) => Step::Done(json!({"name": content(answer, "name")})),
                None => Step::Ask { questions: json!({"user_name": ask_name()}), state: None },
            })
        });
        let answers = request.input_responses.clone().unwrap_or_default();
        match script.run::<Value>(context, answers, request.request_state.clone()).await? {
            Outcome::Asks(asks) => Ok(CallToolResponse::InputRequired(asks)),
            Outcome::Complete(known) => Ok(self.begin(context, |task| async move {
                pass(&task, Duration::from_millis(100)).await?;
                let name = known["name"].as_str().unwrap_or_default();
                Ok(typed(text(&format!("Done for {name}."))))
            })),
        }
    }

    fn begin_asking<F>(
        &self,
        context: &Context,
        work: impl FnOnce(TaskContext) -> F,
    ) -> Result<CallToolResponse, ErrorData>
    where
        F: Future<Output = Finished> + Send + 'static,
    {
        if context.client_capabilities().is_none_or(|all| all.elicitation.is_none()) {
            return Err(missing_capability("elicitation"));
        }
        Ok(self.begin(context, work))
    }

    fn begin<F>(&self, context: &Context, work: impl FnOnce(TaskContext) -> F) -> CallToolResponse
    where
        F: Future<Output = Finished> + Send + 'static,
    {
        let options = TaskOptions::new().with_poll_interval_ms(POLL);
        let task = self.shared.tasks.spawn(options, |task| Box::pin(work(task)));
        CallToolResponse::Task(result(context, json!(CreateTaskResult::new(task))))
    }
}

async fn compute(task: TaskContext, pause: Duration, label: String) -> Finished {
    pass(&task, pause).await?;
    Ok(typed(computed(&label)))
}

async fn confirm(task: TaskContext, file: String) -> Finished {
    let question = elicitation(&format!("Delete {file}?"), form("confirm", "boolean"));
    let answer = task.request_input("confirm", typed(question)).await?;
    Ok(typed(text(&format!("{file}: {}", content(&answer, "confirm")))))
}

async fn ask_twice(task: TaskContext) -> Finished {
    let ask = async |key: &str| {
        let question = elicitation(&format!("What is the {key} name?"), form("name", "string"));
        task.request_input(key, typed(question)).await
    };
    let (first, second) = tokio::try_join!(ask("first"), ask("second"))?;
    Ok(typed(text(&format!("{} {}", content(&first, "name"), content(&second, "name")))))
}

/// Waits, unless the task is cancelled meanwhile.
async fn pass(task: &TaskContext, pause: Duration) -> Result<(), TaskExit> {
    tokio::select! {
        () = task.cancelled() => Err(TaskExit::Cancelled),
        () = sleep(pause) => Ok(()),
    }
}

fn computed(label: &str) -> Value {
    text(&format!("Computed {label}."))
}

fn tasks_are_required() -> ErrorData {
    let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    ErrorData::missing_required_client_capability(typed(tasks))
}
