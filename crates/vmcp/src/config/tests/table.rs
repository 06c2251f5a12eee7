//! Tables of whole files, each with what is expected of it:
//!
//! ```text
//! === what the file shows, as it is; +++ if the required keys are to be added
//! its text
//! --- a word for the outcome
//! each line of it, without the file's name
//! ```

use super::{complete, parsed, tidy};

/// One file of a table.
pub(super) struct Row<'a> {
    pub(super) title: &'a str,
    pub(super) text: String,
    /// What comes of it, in a word.
    pub(super) word: &'a str,
    pub(super) lines: String,
}

/// Takes a table apart.
pub(super) fn rows(table: &str) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut is_text = false;
    for line in table.lines() {
        let head = ["=== ", "+++ "].iter().find_map(|mark| line.strip_prefix(mark));
        if let Some(title) = head {
            let text = line[..1].to_owned();
            rows.push(Row { title, text, word: "", lines: String::new() });
            is_text = true;
            continue;
        }
        // What stands before the first row is about the table.
        let Some(row) = rows.last_mut() else { continue };
        if let Some(word) = line.strip_prefix("--- ") {
            (row.word, is_text) = (word, false);
            continue;
        }
        let place = if is_text { &mut row.text } else { &mut row.lines };
        *place += line;
        place.push('\n');
    }
    for row in &mut rows {
        let text = row.text.split_off(1);
        row.text = if row.text == "+" { complete(&text) } else { text };
    }
    rows
}

impl Row<'_> {
    /// What is wrong with the file, or what is odd about it, as the table has it.
    pub(super) fn actual(&self) -> (bool, String) {
        let (is_taken, lines) = match parsed(&self.text) {
            Err(problems) => (false, problems.to_string()),
            Ok(configuration) => {
                let warnings = configuration.warnings.iter();
                (true, warnings.map(|warning| format!("{warning}\n")).collect())
            }
        };
        let lines = lines.lines().map(|line| line.strip_prefix("vmcp.yaml:").unwrap_or(line));
        (is_taken, lines.collect::<Vec<_>>().join("\n"))
    }

    /// Compares what is told with what the table says.
    pub(super) fn check(&self) -> Result<(), String> {
        let (is_taken, lines) = self.actual();
        if is_taken == (self.word == "taken") && tidy(&lines) == tidy(&self.lines) {
            return Ok(());
        }
        let word = if is_taken { "taken" } else { "refused" };
        Err(format!("=== {}\n{word} instead of {}:\n{lines}\n", self.title, self.word))
    }
}
