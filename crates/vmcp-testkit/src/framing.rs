//! How HTTP is framed, byte by byte: what a server must take for one request, and what it must refuse.

pub mod http2;
