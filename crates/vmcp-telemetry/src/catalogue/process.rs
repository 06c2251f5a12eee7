//! Metrics of the process, under the names that Prometheus gives to them.

super::metrics! {
    CPU: Counter "process_cpu_seconds" ["s"] {} "Processor time, of user and system";
    RESIDENT_MEMORY: Gauge "process_resident_memory_bytes" ["By"] {} "Memory of the process that is in RAM";
    VIRTUAL_MEMORY: Gauge "process_virtual_memory_bytes" ["By"] {} "Addresses that the process has memory at";
    OPEN_FILES: Gauge "process_open_fds" ["{file}"] {} "File descriptors that are open";
    MAX_FILES: Gauge "process_max_fds" ["{file}"] {} "File descriptors that may be open";
    THREADS: Gauge "process_threads" ["{thread}"] {} "Threads of the process";
    START_TIME: Gauge "process_start_time_seconds" ["s"] {} "When the process started, since 1970 in UTC";
    UPTIME: Gauge "vmcp.uptime" ["s"] {} "Time since vmcp started";
    BUILD_INFO: Gauge "vmcp.build.info" ["{build}"] {"version", "revision"} "1, with what this build is";
}
