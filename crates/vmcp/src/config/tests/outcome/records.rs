//! What is told of what was done, as text.

use vmcp_audit::Settings;

use super::super::super::{Audit, Otlp, Prometheus, Sent, Telemetry};

pub(super) fn of_telemetry(telemetry: &Telemetry) -> Vec<String> {
    let Telemetry { prometheus, otlp, resource, legacy, max_series } = telemetry;
    let mut lines = vec![format!("telemetry of {resource:?} legacy {legacy} series {max_series}")];
    if let Some(Prometheus { to_clients, port }) = prometheus {
        lines.push(format!("prometheus to clients {to_clients} port {port:?}"));
    }
    if let Some(Otlp { traces, metrics, logs, headers, ca_bundle, timeout }) = otlp {
        let ca = ca_bundle.as_ref().map_or(0, |bytes| bytes.len());
        lines.push(format!("otlp with {} ca {ca} timeout {timeout:?}", super::fixed(headers)));
        lines.extend(logs.iter().map(|to| format!("records to {to}")));
        if let Some(Sent { to, what }) = traces {
            lines.push(format!("traces to {to} rate {what}"));
        }
        if let Some(Sent { to, what }) = metrics {
            lines.push(format!("metrics to {to} each {what:?}"));
        }
    }
    lines
}

pub(super) fn of_audit(audit: &Audit) -> String {
    let Audit { settings, sends } = audit;
    let Settings {
        component,
        endpoint,
        event_types,
        exclude,
        include_request_data,
        include_response_data,
        max_data_size,
        detect_application_errors,
        max_delegation_depth,
        output,
        overflow,
        queue,
        queue_bytes,
        rotate_at,
        keep,
    } = settings;
    format!(
        "audit {component} of {endpoint} {event_types:?} without {exclude:?} requests {include_request_data} \
         responses {include_response_data} at most {max_data_size} application errors \
         {detect_application_errors} depth {max_delegation_depth} to {output:?} {overflow:?} queue {queue} of \
         {queue_bytes} rotates {rotate_at:?} keeps {keep} sends {sends}"
    )
}
