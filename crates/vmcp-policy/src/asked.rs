//! What is asked for, as the entity that policies see.

use std::collections::HashSet;

use cedar_policy::{EntityId, EntityUid, RestrictedExpression};

use crate::{
    kinds::{self, Action},
    object::{Feature, Hints, Object},
    world::World,
};

/// What no name of a resource has in ToolHive.
const SYNTAX: [char; 9] = [':', '/', '\\', '?', '&', '=', '#', '.', ' '];

/// One thing and what is to be done with it.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) action: Action,
    pub(crate) uid: EntityUid,
    /// Whether its attributes are.
    pub(crate) is_known: bool,
    pub(crate) ancestors: HashSet<EntityUid>,
    pub(crate) attributes: Vec<(String, RestrictedExpression)>,
}

impl Asked {
    pub(crate) fn new(world: &World, object: &Object<'_>) -> Self {
        let action = match object.feature {
            Feature::Tool(_) => Action::Call,
            Feature::Prompt => Action::Get,
            Feature::Resource { .. } | Feature::Template { .. } => Action::Read,
            Feature::Method => Action::Send,
        };
        let mut asked = Self {
            action,
            uid: kinds::uid(world.kinds.of(action), object.name),
            is_known: true,
            ancestors: world.above_backend(object.backend),
            attributes: Vec::with_capacity(8),
        };
        asked.text("name", object.name);
        asked.text("operation", action.operation());
        asked.text("feature", action.feature());
        match object.feature {
            Feature::Tool(hints) => asked.hints(hints),
            Feature::Resource { .. } | Feature::Template { .. } => asked.text("uri", object.name),
            Feature::Prompt | Feature::Method => {}
        }
        asked
    }

    /// How ToolHive calls a resource: by its URI with `_` in the place of each letter that it takes for one of
    /// syntax.
    pub(crate) fn plain_uid(&self) -> Option<EntityUid> {
        if self.action != Action::Read {
            return None;
        }
        let plain = self.uid.id().unescaped().replace(SYNTAX, "_");
        Some(EntityUid::from_type_name_and_id(self.uid.type_name().clone(), EntityId::new(plain)))
    }

    /// A resource of which all but its URI is known.
    pub(crate) fn some_resource(world: &World, uid: EntityUid, backend: Option<&str>) -> Self {
        let mut asked = Self {
            action: Action::Read,
            uid,
            is_known: false,
            ancestors: world.above_backend(backend),
            attributes: Vec::with_capacity(4),
        };
        asked.text("operation", Action::Read.operation());
        asked.text("feature", Action::Read.feature());
        for name in ["name", "uri"] {
            asked.attributes.push((name.to_owned(), RestrictedExpression::new_unknown("uri")));
        }
        asked
    }

    /// Whether there can be arguments.
    pub(crate) fn takes_arguments(&self) -> bool {
        match self.action {
            Action::Call | Action::Get | Action::Send => true,
            Action::Read => false,
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        let text = RestrictedExpression::new_string(text.to_owned());
        self.attributes.push((name.to_owned(), text));
    }

    fn hints(&mut self, hints: Hints) {
        let Hints { read_only, destructive, idempotent, open_world } = hints;
        let hints = [
            ("readOnlyHint", read_only),
            ("destructiveHint", destructive),
            ("idempotentHint", idempotent),
            ("openWorldHint", open_world),
        ];
        for (name, hint) in hints {
            if let Some(hint) = hint {
                self.attributes.push((name.to_owned(), RestrictedExpression::new_bool(hint)));
            }
        }
    }
}
