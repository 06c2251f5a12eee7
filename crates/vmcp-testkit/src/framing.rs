//! How HTTP is framed, byte by byte: what a server must take for one request, and what it must refuse.
//!
//! - [`rules`]: the RFCs' rules as a table of literal requests, and what each must come to
//! - [`http2`]: HTTP/2 as literal frames

pub mod http2;
pub mod rules;
