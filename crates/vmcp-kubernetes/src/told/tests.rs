//! What watches meet, and what is told of it.

use super::*;

/// Seven watches, and what is told of them as time goes by.
struct Watches {
    told: Told,
    now: Instant,
}

impl Watches {
    /// Watches that go well.
    fn well() -> Self {
        let mut watches = Self::new();
        watches.all(None);
        assert_eq!(watches.lines(), []);
        watches
    }

    fn new() -> Self {
        Self { told: Told::default(), now: Instant::now() }
    }

    fn all(&mut self, trouble: Option<(Class, &str)>) {
        Kind::ALL.into_iter().for_each(|kind| self.one(kind, trouble));
    }

    fn one(&mut self, kind: Kind, trouble: Option<(Class, &str)>) {
        let trouble = trouble.map(|(class, why)| (class, why.to_owned()));
        self.told.note(kind, trouble, self.now);
    }

    fn after(&mut self, seconds: u64) -> Vec<Line> {
        self.now += Duration::from_secs(seconds);
        self.lines()
    }

    fn lines(&mut self) -> Vec<Line> {
        self.told.lines(self.now)
    }
}

#[test]
fn a_server_that_is_away_is_told_once_and_so_is_that_it_is_back() {
    let mut watches = Watches::well();
    watches.one(Kind::Server, Some((Class::Away, "cut")));
    assert_eq!(watches.lines(), [Line::Away("cut".to_owned())]);
    watches.all(Some((Class::Away, "refused")));
    assert_eq!(watches.after(2), []);
    // Another reason that lasts is worth a line.
    assert_eq!(watches.after(10), [Line::Away("refused".to_owned())]);
    assert_eq!(watches.after(600), []);
    // While it starts, it says this and that.
    watches.all(Some((Class::Forbidden, "not yet")));
    assert_eq!(watches.after(1), []);
    watches.all(Some((Class::Absent, "")));
    assert_eq!(watches.after(3), []);
    watches.one(Kind::Server, Some((Class::Away, "refused")));
    assert_eq!(watches.after(1), []);
    watches.all(None);
    assert_eq!(watches.after(1), [Line::Answers]);
    assert_eq!(watches.after(600), []);
}

#[test]
fn what_the_account_may_not_is_told_for_all_kinds_at_once() {
    let mut watches = Watches::new();
    watches.all(Some((Class::Forbidden, "no")));
    assert_eq!(watches.lines(), [Line::Forbidden(Kind::ALL.to_vec(), "no".to_owned())]);
    watches.all(Some((Class::Forbidden, "no, still")));
    assert_eq!(watches.after(60), []);
    watches.one(Kind::Secret, None);
    assert_eq!(watches.after(1), [Line::Permitted(vec![Kind::Secret])]);
    watches.all(Some((Class::Away, "refused")));
    assert_eq!(watches.after(1), [Line::Away("refused".to_owned())]);
    watches.all(None);
    let others = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Secret).collect();
    assert_eq!(watches.after(1), [Line::Answers, Line::Permitted(others)]);
}

/// Rights that were taken away while the server was gone.
#[test]
fn what_lasts_after_it_is_back_is_told() {
    let mut watches = Watches::well();
    watches.all(Some((Class::Away, "cut")));
    assert_eq!(watches.lines(), [Line::Away("cut".to_owned())]);
    watches.all(None);
    watches.one(Kind::Secret, Some((Class::Forbidden, "no")));
    assert_eq!(watches.after(5), []);
    let forbidden = Line::Forbidden(vec![Kind::Secret], "no".to_owned());
    assert_eq!(watches.after(5), [Line::Answers, forbidden]);
}

#[test]
fn a_right_that_is_taken_away_is_told_when_that_lasts() {
    let mut watches = Watches::well();
    watches.one(Kind::Entry, Some((Class::Forbidden, "no")));
    assert_eq!(watches.after(9), []);
    assert_eq!(watches.after(1), [Line::Forbidden(vec![Kind::Entry], "no".to_owned())]);
}

#[test]
fn a_token_that_is_not_taken_is_no_missing_right() {
    let mut watches = Watches::new();
    watches.all(Some((Class::Unproven, "Unauthorized (401)")));
    assert_eq!(watches.lines(), [Line::Unproven("Unauthorized (401)".to_owned())]);
    assert_eq!(watches.after(60), []);
    watches.all(None);
    assert_eq!(watches.lines(), [Line::Answers]);
    // In between, it is told when it lasts.
    watches.all(Some((Class::Unproven, "Unauthorized (401)")));
    assert_eq!(watches.after(5), []);
    assert_eq!(watches.after(5), [Line::Unproven("Unauthorized (401)".to_owned())]);
}

#[test]
fn a_kind_that_is_not_there_is_told_and_so_is_that_it_comes_or_goes() {
    let mut watches = Watches::new();
    watches.one(Kind::Entry, Some((Class::Absent, "")));
    watches.one(Kind::RemoteProxy, Some((Class::Absent, "")));
    assert_eq!(watches.lines(), [Line::Absent(vec![Kind::RemoteProxy, Kind::Entry])]);
    watches.one(Kind::Entry, None);
    assert_eq!(watches.after(20), [Line::Present(vec![Kind::Entry])]);
    watches.one(Kind::Entry, Some((Class::Absent, "")));
    assert_eq!(watches.after(1), []);
    assert_eq!(watches.after(9), [Line::Absent(vec![Kind::Entry])]);
}
