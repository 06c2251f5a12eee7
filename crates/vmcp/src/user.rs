//! The user of this machine under whom vmcp runs.

use std::fs;

/// Where users have their names.
const USERS: &str = "/etc/passwd";

/// The user's name; the number, if it has none here.
pub(crate) fn name() -> String {
    let number = rustix::process::getuid().as_raw();
    let users = fs::read_to_string(USERS).unwrap_or_default();
    named(&users, number).unwrap_or_else(|| number.to_string())
}

fn named(users: &str, number: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, own) = (fields.next()?, fields.nth(1)?);
        (own.parse() == Ok(number) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_name_is_found_by_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\n:x:7::\nalice:x:1000:1000::/:\n";
        assert_eq!(named(users, 0).as_deref(), Some("root"));
        assert_eq!(named(users, 1000).as_deref(), Some("alice"));
        assert_eq!(named(users, 7), None);
        assert_eq!(named(users, 100), None);
    }
}
