//! Where in a URI an expression can end.
//!
//! One sweep from left to right tries all ways at once: each place knows what may begin, go on or
//! end there. Two ways that meet in a place are one from there on, so the number of ways does not
//! matter.

use super::{
    Steps, encoded,
    expression::{Expression, Length, Value},
};

#[derive(Debug)]
pub(super) struct Sweep<'a> {
    uri: &'a [u8],
    /// One for each place in the URI, its end included, once they are needed. All are blank
    /// between two sweeps.
    places: Vec<Place>,
    /// The last place that is not blank, while one is swept.
    last: usize,
}

/// What is possible at a place.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// A value begins.
    begins: bool,
    /// A value goes on for at most so long.
    goes_on: Option<Length>,
    /// A value ends.
    ends: bool,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(uri: &'a [u8]) -> Self {
        Self { uri, places: Vec::new(), last: 0 }
    }

    /// The places, in ascending order, where an expression can end that begins at one of these, in
    /// ascending order as well. `None` if there are no more steps.
    pub(super) fn ends(
        &mut self,
        expression: &Expression<'_>,
        mut starts: Vec<usize>,
        steps: &mut Steps,
    ) -> Option<Vec<usize>> {
        self.places.resize(self.uri.len() + 1, Place::default());
        for _ in 0..expression.times {
            let ends = self.once(expression, &starts, steps)?;
            // Those where it begins are among them, as it may be absent: nothing new, nothing more.
            let is_stable = ends == starts;
            starts = ends;
            if is_stable {
                break;
            }
        }
        Some(starts)
    }

    fn once(
        &mut self,
        expression: &Expression<'_>,
        starts: &[usize],
        steps: &mut Steps,
    ) -> Option<Vec<usize>> {
        let mut starts = starts.iter().copied().peekable();
        let mut ends = Vec::new();
        let mut at = *starts.peek()?;
        self.last = at;
        loop {
            let is_start = starts.next_if_eq(&at).is_some();
            if steps.take(1).is_none() {
                self.clear(at);
                return None;
            }
            if is_start {
                match expression.lead {
                    None => self.places[at].begins = true,
                    Some(lead) => self.begin_behind(lead, at),
                }
            }
            if self.places[at].begins && self.begin(expression, at, steps).is_none() {
                self.clear(at);
                return None;
            }
            if let Some(length) = self.places[at].goes_on {
                self.places[at].ends = true;
                self.go_on(expression, length, at);
            }
            let place = std::mem::take(&mut self.places[at]);
            if place.ends
                && let Some(separator) = expression.separator
            {
                self.begin_behind(separator, at);
            }
            if place.ends || (is_start && expression.lead.is_some()) {
                ends.push(at);
            }
            at += 1;
            if at > self.last {
                match starts.peek() {
                    Some(next) => (at, self.last) = (*next, *next),
                    None => return Some(ends),
                }
            }
        }
    }

    /// Lets a value begin behind this byte, if it stands here.
    fn begin_behind(&mut self, byte: u8, at: usize) {
        if self.uri.get(at) == Some(&byte) {
            self.reach(at + 1).begins = true;
        }
    }

    /// A value begins here.
    fn begin(&mut self, expression: &Expression<'_>, at: usize, steps: &mut Steps) -> Option<()> {
        match expression.value {
            Value::Bare(length) => self.continue_at(at, length),
            Value::Named => {
                for (name, length) in expression.names() {
                    steps.take(1)?;
                    self.name(name, length, at);
                }
            }
        }
        Some(())
    }

    /// Takes the name of a variable, if it stands here, and begins its value.
    fn name(&mut self, name: &str, length: Length, at: usize) {
        if !self.uri[at..].starts_with(name.as_bytes()) {
            return;
        }
        let behind = at + name.len();
        self.reach(behind).ends = true;
        if self.uri.get(behind) == Some(&b'=') {
            self.continue_at(behind + 1, length);
        }
    }

    /// Takes one more character of a value.
    fn go_on(&mut self, expression: &Expression<'_>, length: Length, at: usize) {
        let Some(byte) = self.uri.get(at).copied() else { return };
        let is_end = expression.ends_at.contains(&byte);
        let left = match length {
            Length::Any if is_end => return,
            Length::Any => return self.continue_at(at + 1, Length::Any),
            Length::Counted(0) => return,
            Length::Counted(length) => Length::Counted(length - 1),
        };
        if let Some(first) = encoded(&self.uri[at..]) {
            // One percent-encoded character: the first byte of its UTF-8 form and those that
            // continue it.
            if matches!(first, 0x00..=0x7f | 0xc0..=0xff) {
                let mut behind = at + 3;
                self.continue_at(behind, left);
                while first > 0x7f && matches!(encoded(&self.uri[behind..]), Some(0x80..=0xbf)) {
                    behind += 3;
                    self.continue_at(behind, left);
                }
            }
        } else if !is_end && !matches!(byte, b'%' | 0x80..=0xbf) {
            let more = self.uri[at + 1..].iter().take_while(|byte| matches!(byte, 0x80..=0xbf));
            self.continue_at(at + 1 + more.count(), left);
        }
    }

    fn continue_at(&mut self, at: usize, length: Length) {
        let place = self.reach(at);
        place.goes_on = place.goes_on.max(Some(length));
    }

    fn reach(&mut self, at: usize) -> &mut Place {
        self.last = self.last.max(at);
        &mut self.places[at]
    }

    /// Blanks what a sweep has left that ends here.
    fn clear(&mut self, from: usize) {
        self.places[from..=self.last].fill(Place::default());
    }
}
