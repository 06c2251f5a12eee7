//! Parts of the documentation that are made out of tables in the code.

use std::{fs, path::Path};

const PAGE: &str = "docs/observability.md";

#[test]
fn metrics_and_audit_fields_are_documented_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join(PAGE)).expect("the page");
    let mut made = page.clone();
    for (name, table) in
        [("metrics", vmcp_telemetry::catalogue::reference()), ("audit", vmcp_audit::reference())]
    {
        let (begin, end) = (format!("<!-- {name}: generated -->"), "<!-- end -->");
        let (before, rest) = made.split_once(&begin).expect(&begin);
        let (_, after) = rest.split_once(end).expect(end);
        made = format!("{before}{begin}\n\n{}\n\n{end}{after}", table.trim());
    }
    if made != page {
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("observability.md");
        fs::write(&written, made).expect("a writable folder");
        panic!("{PAGE} is not what the code says:\ncp {} {PAGE}", written.display());
    }
}
