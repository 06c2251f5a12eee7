//! Where the entries of a catalog lead, and how far one has to reach for them.

use vmcp_model::{BackendId, Mirror};

use crate::own::OwnTool;

/// Where a call of an exposed capability goes, and what has to be known of it on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub target: Target,
    /// The parameters of a tool that its callers repeat in headers.
    pub mirrors: Box<[Mirror]>,
    /// Clients see the tool's output in an object, in which its backend does not give it.
    pub is_wrapped: bool,
    /// What a use of it needs, in a catalog that is [restricted](crate::Catalog::restricted).
    pub admission: Admission,
}

/// What a use of an entry needs that a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Admission {
    /// Nothing more.
    #[default]
    Free,
    /// Each use is judged by its own arguments.
    Judged,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Backend {
        backend: BackendId,
        /// The backend's own name or URI for it.
        name: Box<str>,
        /// Whether clients know it by another name.
        renamed: bool,
    },
    /// vmcp itself.
    Own(OwnTool),
}

/// How far somebody reaches into a catalog, and how far away an entry is. Who reaches farther reaches
/// all that is nearer, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Clients see it in lists, and may use it.
    Listed,
    /// It stands in no list. Those that stand in for lists reach it: `call_tool`, and scripts.
    Callable,
    /// The configuration hides it. Only the steps of composite tools reach it.
    Hidden,
}

impl Route {
    /// A route of which nothing but its target matters.
    pub(crate) fn to(target: Target) -> Self {
        Self { target, mirrors: Box::default(), is_wrapped: false, admission: Admission::Free }
    }

    /// What the backend that answers calls it, unless vmcp does itself.
    pub fn backend_name(&self) -> Option<&str> {
        match &self.target {
            Target::Backend { name, .. } => Some(name),
            Target::Own(_) => None,
        }
    }

    /// The backend that answers, unless vmcp does itself.
    pub fn backend(&self) -> Option<&BackendId> {
        match &self.target {
            Target::Backend { backend, .. } => Some(backend),
            Target::Own(_) => None,
        }
    }
}

impl Reach {
    pub(crate) const ALL: [Self; 3] = [Self::Listed, Self::Callable, Self::Hidden];

    /// What it is called in a stored catalog. It never changes, as other replicas read it.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Callable => "callable",
            Self::Hidden => "hidden",
        }
    }

    /// The reach that a stored catalog calls so.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reach| reach.text() == text)
    }
}
