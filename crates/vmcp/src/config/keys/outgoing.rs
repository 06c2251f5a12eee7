//! The keys of `outgoingAuth`.

use super::super::{
    not_yet::{self, Off},
    schema::{Form, Key, Shape},
};

pub(super) const OUTGOING_AUTH: &[Key] = &[
    SOURCE.default("inline"),
    Key::new("default", Shape::Section(STRATEGY), "for backends without an entry of their own"),
    Key::new("backends", Shape::Named(STRATEGY), "for single backends, by name")
        .form(Form::BackendName),
];

#[cfg(feature = "kubernetes")]
const SOURCE: Key = Key::choice(
    "source",
    &["inline", "discovered"],
    &[],
    "where the strategies come from: this file, or the objects of a Kubernetes cluster, as backends do then",
);
#[cfg(not(feature = "kubernetes"))]
const SOURCE: Key = Key::choice(
    "source",
    &["inline"],
    &[("discovered", not_yet::DISCOVERED)],
    "where the strategies come from",
);

const STRATEGY: &[Key] = &[
    Key::choice(
        "type",
        &[
            "unauthenticated",
            "header_injection",
            "client_credentials",
            "token_exchange",
            "obo",
            "xaa",
            "aws_sts",
        ],
        &[
            // The first one's advice is also that for words that nobody knows.
            ("discovered", not_yet::OWN_STRATEGY),
            ("externalAuthConfigRef", not_yet::OWN_STRATEGY),
            ("upstream_inject", not_yet::UPSTREAM),
        ],
        "what the backend is shown",
    )
    .required(),
    Key::new("headerInjection", Shape::Section(HEADER_INJECTION), "the header to send"),
    Key::new(
        "clientCredentials",
        Shape::Section(CLIENT_CREDENTIALS),
        "where vmcp gets a token of its own, one for all callers",
    ),
    Key::new(
        "tokenExchange",
        Shape::Section(TOKEN_EXCHANGE),
        "where the token of a caller is exchanged for one for the backend",
    ),
    Key::new("obo", Shape::Section(OBO), "the same, as Microsoft Entra ID does it"),
    Key::new(
        "xaa",
        Shape::Section(XAA),
        "where the ID token of a caller is exchanged for an assertion, and that for a token",
    ),
    Key::new(
        "awsSts",
        Shape::Section(AWS_STS),
        "which AWS role a caller takes on with its token, by whose keys requests are signed (SigV4)",
    ),
    Key::not_yet("upstreamInject", Off::Null, not_yet::UPSTREAM),
    Key::not_yet("externalAuthConfigRef", Off::Null, not_yet::OWN_STRATEGY),
];

const HEADER_INJECTION: &[Key] = &[
    Key::new("headerName", Shape::Text, "the name of the header").form(Form::HeaderName).required(),
    Key::new("headerValue", Shape::Text, "its value").form(Form::HeaderValue).or_zero(),
    Key::new("headerValueEnv", Shape::Text, "the environment variable that holds its value")
        .form(Form::VariableName)
        .or_zero(),
    Key::new(
        "headerValueFile",
        Shape::Text,
        "the file that holds its value, which is read again when it changes",
    )
    .form(Form::File),
];

const TOKEN_URL: Key =
    Key::new("tokenUrl", Shape::Text, "the URL of the token endpoint").form(Form::IssuerUrl);
const CLIENT_ID: Key = Key::new("clientId", Shape::Text, "who vmcp is there").or_zero();
const CLIENT_SECRET: Key =
    Key::new("clientSecret", Shape::Text, "the secret that proves it").or_zero();
const CLIENT_SECRET_ENV: Key =
    Key::new("clientSecretEnv", Shape::Text, "the environment variable that holds the secret")
        .form(Form::VariableName)
        .or_zero();
const CLIENT_SECRET_FILE: Key =
    Key::new("clientSecretFile", Shape::Text, "the file that holds the secret").form(Form::File);
const PRIVATE_KEY_FILE: Key = Key::new(
    "privateKeyFile",
    Shape::Text,
    "a PEM file with the private key that proves it by a signature: RSA, P-256 or Ed25519",
)
.form(Form::File);
const PRIVATE_KEY_ENV: Key =
    Key::new("privateKeyEnv", Shape::Text, "the environment variable that holds such a key")
        .form(Form::VariableName);
const KEY_ID: Key = Key::new("keyId", Shape::Text, "the name of the key there (`kid`)");
const AUDIENCE: Key = Key::new("audience", Shape::Text, "for whom tokens are to be good").or_zero();
const SCOPES: Key =
    Key::new("scopes", Shape::Texts, "what tokens are to be good for").form(Form::Scope);
const RESOURCE: Key = Key::new(
    "resource",
    Shape::Text,
    "the backend for which tokens are to be good, mostly its URL (RFC 8707)",
)
.form(Form::Uri);
const CA_BUNDLE: Key = Key::new(
    "caBundlePath",
    Shape::Text,
    "a PEM file of the authorities that vouch for the token endpoint, in place of the system's",
)
.form(Form::File);

/// How the secret is sent.
const fn client_auth(default: &'static str) -> Key {
    Key::choice(
        "clientAuth",
        &["basic", "post"],
        &[],
        "whether the secret is sent in a header or in the form",
    )
    .default(default)
}

const CLIENT_CREDENTIALS: &[Key] = &[
    TOKEN_URL.required(),
    CLIENT_ID.required(),
    CLIENT_SECRET,
    CLIENT_SECRET_ENV,
    CLIENT_SECRET_FILE,
    client_auth("basic"),
    PRIVATE_KEY_FILE,
    PRIVATE_KEY_ENV,
    KEY_ID,
    SCOPES,
    AUDIENCE,
    RESOURCE,
    CA_BUNDLE,
];

const TOKEN_EXCHANGE: &[Key] = &[
    TOKEN_URL.required(),
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_ENV,
    CLIENT_SECRET_FILE,
    client_auth("basic"),
    PRIVATE_KEY_FILE,
    PRIVATE_KEY_ENV,
    KEY_ID,
    SCOPES,
    AUDIENCE,
    RESOURCE,
    Key::choice("subjectTokenType", TOKEN_TYPES, &[], "what callers' tokens are")
        .default("access_token")
        .or_zero(),
    Key::choice("requestedTokenType", TOKEN_TYPES, &[], "what is asked for")
        .default("access_token"),
    Key::not_yet("subjectProviderName", Off::Empty, not_yet::PROVIDER),
    CA_BUNDLE,
];

const TOKEN_TYPES: &[&str] = &[
    "access_token",
    "id_token",
    "jwt",
    "urn:ietf:params:oauth:token-type:access_token",
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:jwt",
];

const OBO: &[Key] = &[
    TOKEN_URL.or_zero(),
    Key::new(
        "tenantId",
        Shape::Text,
        "the tenant, in place of tokenUrl: its ID, or one of its domains",
    )
    .or_zero(),
    Key::new("authority", Shape::Text, "where the tenant is")
        .form(Form::PublicUrl)
        .default("https://login.microsoftonline.com")
        .or_zero(),
    CLIENT_ID.required(),
    CLIENT_SECRET,
    CLIENT_SECRET_ENV,
    CLIENT_SECRET_FILE,
    client_auth("post"),
    PRIVATE_KEY_FILE,
    PRIVATE_KEY_ENV,
    KEY_ID,
    Key::new(
        "certificateFile",
        Shape::Text,
        "a PEM file with the certificate of the private key, by which Entra knows it",
    )
    .form(Form::File),
    SCOPES,
    Key::new(
        "audience",
        Shape::Text,
        "the backend's application, in place of scopes: all that vmcp may do there (AUDIENCE/.default)",
    )
    .or_zero(),
    Key::not_yet("subjectTokenProviderName", Off::Empty, not_yet::PROVIDER),
    Key::without_effect("cacheSkewSeconds", not_yet::CACHE_SKEW),
    CA_BUNDLE,
];

const XAA: &[Key] = &[
    Key::new("idpTokenUrl", Shape::Text, "the URL of the identity provider's token endpoint")
        .form(Form::IssuerUrl)
        .required(),
    Key::new("idpClientId", Shape::Text, "who vmcp is there").or_zero(),
    Key::new("idpClientSecret", Shape::Text, "the secret that proves it").or_zero(),
    Key::new("idpClientSecretEnv", Shape::Text, "the environment variable that holds the secret")
        .form(Form::VariableName)
        .or_zero(),
    Key::new("idpClientSecretFile", Shape::Text, "the file that holds the secret").form(Form::File),
    Key::new(
        "targetTokenUrl",
        Shape::Text,
        "the URL of the token endpoint of the backend's authorization server",
    )
    .form(Form::IssuerUrl)
    .required(),
    Key::new("insecureTargetTokenUrl", Shape::Flag, "whether that may be asked without TLS")
        .default("false"),
    Key::new("targetClientId", Shape::Text, "who vmcp is there").or_zero(),
    Key::new("targetClientSecret", Shape::Text, "the secret that proves it").or_zero(),
    Key::new("targetClientSecretEnv", Shape::Text, "the environment variable that holds the secret")
        .form(Form::VariableName)
        .or_zero(),
    Key::new("targetClientSecretFile", Shape::Text, "the file that holds the secret")
        .form(Form::File),
    Key::new(
        "targetAudience",
        Shape::Text,
        "the name of the backend's authorization server, for which the assertion must be (its issuer)",
    )
    .required(),
    Key::new("targetResource", Shape::Text, "the backend, mostly by its URL").form(Form::Uri)
        .or_zero(),
    SCOPES,
    Key::choice(
        "subjectTokenType",
        &["id_token", "urn:ietf:params:oauth:token-type:id_token"],
        &[],
        "what callers' tokens are",
    )
    .default("id_token")
    .or_zero(),
    Key::not_yet("subjectProviderName", Off::Empty, not_yet::PROVIDER),
    Key::new(
        "caBundlePath",
        Shape::Text,
        "a PEM file of the authorities that vouch for both token endpoints, in place of the system's",
    )
    .form(Form::File),
];

const AWS_STS: &[Key] = &[
    Key::new("region", Shape::Text, "the region of the backend, such as eu-west-1").required(),
    Key::new("service", Shape::Text, "the service for which requests are signed")
        .default("aws-mcp")
        .or_zero(),
    Key::new(
        "roleMappings",
        Shape::Sections(ROLE_MAPPING),
        "who takes which role on; the first that fits counts, by priority and then in this order",
    ),
    Key::new("fallbackRoleArn", Shape::Text, "the role of whoever none of them fits").or_zero(),
    Key::new(
        "roleClaim",
        Shape::Text,
        "the claim that holds a caller's groups or roles; a dot leads into an object",
    )
    .default("groups")
    .or_zero(),
    Key::new(
        "sessionDuration",
        Shape::Count { default: 3600, least: 900, most: 43_200 },
        "how long keys are good, in seconds; no longer than the role allows",
    )
    .or_zero(),
    Key::new(
        "sessionNameClaim",
        Shape::Text,
        "the claim of which the session's name is made that stands in AWS's records",
    )
    .default("sub")
    .or_zero(),
    Key::new(
        "stsEndpoint",
        Shape::Text,
        "the URL of STS, in place of the region's own (https://sts.REGION.amazonaws.com)",
    )
    .form(Form::IssuerUrl),
    Key::not_yet("subjectProviderName", Off::Empty, not_yet::PROVIDER),
    Key::new(
        "caBundlePath",
        Shape::Text,
        "a PEM file of the authorities that vouch for STS, in place of the system's",
    )
    .form(Form::File),
];

const ROLE_MAPPING: &[Key] = &[
    Key::new("claim", Shape::Text, "what roleClaim must hold").or_zero(),
    Key::new(
        "matcher",
        Shape::Text,
        "what must be true of the token's claims, in place of claim: an expression of CEL over `claims`",
    )
    .or_zero(),
    Key::new("roleArn", Shape::Text, "the role").required(),
    Key::new(
        "priority",
        Shape::Count { default: LAST, least: 0, most: LAST },
        "lower ones are asked first",
    ),
];

/// The priority of what has none.
const LAST: usize = 1_000_000;
