//! Which name was probably meant.

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
    let lower = wrong.to_lowercase();
    let names: Vec<&str> = names.into_iter().collect();
    let near = names
        .iter()
        .copied()
        .map(|name| (distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 5 && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name);
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

/// How many characters to insert, delete, replace or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
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
