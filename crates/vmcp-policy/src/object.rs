//! What callers want to use.

/// What a caller wants to use.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    pub feature: Feature<'a>,
    /// The name that clients know it by; of a resource its URI, of a template its text.
    pub name: &'a str,
    /// The backend that has it; `None` of a tool of vmcp's own.
    pub backend: Option<&'a str>,
}

/// Of what kind it is.
#[derive(Clone, Copy)]
pub enum Feature<'a> {
    /// `Action::"call_tool"` on `Tool::"<name>"`.
    Tool(Hints),
    /// `Action::"get_prompt"` on `Prompt::"<name>"`.
    Prompt,
    /// `Action::"read_resource"` on `Resource::"<URI>"`. Of one that a list only has as a template, this is the
    /// template's text: it is judged as well, so that what forbids or permits either does so for both.
    Resource { template: Option<&'a str> },
    /// A template in a list: `read_resource` on what it may expand to. `fits` says whether it could expand to
    /// a URI.
    Template { fits: &'a dyn Fn(&str) -> bool },
    /// A request that is not one of the protocol's: `Action::"send_request"` on `Method::"<name>"`.
    Method,
}

/// What a tool says of itself (specification 2025-11-25, `ToolAnnotations`), which nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    pub read_only: Option<bool>,
    pub destructive: Option<bool>,
    pub idempotent: Option<bool>,
    pub open_world: Option<bool>,
}
