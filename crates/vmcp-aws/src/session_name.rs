//! What a session of a role is called, which stands in AWS's records.

/// Characters that STS takes, besides letters and digits (AssumeRoleWithWebIdentity, "RoleSessionName").
const OTHERS: &str = "_+=,.@-";

/// The longest and the shortest name.
const LENGTH: (usize, usize) = (2, 64);

/// The name of a session out of what a caller is called: what STS does not take becomes `-`, one that is too long
/// is cut, and one that is too short is made longer.
pub fn session_name(caller: &str) -> String {
    let taken = |c: char| c.is_ascii_alphanumeric() || OTHERS.contains(c);
    let name = caller.chars().take(LENGTH.1).map(|c| if taken(c) { c } else { '-' });
    let mut name: String = name.collect();
    while name.len() < LENGTH.0 {
        name.push('-');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::session_name;

    #[test]
    fn whatever_a_caller_is_called_becomes_a_name() {
        for (caller, name) in [
            ("alice", "alice"),
            ("auth0|5f7c8ec7", "auth0-5f7c8ec7"),
            ("urn:user:1", "urn-user-1"),
            ("a@example.org", "a@example.org"),
            ("Zoë Müller", "Zo--M-ller"),
            ("x", "x-"),
            ("", "--"),
        ] {
            assert_eq!(session_name(caller), name, "{caller}");
        }
        assert_eq!(session_name(&"a".repeat(100)), "a".repeat(64));
    }
}
