//! AWS services as principals.
//!
//! A service acts for whoever asked it to. Where a statement lets a service in without saying for whose resources, a
//! stranger can have the service act on ours (IAM user guide, *The confused deputy problem*).

/// Services that deliver records or protect what is there, and that policies by AWS's own older examples name without a source.
/// A stranger gains little by them, and taking them away stops logs: they count as ours.
const OURS: &[&str] = &[
    "access-analyzer",
    "autoscaling",
    "backup",
    "billingreports",
    "cloudtrail",
    "config",
    "config-multiaccountsetup",
    "delivery.logs",
    "guardduty",
    "inspector2",
    "logdelivery.elasticloadbalancing",
    "logging.s3",
    "macie",
    "malware-protection-plan.guardduty",
    "rds",
    "replicator.lambda",
    "securityhub",
];

/// The accounts from which Elastic Load Balancing delivers access logs, in regions from before August 2022 (Application Load
/// Balancer user guide, *Enable access logs*).
const LOAD_BALANCER_LOGS: &[&str] = &[
    "009996457667",
    "027434742980",
    "033677994240",
    "037604701340",
    "048591011584",
    "054676820928",
    "076674570225",
    "098369216593",
    "114774131450",
    "127311923021",
    "156460612806",
    "190560391635",
    "383597477331",
    "507241528517",
    "582318560864",
    "589379963580",
    "600734575887",
    "635631232127",
    "638102146993",
    "652711504416",
    "718504428378",
    "754344448648",
    "783225319266",
    "797873946194",
    "897822967062",
    "985666609251",
];

/// Whether a service needs no source to count as ours. Region and domain do not matter: `logs.eu-central-1.amazonaws.com`
/// is `logs`.
pub(super) fn is_ours(service: &str) -> bool {
    let domains = [".amazonaws.com", ".amazonaws.com.cn"];
    let name = domains.iter().find_map(|domain| service.strip_suffix(domain));
    name.is_some_and(|name| {
        let without_region = match name.rsplit_once('.') {
            Some((name, last)) if last.split('-').count() >= 3 => name,
            _ => name,
        };
        OURS.contains(&without_region)
    })
}

/// Whether an account is one of AWS's own, from which load balancers deliver logs.
pub(super) fn delivers_logs(account: &str) -> bool {
    LOAD_BALANCER_LOGS.contains(&account)
}
