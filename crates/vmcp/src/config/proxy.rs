//! The proxy on the way to a backend, as the environment has it: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
//! `NO_PROXY`, in either spelling, as curl takes them.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use vmcp_backend::Proxy;

use super::value::Value;

/// The proxy that connections with this URL go through. This machine itself is reached directly.
pub(super) fn of(url: &Uri, value: &Value<'_>) -> Option<Proxy> {
    let variable = |names: [&'static str; 2]| {
        let set = |name| Some((name, value.report().variable(name)?));
        names.into_iter().find_map(set).filter(|(_, text)| !text.trim().is_empty())
    };
    let own = match url.scheme_str() {
        Some("https") => ["HTTPS_PROXY", "https_proxy"],
        _ => ["HTTP_PROXY", "http_proxy"],
    };
    let (name, proxy) = variable(own).or_else(|| variable(["ALL_PROXY", "all_proxy"]))?;
    let no = variable(["NO_PROXY", "no_proxy"]).map(|(_, no)| no).unwrap_or_default();
    if is_loopback(url) {
        return None;
    }
    // One that cannot be read is none to the library.
    let matcher = Matcher::builder().all(proxy).build();
    let unusable = || {
        value.problem(format!(
            "the environment variable {name}, through which it is reached, is not the http:// URL of a proxy; \
             correct it, or name its host in NO_PROXY"
        ));
    };
    let found = matcher.intercept(url);
    let Some(found) = found.filter(|found| matches!(found.uri().scheme_str(), None | Some("http")))
    else {
        unusable();
        return None;
    };
    let exempt = Matcher::builder().all("http://any").no(no).build().intercept(url).is_none();
    let host = found.uri().host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = found.uri().port_u16().unwrap_or(80);
    let mut authorization = found.basic_auth().cloned();
    if let Some(authorization) = &mut authorization {
        authorization.set_sensitive(true);
    }
    (!exempt).then_some(Proxy { host, port, authorization })
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || host.eq_ignore_ascii_case("localhost")
}
