//! Which name was probably meant.

use vmcp_model::near;

/// How much of a name says which one is meant.
const BEGINNING: usize = 4;

/// The name that is nearest to a misspelt one, if any is near, or the only one that begins as it does.
pub(crate) fn nearest<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Long names come from a hostile or broken file; comparing them would be slow and no help.
    if wrong.len() > 64 {
        return None;
    }
    let names: Vec<&str> = names.into_iter().collect();
    let near = near::nearest(wrong, names.iter().copied());
    let lower = wrong.to_lowercase();
    near.or_else(|| {
        let begins = |name: &&&str| name.to_lowercase().starts_with(&lower);
        let mut longer = names.iter().filter(begins).filter(|_| lower.len() >= BEGINNING);
        let only = longer.next().copied();
        only.filter(|_| longer.next().is_none())
    })
}

/// `; did you mean "x"?`, or nothing.
pub(crate) fn did_you_mean<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, names).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_name_is_found_by_a_slip_or_by_its_beginning() {
        let names = ["groupRef", "backends", "sessions", "sessionStorage"];
        for (wrong, meant) in [
            ("backend", Some("backends")),
            ("Group", Some("groupRef")),
            ("gro", None),
            // Nearest before longest.
            ("session", Some("sessions")),
            ("sess", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(wrong, names), meant, "{wrong}");
        }
    }
}
