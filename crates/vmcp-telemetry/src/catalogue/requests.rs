//! Metrics of the requests of clients.

super::metrics! {
    SERVER_DURATION: Histogram "mcp.server.operation.duration" ["s"]
        {"mcp.method.name", "mcp.protocol.version", "network.transport", "error.type", "gen_ai.operation.name",
         "gen_ai.tool.name", "gen_ai.prompt.name"}
        "Time from a message of a client until its answer has ended. \
         `error.type` is the code of an error of the backend, `tool_error` for a result that says so, a reason of \
         vmcp's own, or `abandoned` if nobody waited for the answer. Calls of tools have a `gen_ai.tool.name`";
    CLIENT_DURATION: Histogram "mcp.client.operation.duration" ["s"]
        {"mcp.method.name", "error.type", "target.workload_name"}
        "Time from when a message is sent to its backend, for the last time if several, until that begins to \
         answer, or until the end if it does not. Of messages of clients only. Those that have an `error.type` other \
         than `tool_error` got no result";
    REQUESTS: Counter "toolhive_mcp_requests" ["{request}"]
        {"method", "status_code", "status", "mcp_method", "mcp_resource_id", "server", "transport"}
        "HTTP requests to the MCP endpoint. `method` is that of HTTP; `status` is `error` for whatever has an \
         `error.type` in mcp.server.operation.duration; `mcp_resource_id` is a tool or a prompt, never a URI. \
         Not there with `useLegacyAttributes: false`";
    REQUEST_DURATION: Histogram "toolhive_mcp_request_duration" ["s"]
        {"method", "status_code", "status", "mcp_method", "mcp_resource_id", "server", "transport"}
        "Time from an HTTP request to the MCP endpoint until its answer has ended, which of a stream may be days. \
         Not there with `useLegacyAttributes: false`";
    TOOL_CALLS: Counter "toolhive_mcp_tool_calls" ["{call}"] {"server", "tool", "status"}
        "Calls of tools that exist and that the caller may use. `status` is `error` also if the result says so. \
         Not there with `useLegacyAttributes: false`";
    BACKEND_REQUESTS: Counter "toolhive_vmcp_backend_requests" ["{request}"]
        {"target.workload_id", "target.workload_name", "action", "mcp.method.name", "tool_name",
         "gen_ai.tool.name", "prompt_name", "gen_ai.prompt.name"}
        "Messages of clients that were sent to a backend. Not there with `useLegacyAttributes: false`";
    BACKEND_ERRORS: Counter "toolhive_vmcp_backend_errors" ["{request}"]
        {"target.workload_id", "target.workload_name", "action", "mcp.method.name", "tool_name",
         "gen_ai.tool.name", "prompt_name", "gen_ai.prompt.name"}
        "Those of toolhive_vmcp_backend_requests that got no result. A result that says that the tool has failed \
         is one. Not there with `useLegacyAttributes: false`";
    BACKEND_DURATION: Histogram "toolhive_vmcp_backend_requests_duration" ["s"]
        {"target.workload_id", "target.workload_name", "action", "mcp.method.name", "tool_name",
         "gen_ai.tool.name", "prompt_name", "gen_ai.prompt.name"}
        "As mcp.client.operation.duration, with tools and prompts. Not there with `useLegacyAttributes: false`";
    SERIES: Gauge "vmcp.metrics.series" ["{series}"] {}
        "Series of requests that are told apart: by method, revision, backend, tool or prompt, and how they ended. \
         One for each backend, method and end that stands for those that are folded is among them";
    SERIES_DROPPED: Counter "vmcp.metrics.series.dropped" ["{series}"] {}
        "Series of requests that were folded into `other`, because there were too many and they were unused longest";
}
