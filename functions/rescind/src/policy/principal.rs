//! Whom a statement names (IAM user guide, *AWS JSON policy elements: Principal* and *`NotPrincipal`*).

use serde_json::{Map, Value};

use super::document::{PolicyError, texts, unexpected};
use crate::arn::is_account;

/// One principal of a statement, as written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedPrincipal {
    /// `AWS`, `Service`, `Federated` or `CanonicalUser`; `None` where the text stands alone (`"Principal": "*"`).
    pub kind: Option<String>,
    /// The text: an account, an ARN, an id, a service.
    pub name: String,
}

/// What `Principal` or `NotPrincipal` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Principals {
    /// Whether everybody but these is meant.
    pub(super) all_but: bool,
    pub(super) entries: Vec<NamedPrincipal>,
}

impl Principals {
    pub(super) fn read(statement: &Map<String, Value>, path: &str) -> Result<Option<Self>, PolicyError> {
        let (field, all_but, value) = match (statement.get("Principal"), statement.get("NotPrincipal")) {
            (None, None) => return Ok(None),
            (Some(value), None) => ("Principal", false, value),
            (None, Some(value)) => ("NotPrincipal", true, value),
            (Some(_), Some(other)) => {
                return Err(unexpected(
                    &format!("{path}.NotPrincipal"),
                    other,
                    "one of `Principal` and `NotPrincipal`",
                ));
            }
        };
        let path = format!("{path}.{field}");
        let entries = match value {
            Value::String(name) => vec![NamedPrincipal { kind: None, name: name.clone() }],
            Value::Object(kinds) => {
                let mut entries = Vec::new();
                for (kind, names) in kinds {
                    for name in texts(names, &format!("{path}.{}", crate::text::clean(kind, 40)))? {
                        entries.push(NamedPrincipal { kind: Some(kind.clone()), name: name.to_owned() });
                    }
                }
                entries
            }
            other => return Err(unexpected(&path, other, "`*` or an object such as `{'AWS': …}`")),
        };
        Ok(Some(Self { all_but, entries }))
    }
}

/// Who a principal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// Everybody, with or without an account.
    Everyone,
    /// An account, or some user, role or session in it.
    Account {
        /// The account's id.
        account: String,
        /// Whether the whole account is meant.
        is_whole: bool,
    },
    /// A user or role that is no more: IAM shows its id instead of its ARN, and the id never comes back.
    Deleted,
    /// An identity of `CloudFront`, that may read a bucket for a distribution.
    OriginAccessIdentity,
    /// An Amazon S3 canonical user id.
    Canonical(String),
    /// An AWS service.
    Service(String),
    /// Whom an identity provider vouches for.
    Federated {
        /// The account that the provider was set up in, `None` for those that need no set-up.
        account: Option<String>,
        /// Host and path of the `OpenID Connect` issuer, in lower case; `None` for SAML.
        issuer: Option<String>,
    },
    /// Everybody, perhaps: a pattern that AWS does not accept.
    Pattern,
    /// Not understood.
    Unknown,
}

impl NamedPrincipal {
    pub(super) fn who(&self) -> Who {
        match self.kind.as_deref() {
            None | Some("AWS") => aws(&self.name),
            // Wildcards are taken by no kind but `AWS`, and there only alone.
            Some(_) if self.name.contains('*') => Who::Pattern,
            Some("Service") => Who::Service(self.name.to_ascii_lowercase()),
            Some("CanonicalUser") => Who::Canonical(self.name.clone()),
            Some("Federated") => federated(&self.name),
            Some(_) => Who::Unknown,
        }
    }
}

impl std::fmt::Display for NamedPrincipal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::text::clean(&self.name, 160))
    }
}

/// The six parts of an ARN.
pub(super) fn arn_parts(text: &str) -> Option<[&str; 6]> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    <[&str; 6]>::try_from(parts).ok().filter(|parts| parts.first() == Some(&"arn"))
}

fn aws(name: &str) -> Who {
    if name == "*" {
        return Who::Everyone;
    }
    if is_account(name) {
        return Who::Account { account: name.to_owned(), is_whole: true };
    }
    if let Some([_, _, service, _, account, resource]) = arn_parts(name) {
        if service == "iam" && account == "cloudfront" && resource.starts_with("user/") && !resource.contains('*') {
            return Who::OriginAccessIdentity;
        }
        if is_account(account) && matches!(service, "iam" | "sts") {
            return Who::Account { account: account.to_owned(), is_whole: resource == "root" };
        }
        return if account.contains(['*', '?']) { Who::Pattern } else { Who::Unknown };
    }
    if is_unique_id(name) {
        return Who::Deleted;
    }
    if name.contains('*') { Who::Pattern } else { Who::Unknown }
}

/// Whether a text is IAM's unique id of a user, role or group (IAM user guide, *IAM identifiers*).
pub(super) fn is_unique_id(text: &str) -> bool {
    ["AIDA", "AROA", "AGPA", "AIPA", "ANPA", "ANVA", "ASCA"].iter().any(|prefix| text.starts_with(prefix))
        && text.len() >= 16
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn federated(name: &str) -> Who {
    if let Some([_, _, service, _, account, resource]) = arn_parts(name) {
        if service != "iam" || !is_account(account) {
            return Who::Unknown;
        }
        let account = Some(account.to_owned());
        return match (resource.strip_prefix("oidc-provider/"), resource.starts_with("saml-provider/")) {
            (Some(issuer), _) => Who::Federated { account, issuer: Some(issuer.to_ascii_lowercase()) },
            (None, true) => Who::Federated { account, issuer: None },
            (None, false) => Who::Unknown,
        };
    }
    if name.contains('.') && !name.contains(['*', '?']) {
        Who::Federated { account: None, issuer: Some(name.to_ascii_lowercase()) }
    } else {
        Who::Unknown
    }
}
