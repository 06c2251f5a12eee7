//! The record of what callers do: `audit`.

use vmcp_audit::{EventType, Output, Overflow, Settings};

use super::{file, reader::Reader, suggest::did_you_mean};

/// What is recorded, and whether it is sent to the collector, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) settings: Settings,
    pub(crate) sends: bool,
}

/// Reads what is recorded of what callers do, and where. `None` if nothing is.
pub(super) fn read(reader: &Reader<'_>, endpoint: &str) -> Option<Audit> {
    let defaults = Settings::default();
    let sends = reader.flag("otlp").unwrap_or(false);
    let settings = Settings {
        component: reader.text("component").unwrap_or(defaults.component),
        endpoint: endpoint.to_owned(),
        event_types: types(reader, "eventTypes"),
        exclude: types(reader, "excludeEventTypes"),
        include_request_data: reader.flag("includeRequestData").unwrap_or(false),
        include_response_data: reader.flag("includeResponseData").unwrap_or(false),
        max_data_size: reader.count("maxDataSize"),
        detect_application_errors: reader.flag("detectApplicationErrors").unwrap_or(true),
        max_delegation_depth: reader.count("maxDelegationDepth"),
        output: output(reader, sends),
        overflow: reader
            .choice("onOverflow", &[Overflow::Drop, Overflow::Block])
            .unwrap_or(Overflow::Drop),
        queue: reader.count("queue"),
        rotate_at: u64::try_from(reader.size("maxFileBytes")).ok().filter(|bytes| *bytes > 0),
        keep: reader.count("keepFiles"),
        ..defaults
    };
    let is_on = reader.flag("enabled").unwrap_or(true);
    (reader.is_present() && is_on).then_some(Audit { settings, sends })
}

fn types(reader: &Reader<'_>, name: &str) -> Vec<EventType> {
    let texts = reader.texts(name).into_iter();
    let types = texts.filter_map(|(value, text)| {
        let found = EventType::from_name(&text);
        if found.is_none() {
            let names = EventType::ALL.into_iter().map(EventType::name);
            let hint = did_you_mean(&text, names.clone());
            let names = names.collect::<Vec<_>>().join(", ");
            let quoted = value.quoted();
            value.problem(format!("{quoted} is not a type of events{hint}; there are {names}"));
        }
        found
    });
    types.collect()
}

fn output(reader: &Reader<'_>, sends: bool) -> Output {
    let path = reader.value("logFile").and_then(|value| file::path(&value));
    let of_files = ["maxFileBytes", "keepFiles"];
    if path.is_none() && reader.value("logFile").is_none() {
        for value in of_files.iter().filter_map(|name| reader.value(name)) {
            value.problem("only takes effect with logFile");
        }
    }
    path.map_or(if sends { Output::Nowhere } else { Output::Stdout }, Output::File)
}
