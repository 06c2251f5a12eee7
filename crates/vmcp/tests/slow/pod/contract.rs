//! What a pod's surroundings rely on besides: rights, statuses of exit, and files that are exchanged.

use std::fs;

use super::{
    Backends,
    visit::{Caller, visit},
};

/// So that the other tests mean what they say.
#[tokio::test]
async fn a_pod_has_the_rights_of_a_pod() {
    let backends = Backends::start().await;
    let running = backends.pod("discovered").start().await;
    let pid = running.process.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in ["Uid:\t1000\t1000\t1000\t1000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{status}");
    }
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert_eq!(environment.iter().filter(|byte| **byte == 0).count(), 7);
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let options = |mount: &str| -> Option<String> {
        let fields: Vec<_> = mount.split(' ').collect();
        (!fields[4].starts_with("/proc") && !fields[4].starts_with("/dev/"))
            .then(|| fields[5].to_owned())
    };
    let options: Vec<_> = mounts.lines().filter_map(options).collect();
    assert!(!options.is_empty() && options.iter().all(|one| one.starts_with("ro")), "{mounts}");
}

#[tokio::test]
async fn a_file_that_cannot_be_served_ends_with_2() {
    let backends = Backends::start().await;
    let pod = backends.pod("manual");
    for (pod, told) in [
        (pod.clone().followed_by("operationl: {}\n"), "config.yaml:56:1: unknown key"),
        (pod.clone().edited("aggregation:", "aggregation: ["), "config.yaml:"),
        (pod.clone().edited("type: anonymous", "type: basic"), "config.yaml:23:"),
        (pod.elsewhere(), "/etc/vmcp-config/config.yaml"),
    ] {
        let (status, said) = pod.end().await;
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(said.contains(told), "{said}");
    }
}

/// A backend's phase is of the moment; what else changes is told once.
#[tokio::test]
async fn a_volume_that_is_exchanged_is_taken_up_once() {
    const DONE: &str = "the configuration has been reloaded";
    let backends = Backends::start().await;
    let pod = backends.pod("tool-config");
    let mut running = pod.start().await;
    let tools = ["maps.tally"];
    let mut visit = visit(&running.process, Caller::default(), &tools, &tools).await;
    let pod = pod.edited("workload_status: Ready", "workload_status: Pending");
    running.exchange(&pod);
    let log = running.process.logged(DONE).await;
    assert_eq!(log.matches(DONE).count(), 1, "{log}");
    let pod = pod.edited("tally", "score");
    running.exchange(&pod);
    visit.told().await;
    let listed = visit.legacy.request("3", "tools/list", "{}").await.unwrap();
    assert_eq!(listed.keys("tools", "name").unwrap(), ["maps.score"]);
    visit.legacy.call("4", "maps.score", "{}").await.unwrap().text().unwrap();
    let (rest, log) = visit.end(running.process).await;
    assert_eq!(rest, [""; 0], "it was told once");
    assert_eq!(log.matches(DONE).count(), 2, "{log}");
}
