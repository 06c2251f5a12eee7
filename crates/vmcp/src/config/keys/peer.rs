//! The keys of `peer`.

use super::super::schema::{Form, Key, Shape};

pub(super) const PEER: &[Key] = &[
    Key::new(
        "enabled",
        Shape::Flag,
        "whether there is one; by default in a Kubernetes pod with Redis, and where another key is set here",
    ),
    Key::new(
        "listen",
        Shape::Text,
        "the IP address and port it listens on; by default port 4484 on all addresses of IPv4",
    )
    .form(Form::Listen),
    Key::new(
        "advertise",
        Shape::Text,
        "the IP address and port by which other replicas reach it; by default that of `listen`, or the one by which \
         this machine reaches Redis",
    )
    .form(Form::Listen),
];
