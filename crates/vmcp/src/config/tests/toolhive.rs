//! Files in the shapes that the reference system's repository and documentation show, and that it
//! writes itself. What is built later turns a `not yet` into `taken`.

use super::table::rows;

const FILES: &str = include_str!("toolhive-files.txt");

#[test]
fn every_shape_of_the_reference_system_is_taken_or_told_what_is_not_there_yet() {
    let rows = rows(FILES);
    assert_eq!(rows.len(), 134);
    let wrong: String = rows.iter().filter_map(|row| row.check().err()).collect();
    assert!(wrong.is_empty(), "{wrong}");
    for row in &rows {
        let (_, lines) = row.actual();
        match row.word {
            "taken" => {}
            "not yet" => {
                for line in lines.lines() {
                    assert!(line.contains("is not supported yet"), "{}: {line}", row.title);
                }
            }
            // What is wrong there as well, or is not a whole configuration.
            "wrong" => assert!(!lines.is_empty(), "{}", row.title),
            word => panic!("{}: an unknown word {word}", row.title),
        }
        for advice in ["use none", "use unauthenticated", "type: none", "type: anonymous"] {
            assert!(!lines.contains(advice), "{}: {lines}", row.title);
        }
    }
}
