//! Bounds how deep and how long one policy may be: whoever reads or evaluates it goes as deep as it does.

use std::ops::Range;

/// Brackets within brackets.
const DEPTH: usize = 40;

/// Operators of one policy, each of which may stand within the next.
const OPERATORS: usize = 300;

/// Members that are read in one policy.
const MEMBERS: usize = 2000;

/// Brackets and operators of a policy that any thread's stack has room for.
const SHALLOW: usize = 30;

/// Where a policy goes too far, and what to do. `statement` is its place in the text.
pub(crate) fn excess(text: &str, statement: &Range<usize>) -> Option<(usize, String)> {
    let goes = |at, depth, operators, members| {
        too_far(depth, operators, members).map(|why| (statement.start + at, why))
    };
    walk(text[statement.clone()].as_bytes(), goes)
}

/// Whether whoever evaluates policies of this text may need more room than a thread's stack has.
pub(crate) fn is_deep(text: &str) -> bool {
    let goes = |_at, depth, operators, members: usize| {
        (depth + operators + members / 4 > SHALLOW).then_some(())
    };
    walk(text.as_bytes(), goes).is_some()
}

/// Counts the brackets that are open, the operators and the members up to each place, until somebody has seen
/// enough.
fn walk<T>(bytes: &[u8], seen: impl Fn(usize, usize, usize, usize) -> Option<T>) -> Option<T> {
    let (mut depth, mut operators, mut members) = (0_usize, 0_usize, 0_usize);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let next = bytes.get(at + 1);
        match byte {
            b'"' => {
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'/' if next == Some(&b'/') => {
                while bytes.get(at).is_some_and(|byte| *byte != b'\n') {
                    at += 1;
                }
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'|' | b'&' if next == Some(byte) => {
                operators += 1;
                at += 1;
            }
            b'+' | b'-' | b'*' | b'!' => operators += 1,
            b'i' if bytes[at..].starts_with(b"if ") => operators += 1,
            b'.' => members += 1,
            // The next policy.
            b';' => (depth, operators, members) = (0, 0, 0),
            _ => {}
        }
        if let Some(enough) = seen(at, depth, operators, members) {
            return Some(enough);
        }
        at += 1;
    }
    None
}

fn too_far(depth: usize, operators: usize, members: usize) -> Option<String> {
    if depth > DEPTH {
        return Some(format!(
            "a policy may have at most {DEPTH} brackets within each other; write it flatter"
        ));
    }
    if operators > OPERATORS {
        return Some(format!(
            "a policy may have at most {OPERATORS} operators; write several policies, or \
             `[\"a\", \"b\"].contains(resource.name)` for many names"
        ));
    }
    (members > MEMBERS)
        .then(|| format!("a policy may read at most {MEMBERS} members; write several policies"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_policy_that_is_deep_by_itself_needs_room() {
        let one = "permit(principal, action, resource) when { a.b == 1 && c.d == 2 || !e };";
        assert!(!is_deep(&one.repeat(100)));
        let terms = vec!["a == 1"; 40].join(" || ");
        assert!(is_deep(&format!("{one} permit(principal, action, resource) when {{ {terms} }};")));
        assert!(is_deep(&format!(
            "permit(principal, action, resource) when {{ {} }}",
            "(".repeat(40)
        )));
    }
}
