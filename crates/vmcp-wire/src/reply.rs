//! Messages that vmcp writes itself.

use bytes::{BufMut, Bytes, BytesMut};
use vmcp_model::{Method, raw};

use crate::{error::Fault, id::Id};

/// A response with a result, which is JSON text.
pub fn result(id: Id<'_>, result: &[u8]) -> Bytes {
    let mut out = begun(id, result);
    out.put_slice(b"}");
    out.freeze()
}

/// The same, not put together: a large result that many are given stays in memory once.
pub fn result_around(id: Id<'_>, head: &[u8], shared: Bytes) -> [Bytes; 3] {
    [begun(id, head).freeze(), shared, Bytes::from_static(b"}")]
}

/// A response up to this part of its result.
fn begun(id: Id<'_>, result: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(result.len() + id.text().len() + 36);
    out.put_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.put_slice(id.text());
    out.put_slice(br#","result":"#);
    out.put_slice(result);
    out
}

/// A response with an error. Without an id, because none could be read, the member is left out
/// (specification 2025-11-25, schema `JSONRPCErrorResponse`).
pub fn error(id: Option<Id<'_>>, fault: &Fault) -> Bytes {
    error_parts(id, fault.code(), &fault.to_string(), fault.data().as_deref())
}

/// The same, as the modern era has it.
pub fn modern_error(id: Option<Id<'_>>, fault: &Fault) -> Bytes {
    error_parts(id, fault.modern_code(), &fault.to_string(), fault.modern_data().as_deref())
}

/// A response with an error, from its parts. `data` is JSON text.
pub fn error_parts(id: Option<Id<'_>>, code: i64, message: &str, data: Option<&[u8]>) -> Bytes {
    let mut out = BytesMut::with_capacity(message.len() + 96);
    out.put_slice(br#"{"jsonrpc":"2.0","#);
    if let Some(id) = id {
        out.put_slice(br#""id":"#);
        out.put_slice(id.text());
        out.put_slice(b",");
    }
    out.put_slice(br#""error":{"code":"#);
    out.put_slice(code.to_string().as_bytes());
    out.put_slice(br#","message":"#);
    out.put_slice(&raw::string(message));
    if let Some(data) = data {
        out.put_slice(br#","data":"#);
        out.put_slice(data);
    }
    out.put_slice(b"}}");
    out.freeze()
}

/// A request. `params` is JSON text.
pub fn request(id: &str, method: Method, params: Option<&[u8]>) -> Bytes {
    call(Some(id), method, params)
}

/// A notification. `params` is JSON text.
pub fn notification(method: Method, params: Option<&[u8]>) -> Bytes {
    call(None, method, params)
}

fn call(id: Option<&str>, method: Method, params: Option<&[u8]>) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + params.map_or(0, <[u8]>::len));
    out.put_slice(br#"{"jsonrpc":"2.0","#);
    if let Some(id) = id {
        out.put_slice(br#""id":"#);
        out.put_slice(&raw::string(id));
        out.put_slice(b",");
    }
    out.put_slice(br#""method":"#);
    out.put_slice(&raw::string(method.name()));
    if let Some(params) = params {
        out.put_slice(br#","params":"#);
        out.put_slice(params);
    }
    out.put_slice(b"}");
    out.freeze()
}
