//! The words in which [`super::keys`] says what a configuration may hold.

use std::time::Duration;

use super::not_yet::Off;

/// One key of a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) need: Need,
    pub(super) shape: Shape,
    /// What it is for, in the words of somebody who looks it up.
    pub(super) doc: &'static str,
    /// What holds where the key is absent, for shapes that do not say so themselves.
    pub(super) default: Option<&'static str>,
    /// Whether an empty text or zero is the same as no key, as in the reference system, which
    /// writes such values itself.
    pub(super) or_zero: bool,
    /// What its texts look like, for whoever checks a file without reading it as a configuration.
    pub(super) form: Option<Form>,
}

/// What a text, each text of a list, or each key of a map looks like. The readers decide; this is
/// what they can be expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    BackendName,
    Url,
    /// A URL without a fragment.
    IssuerUrl,
    /// A URL that is a name: without a query, too.
    Issuer,
    HostPort,
    /// An IP address with a port.
    Listen,
    Host,
    Origin,
    /// An IP address, or one with the length of its prefix.
    Network,
    /// A URL that others are put behind: without a query or a fragment.
    PublicUrl,
    /// An absolute path.
    Directory,
    /// The same, without `..`.
    File,
    HeaderName,
    /// An absolute URI without a fragment.
    Uri,
    /// The name of a header that may be passed on.
    PassedHeader,
    HeaderValue,
    /// Headers by their names.
    Headers,
    /// Files that hold headers, by the headers' names.
    HeaderFiles,
    /// What a file calls an environment variable that it reads.
    VariableName,
    /// Environment variables that it sets, by their names.
    Environment,
    KeyPrefix,
    Scope,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Need {
    /// Must be there if the map is.
    Required,
    Optional,
    /// Known from the reference system; refused by name until it does something, unless its value
    /// asks for nothing there.
    NotYet {
        off: Off,
        advice: &'static str,
    },
    /// Known from the reference system, with nothing to do here. The text says why.
    WithoutEffect(&'static str),
}

/// What may stand under a key. Bounds include both ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Text that is not empty.
    Text,
    /// Text that may be empty.
    AnyText,
    /// `true` or `false`.
    Flag,
    /// One word out of several.
    Choice {
        values: &'static [&'static str],
        /// Words of the reference system that do nothing here yet, each with what that means.
        not_yet: &'static [(&'static str, &'static str)],
    },
    /// A whole number.
    Count { default: usize, least: usize, most: usize },
    /// A number of bytes.
    Size { default: usize, most: usize },
    /// A duration of at least [`LEAST_TIME`].
    Time { default: Duration, most: Duration },
    /// A list of texts that are not empty.
    Texts,
    /// A list of texts that may be empty.
    AnyTexts,
    /// A map of texts.
    TextMap,
    /// A map of durations.
    TimeMap { most: Duration },
    /// A map with these keys.
    Section(&'static [Key]),
    /// A list of maps with these keys.
    Sections(&'static [Key]),
    /// A map from names of any kind to maps with these keys.
    Named(&'static [Key]),
    /// Not read.
    Anything,
}

/// Anything shorter is a slip of the pen.
pub(super) const LEAST_TIME: Duration = Duration::from_millis(1);

impl Shape {
    /// Whether it is a list or a map, which may be left without a value.
    pub(super) const fn is_collection(&self) -> bool {
        matches!(
            self,
            Self::Section(_)
                | Self::Sections(_)
                | Self::Named(_)
                | Self::Texts
                | Self::AnyTexts
                | Self::TextMap
                | Self::TimeMap { .. }
        )
    }
}

impl Key {
    pub(super) const fn new(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, need: Need::Optional, shape, doc, default: None, or_zero: false, form: None }
    }

    pub(super) const fn required(self) -> Self {
        Self { need: Need::Required, ..self }
    }

    /// What holds where the key is absent, for whoever looks it up.
    pub(super) const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn form(self, form: Form) -> Self {
        Self { form: Some(form), ..self }
    }

    /// An empty text or zero is the same as no key.
    pub(super) const fn or_zero(self) -> Self {
        Self { or_zero: true, ..self }
    }

    /// A key that does nothing yet. `advice` goes on after "is not supported yet": what that means,
    /// and what to do.
    pub(super) const fn not_yet(name: &'static str, off: Off, advice: &'static str) -> Self {
        Self { need: Need::NotYet { off, advice }, ..Self::new(name, Shape::Anything, "") }
    }

    /// A text of the reference system that has nothing to do here, and why.
    pub(super) const fn without_effect(name: &'static str, why: &'static str) -> Self {
        Self { need: Need::WithoutEffect(why), ..Self::new(name, Shape::AnyText, why) }
    }

    /// Whether a reader must ask for it.
    pub(super) const fn is_read(&self) -> bool {
        matches!(self.need, Need::Required | Need::Optional)
    }

    pub(super) const fn is_required(&self) -> bool {
        matches!(self.need, Need::Required)
    }

    /// One word out of several.
    pub(super) const fn choice(
        name: &'static str,
        values: &'static [&'static str],
        not_yet: &'static [(&'static str, &'static str)],
        doc: &'static str,
    ) -> Self {
        Self::new(name, Shape::Choice { values, not_yet }, doc)
    }

    /// A whole number of at least 1.
    pub(super) const fn count(
        name: &'static str,
        default: usize,
        most: usize,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Shape::Count { default, least: 1, most }, doc)
    }

    /// A number of bytes, at most 1 GiB.
    pub(super) const fn size(name: &'static str, default: usize, doc: &'static str) -> Self {
        Self::new(name, Shape::Size { default, most: 1 << 30 }, doc)
    }

    /// A duration; the default and the longest are given in milliseconds and in hours.
    pub(super) const fn time(
        name: &'static str,
        default_ms: u64,
        most_hours: u64,
        doc: &'static str,
    ) -> Self {
        let most = hours(most_hours);
        Self::new(name, Shape::Time { default: Duration::from_millis(default_ms), most }, doc)
    }
}

pub(super) const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}
