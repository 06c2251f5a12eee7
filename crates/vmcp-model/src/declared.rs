//! What a backend declares of itself: the `capabilities` of a server.
//!
//! They are merged into vmcp's own, which a client reads as a whole before anything else. So what some
//! reader would refuse is left out, member by member, and everything is bounded: each session keeps what
//! its backend has declared.

use std::{borrow::Cow, collections::HashSet};

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

/// How many things are told of that are left out of the capabilities of one backend.
const TOLD: usize = 64;

/// The longest instructions of one backend, in bytes. What is longer is cut at a character's
/// boundary, and a note says so.
pub const MAX_INSTRUCTIONS: usize = 16 * 1024;

const CUT: &str = "\n[cut: these instructions were too long]";

/// The instructions of a backend as far as they may be long.
pub fn bounded_instructions(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_INSTRUCTIONS {
        return text.into();
    }
    let end = text.floor_char_boundary(MAX_INSTRUCTIONS - CUT.len());
    Cow::Owned(text[..end].to_owned() + CUT)
}

/// The `capabilities` of a backend as every reader takes them, and what is left out of them. They share
/// no memory with what they were read from, and there is a bound to how long they are.
pub fn fitted(capabilities: &[u8]) -> (Bytes, Vec<LeftOut>) {
    let copied = || Bytes::copy_from_slice(capabilities);
    let Some(members) = Members::parse(capabilities) else { return (copied(), vec![]) };
    let mut fitting =
        Fitting { left: LIMIT, left_for_known: LIMIT, left_out: Vec::new(), untold: 0 };
    let (mut edits, mut absent) = (Vec::new(), HashSet::new());
    for member in members.iter() {
        let (name, value) = (&*member.name, &capabilities[member.value.clone()]);
        let fitted = match name {
            // vmcp writes these itself.
            "tools" | "prompts" | "resources" | "logging" | "completions" => {
                fitting.known(name, value)
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
            None => {
                absent.insert(name);
            }
        }
    }
    if edits.is_empty() && absent.is_empty() && !is_padded(capabilities) {
        return (copied(), fitting.told());
    }
    let written = raw::splice(capabilities, edits);
    (raw::without(&written, |name| absent.contains(name)), fitting.told())
}

/// Takes what fits.
struct Fitting {
    /// How many bytes there is room for.
    left: usize,
    /// The same for what the specification names, so that nothing else takes it the room.
    left_for_known: usize,
    left_out: Vec<LeftOut>,
    /// How much is left out beside.
    untold: usize,
}

impl Fitting {
    /// What the specification names: as it is, or of one that is too long what is known of it.
    fn known<'a>(&mut self, name: &str, value: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let value = if name.len() + value.len() > MEMBER_LIMIT {
            let why = format!("it is longer than {MEMBER_LIMIT} bytes: only its flags are taken");
            self.leave_out(name, &why);
            Cow::Owned(flags(value))
        } else {
            Cow::Borrowed(value)
        };
        let length = name.len() + value.len();
        if length > self.left_for_known {
            self.leave_out(name, &"it stands there too often");
            return None;
        }
        self.left_for_known -= length;
        Some(value)
    }

    fn leave_out(&mut self, name: &str, why: &dyn ToString) {
        if self.left_out.len() < TOLD {
            self.left_out.push(LeftOut::new(None, name, &why.to_string()));
        } else {
            self.untold += 1;
        }
    }

    /// What has been left out.
    fn told(mut self) -> Vec<LeftOut> {
        if self.untold > 0 {
            let why = format!("{} more of its members are left out", self.untold);
            self.left_out.push(LeftOut::new(None, "capabilities", &why));
        }
        self.left_out
    }

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
        match unfit.or_else(|| (length > self.left).then(no_room)) {
            None => self.left -= length,
            Some(why) => {
                self.leave_out(name, &why);
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
        // It may stand there again and again.
        let Some(left) = self.left.checked_sub(name.len()) else {
            self.leave_out(name, &no_room());
            return None;
        };
        self.left = left;
        let mut absent = HashSet::new();
        for member in members.iter() {
            let (path, value) = (format!("{name}.{}", member.name), &value[member.value.clone()]);
            let unfit = (!value.starts_with(b"{")).then_some("it is not an object");
            if self.one(&path, value, unfit).is_none() {
                absent.insert(&*member.name);
            }
        }
        Some(match absent.is_empty() && !is_padded(value) {
            true => Cow::Borrowed(value),
            false => Cow::Owned(raw::without(value, |name| absent.contains(name)).to_vec()),
        })
    }
}

fn no_room() -> String {
    format!("there is no room for it: all such have {LIMIT} bytes")
}

/// Whether text of which everything is bounded but the white space between its members has too much
/// of that.
fn is_padded(object: &[u8]) -> bool {
    object.len() > 3 * LIMIT
}

/// The members of a capability that say yes to something.
fn flags(capability: &[u8]) -> Vec<u8> {
    let members = Members::parse(capability);
    let says = |name: &str| {
        members.as_ref().is_some_and(|members| members.value(capability, name) == Some(b"true"))
    };
    let flags = ["listChanged", "subscribe"].into_iter().filter(|name| says(name));
    let flags: Vec<_> = flags.map(|name| format!("\"{name}\":true")).collect();
    format!("{{{}}}", flags.join(",")).into_bytes()
}

#[cfg(test)]
mod tests;
