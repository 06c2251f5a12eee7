//! The environment variables of OpenTelemetry, which say what the file does not.

use serde_json::Value;
use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    otlp::Receiver,
    peers,
    process::{Process, Program},
    raw::Running,
};

use super::Spans;

const KEY: &str = "a key, and a secret";

struct Fixture {
    backend: Running,
    receiver: Receiver,
    process: Process,
}

/// A gateway with this section `telemetry`, whose environment names a receiver.
async fn fixture(telemetry: &str, variables: &[(&str, &str)]) -> Fixture {
    let backend = peers::stateful().start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with(&format!("telemetry: {{{telemetry}}}\noperational: {{logLevel: debug}}"));
    let program = gateway
        .program(env!("CARGO_BIN_EXE_vmcp"))
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url());
    let set = |program: Program, (name, value): &(&str, &str)| program.environment(name, value);
    let process = variables.iter().fold(program, set).start().await.unwrap();
    Fixture { backend, receiver, process }
}

async fn call(process: &Process) {
    let client = Client::connect(&process.url()).await.unwrap();
    client.call("1", "a_count", "{}").await.unwrap().text().unwrap();
}

fn requests<'r>(received: &'r Value, path: &str) -> Vec<&'r Value> {
    let all = received["requests"].as_array().unwrap().iter();
    all.filter(|request| request["path"] == path).collect()
}

/// A header, whatever case its name has.
fn header<'r>(request: &'r Value, name: &str) -> Option<&'r str> {
    let headers = request["headers"].as_object().unwrap();
    let mut found = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    found.next().and_then(|(_, value)| value.as_str())
}

#[tokio::test]
async fn what_the_file_does_not_say_variables_do() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20key%2C%20and%20a%20secret, x-other = 1"),
        ("OTEL_SERVICE_NAME", "of the environment"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=a%2Cb,service.name=no"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    let telemetry = "tracingEnabled: true, metricsEnabled: true";
    let Fixture { backend: _backend, receiver, process } = fixture(telemetry, &variables).await;
    call(&process).await;
    // Every minute, if nothing says how often.
    receiver.until("metrics", |received| requests(received, "/v1/metrics").len() > 3).await;
    let log = process.log();
    assert!(process.terminate().await.unwrap().success());
    let received = receiver.received().await;
    for path in ["/v1/traces", "/v1/metrics"] {
        let requests = requests(&received, path);
        assert!(!requests.is_empty(), "{path}");
        for request in requests {
            assert_eq!(header(request, "x-key"), Some(KEY));
            assert_eq!(header(request, "x-other"), Some("1"));
        }
    }
    let spans = Spans::of(&received);
    // initialize, initialized, and the call.
    assert_eq!(spans.traces().len(), 3, "{:#?}", spans.0);
    for item in [&received["spans"][0], &received["metrics"][0]] {
        let resource = &item["resource"];
        assert_eq!(resource["service.name"], "of the environment");
        assert_eq!(resource["deployment.environment.name"], "test");
        assert_eq!(resource["team"], "a,b");
    }
    assert!(log.contains("DEBUG") && !log.contains("a key") && !log.contains("%20key"), "{log}");
}

#[tokio::test]
async fn samplers_are_those_of_the_specification() {
    for (sampler, argument, traces) in [
        ("always_on", "", 3),
        ("parentbased_always_on", "0", 3),
        ("always_off", "1", 0),
        ("parentbased_always_off", "", 0),
        ("traceidratio", "0", 0),
        ("traceidratio", "1", 3),
    ] {
        let variables = [("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        let Fixture { backend: _backend, receiver, process } =
            fixture("tracingEnabled: true", &variables).await;
        call(&process).await;
        assert!(process.terminate().await.unwrap().success());
        let spans = Spans::of(&receiver.received().await);
        assert_eq!(spans.traces().len(), traces, "{sampler} {argument}");
    }
}

/// No variable switches anything on, and the file says more than they do.
#[tokio::test]
async fn what_the_file_says_goes_before_variables() {
    let wanted = Receiver::start().await.unwrap();
    let telemetry = format!(
        "tracingEnabled: true, endpoint: '{}', samplingRate: '1', serviceName: of the file, \
         headers: {{X-Key: of the file}}, customAttributes: {{team: of the file}}",
        wanted.url()
    );
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=of%20the%20environment,x-other=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces"),
        ("OTEL_SERVICE_NAME", "of the environment"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=of the environment,region=here"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    let Fixture { backend: _backend, receiver, process } = fixture(&telemetry, &variables).await;
    call(&process).await;
    assert!(process.terminate().await.unwrap().success());
    let received = wanted.received().await;
    assert_eq!(Spans::of(&received).traces().len(), 3);
    let all = received["requests"].as_array().unwrap();
    for request in all {
        assert_eq!(request["path"], "/v1/traces");
        assert_eq!(header(request, "x-key"), Some("of the file"));
        assert_eq!(header(request, "x-other"), Some("1"));
    }
    let resource = &received["spans"][0]["resource"];
    assert_eq!(resource["service.name"], "of the file");
    assert_eq!((&resource["team"], &resource["region"]), (&"of the file".into(), &"here".into()));
    let elsewhere = receiver.received().await;
    assert!(elsewhere["requests"].as_array().unwrap().is_empty(), "{elsewhere:#}");
}
