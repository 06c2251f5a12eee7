//! Backends that are shown signatures of AWS.

use super::{complete, parsed};

pub(super) const COMPLETE: &str = include_str!("aws.yaml");

/// What is wrong about the section of a backend.
fn problems(section: &str) -> String {
    let text = format!(
        "incomingAuth: {{type: oidc, oidc: {{issuer: 'https://i', audience: a, resource: 'https://r'}}}}\n\
         outgoingAuth: {{backends: {{github: {{type: aws_sts, awsSts: {{{section}}}}}}}}}"
    );
    let problems = parsed(&complete(&text)).expect_err("it is refused").to_string();
    let lines = problems.lines().map(|line| {
        let (_place, text) =
            line.split_once(": outgoingAuth.backends.github.awsSts").expect("its place");
        text.to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(feature = "aws")]
mod built {
    use super::{
        super::{check, outcome, tidy},
        *,
    };

    #[test]
    fn roles_reach_their_place() {
        let actual = parsed(&complete(COMPLETE)).expect("it is accepted");
        let actual = outcome::rendered(&actual);
        let shown = actual.iter().filter(|line| line.contains(" signed for "));
        assert_eq!(shown.cloned().collect::<Vec<_>>().join("\n"), tidy(include_str!("aws.txt")));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let role = "fallbackRoleArn: 'arn:aws:iam::123456789012:role/x'";
        for (section, expected) in [
            (
                "",
                ": needs roleMappings, fallbackRoleArn or both: without, nobody has a role\n\
                 .region: is required: the region of the backend, such as eu-west-1",
            ),
            (
                "region: eu-west-1, fallbackRoleArn: 'arn:aws:iam::1:role/x'",
                ".fallbackRoleArn: \"arn:aws:iam::1:role/x\" is not the ARN of a role; write it like \
                 arn:aws:iam::123456789012:role/name",
            ),
            (
                &format!("region: 'eu-west-1.evil.example/', service: 'a b', {role}"),
                ".region: \"eu-west-1.evil.example/\" holds something else than a-z, 0-9 and -\n\
                 .service: \"a b\" holds something else than a-z, 0-9 and -",
            ),
            (
                &format!("region: r, sessionDuration: 899, {role}"),
                ".sessionDuration: \"899\" is not between 900 and 43200",
            ),
            (
                &format!("region: r, subjectProviderName: corp, {role}"),
                ".subjectProviderName: is not supported yet: it needs the embedded authorization server, which vmcp does \
                 not have yet; leave it out if the token that callers show is the one to exchange",
            ),
            (
                "region: r, roleMappings: [{claim: a, matcher: b}]",
                ".roleMappings[0]: needs exactly one of claim, matcher\n\
                 .roleMappings[0].roleArn: is required: the role",
            ),
            (
                "region: r, roleMappings: [{roleArn: x, matcher: 'claims.'}]",
                ".roleMappings[0].roleArn: \"x\" is not the ARN of a role; write it like \
                 arn:aws:iam::123456789012:role/name\n\
                 .roleMappings[0].matcher: \"claims.\" is not an expression of CEL: ",
            ),
        ] {
            let actual = problems(section);
            assert!(actual.starts_with(expected), "{section}\n{actual}");
            let lines = |text: &str| text.lines().count();
            assert_eq!(lines(&actual), lines(expected), "{actual}");
        }
        for (matcher, why) in [
            ("claim.sub == 'a'", "names the variable claim; only claims is there"),
            ("duration('1s') > claims.d", "calls duration, which is not supported here"),
        ] {
            let section = format!(
                "region: r, roleMappings: [{{matcher: \"{matcher}\", roleArn: 'arn:aws:iam::123456789012:role/x'}}]"
            );
            assert_eq!(problems(&section), format!(".roleMappings[0].matcher: {matcher:?} {why}"));
        }
    }

    /// A client's own signature would stand beside vmcp's.
    #[test]
    fn no_other_may_sign() {
        let text = COMPLETE.replace(
            "url: \"https://127.0.0.1:8081/mcp\"",
            "url: \"https://127.0.0.1:8081/mcp\", headers: {X-Amz-Date: a}",
        );
        check(
            &text,
            "vmcp.yaml:3:74: backends[0].headers.X-Amz-Date: outgoingAuth sets this header as well; keep one of the two",
        );
    }
}

/// Nothing of such a file is ignored.
#[cfg(not(feature = "aws"))]
#[test]
fn a_vmcp_without_it_refuses_it() {
    assert_eq!(
        problems("region: r, roleMappings: [{claim: a}]"),
        ": is not part of this vmcp, which was built without it; use a released vmcp or its image, or build one with \
         cargo build --release --features aws"
    );
}
