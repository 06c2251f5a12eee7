//! The merged view: what is advertised, and where each entry leads.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    fmt,
    sync::OnceLock,
};

use bytes::Bytes;
use vmcp_model::{BackendId, Digest, Kind, Method, Mirror, legacy, linked};

use crate::{
    contents::{Contents, Entry},
    cursor::{self, InvalidCursor},
    pages::Pages,
    route::{Reach, Route},
    spelling::{self, Candidates, Spellings},
    stored::InvalidCatalog,
    template::{Matcher, Steps},
};

/// The merged, conflict-resolved offers. Immutable; equal catalogs have equal digests.
///
/// Everything speaks of what is listed, but for [`Catalog::find`], which reaches as far as it is told.
///
/// Lookups by key cost one hash and no allocation, and a page is a clone of shared bytes.
pub struct Catalog {
    digest: Digest,
    contents: Contents,
    /// What is listed. In the order of [`Kind::ALL`], as the entries are.
    pages: [Pages; 4],
    /// Made when it is first needed.
    spellings: OnceLock<Spellings>,
    /// The places of the tools whose definitions name resources, by URI. Made when it is first needed.
    links: OnceLock<HashMap<String, usize>>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The whole result object of the list method, as compact as the items allow:
    /// `{"tools":[...],"nextCursor":"..."}`. The list's member comes first; `nextCursor` is absent
    /// on the last page.
    pub json: Bytes,
}

/// Which advertised lists differ between two catalogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    pub tools: bool,
    /// Resources or resource templates, which are announced together.
    pub resources: bool,
    pub prompts: bool,
}

impl Catalog {
    pub(crate) fn new(mut contents: Contents) -> Self {
        contents.arrange();
        let digest = Digest::of(&contents.to_bytes());
        let page_size = contents.page_size;
        for tool in &mut contents.entries[place_of(Kind::Tool)] {
            // A tool of a modern backend whose marks are not allowed was not offered; a legacy one
            // may mean something else by them.
            tool.route.is_wrapped = legacy::is_wrapped(&tool.json);
            tool.route.mirrors = Mirror::of_tool(&tool.json).unwrap_or_default().into();
        }
        let pages = Kind::ALL.map(|kind| {
            Pages::render(kind, &digest, page_size, &mut contents.entries[place_of(kind)])
        });
        Self { digest, contents, pages, spellings: OnceLock::new(), links: OnceLock::new() }
    }

    /// The hash of everything that a client or a router can see: the [`Digest`] of
    /// [`Catalog::to_bytes`].
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Where an entry leads, for who reaches so far. The keys of a kind are distinct, however far away
    /// they are.
    pub fn find(&self, kind: Kind, key: &str, within: Reach) -> Option<&Route> {
        let entry = self.entry(kind, key)?;
        (entry.reach <= within).then_some(&entry.route)
    }

    /// An entry by its key, however far away it is.
    pub(crate) fn entry(&self, kind: Kind, key: &str) -> Option<&Entry> {
        let place = self.pages[place_of(kind)].place(key)?;
        Some(&self.all(kind)[place])
    }

    /// Where a call of this tool goes.
    pub fn tool(&self, name: &str) -> Option<&Route> {
        self.listed(Kind::Tool, name)
    }

    /// Where a request for this prompt goes.
    pub fn prompt(&self, name: &str) -> Option<&Route> {
        self.listed(Kind::Prompt, name)
    }

    /// Where a request for this URI goes: to the backend that lists it, as a resource or literally
    /// as a template; otherwise to the first one, in the order of the list, whose template could
    /// expand to it. The route of a template holds the template; what to ask for is `uri` itself.
    /// Takes a bounded time for each backend, whatever its templates are.
    pub fn resource(&self, uri: &str) -> Option<&Route> {
        self.listed(Kind::Resource, uri).or_else(|| self.template(uri)).or_else(|| {
            let (mut matcher, mut budgets) = (Matcher::new(uri), self.budgets());
            let fits = |entry: &&Entry| {
                let steps = self.budget(&mut budgets, entry);
                steps.is_some_and(|steps| matcher.fits(&entry.key, steps))
            };
            Some(&self.entries(Kind::ResourceTemplate).iter().find(fits)?.route)
        })
    }

    /// The texts of all templates that could expand to a URI.
    pub fn templates_of(&self, uri: &str) -> Vec<&str> {
        let (mut matcher, mut budgets) = (Matcher::new(uri), self.budgets());
        let fits = |entry: &&Entry| {
            let steps = self.budget(&mut budgets, entry);
            steps.is_some_and(|steps| matcher.fits(&entry.key, steps))
        };
        self.entries(Kind::ResourceTemplate).iter().filter(fits).map(|entry| &*entry.key).collect()
    }

    /// Whether a list has this very URI.
    pub fn lists(&self, uri: &str) -> bool {
        self.listed(Kind::Resource, uri).is_some()
    }

    /// The backend of the first of its tools whose definition names a resource.
    pub fn linked(&self, uri: &str) -> Option<&BackendId> {
        let tools = self.entries(Kind::Tool);
        let links = self.links.get_or_init(|| {
            let of_backends =
                tools.iter().enumerate().filter(|(_, tool)| tool.route.backend().is_some());
            let named = of_backends.rev().flat_map(|(place, tool)| {
                linked::of_object(&tool.json).into_iter().map(move |uri| (uri, place))
            });
            named.collect()
        });
        links.get(uri).and_then(|place| tools[*place].route.backend())
    }

    /// A URI as its backend writes it, if it leads nowhere as it stands but only differs in how it is
    /// written.
    pub fn spelled(&self, uri: &str) -> Option<Cow<'_, str>> {
        if self.resource(uri).is_some() {
            return None;
        }
        if let Some(listed) = self.listed_as(uri) {
            return Some(Cow::Borrowed(listed));
        }
        let plain = spelling::decoded(uri);
        let (mut candidates, mut budgets) = (Candidates::of(uri, &plain)?, self.budgets());
        let mut spelled = self.entries(Kind::ResourceTemplate).iter().filter_map(|entry| {
            candidates.as_template(&entry.key, self.budget(&mut budgets, entry)?)
        });
        spelled.next().map(Cow::Owned)
    }

    /// The listed resource that a URI means, however either is written.
    pub fn listed_as(&self, uri: &str) -> Option<&str> {
        let spellings = self.spellings.get_or_init(|| Spellings::of(self.keys(Kind::Resource)));
        Some(&self.entries(Kind::Resource)[spellings.place(uri)?].key)
    }

    /// The only backend that has resources or templates, if there is just one.
    pub fn sole_with_resources(&self) -> Option<&BackendId> {
        let kinds = [Kind::Resource, Kind::ResourceTemplate];
        let entries = kinds.into_iter().flat_map(|kind| self.entries(kind));
        let backends: BTreeSet<_> = entries.filter_map(|entry| entry.route.backend()).collect();
        backends.first().copied().filter(|_| backends.len() == 1)
    }

    /// Where a template leads, by its own text.
    pub fn template(&self, uri_template: &str) -> Option<&Route> {
        self.listed(Kind::ResourceTemplate, uri_template)
    }

    /// One page of a list. Without a cursor, or with an empty one, it is the first.
    ///
    /// # Errors
    /// If the cursor was not given out for this list of a catalog with this digest.
    pub fn page(&self, kind: Kind, cursor: Option<&str>) -> Result<Page, InvalidCursor> {
        let offset = match cursor {
            None | Some("") => 0,
            Some(cursor) => cursor::decode(kind, &self.digest, cursor)?,
        };
        let json = self.pages[place_of(kind)].at(offset).ok_or(InvalidCursor)?.clone();
        Ok(Page { json })
    }

    /// How many entries of a kind are listed.
    pub fn len(&self, kind: Kind) -> usize {
        self.entries(kind).len()
    }

    /// How many listed entries of a kind one backend has.
    pub fn count_of(&self, kind: Kind, backend: &BackendId) -> usize {
        self.entries(kind).iter().filter(|entry| entry.route.backend() == Some(backend)).count()
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        let of_entry = |entry: &Entry| entry.json.len() + entry.key.len() + size_of::<Entry>();
        Kind::ALL.into_iter().flat_map(|kind| self.all(kind)).map(of_entry).sum()
    }

    /// Whether nothing of any kind is listed.
    pub fn is_empty(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.len(kind) == 0)
    }

    /// The exposed names or URIs of a kind, in the order of its list.
    pub fn keys(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.entries(kind).iter().map(|entry| &*entry.key)
    }

    /// The backends whose offers were merged, sorted, those with an empty offer included.
    pub fn backends(&self) -> &[BackendId] {
        &self.contents.backends
    }

    /// The `capabilities` object that vmcp declares for all of them.
    pub fn capabilities(&self) -> &Bytes {
        &self.contents.capabilities
    }

    /// The instructions of all of them.
    pub fn instructions(&self) -> Option<&str> {
        self.contents.instructions.as_deref()
    }

    /// The form in which a catalog is stored: JSON with a version. Equal catalogs have equal bytes.
    pub fn to_bytes(&self) -> Bytes {
        self.contents.to_bytes()
    }

    /// Reads the stored form. What it returns has the digest of `bytes`.
    ///
    /// # Errors
    /// If this is not, to the byte, what [`Catalog::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidCatalog> {
        Contents::from_bytes(bytes).map(Self::new)
    }

    /// Which lists a client would find changed if this catalog took the place of `other`.
    pub fn changed(&self, other: &Self) -> Changed {
        let differs = |kind| {
            let (ours, theirs) = (self.entries(kind), other.entries(kind));
            let advertised = |entry: &Entry| entry.json.clone();
            self.digest != other.digest
                && !ours.iter().map(advertised).eq(theirs.iter().map(advertised))
        };
        Changed {
            tools: differs(Kind::Tool),
            resources: differs(Kind::Resource) || differs(Kind::ResourceTemplate),
            prompts: differs(Kind::Prompt),
        }
    }

    fn listed(&self, kind: Kind, key: &str) -> Option<&Route> {
        self.find(kind, key, Reach::Listed)
    }

    /// What comparing a URI with the templates of each backend may cost, in the order of the backends:
    /// none of them uses up what another one's templates need.
    fn budgets(&self) -> Vec<Steps> {
        vec![Steps::new(); self.contents.backends.len()]
    }

    fn budget<'a>(&self, budgets: &'a mut [Steps], entry: &Entry) -> Option<&'a mut Steps> {
        let place = self.contents.backends.binary_search(entry.route.backend()?).ok()?;
        budgets.get_mut(place)
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What is listed of a kind, in the order of its list.
    fn entries(&self, kind: Kind) -> &[Entry] {
        &self.all(kind)[..self.pages[place_of(kind)].listed()]
    }

    /// Everything of a kind: what is listed, then the rest.
    pub(crate) fn all(&self, kind: Kind) -> &[Entry] {
        &self.contents.entries[place_of(kind)]
    }
}

impl PartialEq for Catalog {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Catalog {}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Catalog");
        shown.field("digest", &self.digest);
        for kind in Kind::ALL {
            shown.field(kind.list_member(), &self.len(kind));
        }
        shown.finish_non_exhaustive()
    }
}

/// The place of a kind in [`Kind::ALL`].
const fn place_of(kind: Kind) -> usize {
    match kind {
        Kind::Tool => 0,
        Kind::Resource => 1,
        Kind::ResourceTemplate => 2,
        Kind::Prompt => 3,
    }
}

impl Changed {
    /// The notifications that announce it.
    pub fn announcements(self) -> impl Iterator<Item = Method> {
        [
            (self.tools, Method::ToolsListChanged),
            (self.resources, Method::ResourcesListChanged),
            (self.prompts, Method::PromptsListChanged),
        ]
        .into_iter()
        .filter_map(|(changed, method)| changed.then_some(method))
    }

    /// Whether any list differs.
    pub fn any(self) -> bool {
        self.tools || self.resources || self.prompts
    }
}
