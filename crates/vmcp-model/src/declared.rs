//! What a backend declares of itself: the `capabilities` of a server.
//!
//! They are merged into vmcp's own, which a client reads as a whole before anything else. So what some
//! reader would refuse is left out, member by member, and what nobody knows the shape of is bounded.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    LeftOut,
    raw::{self, Edit, Members},
    schema, sound,
};

/// The longest member of `experimental` and `extensions`, and the longest member that the specification
/// does not name, in bytes.
pub const MEMBER_LIMIT: usize = 16 * 1024;

/// What all these members of one backend may have together, in bytes.
pub const LIMIT: usize = 64 * 1024;

/// The `capabilities` of a backend as every reader takes them, and what is left out of them.
pub fn fitted(capabilities: &Bytes) -> (Bytes, Vec<LeftOut>) {
    let Some(members) = Members::parse(capabilities) else { return (capabilities.clone(), vec![]) };
    let mut fitting = Fitting { left: LIMIT, left_out: Vec::new() };
    let (mut edits, mut absent) = (Vec::new(), Vec::new());
    for member in members.iter() {
        let (name, value) = (&*member.name, &capabilities[member.value.clone()]);
        let fitted = match name {
            // vmcp writes these itself.
            "tools" | "prompts" | "resources" | "logging" | "completions" => {
                Some(Cow::Borrowed(value))
            }
            "experimental" | "extensions" => fitting.each(name, value),
            "tasks" => fitting.one(name, value, schema::fitted_tasks(value).err()),
            _ => fitting.one(name, value, None::<&str>),
        };
        match fitted {
            Some(Cow::Borrowed(_)) => {}
            Some(Cow::Owned(with)) => {
                edits.push(Edit { span: member.value.clone(), with: with.into() });
            }
            None => absent.push(name),
        }
    }
    if edits.is_empty() && absent.is_empty() {
        return (capabilities.clone(), Vec::new());
    }
    // Copied, so that what is left out does not stay in memory.
    let written = raw::splice(capabilities, edits);
    (raw::without(&written, |name| absent.contains(&name)), fitting.left_out)
}

/// Takes what fits.
struct Fitting {
    /// How many bytes there is room for.
    left: usize,
    left_out: Vec<LeftOut>,
}

impl Fitting {
    /// One value, about which there may be something to say already.
    fn one<'a>(
        &mut self,
        name: &str,
        value: &'a [u8],
        unfit: Option<impl ToString>,
    ) -> Option<Cow<'a, [u8]>> {
        let length = name.len() + value.len();
        let unfit = unfit.map(|why| why.to_string());
        let unfit = unfit.or_else(|| sound::check(value).err().map(|why| why.to_string()));
        let too_long = || format!("it is longer than {MEMBER_LIMIT} bytes");
        let unfit = unfit.or_else(|| (length > MEMBER_LIMIT).then(too_long));
        let no_room = || format!("there is no room for it: all such have {LIMIT} bytes");
        match unfit.or_else(|| (length > self.left).then(no_room)) {
            None => self.left -= length,
            Some(why) => {
                self.left_out.push(LeftOut::new(None, name, &why));
                return None;
            }
        }
        Some(Cow::Borrowed(value))
    }

    /// An object of objects, which belong to whoever has named them.
    fn each<'a>(&mut self, name: &str, value: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let Some(members) = Members::parse(value) else {
            return self.one(name, value, (value != b"null").then_some("it is not an object"));
        };
        let mut absent = Vec::new();
        for member in members.iter() {
            let (path, value) = (format!("{name}.{}", member.name), &value[member.value.clone()]);
            let unfit = (!value.starts_with(b"{")).then_some("it is not an object");
            if self.one(&path, value, unfit).is_none() {
                absent.push(&*member.name);
            }
        }
        Some(match absent.is_empty() {
            true => Cow::Borrowed(value),
            false => Cow::Owned(raw::without(value, |name| absent.contains(&name)).to_vec()),
        })
    }
}

#[cfg(test)]
mod tests;
