//! Amazon Resource Names, as far as they are needed: which service, account and region an ARN names.
//!
//! Follows the AWS General Reference, *Amazon Resource Names (ARNs)*: `arn:partition:service:region:account:resource`.

use std::fmt;

/// A well-formed ARN. Region and account may be empty, as in IAM's and S3's ARNs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arn {
    text: String,
}

impl Arn {
    /// Reads an ARN; `None` when the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let well_formed = matches!(parts.as_slice(), ["arn", partition, service, _, account, resource]
            if partition.starts_with("aws")
                && !service.is_empty()
                && !resource.is_empty()
                && (account.is_empty() || is_account(account) || *account == "aws")
                && !text.chars().any(|c| c.is_whitespace() || c.is_control()));
        well_formed.then(|| Self { text: text.to_owned() })
    }

    fn part(&self, index: usize) -> &str {
        self.text.splitn(6, ':').nth(index).unwrap_or_default()
    }

    /// The partition: `aws`, `aws-cn`, `aws-us-gov`.
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    /// The service's name in ARNs: `events`, `config`, `iam`.
    pub fn service(&self) -> &str {
        self.part(2)
    }

    /// The region, or an empty text.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The account id, or an empty text.
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// What follows the account: `rule/name`, `role/path/name`.
    pub fn resource(&self) -> &str {
        self.part(5)
    }

    /// The ARN as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `text` is an account id: twelve digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether `text` may be a region: it becomes part of a host name, so nothing but lower-case letters, digits and dashes.
pub fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_rule_arn() {
        let arn = Arn::parse("arn:aws:events:eu-central-1:111122223333:rule/bus/name").unwrap();
        assert_eq!(
            (arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource()),
            ("aws", "events", "eu-central-1", "111122223333", "rule/bus/name")
        );
    }

    #[test]
    fn what_is_no_arn_is_refused() {
        for text in
            ["", "arn", "arn:aws:events:r:1:x", "x:aws:events:r:111122223333:x", "arn:aws:iam::111122223333:role/a b"]
        {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_region_cannot_carry_a_host_name() {
        assert!(is_region("us-gov-west-1"));
        for text in ["", "evil.example", "us-east-1/", "US-EAST-1", "a:b", "-x"] {
            assert!(!is_region(text), "{text}");
        }
    }
}
