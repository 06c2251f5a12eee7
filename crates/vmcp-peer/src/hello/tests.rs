//! First words, whole and broken.

use proptest::prelude::{any, proptest};

use super::{Bad, Hello, Named, PROTOCOL, Verdict, Welcome};

#[tokio::test]
async fn first_words_are_read_as_they_were_written() {
    let hello = Hello { from: named("a", 1), to: named(&"b".repeat(128), u64::MAX) };
    let mut written = Vec::new();
    hello.write(&mut written).await.unwrap();
    assert_eq!(Hello::read(&mut &written[..]).await.unwrap(), hello);
    for verdict in Verdict::ALL {
        let welcome = Welcome { verdict, from: named("c", 0) };
        let mut written = Vec::new();
        welcome.write(&mut written).await.unwrap();
        assert_eq!(Welcome::read(&mut &written[..]).await.unwrap(), welcome);
    }
}

#[tokio::test]
async fn the_number_of_another_protocol_is_read_whatever_follows() {
    let mut other = vec![0, 9];
    other.extend_from_slice(&(PROTOCOL + 1).to_be_bytes());
    other.extend_from_slice(b"?????");
    let read = Hello::read(&mut &other[..]).await;
    assert!(matches!(read, Err(Bad::Protocol(number)) if number == PROTOCOL + 1), "{read:?}");
}

#[tokio::test]
async fn names_that_are_none_are_not_taken() {
    for name in ["", "two words", "a\nb", "ä", &"x".repeat(129)] {
        let mut message = PROTOCOL.to_be_bytes().to_vec();
        for _ in 0..2 {
            message.push(u8::try_from(name.len()).unwrap());
            message.extend_from_slice(name.as_bytes());
            message.extend_from_slice(&1_u64.to_be_bytes());
        }
        let mut whole = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
        whole.extend(message);
        let read = Hello::read(&mut &whole[..]).await;
        assert!(matches!(read, Err(Bad::Nonsense)), "{name:?}: {read:?}");
    }
}

proptest! {
    /// Whatever comes is read or refused, and nothing else.
    #[test]
    fn nonsense_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), protocol in any::<bool>()) {
        let mut bytes = bytes;
        if protocol && bytes.len() > 6 {
            let length = u16::try_from(bytes.len() - 2).unwrap();
            bytes[..2].copy_from_slice(&length.to_be_bytes());
            bytes[2..6].copy_from_slice(&PROTOCOL.to_be_bytes());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _read = runtime.block_on(Hello::read(&mut &bytes[..]));
        let _read = runtime.block_on(Welcome::read(&mut &bytes[..]));
    }

    /// What is cut short is an error of the connection.
    #[test]
    fn what_is_cut_is_not_taken(cut in 0_usize..35) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut written = Vec::new();
            Hello { from: named("one", 1), to: named("other", 2) }.write(&mut written).await.unwrap();
            let cut = cut.min(written.len() - 1);
            let read = Hello::read(&mut &written[..cut]).await;
            assert!(matches!(read, Err(Bad::Io(_))), "{cut}: {read:?}");
        });
    }
}

fn named(name: &str, epoch: u64) -> Named {
    Named { name: name.to_owned(), epoch }
}
