//! HTTP/1.1 as bytes (RFC 9112): reads heads, finds where bodies end, writes heads. No I/O.
//!
//! Who holds a socket feeds what it has read and sends what is written here: the edge as a server,
//! the backends as a client. What a peer sends is read strictly: a message whose length two readers
//! could understand differently is refused, so that none can be hidden in another (RFC 9112,
//! section 11.2).

pub use body::{BadBody, Decoder, Length, Piece};
pub use head::{BadHead, HeadScan, MAX_HEAD, RequestHead, ResponseHead, is_bodiless};

mod body;
mod head;
pub mod write;
