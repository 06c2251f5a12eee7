//! What a token endpoint is asked.

use vmcp_model::percent_encoded;

/// A form, which knows what of it is secret.
#[derive(Default)]
pub(crate) struct Form {
    members: Vec<(&'static str, String)>,
    secrets: Vec<String>,
}

impl Form {
    /// One that asks by this grant.
    pub(crate) fn of_grant(grant: &str) -> Self {
        let mut form = Self::default();
        form.add("grant_type", grant);
        form
    }

    pub(crate) fn add(&mut self, name: &'static str, value: &str) {
        self.members.push((name, value.to_owned()));
    }

    pub(crate) fn add_optional(&mut self, name: &'static str, value: Option<&String>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// Asks for these, if there are any.
    pub(crate) fn add_scopes(&mut self, scopes: &[String]) {
        if !scopes.is_empty() {
            self.add("scope", &scopes.join(" "));
        }
    }

    pub(crate) fn add_secret(&mut self, name: &'static str, value: &str) {
        self.add(name, value);
        self.keep_secret(value);
    }

    /// Notes what must not be told, should the answer repeat it.
    pub(crate) fn keep_secret(&mut self, secret: &str) {
        let encoded = percent_encoded(secret);
        self.secrets.extend((encoded != secret).then_some(encoded));
        self.secrets.push(secret.to_owned());
    }

    pub(crate) fn text(&self) -> String {
        vmcp_fetch::form(self.members.iter().map(|(name, value)| (*name, value.as_str())))
    }

    pub(crate) fn secrets(&self) -> &[String] {
        &self.secrets
    }
}
