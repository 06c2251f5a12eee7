//! The keys of `admin`.

use super::super::schema::{Form, Key, Shape};

pub(super) const ADMIN: &[Key] = &[
    Key::new("listen", Shape::Text, "the IP address and port it listens on").form(Form::Listen),
    Key::new("auth", Shape::Section(ADMIN_AUTH), "how operators prove who they are"),
];

const ADMIN_AUTH: &[Key] = &[
    Key::choice(
        "type",
        &["none", "token", "oidc"],
        &[],
        "who may ask: whoever is on vmcp's own machine, and may only read; whoever shows the token; or whoever \
         shows an access token, as for incomingAuth, that gives a role",
    )
    .required(),
    Key::new(
        "tokenFile",
        Shape::Text,
        "the file that holds the token, at least 16 characters; with type: token. If absent, one is made at each \
         start and shown on the terminal",
    )
    .form(Form::File),
    Key::new("roles", Shape::Texts, "the roles of which one is needed; required for type: oidc"),
    Key::new(
        "rolesClaim",
        Shape::Text,
        "the claim that holds the roles; realm_access.roles is one within another",
    )
    .default("roles"),
];
