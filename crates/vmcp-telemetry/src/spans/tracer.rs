//! Decides which requests are traced, and gives them their ids.

use vmcp_model::trace::{Parent, Trace};

use super::random;

/// Begins the parts that vmcp has in traces.
#[derive(Debug, Clone, Copy)]
pub struct Tracer {
    /// Of the numbers below 2^63, those below this one are recorded.
    below: u64,
    parent_based: bool,
}

impl Tracer {
    /// Records this part of all traces (0 to 1; what is no number is 0). With `parent_based`, what a
    /// parent says of its own trace holds instead.
    pub fn new(ratio: f64, parent_based: bool) -> Self {
        let ratio = if ratio.is_nan() { 0.0 } else { ratio.clamp(0.0, 1.0) };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "it is 0 to 2^63; the last bits of a ratio do not matter"
        )]
        let below = (ratio * (1_u64 << 63) as f64) as u64;
        Self { below, parent_based }
    }

    /// Begins a request's part of its parent's trace, or a trace. `None` if there is no parent and it is
    /// not recorded. With a parent there is always one, so that the trace goes on behind vmcp.
    pub fn begin(&self, parent: Option<Parent>, state: Option<&str>) -> Option<Trace> {
        let Some(parent) = parent else { return self.begin_anew() };
        let sampled =
            if self.parent_based { parent.sampled } else { self.takes(low_half(&parent.trace)) };
        Some(Trace {
            trace: parent.trace,
            span: span_id(),
            onward: span_id(),
            parent: Some(parent.span),
            sampled,
            state: state.map(Box::from),
        })
    }

    fn begin_anew(&self) -> Option<Trace> {
        let low = random::next();
        if !self.takes(low) {
            return None;
        }
        Some(new_trace(low))
    }

    /// As TraceIdRatioBased decides it, so that others with the same ratio decide alike.
    fn takes(&self, low: u64) -> bool {
        low >> 1 < self.below
    }
}

#[cold]
fn new_trace(low: u64) -> Trace {
    let mut trace = [0; 16];
    // An id of zeros stands for none.
    trace[..8].copy_from_slice(&span_id());
    trace[8..].copy_from_slice(&low.to_be_bytes());
    Trace { trace, span: span_id(), onward: span_id(), parent: None, sampled: true, state: None }
}

fn low_half(trace: &[u8; 16]) -> u64 {
    trace[8..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Eight bytes that are not all zero.
fn span_id() -> [u8; 8] {
    random::next().max(1).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn parent(sampled: bool, last: u8) -> Parent {
        let mut trace = [0xff; 16];
        trace[8..].copy_from_slice(&[last, 0, 0, 0, 0, 0, 0, 1]);
        Parent { trace, span: [7; 8], sampled }
    }

    #[test]
    fn a_parent_decides() {
        for ratio in [0.0, 0.5, 1.0] {
            for sampled in [false, true] {
                let trace = Tracer::new(ratio, true).begin(Some(parent(sampled, 1)), Some("a=b"));
                let trace = trace.unwrap();
                assert_eq!(trace.sampled, sampled);
                assert_eq!(trace.trace, parent(sampled, 1).trace);
                assert_eq!(trace.parent, Some([7; 8]));
                assert_eq!(trace.state.as_deref(), Some("a=b"));
                assert!(trace.span != trace.onward && trace.span != [7; 8]);
            }
        }
    }

    /// The ratio is a bound for the last 63 bits but one, as OpenTelemetry's samplers have it.
    #[test]
    fn without_regard_for_the_parent_the_id_decides() {
        let tracer = Tracer::new(0.5, false);
        for (last, sampled) in [(0x00, true), (0x7f, true), (0x80, false), (0xff, false)] {
            let trace = tracer.begin(Some(parent(!sampled, last)), None).unwrap();
            assert_eq!(trace.sampled, sampled, "{last:x}");
        }
    }

    #[test]
    fn without_a_parent_the_ratio_decides() {
        let begun = |ratio: f64| {
            let tracer = Tracer::new(ratio, true);
            (0..10_000).filter_map(|_| tracer.begin(None, None)).collect::<Vec<Trace>>()
        };
        assert!(begun(0.0).is_empty() && begun(-1.0).is_empty() && begun(f64::NAN).is_empty());
        let all = begun(1.0);
        assert_eq!(all.len(), 10_000);
        let ids: HashSet<[u8; 16]> = all.iter().map(|trace| trace.trace).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(all.iter().all(|trace| trace.sampled && trace.parent.is_none()));
        // Twenty standard deviations.
        let tenth = begun(0.1).len();
        assert!((400..1600).contains(&tenth), "{tenth}");
    }
}
