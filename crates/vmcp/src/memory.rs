//! Gives memory back to the system.

use std::{convert::Infallible, hint::black_box, time::Duration};

/// How often freed memory is given back.
const EVERY: Duration = Duration::from_secs(5);

/// Bytes that the allocator gives pages of their own.
const LARGE: usize = 4 << 20;

/// Has the allocator give back what was freed: mimalloc keeps it for a second, in case it is needed
/// again, and looks at what is due when it frees more pages. A process at rest frees none, so what a burst
/// has used would stay its own. The pages that are freed here were never written to.
pub(crate) async fn give_back() -> Infallible {
    loop {
        tokio::time::sleep(EVERY).await;
        drop(black_box(Vec::<u8>::with_capacity(LARGE)));
    }
}
