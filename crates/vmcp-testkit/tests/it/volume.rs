//! A folder that changes as a mounted ConfigMap does.

use vmcp_testkit::kubernetes::Volume;

#[test]
fn a_volume_changes_all_its_files_at_once() {
    let mut volume = Volume::new(&[("a", "1"), ("b", "1")]).unwrap();
    let before = std::fs::read_link(volume.path().join("..data")).unwrap();
    assert_eq!(std::fs::read_link(volume.path().join("a")).unwrap().to_str(), Some("..data/a"));
    volume.write(&[("a", "2"), ("c", "2")]).unwrap();
    assert_ne!(std::fs::read_link(volume.path().join("..data")).unwrap(), before);
    let read = |name: &str| std::fs::read_to_string(volume.path().join(name)).ok();
    assert_eq!([read("a"), read("b"), read("c")], [Some("2".into()), None, Some("2".into())]);
    let names = std::fs::read_dir(volume.path()).unwrap().count();
    assert_eq!(names, 4, "two files, the link and the folder");
}
