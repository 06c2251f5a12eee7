//! What `/metrics` says, and to whom.

mod counts;
mod places;

use std::collections::BTreeMap;

use http::Method;
use vmcp_testkit::client::{Client, Response};

/// All samples of a text in Prometheus's format: names, labels and values.
struct Samples(Vec<(String, BTreeMap<String, String>, f64)>);

impl Samples {
    async fn of(url: &str) -> Self {
        let response = read(url, &[]).await;
        assert_eq!(response.status(), 200);
        let text = response.bytes().await.unwrap();
        Self::parse(std::str::from_utf8(&text).unwrap())
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.map(sample).collect())
    }

    /// What all samples of this name that have these labels add up to. An empty value stands for no such label.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |found: &BTreeMap<String, String>| {
            let has = |(name, value): &(&str, &str)| {
                found.get(*name).map_or("", String::as_str) == *value
            };
            labels.iter().all(has)
        };
        let known = self.0.iter().filter(|(found, ..)| found == name);
        known.filter(|(_, labels, _)| has(labels)).map(|(.., value)| value).sum()
    }

    /// All values that a label has in samples of this name.
    fn values(&self, name: &str, label: &str) -> Vec<&str> {
        let known = self.0.iter().filter(|(found, ..)| found == name);
        let mut values: Vec<_> =
            known.filter_map(|(_, labels, _)| labels.get(label)).map(String::as_str).collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}

/// Reads one line: `name{label="value",...} number`.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (head, value) = line.rsplit_once(' ').unwrap();
    let value = value.parse().unwrap();
    let Some((name, mut rest)) = head.split_once('{') else {
        return (head.to_owned(), BTreeMap::new(), value);
    };
    let mut labels = BTreeMap::new();
    while let Some((label, text)) = rest.split_once("=\"") {
        let (mut read, mut escaped, mut length) = (String::new(), false, 0);
        for c in text.chars() {
            length += c.len_utf8();
            match c {
                'n' if escaped => read.push('\n'),
                c if escaped => read.push(c),
                '\\' => {
                    escaped = true;
                    continue;
                }
                '"' => break,
                c => read.push(c),
            }
            escaped = false;
        }
        let twice = labels.insert(label.trim_start_matches(',').to_owned(), read);
        assert_eq!(twice, None, "{line}");
        rest = &text[length..];
    }
    assert_eq!(rest, "}", "{line}");
    (name.to_owned(), labels, value)
}

/// Reads what is at a URL.
async fn read(url: &str, headers: &[(&str, &str)]) -> Response {
    let headers = [&[("accept", "*/*")], headers].concat();
    Client::new(url).send(Method::GET, &headers, bytes::Bytes::new()).await.unwrap()
}
