//! What is gone stays gone: a long run of many programs. `./test` runs it, `./test quick` does not.

#[expect(dead_code, reason = "programs with a name belong to the quick tests")]
#[path = "../revival/mod.rs"]
mod revival;

#[expect(dead_code, reason = "the quick tests need the rest")]
#[path = "../it/support.rs"]
mod support;

#[test]
fn what_is_gone_is_never_served_again() {
    revival::run_programs(1000);
}
