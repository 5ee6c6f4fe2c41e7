//! `OpenID Connect` issuers that many tenants share: without a condition on the tenant's own claim, anybody who has an account
//! there gets in.
//!
//! After the IAM user guide, *Identity-provider controls for shared OIDC providers*, and the issuers' own documents on the
//! form of their claims. An issuer that is not listed belongs to one tenant, as that of an EKS cluster does, or as those that
//! carry the tenant in their address (`CircleCI`, Bitbucket, Okta): who set it up in our account meant it. The audience
//! (`aud`) is checked by IAM against the provider's own list in any case; it counts only where it tells the tenant.

/// A form of a claim's value that fixes the tenant: after `prefix` comes the tenant's name, and then `end`.
#[derive(Debug)]
struct Form {
    claim: &'static str,
    prefix: &'static str,
    end: char,
}

#[derive(Debug)]
struct Shared {
    /// Host and path.
    issuer: &'static str,
    forms: &'static [Form],
}

/// The end of a value: all of it has to be fixed.
const END: char = '\0';

const fn form(claim: &'static str, prefix: &'static str, end: char) -> Form {
    Form { claim, prefix, end }
}

const SHARED: &[Shared] = &[
    Shared {
        issuer: "token.actions.githubusercontent.com",
        forms: &[
            form("sub", "repo:", '/'),
            form("sub", "repository_owner:", ':'),
            form("sub", "repository_owner:", END),
            form("sub", "repository_owner_id:", ':'),
            form("sub", "repository_owner_id:", END),
            form("sub", "repository_id:", ':'),
            form("sub", "repository_id:", END),
            form("sub", "repository:", '/'),
            form("sub", "job_workflow_ref:", '/'),
            form("sub", "enterprise:", ':'),
            form("sub", "enterprise_id:", ':'),
            form("repository", "", '/'),
            form("repository_id", "", END),
            form("repository_owner", "", END),
            form("repository_owner_id", "", END),
            form("enterprise_id", "", END),
            form("job_workflow_ref", "", '/'),
        ],
    },
    Shared { issuer: "vstoken.actions.githubusercontent.com", forms: &[form("sub", "repo:", '/')] },
    Shared { issuer: "oidc-configuration.audit-log.githubusercontent.com", forms: &[form("sub", "", END)] },
    Shared {
        issuer: "gitlab.com",
        forms: &[
            form("sub", "project_path:", '/'),
            form("namespace_id", "", END),
            form("namespace_path", "", END),
            form("project_id", "", END),
            form("project_path", "", '/'),
        ],
    },
    Shared { issuer: "app.terraform.io", forms: &[form("sub", "organization:", ':')] },
    Shared { issuer: "scalr.io", forms: &[form("sub", "account:", ':')] },
    Shared {
        issuer: "agent.buildkite.com",
        forms: &[form("sub", "organization:", ':'), form("organization_id", "", END)],
    },
    Shared { issuer: "oidc.vercel.com", forms: &[form("sub", "owner:", ':'), form("aud", "https://vercel.com/", END)] },
    Shared { issuer: "oidc.codefresh.io", forms: &[form("sub", "account:", ':')] },
    Shared { issuer: "studio.datachain.ai/api", forms: &[form("sub", "credentials:", '/')] },
    Shared { issuer: "tokens.cloud.shisho.dev", forms: &[form("sub", "", END)] },
    Shared { issuer: "proidc.upbound.io", forms: &[form("sub", "mcp:", '/'), form("sub", "org:", ':')] },
    Shared {
        issuer: "api.pulumi.com/oidc",
        forms: &[
            form("aud", "", END),
            form("sub", "pulumi:deploy:org:", ':'),
            form("sub", "pulumi:environments:org:", ':'),
        ],
    },
    Shared { issuer: "cognito-identity.amazonaws.com", forms: &[form("aud", "", END), form("sub", "", END)] },
    Shared {
        issuer: "accounts.google.com",
        forms: &[form("aud", "", END), form("oaud", "", END), form("sub", "", END)],
    },
    Shared { issuer: "graph.facebook.com", forms: &[form("app_id", "", END), form("id", "", END)] },
    Shared { issuer: "www.amazon.com", forms: &[form("app_id", "", END), form("user_id", "", END)] },
    Shared { issuer: "appleid.apple.com", forms: &[form("aud", "", END), form("sub", "", END)] },
    // The tenant of Microsoft Sentinel's connectors is Microsoft's own; customers are told apart by the session's name.
    Shared {
        issuer: "sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d",
        forms: &[form("sts:rolesessionname", "", END)],
    },
];

fn shared(issuer: &str) -> Option<&'static Shared> {
    let issuer = issuer.trim_end_matches('/');
    SHARED.iter().find(|shared| shared.issuer == issuer)
}

/// Whether many tenants share an issuer (host and path, in lower case).
pub(super) fn is_shared(issuer: &str) -> bool {
    shared(issuer).is_some()
}

/// What a condition on a claim does to the question whose tokens are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tenant {
    /// One tenant's, named.
    Fixed,
    /// Any tenant's.
    Any,
    /// It can't be told.
    Unclear,
}

/// The claim that a condition key is about, if it is about one of this issuer's: `gitlab.com:sub` is about `sub`.
pub(super) fn claim_of<'a>(issuer: &str, key: &'a str) -> Option<&'a str> {
    let of_session =
        key == "sts:rolesessionname" && shared(issuer).is_some_and(|s| s.forms.iter().any(|f| f.claim == key));
    if of_session {
        return Some(key);
    }
    let rest = key.strip_prefix(issuer.trim_end_matches('/'))?;
    rest.strip_prefix("/:").or_else(|| rest.strip_prefix(':'))
}

/// What a value of a claim does. `is_pattern` says whether `*` and `?` are wildcards in it.
pub(super) fn tenant(issuer: &str, claim: &str, value: &str, is_pattern: bool) -> Tenant {
    let Some(shared) = shared(issuer) else { return Tenant::Unclear };
    if value.contains("${") {
        return Tenant::Unclear;
    }
    let head = if is_pattern { value.split(['*', '?']).next().unwrap_or_default() } else { value };
    let is_whole = head.len() == value.len();
    let mut is_known = false;
    for form in shared.forms.iter().filter(|form| form.claim == claim) {
        is_known = true;
        let Some(rest) = head.strip_prefix(form.prefix) else { continue };
        let name = if form.end == END {
            Some(rest).filter(|_| is_whole)
        } else {
            rest.split_once(form.end).map(|(name, _)| name)
        };
        if name.is_some_and(|name| !name.is_empty() && !name.contains(['*', '?'])) {
            return Tenant::Fixed;
        }
    }
    // A subject in a form of the tenant's own making may well be one tenant's, and a wildcard that is none matches nothing.
    let is_literal = !is_pattern || (is_whole && !value.is_empty());
    if is_known && is_literal { Tenant::Unclear } else { Tenant::Any }
}
