//! Whether policies let a caller do what its request leads to.
//!
//! What is not allowed and what is not there are answered alike: nobody learns by asking what there is that
//! is not for them.

use bytes::Bytes;
use vmcp_catalog::{Admission, Catalog, Reach, Route, climbing_uri, normal_uri};
use vmcp_model::{BackendId, Kind, Method, raw::Members};
use vmcp_policy::{Decision, Feature, Hints, Object};
use vmcp_wire::{Fault, Message};

use crate::{
    caller::Caller,
    completion::Reference,
    resolve::Resolved,
    rights::{Grant, Granted, object_of},
    vmcp::Vmcp,
};

/// What a tool says of itself of which policies may beware.
const WORST: Hints = Hints {
    read_only: Some(false),
    destructive: Some(true),
    idempotent: Some(false),
    open_world: Some(true),
};

impl Vmcp {
    /// What was found for a request, if the policies let the caller do it.
    pub(crate) fn admit<'a>(
        &self,
        caller: &Caller<'a>,
        grant: &Grant,
        message: &'a Message,
        found: Result<Resolved<'a>, Fault>,
    ) -> Result<Resolved<'a>, Fault> {
        let Some(method) = message.method() else { return found };
        let asked = Asked { vmcp: self, caller, grant, message };
        if matches!(&found, Ok(Resolved::Backend(routed)) if routed.is_foreign) {
            return asked.other(found);
        }
        match method {
            Method::ToolsCall => asked.named(Kind::Tool, found),
            Method::PromptsGet => asked.named(Kind::Prompt, found),
            Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
                asked.resource(found)
            }
            Method::CompletionComplete => asked.completion(found),
            // Whose tasks a caller may ask for is found out where they are looked for.
            Method::TasksGet | Method::TasksCancel | Method::TasksResult | Method::TasksUpdate => {
                found.map_err(|fault| match fault {
                    Fault::InvalidParams(_) if message.params().task_id.is_some() => {
                        Fault::Denied("request")
                    }
                    fault => fault,
                })
            }
            Method::TasksList => found,
            _ => asked.other(found),
        }
    }
}

/// A request whose admission is asked for.
#[derive(Clone, Copy)]
struct Asked<'r, 'a> {
    vmcp: &'r Vmcp,
    caller: &'r Caller<'a>,
    grant: &'r Grant,
    message: &'a Message,
}

type Found<'a> = Result<Resolved<'a>, Fault>;

impl<'a> Asked<'_, 'a> {
    /// A call of a tool, or a request for a prompt.
    fn named(self, kind: Kind, found: Found<'a>) -> Found<'a> {
        let (feature, denied) = match kind {
            Kind::Tool => (Feature::Tool(Hints::default()), "call"),
            _ => (Feature::Prompt, "prompt"),
        };
        let params = self.message.params();
        let Some(name) = self.message.string(params.name.as_ref()) else { return found };
        let Some(item) = self.caller.catalog.item(kind, &name, self.caller.reach) else {
            let object = Object { feature, name: &name, backend: None };
            return self.unless_unknown(object, self.arguments().as_deref(), denied, found);
        };
        let is_allowed = match item.route.admission {
            Admission::Free => true,
            Admission::Judged => {
                let object = object_of(&item, &|_| false);
                self.grant.allows(&object, self.arguments().as_deref())
            }
        };
        if is_allowed { found } else { Err(Fault::Denied(denied)) }
    }

    /// A request about a resource.
    fn resource(self, found: Found<'a>) -> Found<'a> {
        let Some(uri) = self.message.string(self.message.params().uri.as_ref()) else {
            return found;
        };
        let Ok(Resolved::Backend(routed)) = &found else {
            let feature = Feature::Resource { template: None };
            let object = Object { feature, name: &uri, backend: None };
            return self.unless_unknown(object, None, "read", found);
        };
        // As its backend is asked for it.
        let uri = routed.target.as_deref().unwrap_or(&uri);
        let is_allowed = self.may_read(uri, routed.backend.id().as_str());
        if is_allowed { found } else { Err(Fault::Denied("read")) }
    }

    fn may_read(self, uri: &str, backend: &str) -> bool {
        let Caller { catalog, whole, .. } = *self.caller;
        let listed = catalog.item(Kind::Resource, uri, Reach::Listed);
        if listed.is_some_and(|item| item.route.admission == Admission::Free) {
            return true;
        }
        let judge = |object: &Object<'_>| self.grant.decide(object, None);
        readable(catalog, whole, &judge, uri, Some(backend)).is_allowed
    }

    /// A completion, which is judged as what it is for.
    fn completion(self, found: Found<'a>) -> Found<'a> {
        let Some(span) = self.message.params().reference.clone() else { return found };
        let text = self.message.slice(&span);
        let Ok(Reference { kind, name, uri, .. }) = Reference::read(&text) else { return found };
        match (kind.as_str(), name, uri) {
            ("ref/prompt", Some(name), _) => {
                if self.caller.find(Kind::Prompt, &name).is_some() {
                    return found;
                }
                let object = Object { feature: Feature::Prompt, name: &name, backend: None };
                self.unless_unknown(object, None, "request", found)
            }
            ("ref/resource", _, Some(uri)) => {
                if self.caller.find(Kind::ResourceTemplate, &uri).is_some() {
                    return found;
                }
                let Ok(Resolved::Backend(routed)) = &found else {
                    let feature = Feature::Resource { template: None };
                    let object = Object { feature, name: &uri, backend: None };
                    return self.unless_unknown(object, None, "request", found);
                };
                let is_allowed = self.may_read(&uri, routed.backend.id().as_str());
                if is_allowed { found } else { Err(Fault::Denied("request")) }
            }
            _ => found,
        }
    }

    /// A request that only its backend can mean something by.
    fn other(self, found: Found<'a>) -> Found<'a> {
        let Ok(Resolved::Backend(routed)) = &found else { return found };
        let name = self.message.method_name();
        let backend = Some(routed.backend.id().as_str());
        let object = Object { feature: Feature::Method, name: &name, backend };
        let params = params_of(self.message);
        let is_allowed = self.grant.allows(&object, params);
        if is_allowed { found } else { Err(Fault::Denied("request")) }
    }

    fn arguments(self) -> Option<Bytes> {
        let span = self.message.params().arguments.as_ref()?;
        Some(self.message.slice(span))
    }

    /// The failure to find something that the caller could use if it were there, whatever backend had it;
    /// otherwise it is denied, as it is if it is there.
    fn unless_unknown(
        self,
        object: Object<'_>,
        arguments: Option<&[u8]>,
        denied: &'static str,
        found: Found<'a>,
    ) -> Found<'a> {
        let known = self.vmcp.backends();
        let told_apart = known.iter().map(|backend| backend.id().as_str());
        let told_apart = told_apart.filter(|id| self.grant.names_backend(id));
        let mut places = std::iter::once(None).chain(told_apart.map(Some));
        let may_use = places.all(|backend| {
            let allows =
                |feature| self.grant.allows(&Object { feature, backend, ..object }, arguments);
            match object.feature {
                Feature::Tool(none) => allows(Feature::Tool(none)) && allows(Feature::Tool(WORST)),
                feature => allows(feature),
            }
        });
        match found {
            Err(fault) if may_use => Err(fault),
            _ => Err(Fault::Denied(denied)),
        }
    }
}

impl Granted {
    /// Whether the caller may read a resource, and so hear of it.
    pub fn may_read(&self, uri: &str) -> bool {
        let Some(grant) = &self.grant else { return true };
        let whole = &self.whole;
        let sole = match whole.backends() {
            [only] => Some(only),
            _ => None,
        };
        let backend = whole.resource(uri).and_then(Route::backend).or(sole);
        let judge = |object: &Object<'_>| grant.decide(object, None);
        let part = self.catalog();
        readable(part, whole, &judge, uri, backend.map(BackendId::as_str)).is_allowed
    }

    /// Whether a notification that no revision knows may go to the only backend there is.
    pub fn may_send(&self, notification: &Message) -> bool {
        let Some(grant) = &self.grant else { return true };
        // One of the protocol's that is none, such as a request without an id, means nothing good.
        if notification.method() != Some(Method::Other) {
            return false;
        }
        let backend = match self.whole.backends() {
            [only] => Some(only.as_str()),
            _ => None,
        };
        let name = notification.method_name();
        let object = Object { feature: Feature::Method, name: &name, backend };
        grant.allows(&object, params_of(notification))
    }

    /// What the backends say of how to use them, for a caller who may use something of each.
    pub fn instructions(&self) -> Option<&str> {
        let (whole, part) = (&self.whole, self.catalog());
        let is_left = |id: &BackendId| {
            let count = |catalog: &Catalog| -> usize {
                Kind::ALL.into_iter().map(|kind| catalog.count_of(kind, id)).sum()
            };
            count(part) > 0 || count(whole) == 0
        };
        let tells_of_all = self.grant.is_none() || whole.backends().iter().all(is_left);
        whole.instructions().filter(|_| tells_of_all)
    }
}

/// Whether a resource may be read, however its URI is written: by itself, as the template that leads to it,
/// and in its normal form. What forbids any template that could expand to it forbids it.
pub(crate) fn readable(
    part: &Catalog,
    whole: &Catalog,
    judge: &dyn Fn(&Object<'_>) -> Decision,
    uri: &str,
    backend: Option<&str>,
) -> Decision {
    let lists =
        |catalog: &Catalog, uri: &str| catalog.item(Kind::Resource, uri, Reach::Listed).is_some();
    let as_it_is = |uri: &str| {
        // What is in a list stands for itself, even if the caller is not shown that.
        let route = part.resource(uri).filter(|_| !lists(whole, uri));
        let template = route.and_then(Route::backend_name).filter(|template| *template != uri);
        judge(&Object { feature: Feature::Resource { template }, name: uri, backend })
    };
    let decision = as_it_is(uri);
    if !decision.is_allowed || lists(part, uri) {
        return decision;
    }
    // Another way to write it must not lead to what is denied.
    let normal = normal_uri(uri).filter(|normal| normal != uri);
    let climbing = climbing_uri(uri);
    let others =
        [normal.as_deref(), climbing.as_deref(), whole.listed_as(uri)].into_iter().flatten();
    let refused = others.map(as_it_is).find(|decision| !decision.is_allowed);
    let of_templates = whole.templates_of(uri).into_iter().map(|template| {
        let feature = Feature::Resource { template: None };
        judge(&Object { feature, name: template, backend })
    });
    let refuses = |decision: &Decision| {
        let has_reason = !decision.policies.is_empty() || !decision.errors.is_empty();
        !decision.is_allowed && has_reason
    };
    refused.or_else(|| of_templates.into_iter().find(refuses)).unwrap_or(decision)
}

/// The parameters of a request (JSON text).
fn params_of(message: &Message) -> Option<&[u8]> {
    Members::parse(message.text())?.value(message.text(), "params")
}
