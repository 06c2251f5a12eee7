//! The keys of `incomingAuth`.

use super::super::{
    not_yet::{self, Off},
    schema::{Form, Key, Shape},
};

pub(super) const INCOMING_AUTH: &[Key] = &[
    Key::choice(
        "type",
        &["anonymous", "local", "oidc"],
        &[],
        "who may call: everybody, everybody as the user who runs vmcp, or whoever shows a token",
    )
    .required(),
    Key::new(
        "oidc",
        Shape::Section(OIDC),
        "whose tokens are good; required for type: oidc, unless issuers names some",
    ),
    Key::new(
        "issuers",
        Shape::Sections(ISSUER),
        "more issuers whose tokens are good; each token is judged by the issuer that it is from",
    ),
    Key::new("authz", Shape::Section(AUTHORIZATION), "what callers may do"),
];

/// What is said of the one issuer, and of the endpoint beside it.
const OIDC: &[Key] = &{
    let mut keys = [RESOURCE; ISSUER.len() + 1];
    let mut index = 0;
    while index < ISSUER.len() {
        keys[index] = ISSUER[index];
        index += 1;
    }
    keys
};

const RESOURCE: Key = Key::new(
    "resource",
    Shape::Text,
    "the URL of the MCP endpoint as clients know it; with it, they are told where to get a token",
)
.form(Form::IssuerUrl)
.or_zero();

const ISSUER: &[Key] = &[
    Key::new("issuer", Shape::Text, "the URL of the identity provider, as its tokens say it")
        .form(Form::Issuer)
        .required(),
    Key::new("audience", Shape::Text, "what tokens must be meant for (`aud`)").required(),
    Key::new("jwksUrl", Shape::Text, "where its keys are; if absent, its metadata says it")
        .form(Form::IssuerUrl)
        .or_zero(),
    Key::new("scopes", Shape::Texts, "the scopes that clients are told to ask for")
        .form(Form::Scope)
        .default("openid"),
    Key::new(
        "requiredScopes",
        Shape::Texts,
        "scopes that a token must have, all of them; clients are told to ask for these, too",
    )
    .form(Form::Scope),
    Key::new(
        "introspectionUrl",
        Shape::Text,
        "where it is asked about tokens that are no JWT (RFC 7662), and about JWTs if it publishes no keys; if \
         absent, tokens must be JWTs",
    )
    .form(Form::IssuerUrl)
    .or_zero(),
    Key::time(
        "introspectionInterval",
        60_000,
        24,
        "for how long its answer counts, at least 1s: so long a token may still be good that was revoked",
    ),
    Key::new("clientId", Shape::Text, "as which client it is asked about tokens").or_zero(),
    Key::new(
        "clientSecretEnv",
        Shape::Text,
        "the environment variable that holds the secret of that client; a public client has none. If neither this nor \
         clientSecretFile is given for `oidc`, VMCP_OIDC_CLIENT_SECRET or TOOLHIVE_OIDC_CLIENT_SECRET holds it, if set",
    )
    .form(Form::VariableName)
    .or_zero(),
    Key::new(
        "clientSecretFile",
        Shape::Text,
        "a file that holds it, read again with each question",
    )
    .form(Form::File)
    .or_zero(),
    Key::new(
        "jwksAllowPrivateIp",
        Shape::Flag,
        "whether the identity provider may have an address that is not public",
    )
    .default("false"),
    Key::new("protectedResourceAllowPrivateIp", Shape::Flag, "the same; either will do")
        .default("false"),
    Key::new(
        "insecureAllowHttp",
        Shape::Flag,
        "whether the identity provider may be asked without TLS",
    )
    .default("false"),
    Key::new(
        "caBundlePath",
        Shape::Text,
        "a PEM file of the authorities that vouch for it, in place of the system's",
    )
    .form(Form::File)
    .or_zero(),
];

const AUTHORIZATION: &[Key] = &[
    Key::choice(
        "type",
        &["none", "cedar"],
        &[],
        "whether everybody may do everything, or what Cedar policies allow",
    )
    .required(),
    Key::new(
        "policies",
        Shape::Texts,
        "Cedar policies, any number in each text; what none of them permits is denied (docs/authorization.md)",
    ),
    Key::new("policiesFile", Shape::Text, "an absolute path of a file with more of them")
        .form(Form::File),
    Key::new(
        "entitiesJson",
        Shape::Text,
        "entities that policies speak of: a JSON array in Cedar's own format",
    )
    .or_zero(),
    Key::not_yet("primaryUpstreamProvider", Off::Empty, not_yet::UPSTREAM_CLAIMS),
    Key::new(
        "groupClaimName",
        Shape::Text,
        "the claim that holds a caller's groups; if absent, the first of groups, roles and cognito:groups that \
         has some",
    )
    .or_zero(),
    Key::new("roleClaimName", Shape::Text, "a claim whose values are groups as well").or_zero(),
    Key::new("groupEntityType", Shape::Text, "the entity type of groups in policies")
        .default("THVGroup")
        .or_zero(),
    Key::choice(
        "deniedStatus",
        &["403", "200"],
        &[],
        "the HTTP status of a denied request of a client with a session; some clients of older revisions take 403 for \
         the end of their session",
    )
    .default("403"),
];
