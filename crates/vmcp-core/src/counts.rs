//! What views come to, in numbers.

use std::collections::HashSet;

use vmcp_catalog::Catalog;

use crate::vmcp::Vmcp;

/// What there is in all views, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewCounts {
    pub views: usize,
    /// Different catalogs: those of views, and those that were merged with somebody's own offers. What policies
    /// leave of one is not counted.
    pub catalogs: usize,
    /// Capabilities that are left out of the view of which most are.
    pub most_dropped: usize,
}

impl Vmcp {
    /// Counts what there is in views. Looks at each, and clones nothing.
    pub fn view_counts(&self) -> ViewCounts {
        let views = self.views();
        let (mut catalogs, mut most_dropped) = (HashSet::new(), 0);
        for view in &views {
            view.each_catalog(|catalog| {
                _ = catalogs.insert(std::ptr::from_ref::<Catalog>(catalog))
            });
            most_dropped = most_dropped.max(view.count_dropped());
        }
        ViewCounts { views: views.len(), catalogs: catalogs.len(), most_dropped }
    }
}
