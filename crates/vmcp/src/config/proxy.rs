//! The proxy on the way to a backend, as the environment has it: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
//! `NO_PROXY`, in either spelling.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use vmcp_backend::Proxy;

/// The proxy that connections with this URL go through. This machine itself is reached directly.
///
/// # Errors
/// If the environment names one that cannot be used, and says so.
pub(crate) fn proxy(
    url: &Uri,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, String> {
    let variable = |names: [&'static str; 2]| {
        let set = |name| Some((name, environment(name)?));
        names.into_iter().find_map(set).filter(|(_, text)| !text.trim().is_empty())
    };
    let own = match url.scheme_str() {
        Some("https") => ["HTTPS_PROXY", "https_proxy"],
        _ => ["HTTP_PROXY", "http_proxy"],
    };
    let proxy = variable(own).or_else(|| variable(["ALL_PROXY", "all_proxy"]));
    let Some((name, proxy)) = proxy.filter(|_| !is_loopback(url)) else { return Ok(None) };
    let no = variable(["NO_PROXY", "no_proxy"]).map(|(_, no)| no).unwrap_or_default();
    let no = plain(&no, url);
    // Whether it is exempt does not depend on which proxy it is.
    if Matcher::builder().all("http://any").no(no).build().intercept(url).is_none() {
        return Ok(None);
    }
    // One that cannot be read is none to the library.
    let found = Matcher::builder().all(proxy).build().intercept(url);
    let found = found.filter(|found| matches!(found.uri().scheme_str(), None | Some("http")));
    let unusable = || {
        format!(
            "the environment variable {name}, through which it is reached, is not the http:// URL of a proxy; \
             correct it, or name its host in NO_PROXY"
        )
    };
    let found = found.ok_or_else(unusable)?;
    let host = found.uri().host().ok_or_else(unusable)?;
    let mut authorization = found.basic_auth().cloned();
    if let Some(authorization) = &mut authorization {
        authorization.set_sensitive(true);
    }
    Ok(Some(Proxy {
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: found.uri().port_u16().unwrap_or(80),
        authorization,
    }))
}

/// The exemptions as the library reads them: without a star before a domain, a dot behind one, and ports, of
/// which only that of the URL counts.
fn plain(no: &str, url: &Uri) -> String {
    let https = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if https { 443 } else { 80 }).to_string();
    let entry = |entry: &str| {
        let entry = entry.trim();
        let entry = match entry.rsplit_once(':') {
            // An address of IPv6 has more than one colon.
            Some((host, own)) if !host.contains(':') => (own == port).then_some(host)?,
            _ => entry,
        };
        let entry = entry.strip_prefix("*.").unwrap_or(entry);
        Some(entry.strip_suffix('.').unwrap_or(entry).to_owned())
    };
    no.split(',').filter_map(entry).collect::<Vec<_>>().join(",")
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || host.eq_ignore_ascii_case("localhost")
}
