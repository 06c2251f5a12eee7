//! Makes families out of numbers, for whoever reads them off something.

use std::borrow::Cow;

use crate::{
    catalogue,
    family::{Family, Metric, Point, Value},
    text,
};

/// Families as they come together: one for each metric.
#[derive(Debug, Default)]
pub struct Families(Vec<Family>);

impl Metric {
    /// This metric with these points.
    pub fn family(&'static self, points: Vec<Point>) -> Family {
        Family { metric: self, points }
    }

    /// This metric, which has no attributes.
    pub fn number(&'static self, value: impl Into<Value>) -> Family {
        self.by(&[], value)
    }

    /// This metric for these attributes, which are in the order of the metric's. Those without a value are left
    /// out; the others are made values as [`text::value`] says.
    pub fn by(
        &'static self,
        attributes: &[(&'static str, &str)],
        value: impl Into<Value>,
    ) -> Family {
        let with_value = attributes.iter().filter(|(_, value)| !value.is_empty());
        let attributes =
            with_value.map(|(name, value)| (*name, Cow::Owned(text::value(value).into_owned())));
        let point = Point { attributes: attributes.collect(), value: value.into() };
        self.family(vec![point])
    }
}

impl Families {
    /// Adds the points to those of the same metric.
    pub fn add(&mut self, family: Family) {
        match self.0.iter_mut().find(|known| known.metric == family.metric) {
            Some(known) => known.points.extend(family.points),
            None => self.0.push(family),
        }
    }

    /// All of them, in the order of [`catalogue::METRICS`].
    pub fn into_vec(mut self) -> Vec<Family> {
        let place = |metric| catalogue::METRICS.iter().position(|other| *other == metric);
        self.0.sort_by_cached_key(|family| place(family.metric).unwrap_or(usize::MAX));
        self.0
    }
}

impl Extend<Family> for Families {
    fn extend<All: IntoIterator<Item = Family>>(&mut self, families: All) {
        families.into_iter().for_each(|family| self.add(family));
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Self::Number(is_so.into())
    }
}

impl From<f64> for Value {
    fn from(fraction: f64) -> Self {
        Self::Fraction(fraction)
    }
}

/// In seconds.
impl From<std::time::Duration> for Value {
    fn from(time: std::time::Duration) -> Self {
        Self::Fraction(time.as_secs_f64())
    }
}
