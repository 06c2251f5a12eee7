//! Names of roles.

use std::fmt;

/// The ARN of an IAM role: `arn:PARTITION:iam::ACCOUNT:role/PATH` (IAM User Guide, "IAM ARNs").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoleArn(Box<str>);

/// Why a text is not the ARN of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not the ARN of a role; write it like arn:aws:iam::123456789012:role/name")]
pub struct InvalidArn;

impl RoleArn {
    /// # Errors
    /// If it names no IAM role of an account.
    pub fn parse(text: &str) -> Result<Self, InvalidArn> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or(InvalidArn);
        let (arn, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        let is_known = arn == "arn"
            && (partition == "aws" || partition.starts_with("aws-"))
            && service == "iam"
            && region.is_empty();
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let is_role = resource.strip_prefix("role/").is_some_and(|path| {
            !path.is_empty() && !path.ends_with('/') && path.bytes().all(|b| b.is_ascii_graphic())
        });
        // STS takes from 20 to 2048 characters.
        let fits = text.len() <= 2048;
        (is_known && is_account && is_role && fits).then(|| Self(text.into())).ok_or(InvalidArn)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::RoleArn;

    #[test]
    fn a_role_of_an_account_is_named() {
        for arn in [
            "arn:aws:iam::123456789012:role/reader",
            "arn:aws-cn:iam::123456789012:role/team/reader",
            "arn:aws-us-gov:iam::000000000000:role/a.b+c=d,e@f-g_h",
        ] {
            assert_eq!(RoleArn::parse(arn).unwrap().as_str(), arn);
        }
        for other in [
            "",
            "reader",
            "arn:aws:iam::123456789012:user/reader",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/team/",
            "arn:aws:iam::12345678901:role/reader",
            "arn:aws:iam::12345678901x:role/reader",
            "arn:aws:iam:us-east-1:123456789012:role/reader",
            "arn:aws:sts::123456789012:role/reader",
            "arn:gcp:iam::123456789012:role/reader",
            "arn:aws:iam::123456789012:role/a b",
        ] {
            assert!(RoleArn::parse(other).is_err(), "{other}");
        }
    }
}
