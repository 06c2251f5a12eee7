//! What programs find in their environment if vmcp has it in its own: what they need to run at all, to reach
//! the network, and to fetch themselves. Nothing of it is meant to be secret.

use super::problem::Report;

/// Those variables, by what they are for.
pub(super) const GROUPS: [(&str, &[&str]); 4] = [
    (
        "to run",
        &[
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SHELL",
            "TERM",
            "LANG",
            "LC_ALL",
            "LC_CTYPE",
            "TZ",
            "TMPDIR",
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_RUNTIME_DIR",
        ],
    ),
    ("proxies", PROXIES),
    (
        "authorities to trust",
        &[
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "NODE_EXTRA_CA_CERTS",
            "NODE_USE_SYSTEM_CA",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "GIT_SSL_CAINFO",
            "DENO_CERT",
            "UV_NATIVE_TLS",
            "UV_SYSTEM_CERTS",
        ],
    ),
    (
        "where packages come from",
        &[
            "npm_config_registry",
            "npm_config_cache",
            "npm_config_prefix",
            "npm_config_userconfig",
            "NPM_CONFIG_REGISTRY",
            "NPM_CONFIG_CACHE",
            "NPM_CONFIG_PREFIX",
            "NPM_CONFIG_USERCONFIG",
            "UV_CACHE_DIR",
            "UV_DEFAULT_INDEX",
            "UV_INDEX_URL",
            "UV_TOOL_DIR",
            "UV_PYTHON",
            "UV_PYTHON_INSTALL_DIR",
            "PIP_INDEX_URL",
            "PIP_CERT",
            "GOPROXY",
            "NVM_DIR",
            "VOLTA_HOME",
        ],
    ),
];

/// Those that name proxies. Either spelling counts.
pub(super) const PROXIES: &[&str] = &[
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Whether every program finds this variable in its environment.
pub(crate) fn is_inherited(name: &str) -> bool {
    names().any(|inherited| inherited == name)
}

/// What every program finds in its environment.
pub(super) fn variables(report: &Report<'_>) -> Vec<(String, String)> {
    names().filter_map(|name| Some((name.to_owned(), report.variable(name)?))).collect()
}

fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|(_, names)| names.iter().copied())
}
