//! By which URL the server is reached, through which proxies, and who may ask as an operator.

use super::{
    super::{addresses::are_reached, load_without_secrets},
    check,
};

#[test]
fn the_public_url_is_a_base_for_others() {
    for (url, reached) in [
        ("https://mcp.example.com", "https://mcp.example.com"),
        ("https://mcp.example.com/", "https://mcp.example.com"),
        ("https://mcp.example.com:8443/some/prefix/", "https://mcp.example.com:8443/some/prefix"),
        ("http://localhost:4483", "http://localhost:4483"),
        ("http://127.0.0.2:4483", "http://127.0.0.2:4483"),
        ("http://[::1]:4483/a", "http://[::1]:4483/a"),
    ] {
        check(&format!("publicUrl: {url:?}"), &format!("reached by {reached}"));
    }
    let dots = "has \"//\", \"/./\" or \"/../\" in its path, which clients and proxies take in different ways; \
                remove it";
    let escaped = |c: char| {
        format!(
            "holds {c:?}, which a URL cannot hold as it is; write it escaped, as %20 for a space, and names of hosts \
             outside of ASCII as xn--…"
        )
    };
    for (url, problem) in [
        (
            "mcp.example.com",
            "\"mcp.example.com\" is not an http or https URL; write it like https://mcp.example.com",
        ),
        (
            "ftp://mcp.example.com",
            "\"ftp://mcp.example.com\" is not an http or https URL; write it like https://mcp.example.com",
        ),
        ("https://a.example/?b=c", "has a query, and others are put behind it; remove the query"),
        ("https://a.example/#b", "has a fragment (#), which is never sent; remove it"),
        ("https://user:s3cret@a.example/", "holds credentials; remove them"),
        ("", "is empty"),
        (
            "https://*.example.com",
            "names no host that clients could ask; write one name or address",
        ),
        ("https://a.example/b//c", dots),
        ("https://a.example//", dots),
        ("https://a.example/b/../c", dots),
        ("https://a.example/%2E/c", dots),
        ("https://a.example/..", dots),
        ("https://a.example/b\"c", &escaped('"')),
        ("https://a.example/b\\c", &escaped('\\')),
        ("https://a.example/b c", &escaped(' ')),
        ("https://a.example/b\tc", &escaped('\t')),
        ("https://b\u{fc}cher.example", &escaped('\u{fc}')),
    ] {
        check(&format!("publicUrl: {url:?}"), &format!("vmcp.yaml:1:12: publicUrl: {problem}"));
    }
}

#[test]
fn a_public_url_that_is_odd_is_warned_of() {
    check(
        "publicUrl: http://mcp.example.com",
        "reached by http://mcp.example.com
         warning vmcp.yaml:1:12: publicUrl: \"http://mcp.example.com\" is not an https URL: whoever is \
         on the way can read and change what clients send and get",
    );
    check(
        "publicUrl: https://mcp.example.com/mcp/",
        "reached by https://mcp.example.com/mcp
         warning vmcp.yaml:1:12: publicUrl: names the endpoint, whose path is put behind it: clients \
         are sent to https://mcp.example.com/mcp/mcp; write it without /mcp if that is not meant",
    );
}

#[test]
fn with_a_public_url_the_resource_is_known() {
    let oidc = "incomingAuth: {type: oidc, oidc: {issuer: 'https://i', audience: a}}";
    let callers = "callers of https://i for a keys - resource - scopes [\"openid\"] private false http \
                   false ca 0";
    check(
        &format!("{oidc}\npublicUrl: https://mcp.example.com"),
        &format!("reached by https://mcp.example.com\n{callers}"),
    );
    check(
        &format!("{oidc}\ntrustedProxies: [10.0.0.1]"),
        &format!(
            "trusts [\"10.0.0.1/32\"]\n{callers}\nwarning vmcp.yaml:1:34: incomingAuth.oidc: without a resource, \
             clients are told where to get a token by the host that they ask; behind a proxy only if it is one of \
             trustedProxies and says what it was asked; set publicUrl"
        ),
    );
}

#[test]
fn a_resource_that_is_not_the_endpoint_is_warned_of() {
    for (resource, is_warned) in [
        ("https://mcp.example.com/a/mcp", false),
        ("https://MCP.example.com/a/mcp/", false),
        ("https://other.example.com/a/mcp", true),
        ("https://mcp.example.com/mcp", true),
    ] {
        let warning = "warning vmcp.yaml:1:79: incomingAuth.oidc.resource: names another host or path than \
                       publicUrl, by which the endpoint is https://mcp.example.com/a/mcp: clients refuse a \
                       resource that is not what they were given; leave it out, or correct one of the two";
        check(
            &format!(
                "incomingAuth: {{type: oidc, oidc: {{issuer: 'https://i', audience: a, resource: '{resource}'}}}}\n\
                 publicUrl: https://mcp.example.com/a"
            ),
            &format!(
                "reached by https://mcp.example.com/a\ncallers of https://i for a keys - resource {resource} \
                 scopes [\"openid\"] private false http false ca 0\n{}",
                if is_warned { warning } else { "" }
            ),
        );
    }
}

#[test]
fn proxies_are_named_by_their_networks() {
    check(
        "trustedProxies: [10.0.0.0/8, 192.0.2.1, '2001:db8::/32', '::1', '::ffff:10.0.0.0/104']",
        "trusts [\"10.0.0.0/8\", \"192.0.2.1/32\", \"2001:db8::/32\", \"::1/128\"]
         warning vmcp.yaml:1:65: trustedProxies[4]: \"::ffff:10.0.0.0/104\" is listed twice",
    );
    check(
        "trustedProxies: [proxy.example.com, 10.0.0.0/33, 10.0.0/8, '[::1]', '*', 10.0.0.1:80]",
        "vmcp.yaml:1:18: trustedProxies[0]: \"proxy.example.com\" is not a network; write it like 10.0.0.0/8, or an address
         vmcp.yaml:1:37: trustedProxies[1]: \"10.0.0.0/33\" is not a network; write it like 10.0.0.0/8, or an address
         vmcp.yaml:1:50: trustedProxies[2]: \"10.0.0/8\" is not a network; write it like 10.0.0.0/8, or an address
         vmcp.yaml:1:60: trustedProxies[3]: \"[::1]\" is not a network; write it like 10.0.0.0/8, or an address
         vmcp.yaml:1:69: trustedProxies[4]: \"*\" is not a network; write it like 10.0.0.0/8, or an address
         vmcp.yaml:1:74: trustedProxies[5]: \"10.0.0.1:80\" is not a network; write it like 10.0.0.0/8, or an address",
    );
    check(
        "trustedProxies: [10.1.2.3/8, 0.0.0.0/0, '::/0']",
        "trusts [\"10.1.2.3/8\", \"0.0.0.0/0\", \"::/0\"]
         warning vmcp.yaml:1:18: trustedProxies[0]: is the whole network 10.0.0.0/8; write that, or the address alone
         warning vmcp.yaml:1:30: trustedProxies[1]: is every address: whoever reaches vmcp can say to be at any; list the proxies alone
         warning vmcp.yaml:1:41: trustedProxies[2]: is every address: whoever reaches vmcp can say to be at any; list the proxies alone",
    );
}

#[test]
fn operators_prove_who_they_are_in_one_way() {
    check("admin: {auth: {type: none}}", "");
    check("admin: {auth: {type: token}}", "admin None Token(None)");
    check(
        "admin: {auth: {type: token, tokenFile: '${FIXTURES}/admin-token.txt'}}",
        "admin None Token(Some(\"admin-token.txt\"))",
    );
    check(
        "admin: {auth: {}}",
        "vmcp.yaml:1:15: admin.auth.type: is required: who may ask: whoever is on vmcp's own machine, \
         and may only read; whoever shows the token; or whoever shows an access token, as for incomingAuth, that gives a role",
    );
    check(
        "admin: {auth: {type: none, tokenFile: '${FIXTURES}/admin-token.txt'}}",
        "vmcp.yaml:1:39: admin.auth.tokenFile: only takes effect with type: token",
    );
    check(
        "admin: {auth: {type: token, roles: [a], rolesClaim: b}}",
        "vmcp.yaml:1:36: admin.auth.roles: only takes effect with type: oidc
         vmcp.yaml:1:53: admin.auth.rolesClaim: only takes effect with type: oidc",
    );
    check("admin: {auth: none}", "vmcp.yaml:1:15: admin.auth: must be a map of keys");
}

#[test]
fn roles_are_those_of_the_issuer_of_callers() {
    let oidc = "incomingAuth: {type: oidc, oidc: {issuer: 'https://i', audience: a, resource: 'https://r'}}";
    let callers = "callers of https://i for a keys - resource https://r scopes [\"openid\"] private false \
                   http false ca 0";
    check(
        &format!("{oidc}\nadmin: {{auth: {{type: oidc, roles: [admin, ops]}}}}"),
        &format!("admin None one of [\"admin\", \"ops\"] in \"roles\"\n{callers}"),
    );
    check(
        &format!("{oidc}\nadmin: {{auth: {{type: oidc}}}}"),
        "vmcp.yaml:2:15: admin.auth.roles: is required for type: oidc",
    );
    check(
        &format!("{oidc}\nadmin: {{auth: {{type: oidc, roles: [], tokenFile: /a}}}}"),
        "vmcp.yaml:2:35: admin.auth.roles: is empty; list at least one role
         vmcp.yaml:2:50: admin.auth.tokenFile: only takes effect with type: token",
    );
    for claim in ["a..b", ".a", "a.", "."] {
        check(
            &format!("{oidc}\nadmin: {{auth: {{type: oidc, roles: [a], rolesClaim: {claim:?}}}}}"),
            &format!(
                "vmcp.yaml:2:52: admin.auth.rolesClaim: {claim:?} has an empty name in it; write names with \
                 one dot between them, such as realm_access.roles"
            ),
        );
    }
    check(
        "admin: {auth: {type: oidc, roles: [admin]}}",
        "vmcp.yaml:1:22: admin.auth.type: takes the tokens that incomingAuth takes, and that takes none; set \
         incomingAuth.type: oidc, or write type: token",
    );
}

#[test]
fn a_token_of_operators_cannot_be_guessed() {
    let why = "holds fewer than 16 characters, which can be guessed; make one with `openssl rand -base64 32`";
    for (file, problem) in [
        ("password.txt", why),
        ("empty.txt", why),
        ("not-text.bin", "does not hold text"),
        ("authority.pem", "holds spaces or letters outside of ASCII, which no token has"),
        ("nowhere.txt", "does not exist"),
    ] {
        check(
            &format!("admin: {{auth: {{type: token, tokenFile: '${{FIXTURES}}/{file}'}}}}"),
            &format!("vmcp.yaml:1:40: admin.auth.tokenFile: \"${{FIXTURES}}/{file}\" {problem}"),
        );
    }
    check(
        "admin: {auth: {type: token, tokenFile: token}}",
        "vmcp.yaml:1:40: admin.auth.tokenFile: \"token\" is not an absolute path",
    );
}

/// Where a configuration is only checked, the file of another machine need not be there.
#[test]
fn a_token_of_another_machine_is_no_problem() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("vmcp.yaml");
    let text = super::complete("admin: {auth: {type: token, tokenFile: /run/secrets/nowhere}}");
    std::fs::write(&path, text).expect("a file");
    let read = load_without_secrets(&path, &super::environment);
    assert!(read.is_ok(), "{:?}", read.map(|_configuration| ()));
}

#[test]
fn a_listener_that_others_reach_is_warned_of() {
    let warning = "warning vmcp.yaml:1:17: admin.listen: listens beyond this machine, and requests of \
                   other machines for /status are refused (403) unless operators prove who they are; \
                   set admin.auth.type to token or oidc";
    for (address, is_warned) in [
        ("0.0.0.0:9090", true),
        ("[::]:9090", true),
        ("127.0.0.1:9090", false),
        ("[::1]:9090", false),
    ] {
        let warning = if is_warned { warning } else { "" };
        let expected = format!("admin Some({address}) None\n{warning}");
        check(&format!("admin: {{listen: '{address}'}}"), &expected);
    }
    let warning = "warning vmcp.yaml:1:17: admin.listen: listens beyond this machine, and requests of other \
                   machines for /status are refused (403), as allowedHosts has no name by which they could ask; \
                   add the names or addresses that they use";
    let admin = "admin: {listen: '0.0.0.0:9090', auth: {type: token}}";
    for (hosts, shown, is_warned) in [
        ("", "", true),
        ("publicUrl: http://localhost:4483", "reached by http://localhost:4483", true),
        ("publicUrl: https://mcp.example.com", "reached by https://mcp.example.com", false),
    ] {
        let warning = if is_warned { warning } else { "" };
        let expected = format!("admin Some(0.0.0.0:9090) Token(None)\n{shown}\n{warning}");
        check(&format!("{admin}\n{hosts}"), expected.trim_start());
    }
    for (hosts, is_reached) in [
        (&["localhost", "127.0.0.1:9090", "[::1]"][..], false),
        (&["localhost", "vmcp.internal:9090"], true),
        (&["192.0.2.1"], true),
    ] {
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        assert_eq!(are_reached(&hosts, None), is_reached, "{hosts:?}");
    }
}
