//! Tokens and key sets as strangers may send them: nothing panics, and no token passes, as no fuzzer
//! finds a signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmcp_auth::{Expected, Keys, verify};

/// Out of RFC 8037 and RFC 7515.
const KEYS: &[u8] = br#"{"keys":[
    {"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty":"EC","crv":"P-256","kid":"b","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
]}"#;

fuzz_target!(|input: (&str, &[u8])| {
    let (token, set) = input;
    let expected = Expected {
        issuer: "https://i".to_owned(),
        audience: "a".to_owned(),
        ..Expected::default()
    };
    let keys = Keys::parse(KEYS).expect("a key set");
    assert!(verify(token, &keys, &expected).is_err(), "a token passed");
    if let Ok(keys) = Keys::parse(set) {
        let _refused = verify(token, &keys, &expected);
    }
});
