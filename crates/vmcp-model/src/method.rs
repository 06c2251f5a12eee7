//! The methods of MCP, and the only place where their names are written.

use std::fmt;

/// A method of the protocol, of either era, its extension for tasks included. Variants are called as
/// their methods are, notifications without the `notifications/` before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Method {
    Initialize,
    Ping,
    ServerDiscover,
    ToolsList,
    ToolsCall,
    ResourcesList,
    ResourcesTemplatesList,
    ResourcesRead,
    ResourcesSubscribe,
    ResourcesUnsubscribe,
    PromptsList,
    PromptsGet,
    CompletionComplete,
    LoggingSetLevel,
    SubscriptionsListen,
    TasksList,
    TasksGet,
    TasksResult,
    TasksUpdate,
    TasksCancel,
    SamplingCreateMessage,
    ElicitationCreate,
    RootsList,
    Initialized,
    Cancelled,
    Progress,
    Message,
    ToolsListChanged,
    ResourcesListChanged,
    ResourcesUpdated,
    PromptsListChanged,
    RootsListChanged,
    TasksStatus,
    Tasks,
    ElicitationComplete,
    SubscriptionsAcknowledged,
    /// None of the protocol's. Its name stands in the message that has it.
    Other,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 37] = [
        Self::Initialize,
        Self::Ping,
        Self::ServerDiscover,
        Self::ToolsList,
        Self::ToolsCall,
        Self::ResourcesList,
        Self::ResourcesTemplatesList,
        Self::ResourcesRead,
        Self::ResourcesSubscribe,
        Self::ResourcesUnsubscribe,
        Self::PromptsList,
        Self::PromptsGet,
        Self::CompletionComplete,
        Self::LoggingSetLevel,
        Self::SubscriptionsListen,
        Self::TasksList,
        Self::TasksGet,
        Self::TasksResult,
        Self::TasksUpdate,
        Self::TasksCancel,
        Self::SamplingCreateMessage,
        Self::ElicitationCreate,
        Self::RootsList,
        Self::Initialized,
        Self::Cancelled,
        Self::Progress,
        Self::Message,
        Self::ToolsListChanged,
        Self::ResourcesListChanged,
        Self::ResourcesUpdated,
        Self::PromptsListChanged,
        Self::RootsListChanged,
        Self::TasksStatus,
        Self::Tasks,
        Self::ElicitationComplete,
        Self::SubscriptionsAcknowledged,
        Self::Other,
    ];

    /// The name that a message carries. Of [`Method::Other`] it is a label, and in no message.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Ping => "ping",
            Self::ServerDiscover => "server/discover",
            Self::ToolsList => "tools/list",
            Self::ToolsCall => "tools/call",
            Self::ResourcesList => "resources/list",
            Self::ResourcesTemplatesList => "resources/templates/list",
            Self::ResourcesRead => "resources/read",
            Self::ResourcesSubscribe => "resources/subscribe",
            Self::ResourcesUnsubscribe => "resources/unsubscribe",
            Self::PromptsList => "prompts/list",
            Self::PromptsGet => "prompts/get",
            Self::CompletionComplete => "completion/complete",
            Self::LoggingSetLevel => "logging/setLevel",
            Self::SubscriptionsListen => "subscriptions/listen",
            Self::TasksList => "tasks/list",
            Self::TasksGet => "tasks/get",
            Self::TasksResult => "tasks/result",
            Self::TasksUpdate => "tasks/update",
            Self::TasksCancel => "tasks/cancel",
            Self::SamplingCreateMessage => "sampling/createMessage",
            Self::ElicitationCreate => "elicitation/create",
            Self::RootsList => "roots/list",
            Self::Initialized => "notifications/initialized",
            Self::Cancelled => "notifications/cancelled",
            Self::Progress => "notifications/progress",
            Self::Message => "notifications/message",
            Self::ToolsListChanged => "notifications/tools/list_changed",
            Self::ResourcesListChanged => "notifications/resources/list_changed",
            Self::ResourcesUpdated => "notifications/resources/updated",
            Self::PromptsListChanged => "notifications/prompts/list_changed",
            Self::RootsListChanged => "notifications/roots/list_changed",
            Self::TasksStatus => "notifications/tasks/status",
            Self::Tasks => "notifications/tasks",
            Self::ElicitationComplete => "notifications/elicitation/complete",
            Self::SubscriptionsAcknowledged => "notifications/subscriptions/acknowledged",
            Self::Other => "other",
        }
    }

    /// Reads the name that a message carries.
    pub fn from_name(name: &str) -> Self {
        Self::from_bytes(name.as_bytes())
    }

    /// Reads the name that a message carries. Only those of the same length are compared with it, the
    /// frequent ones first.
    pub fn from_bytes(name: &[u8]) -> Self {
        match name.len() {
            4 => one_of(name, [Self::Ping]),
            9 => one_of(name, [Self::TasksGet]),
            10 => one_of(
                name,
                [
                    Self::ToolsCall,
                    Self::ToolsList,
                    Self::Initialize,
                    Self::RootsList,
                    Self::TasksList,
                ],
            ),
            11 => one_of(name, [Self::PromptsGet]),
            12 => one_of(
                name,
                [Self::PromptsList, Self::TasksCancel, Self::TasksResult, Self::TasksUpdate],
            ),
            14 => one_of(name, [Self::ResourcesRead, Self::ResourcesList]),
            15 => one_of(name, [Self::ServerDiscover]),
            16 => one_of(name, [Self::LoggingSetLevel]),
            18 => one_of(name, [Self::ElicitationCreate]),
            19 => one_of(name, [Self::ResourcesSubscribe, Self::CompletionComplete, Self::Tasks]),
            20 => one_of(name, [Self::SubscriptionsListen]),
            21 => one_of(name, [Self::Message, Self::ResourcesUnsubscribe]),
            22 => one_of(name, [Self::Progress, Self::SamplingCreateMessage]),
            23 => one_of(name, [Self::Cancelled]),
            24 => one_of(name, [Self::ResourcesTemplatesList]),
            25 => one_of(name, [Self::Initialized]),
            26 => one_of(name, [Self::TasksStatus]),
            31 => one_of(name, [Self::ResourcesUpdated]),
            32 => one_of(name, [Self::ToolsListChanged, Self::RootsListChanged]),
            34 => one_of(name, [Self::PromptsListChanged, Self::ElicitationComplete]),
            36 => one_of(name, [Self::ResourcesListChanged]),
            40 => one_of(name, [Self::SubscriptionsAcknowledged]),
            _ => Self::Other,
        }
    }

    /// What it is about.
    pub const fn topic(self) -> Topic {
        match self {
            Self::SamplingCreateMessage => Topic::Sampling,
            Self::ElicitationCreate => Topic::Elicitation,
            Self::RootsList => Topic::Roots,
            Self::TasksList
            | Self::TasksGet
            | Self::TasksResult
            | Self::TasksUpdate
            | Self::TasksCancel => Topic::Tasks,
            _ => Topic::Other,
        }
    }

    /// Whether it is that of a notification.
    pub const fn is_notification(self) -> bool {
        match self {
            Self::Initialized
            | Self::Cancelled
            | Self::Progress
            | Self::Message
            | Self::ToolsListChanged
            | Self::ResourcesListChanged
            | Self::ResourcesUpdated
            | Self::PromptsListChanged
            | Self::RootsListChanged
            | Self::TasksStatus
            | Self::Tasks
            | Self::ElicitationComplete
            | Self::SubscriptionsAcknowledged => true,
            Self::Initialize
            | Self::Ping
            | Self::ServerDiscover
            | Self::ToolsList
            | Self::ToolsCall
            | Self::ResourcesList
            | Self::ResourcesTemplatesList
            | Self::ResourcesRead
            | Self::ResourcesSubscribe
            | Self::ResourcesUnsubscribe
            | Self::PromptsList
            | Self::PromptsGet
            | Self::CompletionComplete
            | Self::LoggingSetLevel
            | Self::SubscriptionsListen
            | Self::TasksList
            | Self::TasksGet
            | Self::TasksResult
            | Self::TasksUpdate
            | Self::TasksCancel
            | Self::SamplingCreateMessage
            | Self::ElicitationCreate
            | Self::RootsList
            | Self::Other => false,
        }
    }

    /// Whether this tells that a list has changed which vmcp merges.
    pub const fn is_list_change(self) -> bool {
        matches!(
            self,
            Self::ToolsListChanged | Self::ResourcesListChanged | Self::PromptsListChanged
        )
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn one_of<const COUNT: usize>(name: &[u8], methods: [Method; COUNT]) -> Method {
    let found = methods.into_iter().find(|method| method.name().as_bytes() == name);
    found.unwrap_or(Method::Other)
}

/// What a request asks for, as far as the first part of its name says so: even one that is none of
/// the protocol's, or of a later revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Sampling,
    Elicitation,
    Roots,
    Tasks,
    Other,
}

impl Topic {
    /// The capability that whoever is asked declares.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sampling => "sampling",
            Self::Elicitation => "elicitation",
            Self::Roots => "roots",
            Self::Tasks => "tasks",
            Self::Other => "other",
        }
    }

    /// Reads the name of a method.
    pub fn of(method: &str) -> Self {
        match method.split_once('/') {
            Some(("sampling", _)) => Self::Sampling,
            Some(("elicitation", _)) => Self::Elicitation,
            Some(("roots", _)) => Self::Roots,
            Some(("tasks", _)) => Self::Tasks,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_again_by_its_name() {
        for (place, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(place, method as usize, "{method} stands elsewhere among all");
            assert_eq!(Method::from_name(method.name()), method, "{method}");
        }
        assert_eq!(Method::ALL.len() - 1, Method::Other as usize);
    }

    #[test]
    fn what_is_no_name_is_another_method() {
        let near = |name: &'static str| {
            [
                name.to_uppercase(),
                format!("{name} "),
                name[1..].to_owned(),
                format!("x{}", &name[1..]),
            ]
        };
        for name in Method::ALL.into_iter().flat_map(|method| near(method.name())) {
            assert_eq!(Method::from_name(&name), Method::Other, "{name:?}");
        }
        assert_eq!(Method::from_bytes(b""), Method::Other);
        assert_eq!(Method::from_bytes(b"tools/cal\xff"), Method::Other);
    }

    #[test]
    fn notifications_are_called_so() {
        for method in Method::ALL {
            let is_called_so = method.name().starts_with("notifications/");
            assert_eq!(method.is_notification(), is_called_so, "{method}");
        }
    }

    #[test]
    fn lists_are_those_of_the_kinds_that_are_merged() {
        let changes = Method::ALL.into_iter().filter(|method| method.is_list_change());
        let names: Vec<_> = changes.map(Method::name).collect();
        let expected = ["tools", "resources", "prompts"];
        assert_eq!(names, expected.map(|list| format!("notifications/{list}/list_changed")));
    }

    #[test]
    fn the_first_part_of_a_name_says_what_it_is_about() {
        for (name, topic) in [
            ("sampling/createMessage", Topic::Sampling),
            ("elicitation/create", Topic::Elicitation),
            ("elicitation", Topic::Other),
            ("roots/later/revision", Topic::Roots),
            ("tasks/", Topic::Tasks),
            ("tasksx/get", Topic::Other),
            ("notifications/tasks", Topic::Other),
            ("", Topic::Other),
        ] {
            assert_eq!(Topic::of(name), topic, "{name}");
        }
        for method in Method::ALL {
            assert_eq!(method.topic(), Topic::of(method.name()), "{method}");
        }
    }
}
