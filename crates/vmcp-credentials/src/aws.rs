//! Signatures of AWS: which role a caller takes on, the keys that STS gives for its token, and what each request
//! carries.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue, Uri};
use serde_json::Value;
pub(crate) use vmcp_aws::SIGNS;
use vmcp_aws::{Assume, Keys, RoleArn, Roles, Scope, StsError, session_name};
use vmcp_fetch::{Fetcher, Rules};
use vmcp_model::{Claims, Digest, Proof};

use crate::{
    credential::Unavailable,
    obtain::Source,
    shown::{Outbound, Shown},
    slot::Obtained,
    told,
};

/// Claims of which it is remembered which role they lead to.
const REMEMBERED: usize = 10_000;

/// What configuration says of it.
#[derive(Clone, PartialEq, Eq)]
pub struct AssumeRole {
    /// Where STS is.
    pub sts: Uri,
    /// Authorities that vouch for it, in PEM, in place of the system's.
    pub ca_bundle: Option<Arc<[u8]>>,
    /// For what signatures are good.
    pub scope: Scope,
    pub roles: Arc<Roles>,
    /// How long keys are good.
    pub duration: Duration,
    /// The claim of which the session's name is made, which stands in AWS's records.
    pub session_name_claim: String,
}

/// Gives keys.
pub(crate) struct Sts {
    config: AssumeRole,
    fetcher: Fetcher,
    chosen: RwLock<HashMap<Digest, Arc<Chosen>>>,
}

/// What claims lead to.
struct Chosen {
    role: Option<RoleArn>,
    /// Of the role, or of none.
    digest: Digest,
    /// What the session of the role is called; or why it cannot be called anything.
    session_name: Result<String, String>,
}

/// Signs requests.
pub(crate) struct Signer {
    keys: Keys,
    scope: Scope,
}

impl AssumeRole {
    pub(crate) fn source(&self) -> Source {
        // Its URL is AWS's, or the operator's own word.
        let rules = Rules {
            ca_bundle: self.ca_bundle.as_deref(),
            allow_private_ip: true,
            private_ip_key: "",
            allow_http: true,
        };
        let fetcher = Fetcher::new(rules);
        let chosen = RwLock::default();
        Source::Sts(Box::new(Sts { config: self.clone(), fetcher, chosen }))
    }

    /// What it is, in parts of which a digest can be made.
    pub(crate) fn parts(&self) -> Vec<Vec<u8>> {
        let Self { sts, ca_bundle, scope, roles, duration, session_name_claim } = self;
        let bundle = ca_bundle.as_ref().map(|bundle| bundle.to_vec()).unwrap_or_default();
        vec![
            b"aws_sts".to_vec(),
            sts.to_string().into(),
            bundle,
            scope.region.as_bytes().into(),
            scope.service.as_bytes().into(),
            format!("{roles:?}").into(),
            duration.as_secs().to_be_bytes().into(),
            session_name_claim.clone().into(),
        ]
    }
}

impl Sts {
    /// By what a backend tells callers apart besides who they are: the role that each takes on.
    pub(crate) fn role(&self, claims: &Claims) -> Digest {
        let known = self.chosen.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&claims.digest()) {
            return known.digest;
        }
        drop(known);
        self.chosen(claims).digest
    }

    /// What claims lead to, which is worked out once: matchers may take their time.
    fn chosen(&self, claims: &Claims) -> Arc<Chosen> {
        let key = claims.digest();
        let known = self.chosen.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return known;
        }
        let made = Arc::new(self.choose(claims));
        let mut chosen = self.chosen.write().unwrap_or_else(PoisonError::into_inner);
        if chosen.len() >= REMEMBERED {
            chosen.clear();
        }
        chosen.insert(key, Arc::clone(&made));
        made
    }

    fn choose(&self, claims: &Claims) -> Chosen {
        let AssumeRole { roles, session_name_claim, .. } = &self.config;
        // What proves a caller is an object, but of what the language cannot hold it may have something.
        let read: Result<Value, _> = serde_json::from_slice(claims.json());
        let role = read.as_ref().ok().and_then(|claims| roles.choose(claims)).cloned();
        let session_name = match read.as_ref().map(|claims| claims.get(session_name_claim)) {
            Ok(Some(Value::String(name))) => Ok(session_name(name)),
            Ok(Some(Value::Number(number))) => Ok(session_name(&number.to_string())),
            Ok(_) => Err(format!(
                "its token has no claim {session_name_claim:?} with a text, of which the session's name is made; set \
                 sessionNameClaim"
            )),
            Err(_) => Err("the claims of its token cannot be read: a text, a number or their depth is out of \
                           bounds"
                .to_owned()),
        };
        let digest = Digest::of(role.as_ref().map_or("", RoleArn::as_str).as_bytes());
        Chosen { role, digest, session_name }
    }

    /// Keys for a caller.
    pub(crate) async fn obtain(&self, proof: &Proof) -> Result<Obtained, Unavailable> {
        let AssumeRole { sts, scope, duration, .. } = &self.config;
        let refused = |why: String| {
            Err(Unavailable::Caller(format!("is refused for this caller: {why}").into()))
        };
        let chosen = self.chosen(&proof.claims);
        let name = match &chosen.session_name {
            Ok(name) => name,
            Err(why) => return refused(why.clone()),
        };
        let Some(role) = &chosen.role else {
            return refused(
                "nothing in roleMappings fits its token, and there is no fallbackRoleArn"
                    .to_owned(),
            );
        };
        let token = proof.token.expose();
        let assume = Assume { role, session_name: name, token, duration: *duration };
        match assume.ask(&self.fetcher, sts).await {
            Ok((keys, expires)) => {
                let lifetime = expires.duration_since(SystemTime::now()).unwrap_or_default();
                if lifetime.is_zero() {
                    let why =
                        "STS gives keys that have ended already; check the clock of this machine";
                    return Err(Unavailable::Source(format!("cannot be obtained: {why}").into()));
                }
                let lifetime = lifetime.min(*duration);
                let signer = Signer { keys, scope: scope.clone() };
                Ok(Obtained { shown: Shown::signed(signer), lifetime: Some(lifetime) })
            }
            Err(error) => {
                let why = told::line(&error.to_string(), &[token.to_owned()]);
                match error {
                    StsError::Refused { .. } => refused(why),
                    StsError::Fetch(_) | StsError::Away { .. } | StsError::Unusable(_) => {
                        Err(Unavailable::Source(format!("cannot be obtained: {why}").into()))
                    }
                }
            }
        }
    }
}

impl Signer {
    /// Gives the headers by which a request is signed.
    pub(crate) fn sign(
        &self,
        request: Outbound<'_>,
        mut put: impl FnMut(&HeaderName, &HeaderValue),
    ) {
        let Outbound { method, target, body } = request;
        match self.keys.sign(&self.scope, (method, target, body), SystemTime::now()) {
            Ok(headers) => headers.iter().for_each(|(name, value)| put(name, value)),
            // The backend refuses it, and says so.
            Err(error) => tracing::error!(%error, "a request goes out without a signature"),
        }
    }

    pub(crate) fn secrets(&self) -> Vec<&[u8]> {
        self.keys.secrets().map(str::as_bytes).collect()
    }
}

/// By their secrets, which are never the same twice.
impl PartialEq for Signer {
    fn eq(&self, other: &Self) -> bool {
        self.scope == other.scope && self.keys.secrets().eq(other.keys.secrets())
    }
}

impl Eq for Signer {}

impl fmt::Debug for AssumeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sts, scope, .. } = self;
        write!(f, "AssumeRole({sts}, {scope:?})")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vmcp_aws::{RoleArn, Rule, When};
    use vmcp_model::{Identity, Principal};

    use super::*;
    use crate::{Config, Credential};

    fn credential() -> Credential {
        let role =
            |name| RoleArn::parse(&format!("arn:aws:iam::123456789012:role/{name}")).unwrap();
        let rule = |name: &'static str| Rule {
            when: When::Has(name.into()),
            role: role(name),
            priority: None,
        };
        let rules = vec![rule("readers"), rule("admins")];
        let config = AssumeRole {
            sts: Uri::from_static("https://sts.example/"),
            ca_bundle: None,
            scope: Scope { region: "r".into(), service: "s".into() },
            roles: Arc::new(Roles::new(rules, None, "groups")),
            duration: Duration::from_secs(900),
            session_name_claim: "sub".to_owned(),
        };
        Credential::new(Config::Aws(Box::new(config)), Arc::new(|_work| {}))
    }

    fn caller(subject: &str, claims: &Value) -> Identity {
        let principal = Principal::Subject { issuer: "https://i".into(), subject: subject.into() };
        let claims = Claims::new(claims.to_string().into());
        Identity::proved(principal, Arc::new(Proof::new(claims, "token", u64::MAX)))
    }

    /// What a backend lists may depend on the role, and on nothing else of a token.
    #[test]
    fn callers_are_told_apart_by_who_they_are_and_by_their_role() {
        let credential = credential();
        let subject = |name: &str, claims: Value| credential.subject(&caller(name, &claims));
        let reader = subject("alice", json!({"groups": ["readers"], "iat": 1}));
        assert!(reader.is_some());
        assert_eq!(reader, subject("alice", json!({"groups": ["guests", "readers"], "iat": 2})));
        let others = [
            subject("alice", json!({"groups": ["admins"]})),
            subject("alice", json!({})),
            subject("bob", json!({"groups": ["readers"], "iat": 1})),
        ];
        assert!(!others.contains(&reader));
        assert_ne!(others[0], others[1]);
        // More claims than are remembered.
        for number in 0..REMEMBERED + 10 {
            subject("alice", json!({"groups": ["readers"], "iat": number}));
        }
        assert_eq!(reader, subject("alice", json!({"groups": ["readers"], "iat": 1})));
    }
}
