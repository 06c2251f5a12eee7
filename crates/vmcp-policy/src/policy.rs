//! The policies, ready to be asked.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use cedar_policy::EntityUid;
use serde_json::Value;
use vmcp_model::Digest;

use crate::{
    arguments::{self, Attributes, Wanted},
    asked::Asked,
    condition::Condition,
    decision::{Decision, Right},
    extent, groups,
    judge::{self, Known, Stage, Verdict},
    kinds::{self, Action},
    object::{Feature, Object},
    parse,
    problem::Problem,
    reads::{OfContext, Reads},
    right::{Chances, Question},
    rule::{Constraint, ReadOfCallers, Rule},
    settings::Settings,
    subject::{Caller, Callers, NoSubject, Subject},
    warnings,
    world::World,
};

/// All policies and what belongs to them, read and checked.
pub struct Policy {
    settings: Settings,
    digest: Digest,
    world: World,
    rules: Vec<Rule>,
    /// Which policies are about an action, in the order of [`Action::ALL`].
    by_action: Vec<ByResource>,
    read: ReadOfCallers,
    /// Every entity that policies or configured entities name.
    named: HashSet<EntityUid>,
    /// A resource that is not among them.
    unnamed: EntityUid,
    /// Some policy is so deep that a thread's stack may not be enough.
    needs_room: bool,
}

/// Bytes of stack for whoever reads policies, which goes as deep as they do; that of a thread need not be enough.
const STACK: usize = 32 << 20;

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Numbers of policies by the one resource that they are about.
#[derive(Default)]
struct ByResource {
    one: HashMap<EntityUid, Vec<usize>>,
    any: Vec<usize>,
}

impl Policy {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn new(settings: &Settings) -> Result<Self, Vec<Problem>> {
        stacker::grow(STACK, || Self::read(settings))
    }

    fn read(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let parse::Parsed { kinds, entities, policies } = parse::all(settings)?;
        let world = World::new(settings, kinds, entities)
            .map_err(|error| vec![parse::entities_problem((1, 1), &error)])?;
        let mut named = world.named.clone();
        named.extend(policies.iter().flat_map(|one| one.policy.entity_literals()));
        let made = policies
            .into_iter()
            .enumerate()
            .map(|(number, one)| Rule::new(number, one.name, &one.policy, &world));
        let (rules, reads): (Vec<Rule>, Vec<Reads>) = made.unzip();
        let by_action = Action::ALL.iter().map(|action| by_resource(&world, &rules, *action));
        Ok(Self {
            digest: settings.digest(),
            settings: settings.clone(),
            by_action: by_action.collect(),
            read: ReadOfCallers::of(&reads),
            unnamed: unnamed(&world, &named),
            needs_room: settings.policies.iter().any(|text| extent::is_deep(text)),
            named,
            rules,
            world,
        })
    }

    /// Equal settings have equal digests.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many policies there are.
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// The groups of a caller with these claims (a JSON object), as they are looked for.
    pub fn groups(&self, claims: &[u8]) -> Vec<String> {
        match serde_json::from_slice(claims) {
            Ok(Value::Object(claims)) => groups::of(&self.settings, &claims),
            _ => Vec::new(),
        }
    }

    /// What it is made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is odd about policies and entities although they can be read, such as a type, an action, an attribute
    /// or a backend that is never there. `backends` are the names of all backends.
    pub fn warnings(&self, backends: &[&str]) -> Vec<Problem> {
        stacker::grow(STACK, || warnings::of(&self.settings, &self.world, backends))
    }

    /// Whether some policy or entity names this backend, so that it may be told from others.
    pub fn names_backend(&self, id: &str) -> bool {
        self.named.contains(&kinds::uid(&self.world.kinds.backend, id))
    }

    /// A caller with these claims (a JSON object).
    ///
    /// # Errors
    /// If they say of nobody who it is.
    pub fn subject(&self, claims: &[u8]) -> Result<Subject, NoSubject> {
        let callers = Callers {
            settings: &self.settings,
            policy: self.digest,
            world: &self.world,
            rules: &self.rules,
            read: &self.read,
            named: &self.named,
        };
        self.with_room(|| callers.subject(claims))
    }

    /// Works on policies, with as much stack as they may need.
    fn with_room<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.needs_room { stacker::grow(STACK, work) } else { work() }
    }

    /// What a caller may do with something, whatever the arguments will be.
    pub fn right(&self, subject: &Subject, object: &Object<'_>) -> Right {
        self.with_room(|| self.right_here(subject, object))
    }

    fn right_here(&self, subject: &Subject, object: &Object<'_>) -> Right {
        let caller = &*subject.caller;
        if caller.policy != self.digest {
            return Right::Never;
        }
        match object.feature {
            Feature::Template { fits } => self.right_to_template(caller, object, fits),
            // There are no arguments.
            Feature::Resource { .. } if self.decide_here(subject, object, None).is_allowed => {
                Right::Always
            }
            Feature::Resource { .. } => Right::Never,
            Feature::Tool(_) | Feature::Prompt | Feature::Method => {
                let asked = Asked::new(&self.world, object);
                let rules = self.about(caller, &asked);
                self.question(caller, &asked, &rules).right()
            }
        }
    }

    /// Judges one use. `arguments` is a JSON object, if there is one. A resource has none.
    pub fn decide(
        &self,
        subject: &Subject,
        object: &Object<'_>,
        arguments: Option<&[u8]>,
    ) -> Decision {
        self.with_room(|| self.decide_here(subject, object, arguments))
    }

    fn decide_here(
        &self,
        subject: &Subject,
        object: &Object<'_>,
        arguments: Option<&[u8]>,
    ) -> Decision {
        let mut tally = Tally::default();
        if subject.caller.policy != self.digest {
            tally.errors.push("the caller was made for other policies".to_owned());
            return tally.decision();
        }
        for asked in self.asked(object) {
            self.judge(&subject.caller, &asked, arguments, &mut tally);
        }
        if let Feature::Resource { template: Some(template) } = object.feature {
            for asked in self.asked(&Object { name: template, ..*object }) {
                self.judge(&subject.caller, &asked, None, &mut tally);
            }
        }
        tally.decision()
    }

    /// What is asked for, by each of its names that policies may know: what forbids or permits any of them
    /// does so for it.
    fn asked(&self, object: &Object<'_>) -> impl Iterator<Item = Asked> {
        let asked = Asked::new(&self.world, object);
        let other = asked.plain_uid().filter(|uid| self.named.contains(uid));
        let other = other.map(|uid| Asked { uid, ..asked.clone() });
        [Some(asked), other].into_iter().flatten()
    }

    fn judge<'p>(
        &'p self,
        caller: &Caller,
        asked: &Asked,
        arguments: Option<&[u8]>,
        tally: &mut Tally<'p>,
    ) {
        let rules = self.about(caller, asked);
        let stage = self.stage(caller, asked, arguments, &rules);
        if let Err(error) = &stage {
            tally.errors.push(error.clone());
        }
        for rule in rules {
            let verdict = match (&rule.condition, &stage) {
                (None, _) => Verdict::Satisfied,
                (Some(condition), Ok(Some(stage))) => stage.verdict(condition),
                (Some(_), _) => Verdict::Unsatisfied,
            };
            tally.add(rule, verdict);
        }
    }

    /// What the conditions of these policies look at; `None` if there are none.
    fn stage(
        &self,
        caller: &Caller,
        asked: &Asked,
        arguments: Option<&[u8]>,
        rules: &[&Rule],
    ) -> Result<Option<Stage>, String> {
        let conditions: Vec<&Condition> = judge::conditions(rules).collect();
        if conditions.is_empty() {
            return Ok(None);
        }
        let reads_all =
            |condition: &&Condition| condition.context == OfContext::All || condition.is_unknown;
        let wanted = if conditions.iter().any(reads_all) {
            Wanted::All
        } else {
            Wanted::These(judge::named(conditions.iter().copied()))
        };
        let arguments = match arguments.filter(|_| asked.takes_arguments()) {
            Some(text) if !wanted.is_nothing() => arguments::attributes(text, &wanted)?,
            _ => Attributes::new(),
        };
        Stage::new(&self.world, caller, asked, &arguments, conditions, Known::All).map(Some)
    }

    /// The policies that are about this use, in their order.
    fn about(&self, caller: &Caller, asked: &Asked) -> Vec<&Rule> {
        let ByResource { one, any } = &self.by_action[asked.action as usize];
        let one = one.get(&asked.uid).map_or(&[][..], Vec::as_slice);
        let concerned = |number: &&usize| caller.concerns[**number];
        let mut numbers: Vec<usize> = one.iter().filter(concerned).copied().collect();
        let any = any.iter().filter(concerned).copied();
        numbers.extend(
            any.filter(|number| self.rules[*number].resource.holds(&asked.uid, &asked.ancestors)),
        );
        numbers.sort_unstable();
        numbers.into_iter().map(|number| &self.rules[number]).collect()
    }

    fn question<'a>(
        &'a self,
        caller: &'a Caller,
        asked: &'a Asked,
        rules: &'a [&'a Rule],
    ) -> Question<'a> {
        Question { world: &self.world, caller, asked, rules }
    }

    fn chances(&self, caller: &Caller, asked: &Asked) -> Chances {
        self.question(caller, asked, &self.about(caller, asked)).chances()
    }

    /// What a caller may do with the resources that a template stands for.
    fn right_to_template(
        &self,
        caller: &Caller,
        template: &Object<'_>,
        fits: &dyn Fn(&str) -> bool,
    ) -> Right {
        let itself: Vec<_> =
            self.asked(template).map(|asked| self.chances(caller, &asked)).collect();
        if itself.iter().any(|chances| chances.refused) {
            return Right::Never;
        }
        let kind = &self.world.kinds.resource;
        let named = self.named.iter().filter(|uid| uid.type_name() == kind);
        let unknown =
            |uid: &EntityUid| Asked::some_resource(&self.world, uid.clone(), template.backend);
        let named = named.filter_map(|uid| match uid.id().unescaped() {
            // Of which URI it is the plain name cannot be told.
            id if !id.contains(':') => Some(unknown(uid)),
            id if fits(id) => Some(Asked::new(&self.world, &Object { name: id, ..*template })),
            _ => None,
        });
        let mut each =
            named.chain([unknown(&self.unnamed)]).map(|asked| self.chances(caller, &asked));
        match itself.iter().any(|chances| chances.permitted) {
            true if each.all(|chances| !chances.refused) => Right::Always,
            true => Right::ByArguments,
            false if each.any(|chances| chances.allowed) => Right::ByArguments,
            false => Right::Never,
        }
    }
}

/// The policies that are about an action.
fn by_resource(world: &World, rules: &[Rule], action: Action) -> ByResource {
    let action = world.kinds.action(action);
    let mut numbers = ByResource::default();
    for (number, rule) in rules.iter().enumerate() {
        if rule.actions.as_ref().is_some_and(|actions| !actions.contains(&action)) {
            continue;
        }
        match &rule.resource {
            Constraint::Eq(uid) => numbers.one.entry(uid.clone()).or_default().push(number),
            _ => numbers.any.push(number),
        }
    }
    numbers
}

/// A resource that nothing names.
fn unnamed(world: &World, named: &HashSet<EntityUid>) -> EntityUid {
    let of = |number: usize| kinds::uid(&world.kinds.resource, &format!("unnamed:{number}"));
    let mut all = (0..).map(of);
    all.find(|uid| !named.contains(uid)).expect("there are more numbers than names")
}

/// What the policies say, one after another.
#[derive(Default)]
struct Tally<'a> {
    permits: Vec<&'a str>,
    forbids: Vec<&'a str>,
    errors: Vec<String>,
}

impl<'a> Tally<'a> {
    fn add(&mut self, rule: &'a Rule, verdict: Verdict) {
        match verdict {
            Verdict::Satisfied if rule.permits => self.permits.push(&rule.name),
            Verdict::Satisfied => self.forbids.push(&rule.name),
            Verdict::Unsatisfied => {}
            Verdict::Failed(error) => self.errors.push(format!("{}: {error}", rule.name)),
        }
    }

    fn decision(self) -> Decision {
        let Self { permits, forbids, errors } = self;
        let is_allowed = !permits.is_empty() && forbids.is_empty() && errors.is_empty();
        let decided = if is_allowed { permits } else { forbids };
        let policies = once_each(decided.into_iter().map(str::to_owned));
        Decision { is_allowed, policies, errors: once_each(errors) }
    }
}

/// What a resource and its template have in common is said once.
fn once_each(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| seen.insert(text.clone())).collect()
}
