//! What the objects come to: the backends of a group. Reads nothing and keeps nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Map, Value, json};

use crate::{
    candidates::{Candidate, LeftOut, candidates},
    contents::{Contents, Source},
    kind::Kind,
    seen::Objects,
    strategy,
};

/// The backends of a group, as they stand in the cluster now.
#[derive(Clone, Default, PartialEq)]
pub struct Discovered {
    /// By name.
    pub backends: Vec<Backend>,
    /// The secrets that they name, by the names of variables. They are no variables of this process.
    pub variables: BTreeMap<String, String>,
    /// Where each of these stands in the cluster, in words.
    pub described: BTreeMap<String, String>,
    /// Whether the MCPGroup itself stands there.
    pub has_group: bool,
}

/// A backend that stands in the cluster.
#[derive(Clone, PartialEq)]
pub struct Backend {
    /// The name of its object.
    pub name: String,
    /// The kind of its object.
    pub kind: &'static str,
    /// Its entry under `backends` of a configuration, without headers. All texts are meant as they are.
    pub entry: Value,
    /// Headers that each request to it carries, with the variables that hold their values.
    pub headers: Vec<(String, String)>,
    /// Its entry under `outgoingAuth.backends` of a configuration, if its object names any.
    pub strategy: Option<Value>,
    /// The authorities that vouch for it, in PEM, in place of the system's.
    pub authorities: Option<Vec<u8>>,
    /// What its MCPExternalAuthConfig is called, and its type as a configuration has it.
    pub auth: Option<(String, String)>,
    /// Why it must not be called.
    pub lacking: Option<String>,
}

/// The secrets that backends name. Each becomes a variable.
pub(crate) struct Secrets<'a> {
    contents: &'a Contents,
    /// What has been asked for.
    named: BTreeSet<Source>,
    variables: BTreeMap<String, String>,
    described: BTreeMap<String, String>,
    names: BTreeMap<(String, String), String>,
}

impl Discovered {
    /// The backends of a group in a namespace. Also gives the Secrets and ConfigMaps that they name, whether these are
    /// held or not, and the objects of the group that are no backends.
    pub(crate) fn of(
        objects: &Objects,
        contents: &Contents,
        group: &str,
        namespace: &str,
    ) -> (Self, BTreeSet<Source>, LeftOut) {
        let mut secrets = Secrets {
            contents,
            named: BTreeSet::new(),
            variables: BTreeMap::new(),
            described: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        let (candidates, left_out) = candidates(objects, group);
        let backend =
            |candidate: &Candidate<'_>| candidate.backend(objects, &mut secrets, group, namespace);
        let backends = candidates.values().map(backend).collect();
        let Secrets { named, variables, described, .. } = secrets;
        let groups = objects.get(&Kind::Group);
        let has_group = groups.is_some_and(|groups| groups.contains_key(group));
        (Self { backends, variables, described, has_group }, named, left_out)
    }
}

impl Candidate<'_> {
    fn backend(
        &self,
        objects: &Objects,
        secrets: &mut Secrets<'_>,
        group: &str,
        namespace: &str,
    ) -> Backend {
        let mut lacking = None;
        let mut note = |why: String| {
            lacking.get_or_insert(why);
        };
        let reference = &self.object.spec["externalAuthConfigRef"];
        let auth = reference["name"].as_str().filter(|name| !name.is_empty());
        if auth.is_none() && !reference.is_null() {
            note("its externalAuthConfigRef has no name".to_owned());
        }
        let object_of = |name| objects.get(&Kind::AuthConfig).and_then(|all| all.get(name));
        let config = auth.map(|name| (name, object_of(name)));
        let strategy = config.and_then(|(name, object)| {
            let missing = || format!("the {} {name} does not exist", Kind::AuthConfig.name());
            let written = object
                .ok_or_else(missing)
                .and_then(|object| strategy::written(name, object, secrets));
            written.map_err(&mut note).ok()
        });
        if !["streamable-http", "sse"].contains(&self.transport()) {
            note(format!(
                "its transport {:?} is neither streamable-http nor sse",
                self.transport()
            ));
        }
        let headers = self.headers(secrets).map_err(&mut note).unwrap_or_default();
        let authorities = self.authorities(secrets).map_err(&mut note).ok().flatten();
        let auth = config.map(|(name, object)| {
            let kind = object.and_then(|object| object.spec["type"].as_str());
            (name.to_owned(), strategy::type_name(kind.unwrap_or_default()).to_owned())
        });
        Backend {
            name: self.name.to_owned(),
            kind: self.kind.name(),
            entry: self.entry(group, namespace),
            headers,
            strategy,
            authorities,
            auth,
            lacking,
        }
    }

    fn entry(&self, group: &str, namespace: &str) -> Value {
        let spec = &self.object.spec;
        let mut metadata = Map::new();
        let mut label = |key: &str, value: &str| metadata.insert(key.to_owned(), value.into());
        label("group", group);
        label("namespace", namespace);
        label("tool_type", "mcp");
        label(
            "workload_type",
            match self.kind {
                Kind::Server => "mcp_server",
                Kind::RemoteProxy => "remote_proxy",
                _ => "server_entry",
            },
        );
        if let Some(phase) = self.object.status["phase"].as_str() {
            label("workload_status", phase);
        }
        if let Some(remote) = spec["remoteUrl"].as_str() {
            label("remote_url", remote);
        }
        json!({
            "name": self.name,
            "url": self.url,
            "transport": self.transport(),
            "metadata": metadata,
        })
    }

    fn transport(&self) -> &str {
        let spec = &self.object.spec;
        let transport = match (self.kind, spec["transport"].as_str()) {
            // Its proxy speaks to a program on its behalf.
            (Kind::Server, Some("stdio") | None) => spec["proxyMode"].as_str(),
            (_, transport) => transport,
        };
        transport.filter(|text| !text.is_empty()).unwrap_or("streamable-http")
    }

    /// The headers that an entry adds to each request.
    fn headers(&self, secrets: &mut Secrets<'_>) -> Result<Vec<(String, String)>, String> {
        if self.kind != Kind::Entry {
            return Ok(Vec::new());
        }
        let forward = &self.object.spec["headerForward"];
        let (plain, from_secret) =
            (&forward["addPlaintextHeaders"], &forward["addHeadersFromSecret"]);
        // What is not understood is no leave to go without.
        let is_odd = !(forward.is_object() || forward.is_null())
            || !(plain.is_object() || plain.is_null())
            || !(from_secret.is_array() || from_secret.is_null());
        if is_odd {
            return Err("its headerForward cannot be read".to_owned());
        }
        let mut headers = Vec::new();
        for (name, value) in plain.as_object().into_iter().flatten() {
            let value = value.as_str();
            let value = value.ok_or_else(|| format!("its header {name} is no text"))?;
            headers.push((name.clone(), secrets.plain(self.name, name, value)));
        }
        for header in from_secret.as_array().into_iter().flatten() {
            let name = header["headerName"].as_str();
            let name =
                name.ok_or_else(|| "a header of its headerForward has no name".to_owned())?;
            headers.push((name.to_owned(), secrets.variable(&header["valueSecretRef"])?));
        }
        Ok(headers)
    }

    /// What an entry's bundle of certificates holds.
    fn authorities(&self, secrets: &mut Secrets<'_>) -> Result<Option<Vec<u8>>, String> {
        let bundle = &self.object.spec["caBundleRef"];
        if self.kind != Kind::Entry || bundle.is_null() {
            return Ok(None);
        }
        let reference = &bundle["configMapRef"];
        let name = reference["name"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| "its caBundleRef names no ConfigMap".to_owned())?;
        let key = reference["key"].as_str().filter(|key| !key.is_empty()).unwrap_or("ca.crt");
        secrets.held((Kind::ConfigMap, name.to_owned()), key).map(|bytes| Some(bytes.to_vec()))
    }
}

impl Secrets<'_> {
    /// The variable that holds what a reference leads to: `{name, key}`.
    pub(crate) fn variable(&mut self, reference: &Value) -> Result<String, String> {
        let text = |member: &str| {
            let text = reference[member].as_str().filter(|text| !text.is_empty());
            text.ok_or_else(|| format!("a reference to a Secret has no {member}"))
        };
        let (name, key) = (text("name")?, text("key")?);
        let held = self.held((Kind::Secret, name.to_owned()), key)?.to_vec();
        match String::from_utf8(held) {
            Ok(held) if held.is_empty() => Err(format!("{key} of the Secret {name} is empty")),
            Ok(held) => {
                let described = format!("the key {key} of the Secret {name}");
                Ok(self.note(name, key, held, described))
            }
            Err(_) => Err(format!("{key} of the Secret {name} is no text")),
        }
    }

    /// The variable that holds a header which is no secret.
    fn plain(&mut self, backend: &str, header: &str, value: &str) -> String {
        self.note(backend, header, value.to_owned(), format!("the header {header}"))
    }

    fn note(&mut self, name: &str, key: &str, value: String, described: String) -> String {
        let source = (name.to_owned(), key.to_owned());
        let known = self.names.get(&source).filter(|known| self.variables[*known] == value);
        if let Some(known) = known {
            return known.clone();
        }
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let plain: String = format!("DISCOVERED_{name}_{key}").chars().map(letter).collect();
        let mut variable = plain.clone();
        let mut number = 1;
        while self.variables.contains_key(&variable) {
            number += 1;
            variable = format!("{plain}_{number}");
        }
        self.variables.insert(variable.clone(), value);
        self.described.insert(variable.clone(), described);
        self.names.insert(source, variable.clone());
        variable
    }

    fn held(&mut self, source: Source, key: &str) -> Result<&[u8], String> {
        self.named.insert(source.clone());
        self.contents.get(&source, key)
    }
}

// No secret is shown.
impl fmt::Debug for Discovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<_> = self.variables.keys().collect();
        let Self { backends, has_group, .. } = self;
        f.debug_struct("Discovered")
            .field("has_group", has_group)
            .field("backends", backends)
            .field("variables", &variables)
            .finish()
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, lacking, .. } = self;
        f.debug_struct("Backend")
            .field("name", name)
            .field("lacking", lacking)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
