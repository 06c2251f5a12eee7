//! What is said once in ten seconds.

use std::time::Duration;

use super::Quiet;

#[tokio::test(start_paused = true)]
async fn strangers_are_told_of_once_in_ten_seconds() {
    let quiet = Quiet::default();
    assert_eq!(quiet.may_say(), Some(0));
    for _ in 0..1000 {
        assert_eq!(quiet.may_say(), None);
    }
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert_eq!(quiet.may_say(), None);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(quiet.may_say(), Some(1001), "the rest is counted");
    assert_eq!(quiet.may_say(), None);
}
