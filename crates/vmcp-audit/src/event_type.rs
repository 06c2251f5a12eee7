//! What kinds of records there are.

use vmcp_model::{
    Method,
    trail::{End, Trail, Via},
};

/// What a record is about, by the names of the reference system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventType {
    Initialize,
    ToolCall,
    ToolsList,
    ResourceRead,
    ResourcesList,
    PromptGet,
    PromptsList,
    Notification,
    Ping,
    Logging,
    Completion,
    RootsListChanged,
    /// A stream of whatever the server has to say.
    SseConnection,
    /// Every other message.
    McpRequest,
    /// What is no message: the end of a session, or a request that was refused before it was read.
    HttpRequest,
    WorkflowStarted,
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowTimedOut,
    WorkflowStepStarted,
    WorkflowStepCompleted,
    WorkflowStepFailed,
    WorkflowStepSkipped,
}

impl EventType {
    /// All of them. Nothing is of the types of workflows yet; filters may name them.
    pub const ALL: [Self; 23] = [
        Self::Initialize,
        Self::ToolCall,
        Self::ToolsList,
        Self::ResourceRead,
        Self::ResourcesList,
        Self::PromptGet,
        Self::PromptsList,
        Self::Notification,
        Self::Ping,
        Self::Logging,
        Self::Completion,
        Self::RootsListChanged,
        Self::SseConnection,
        Self::McpRequest,
        Self::HttpRequest,
        Self::WorkflowStarted,
        Self::WorkflowCompleted,
        Self::WorkflowFailed,
        Self::WorkflowTimedOut,
        Self::WorkflowStepStarted,
        Self::WorkflowStepCompleted,
        Self::WorkflowStepFailed,
        Self::WorkflowStepSkipped,
    ];

    /// As records and filters have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "mcp_initialize",
            Self::ToolCall => "mcp_tool_call",
            Self::ToolsList => "mcp_tools_list",
            Self::ResourceRead => "mcp_resource_read",
            Self::ResourcesList => "mcp_resources_list",
            Self::PromptGet => "mcp_prompt_get",
            Self::PromptsList => "mcp_prompts_list",
            Self::Notification => "mcp_notification",
            Self::Ping => "mcp_ping",
            Self::Logging => "mcp_logging",
            Self::Completion => "mcp_completion",
            Self::RootsListChanged => "mcp_roots_list_changed",
            Self::SseConnection => "sse_connection",
            Self::McpRequest => "mcp_request",
            Self::HttpRequest => "http_request",
            Self::WorkflowStarted => "vmcp_workflow_started",
            Self::WorkflowCompleted => "vmcp_workflow_completed",
            Self::WorkflowFailed => "vmcp_workflow_failed",
            Self::WorkflowTimedOut => "vmcp_workflow_timed_out",
            Self::WorkflowStepStarted => "vmcp_workflow_step_started",
            Self::WorkflowStepCompleted => "vmcp_workflow_step_completed",
            Self::WorkflowStepFailed => "vmcp_workflow_step_failed",
            Self::WorkflowStepSkipped => "vmcp_workflow_step_skipped",
        }
    }

    /// Reads the name that a filter has.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.name() == name)
    }

    /// What a record of this trail is about.
    pub fn of(trail: &Trail) -> Self {
        let asked = trail.asked();
        match (asked.via, asked.method) {
            (Via::Get, _) => Self::SseConnection,
            (Via::Delete, _) => Self::HttpRequest,
            (Via::Post, Some(Method::Other)) => {
                // Whatever it is called: what has an id wants an answer, and gets one.
                let has_id = asked.details.as_ref().is_some_and(|details| details.id.is_some());
                if has_id { Self::McpRequest } else { Self::Notification }
            }
            (Via::Post, Some(method)) => Self::of_method(method),
            // Without a method and taken all the same, it is a client's answer to a question.
            (Via::Post, None) => {
                let failed = matches!(trail.end(), Some(End::Failed { .. }));
                let refused = trail.status().is_some_and(|status| status >= 300);
                if failed || refused { Self::HttpRequest } else { Self::McpRequest }
            }
        }
    }

    const fn of_method(method: Method) -> Self {
        match method {
            Method::Initialize => Self::Initialize,
            Method::Ping => Self::Ping,
            Method::ToolsList => Self::ToolsList,
            Method::ToolsCall => Self::ToolCall,
            Method::ResourcesList => Self::ResourcesList,
            Method::ResourcesRead => Self::ResourceRead,
            Method::PromptsList => Self::PromptsList,
            Method::PromptsGet => Self::PromptGet,
            Method::CompletionComplete => Self::Completion,
            Method::LoggingSetLevel => Self::Logging,
            Method::RootsListChanged => Self::RootsListChanged,
            notification if notification.is_notification() => Self::Notification,
            _request => Self::McpRequest,
        }
    }
}

/// Which types are recorded: a bit for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter(u32);

impl Filter {
    /// Those that are named, or all if none is, without those that are excluded.
    pub(crate) fn new(named: &[EventType], excluded: &[EventType]) -> Self {
        let bits = |types: &[EventType]| types.iter().fold(0, |bits, one| bits | 1 << *one as u32);
        let named = if named.is_empty() { u32::MAX } else { bits(named) };
        Self(named & !bits(excluded))
    }

    pub(crate) fn has(self, event_type: EventType) -> bool {
        self.0 & 1 << event_type as u32 != 0
    }
}
