//! The image, the compose file and the Kubernetes manifests.

use std::fs;

use serde_json::{Value, json};
use vmcp_testkit::redis::RedisServer;

use super::{ENVIRONMENT, PASSWORD, argument, check_arguments, documents, read, texts, validate};

/// Redis takes the settings that it is given.
#[tokio::test]
async fn redis_starts_with_its_settings() {
    let redis = documents("deploy/kubernetes/redis.yaml");
    let settings = redis[0]["data"]["redis.conf"].as_str().unwrap();
    let server = RedisServer::with(settings).await.unwrap();
    let policy = server.say("CONFIG GET maxmemory-policy").await.unwrap();
    assert!(policy.contains("noeviction"), "{policy}");
    // Those of the compose file are the same, as arguments.
    let compose = read("deploy/compose/compose.yaml");
    for line in settings.lines().filter(|line| !line.starts_with("save")) {
        assert!(compose.contains(&format!("--{line}")), "{line}");
    }
}

/// What the image runs.
fn image_command(containerfile: &str) -> Vec<String> {
    let line = containerfile.lines().find_map(|line| line.strip_prefix("CMD "));
    serde_json::from_str(line.expect("there is a CMD")).unwrap()
}

#[test]
fn the_image_runs_what_there_is() {
    let text = read("deploy/Containerfile");
    let command = image_command(&text);
    let command: Vec<_> = command.iter().map(String::as_str).collect();
    check_arguments(&command);
    assert!(text.contains(&format!("\nEXPOSE {}\n", argument(&command, "--port"))));
    assert!(text.contains("\nUSER 1000:1000\n"), "not root");
    // What it is built with, and of what.
    let workspace = read("Cargo.toml");
    let version = workspace.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.unwrap().trim_matches('"');
    assert!(text.contains(&format!("/rust:{version}-")), "not Rust {version}");
    assert!(workspace.contains("[profile.dist]") && text.contains("--profile dist -p vmcp"));
    assert!(read(".dockerignore").lines().any(|line| line == "/target"));
}

#[test]
fn the_compose_file_fits_together() {
    let compose = documents("deploy/compose/compose.yaml").remove(0);
    let services = compose["services"].as_object().unwrap();
    for name in ["vmcp-1", "vmcp-2", "nginx", "redis"] {
        assert!(services.contains_key(name), "{name}");
    }
    let replica = &compose["x-vmcp"];
    assert_eq!(replica["build"]["dockerfile"], "deploy/Containerfile");
    for (name, _) in ENVIRONMENT {
        assert!(replica["environment"][name].is_string(), "{name}");
    }
    let command = image_command(&read("deploy/Containerfile"));
    let command: Vec<_> = command.iter().map(String::as_str).collect();
    let (file, port) = (argument(&command, "--config"), argument(&command, "--port"));
    assert_eq!(texts(&replica["volumes"]), [format!("./vmcp.yaml:{file}:ro")]);
    validate(&read("deploy/compose/vmcp.yaml"), &ENVIRONMENT);
    let nginx = read("deploy/compose/nginx.conf");
    for replica in ["vmcp-1", "vmcp-2"] {
        assert!(nginx.contains(&format!("server {replica}:{port} ")), "{replica}");
    }
    let published = texts(&services["nginx"]["ports"]);
    let inside = published[0].rsplit(':').next().unwrap();
    assert!(published[0].starts_with("127.0.0.1:"), "anonymous callers come from here only");
    assert!(nginx.contains(&format!("listen {inside};")));
    let grace = replica["stop_grace_period"].as_str().unwrap().trim_end_matches('s');
    assert!(grace.parse::<u64>().unwrap() >= 20, "the drain takes 10 s, and the end some more");
}

/// As docs/kubernetes.md and the head of the file say it.
#[test]
fn the_manifests_for_discovery_fit_those_of_vmcp() {
    let all = documents("deploy/kubernetes/vmcp.yaml");
    let discovery = documents("deploy/kubernetes/discovery.yaml");
    let of = |kind: &str| discovery.iter().find(|one| one["kind"] == kind).expect(kind);
    let deployment = all.iter().find(|one| one["kind"] == "Deployment").unwrap();
    let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
    let (role, binding) = (of("Role"), of("RoleBinding"));
    assert_eq!(binding["subjects"][0]["name"], *account);
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    let rules = role["rules"].as_array().unwrap();
    let resources: Vec<_> = rules.iter().flat_map(|rule| texts(&rule["resources"])).collect();
    let needed = [
        "mcpgroups",
        "mcpservers",
        "mcpremoteproxies",
        "mcpserverentries",
        "mcpexternalauthconfigs",
        "secrets",
        "configmaps",
    ];
    assert_eq!(resources, needed);
    for rule in rules {
        assert_eq!(texts(&rule["verbs"]), ["get", "list", "watch"]);
    }
    assert!(read("deploy/kubernetes/vmcp.yaml").contains("automountServiceAccountToken: false"));
}

#[test]
fn the_manifests_fit_together() {
    let all = documents("deploy/kubernetes/vmcp.yaml");
    let redis = documents("deploy/kubernetes/redis.yaml");
    let of = |kind: &str| all.iter().find(|one| one["kind"] == kind).expect(kind);
    for one in all.iter().chain(&redis) {
        assert!(one["apiVersion"].is_string() && one["metadata"]["name"].is_string(), "{one}");
    }
    let (deployment, service) = (&of("Deployment")["spec"], &of("Service")["spec"]);
    let pod = &deployment["template"]["spec"];
    let labels = &deployment["template"]["metadata"]["labels"];
    assert_eq!(deployment["replicas"], 2);
    assert_eq!(service["sessionAffinity"], "None");
    for selector in [
        &deployment["selector"]["matchLabels"],
        &service["selector"],
        &of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &of("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }

    let container = &pod["containers"][0];
    let arguments = texts(&container["args"]);
    check_arguments(&arguments);
    let port = &container["ports"][0];
    assert_eq!(port["containerPort"].to_string(), argument(&arguments, "--port"));
    assert_eq!(service["ports"][0]["targetPort"], port["name"]);
    for (probe, path) in [("livenessProbe", "/health"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": port["name"]}));
    }

    let config = of("ConfigMap")["data"]["config.yaml"].as_str().unwrap();
    let mounted = |volume: &str| {
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["name"] == volume).unwrap();
        mount["mountPath"].as_str().unwrap().to_owned()
    };
    assert_eq!(argument(&arguments, "--config"), format!("{}/config.yaml", mounted("config")));
    // The Secrets that the commands at the top of the file make.
    let creation = read("deploy/kubernetes/vmcp.yaml");
    let made = |secret: &str, key: &str| {
        assert!(creation.contains(&format!("generic {secret} --from-literal={key}=")), "{secret}");
    };
    let keys = &container["env"][0];
    assert_eq!(keys["name"], ENVIRONMENT[0].0);
    let reference = &keys["valueFrom"]["secretKeyRef"];
    made(reference["name"].as_str().unwrap(), reference["key"].as_str().unwrap());
    let volumes = pod["volumes"].as_array().unwrap();
    let password = &volumes.iter().find(|one| one["name"] == "redis").unwrap()["secret"];
    let (name, item) = (&password["secretName"], &password["items"][0]);
    made(name.as_str().unwrap(), item["key"].as_str().unwrap());
    let secrets = tempfile::tempdir().unwrap();
    fs::write(secrets.path().join(item["path"].as_str().unwrap()), PASSWORD).unwrap();
    let config = config.replace(&mounted("redis"), &secrets.path().to_string_lossy());
    validate(&config, &ENVIRONMENT[..1]);

    // Calls under way have their time before the end comes by force.
    let seconds = |value: &Value| value.as_u64().unwrap();
    let pause = seconds(&container["lifecycle"]["preStop"]["sleep"]["seconds"]);
    let drain = config.split("drainTimeout: ").nth(1).unwrap().split('s').next().unwrap();
    let needed = pause + drain.parse::<u64>().unwrap() + 10;
    assert!(seconds(&pod["terminationGracePeriodSeconds"]) >= needed, "needs {needed} s");

    let set = redis.iter().find(|one| one["kind"] == "StatefulSet").unwrap();
    let service = redis.iter().find(|one| one["kind"] == "Service").unwrap();
    let address = format!(
        "{}:{}",
        service["metadata"]["name"].as_str().unwrap(),
        service["spec"]["ports"][0]["port"]
    );
    assert!(config.contains(&format!("address: {address}\n")), "{address}");
    assert_eq!(service["spec"]["selector"], set["spec"]["template"]["metadata"]["labels"]);
    let secret = &set["spec"]["template"]["spec"]["containers"][0]["env"][0]["valueFrom"];
    assert_eq!(secret["secretKeyRef"], json!({"name": name, "key": item["key"]}));
}
