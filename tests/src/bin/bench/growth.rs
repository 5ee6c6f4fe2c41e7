//! How the cost of one event grows with what there is to look at.

use aws_sdk_ec2::types::{IpPermission, IpRange, PrefixListId};
use rescind_tests::cloudtrail::{self, Who};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Problem;
use crate::program::Launch;
use crate::runs::Work;
use crate::stage::{Change, Measured, Side, Stage};

/// Processes for each size, and warm events of each of them.
const PROCESSES: usize = 3;
const WARM: usize = 4;
/// EC2 tells no more entries of a prefix list at once (Amazon EC2 API reference, *GetManagedPrefixListEntries*).
const PAGE: usize = 100;
/// The most that Amazon S3 takes (Amazon S3 user guide, *Bucket policies*: 20 KB).
const POLICY: usize = 20 * 1024;

/// A size, and what it costs.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    pub what: String,
    pub size: usize,
    pub side: Side,
    pub cold: Vec<Measured>,
    pub warm: Vec<Measured>,
}

/// How a change is made once more.
enum Make {
    Open(String),
    OpenToList { group: String, list: String },
    PutPolicy { bucket: String, policy: Value },
}

impl Make {
    async fn change(&self, stage: &Stage) -> Result<Change, Problem> {
        match self {
            Self::Open(group) => Ok(stage.open(group).await),
            Self::OpenToList { group, list } => {
                let list = PrefixListId::builder().prefix_list_id(list).build();
                let permission = IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22);
                Ok(stage.open_to(group, permission.prefix_list_ids(list).build()).await)
            }
            Self::PutPolicy { bucket, policy } => {
                let s3 = stage.account.s3();
                s3.put_bucket_policy().bucket(bucket).policy(policy.to_string()).send().await?;
                let who = Who::User(format!("user-{}", cloudtrail::event_id()));
                let request = json!({"bucketName": bucket, "bucketPolicy": policy, "policy": ""});
                let event =
                    cloudtrail::record(&stage.account.id, &who, "aws.s3", "PutBucketPolicy", &request, &Value::Null);
                Ok(Change { event, rule: "PublicBucketPolicy", taken_back_by: "PutBucketPolicy" })
            }
        }
    }
}

/// All sizes, one after the other.
pub async fn cases(stage: &Stage, work: &Work, progress: impl Fn(&str)) -> Result<Vec<Case>, Problem> {
    let mut cases = Vec::new();
    for rules in [1, 60, 1000] {
        progress(&format!("{rules} rules in the group"));
        let make = Make::Open(group_of(stage, rules).await);
        for (side, launch) in [(Side::Rescind, &work.rescind), (Side::Custodian, &work.custodian)] {
            cases.push(case(stage, "rules in the group", rules, side, launch, &make).await?);
        }
    }
    for entries in [1, 100, 10_000] {
        progress(&format!("{entries} entries of a prefix list"));
        stage.proxy.answer_pages("GetManagedPrefixListEntries", pages(entries));
        let group = stage.account.group(&format!("list-{entries}"), None).await;
        let make = Make::OpenToList { group, list: prefix_list(stage, entries).await? };
        cases.push(case(stage, "entries of a prefix list", entries, Side::Rescind, &work.rescind, &make).await?);
    }
    progress("a bucket policy of 20 KB");
    // The emulator tells of buckets what is there now, at times that the SDK can't read. Nobody has recorded this one.
    stage.proxy.answer("GetResourceConfigHistory", &r#"{"configurationItems":[]}"#);
    let (sharing, (bucket, policy)) = (stage.function("sharing").await?, bucket(stage).await?);
    let size = policy.to_string().len();
    let make = Make::PutPolicy { bucket, policy };
    cases.push(case(stage, "bytes of a bucket policy", size, Side::Rescind, &sharing, &make).await?);
    Ok(cases)
}

async fn case(
    stage: &Stage,
    what: &str,
    size: usize,
    side: Side,
    launch: &Launch,
    make: &Make,
) -> Result<Case, Problem> {
    let about = |problem: Problem| format!("{}, {size} {what}: {problem}", side.name());
    let (mut colds, mut warms) = (Vec::new(), Vec::new());
    for _ in 0..PROCESSES {
        let change = make.change(stage).await?;
        let (program, cold) = stage.cold(side, launch, &change).await.map_err(about)?;
        colds.push(cold);
        for _ in 0..WARM {
            let change = make.change(stage).await?;
            warms.push(stage.warm(side, &program, &change).await.map_err(about)?);
        }
    }
    Ok(Case { what: what.to_owned(), size, side, cold: colds, warm: warms })
}

/// A group that has so many rules as soon as it is opened.
async fn group_of(stage: &Stage, rules: usize) -> String {
    let group = stage.account.group(&format!("rules-{rules}"), None).await;
    let ranges: Vec<IpRange> = (1..rules).map(|number| IpRange::builder().cidr_ip(address(number)).build()).collect();
    if !ranges.is_empty() {
        let permission = IpPermission::builder().ip_protocol("tcp").from_port(443).to_port(443);
        stage.account.authorize(&group, &[permission.set_ip_ranges(Some(ranges)).build()]).await;
    }
    group
}

/// One private address after the other.
fn address(number: usize) -> String {
    format!("10.{}.{}.{}/32", number >> 16 & 255, number >> 8 & 255, number & 255)
}

async fn prefix_list(stage: &Stage, entries: usize) -> Result<String, Problem> {
    let list = stage.account.ec2().create_managed_prefix_list().prefix_list_name(format!("list-{entries}"));
    let answer = list.address_family("IPv4").max_entries(1).send().await?;
    let id = answer.prefix_list().and_then(|list| list.prefix_list_id()).map(str::to_owned);
    Ok(id.ok_or("a prefix list has an id")?)
}

/// The entries of a prefix list as EC2 tells them, page by page; the last one is the world.
fn pages(entries: usize) -> Vec<String> {
    let ranges: Vec<String> = (1..entries).map(address).chain(["0.0.0.0/0".to_owned()]).collect();
    let chunks: Vec<&[String]> = ranges.chunks(PAGE).collect();
    let page = |(index, ranges): (usize, &&[String])| {
        let items: String = ranges.iter().map(|range| format!("<item><cidr>{range}</cidr></item>")).collect();
        let is_last = index + 1 == chunks.len();
        let token = if is_last { String::new() } else { format!("<nextToken>{}</nextToken>", index + 1) };
        format!(
            "<GetManagedPrefixListEntriesResponse><requestId>bench</requestId><entrySet>{items}</entrySet>{token}\
             </GetManagedPrefixListEntriesResponse>"
        )
    };
    chunks.iter().enumerate().map(page).collect()
}

/// A bucket, and a policy for it that is as long as may be and lets everybody read.
async fn bucket(stage: &Stage) -> Result<(String, Value), Problem> {
    let bucket = format!("bench-{}", stage.account.id);
    stage.account.s3().create_bucket().bucket(&bucket).send().await?;
    let objects = format!("arn:aws:s3:::{bucket}/*");
    let everybody =
        json!({"Sid": "Everybody", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": objects});
    let own = |number: usize| {
        let role = format!("arn:aws:iam::{}:role/reader-{number}", stage.account.id);
        json!({"Sid": format!("Reader{number}"), "Effect": "Allow", "Principal": {"AWS": role}, "Action": "s3:GetObject",
            "Resource": objects})
    };
    let mut statements = vec![everybody];
    loop {
        let mut more = statements.clone();
        more.push(own(more.len()));
        let policy = json!({"Version": "2012-10-17", "Statement": more});
        if policy.to_string().len() > POLICY {
            return Ok((bucket, json!({"Version": "2012-10-17", "Statement": statements})));
        }
        statements = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_list_comes_in_pages_of_a_hundred() {
        let all = pages(201);
        assert_eq!(all.len(), 3);
        assert!(all[0].contains("<nextToken>1</nextToken>") && all[1].contains("<nextToken>2</nextToken>"));
        assert!(all[2].contains("<item><cidr>0.0.0.0/0</cidr></item>") && !all[2].contains("nextToken"));
        assert_eq!(pages(1).len(), 1);
    }
}
