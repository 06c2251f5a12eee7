//! What policies decide.

/// What somebody may do with something before the arguments are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// No arguments are allowed.
    Never,
    /// Some arguments may be: each use is to be judged by its own.
    ByArguments,
    /// Whatever the arguments are, and without any.
    Always,
}

/// What was decided about one use, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub is_allowed: bool,
    /// The policies that decided: those that permit where it is allowed; those that forbid where it is not. None
    /// where nothing permits. By `@id`, or `policy0`.
    pub policies: Vec<String>,
    /// The policies that could not be evaluated, and why, which denies whatever the others say.
    pub errors: Vec<String>,
}
