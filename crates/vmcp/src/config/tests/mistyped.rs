//! Kinds of mistakes that people make when they type: what each is told, and who finds it.

use super::{schema, table::rows};

const FILES: &str = include_str!("mistyped.txt");

/// Mistakes of form that the schema must find, so that an editor shows them while they are typed.
const FOUND_BY_SCHEMA: usize = 95;

#[test]
fn every_mistake_is_told_with_its_line_and_its_cure() {
    let rows = rows(FILES);
    assert_eq!(rows.len(), 104);
    let wrong: String = rows.iter().filter_map(|row| row.check().err()).collect();
    assert!(wrong.is_empty(), "{wrong}");
    for row in &rows {
        let (is_taken, lines) = row.actual();
        assert!(!is_taken && !lines.is_empty(), "{}", row.title);
    }
}

#[test]
fn the_schema_alone_finds_what_is_wrong_with_the_form() {
    let rows = rows(FILES);
    let mut wrong = String::new();
    let mut found = 0;
    for row in &rows {
        // What cannot be read as YAML is shown by whatever reads it for the schema.
        let finder = match schema::found(&row.text) {
            Err(_) => "yaml",
            Ok(complaints) if complaints.is_empty() => "validate",
            Ok(_) => "schema",
        };
        found += usize::from(finder != "validate");
        if finder != row.word {
            wrong += &format!("{}: {finder} finds it, not {}\n", row.title, row.word);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(found >= FOUND_BY_SCHEMA, "{found} of {}", rows.len());
}
