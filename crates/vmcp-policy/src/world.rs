//! The entities: those of the configuration, and those that a request makes.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityUid, EvalResult, entities_errors::EntitiesError};

use crate::{
    kinds::{self, Action, Kinds},
    settings::Settings,
};

/// All that is there before anybody asks.
pub(crate) struct World {
    pub(crate) kinds: Kinds,
    /// The entities of the actions, in the order of [`Action::ALL`].
    actions: Vec<Entity>,
    entities: Entities,
    /// What the configured entities name, themselves included.
    pub(crate) named: HashSet<EntityUid>,
    server: EntityUid,
}

impl World {
    /// Puts all configured backends into this server.
    ///
    /// # Errors
    /// If this server is in one of them.
    pub(crate) fn new(
        settings: &Settings,
        kinds: Kinds,
        entities: Entities,
    ) -> Result<Self, Box<EntitiesError>> {
        let server = kinds::uid(&kinds.server, &settings.server);
        let backends = entities.iter().filter(|entity| entity.uid().type_name() == &kinds.backend);
        let backends: Vec<Entity> =
            backends.map(|backend| with_parent(backend, &server)).collect::<Result<_, _>>()?;
        let entities = entities.upsert_entities(backends, None).map_err(Box::new)?;
        let mut named = HashSet::new();
        for entity in entities.iter() {
            named.insert(entity.uid());
            named.extend(ancestors(&entities, &entity.uid()));
            mentioned(entity).for_each(|uid| {
                named.insert(uid);
            });
        }
        Ok(Self {
            actions: Action::ALL.iter().map(|action| action.entity(&kinds)).collect(),
            kinds,
            entities,
            named,
            server,
        })
    }

    pub(crate) fn action(&self, action: Action) -> &Entity {
        &self.actions[action as usize]
    }

    /// What something is in that is in these.
    pub(crate) fn above(&self, parents: impl IntoIterator<Item = EntityUid>) -> HashSet<EntityUid> {
        let mut above = HashSet::new();
        for parent in parents {
            above.extend(ancestors(&self.entities, &parent));
            above.insert(parent);
        }
        above
    }

    /// What something of a backend is in; `None` stands for vmcp's own.
    pub(crate) fn above_backend(&self, backend: Option<&str>) -> HashSet<EntityUid> {
        let backend = backend.map(|id| kinds::uid(&self.kinds.backend, id));
        self.above(backend.into_iter().chain([self.server.clone()]))
    }

    /// The entities that can be looked into by somebody who knows these.
    pub(crate) fn reachable(&self, from: Vec<EntityUid>) -> Vec<Entity> {
        let mut waiting = from;
        let mut found: HashMap<EntityUid, Entity> = HashMap::new();
        while let Some(uid) = waiting.pop() {
            if found.contains_key(&uid) {
                continue;
            }
            if let Some(entity) = self.entities.get(&uid) {
                waiting.extend(mentioned(entity));
                found.insert(uid, entity.clone());
            } else if uid.type_name() == &self.kinds.backend {
                let above = self.above([self.server.clone()]);
                found.insert(uid.clone(), Entity::new_no_attrs(uid, above));
            }
        }
        found.into_values().collect()
    }
}

/// An entity with one parent more.
fn with_parent(entity: &Entity, parent: &EntityUid) -> Result<Entity, Box<EntitiesError>> {
    let mut entity = entity.to_json_value().map_err(Box::new)?;
    let parent = parent.to_json_value().map_err(|error| Box::new(error.into()))?;
    if let Some(parents) = entity["parents"].as_array_mut() {
        parents.push(parent);
    }
    Entity::from_json_value(entity, None).map_err(Box::new)
}

fn ancestors<'a>(entities: &'a Entities, uid: &EntityUid) -> impl Iterator<Item = EntityUid> + 'a {
    entities.ancestors(uid).into_iter().flatten().cloned()
}

/// The entities that an entity's attributes and tags name.
fn mentioned(entity: &Entity) -> impl Iterator<Item = EntityUid> {
    let mut uids = Vec::new();
    let values = entity.attrs().chain(entity.tags()).filter_map(|(_, value)| value.ok());
    values.for_each(|value| collect(&value, &mut uids));
    uids.into_iter()
}

fn collect(value: &EvalResult, uids: &mut Vec<EntityUid>) {
    match value {
        EvalResult::EntityUid(uid) => uids.push(uid.clone()),
        EvalResult::Set(items) => items.iter().for_each(|item| collect(item, uids)),
        EvalResult::Record(fields) => fields.iter().for_each(|(_, value)| collect(value, uids)),
        EvalResult::Bool(_)
        | EvalResult::Long(_)
        | EvalResult::String(_)
        | EvalResult::ExtensionValue(_) => {}
    }
}
