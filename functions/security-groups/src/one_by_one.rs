//! EC2 makes nothing of a call of which it refuses a part. What can be done of it is done part by part then, so that one part does
//! not keep all others from being done.

use rescind_lambda::{CallError, CallFailure};

/// A part of a call that changes the rules of a group.
pub(crate) trait Part: Clone {
    /// The other group, or the prefix list, that it names.
    fn named(&self) -> Option<&str>;
}

/// Why a call, or a part of it, was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    error: CallError,
    /// It is what a part names that is not there.
    is_of_what_is_named: bool,
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self { error, is_of_what_is_named: false }
    }
}

impl Trouble {
    /// The error, for who looks again what is there when something is gone. That does not help where a rule that is to be put
    /// back names it: such a call is refused.
    pub(crate) fn of_putting_back(self) -> CallError {
        let Self { error, is_of_what_is_named } = self;
        let failure = if is_of_what_is_named { CallFailure::Refused } else { error.failure };
        CallError { failure, ..error }
    }

    /// The error as EC2 tells it, for an undo: by force, what is gone hinders nothing else.
    pub(crate) fn of_undoing(self) -> CallError {
        self.error
    }
}

/// Makes a call, and where EC2 refuses a part of it, one call for each part. The first part that is refused then is the error, after
/// the others were done.
///
/// # Errors
/// When EC2 refuses what is asked for, or a part of it.
pub(crate) async fn all_or_one_by_one<P: Part, F: Future<Output = Result<(), CallError>>>(
    group: &str,
    parts: Vec<P>,
    call: impl Fn(Vec<P>) -> F,
) -> Result<(), Trouble> {
    if parts.len() > 1 {
        match call(parts.clone()).await {
            Err(error) if parts.iter().any(|part| is_of_part(&error, group, part)) => {}
            answer => return Ok(answer?),
        }
    }
    let mut refused = None;
    for part in parts {
        match call(vec![part.clone()]).await {
            Ok(()) => {}
            Err(error) if is_of_part(&error, group, &part) => refused = refused.or(Some(trouble(error, &part))),
            Err(error) => return Err(error.into()),
        }
    }
    refused.map_or(Ok(()), Err)
}

/// Whether a part may be to blame, and not the group itself, the role or the moment.
fn is_of_part(error: &CallError, group: &str, part: &impl Part) -> bool {
    match error.failure {
        CallFailure::Exists | CallFailure::Refused => true,
        CallFailure::Gone => part.named().is_some() && !names(&error.message, group),
        CallFailure::Denied | CallFailure::Transient => false,
    }
}

fn trouble(error: CallError, part: &impl Part) -> Trouble {
    // The rule itself may be what is gone.
    let is_of_rule = error.code.as_ref().is_some_and(|code| code.starts_with("InvalidSecurityGroupRuleId"));
    match part.named() {
        Some(named) if error.failure == CallFailure::Gone && !is_of_rule => {
            let message = format!("{named} can't be named: {}", error.message);
            Trouble { error: CallError { message, ..error }, is_of_what_is_named: true }
        }
        _ => error.into(),
    }
}

/// Whether a message names a group: `The security group 'sg-1' does not exist`.
fn names(message: &str, group: &str) -> bool {
    message.split(|character: char| !character.is_ascii_alphanumeric() && character != '-').any(|word| word == group)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Named(Option<&'static str>);

    impl Part for Named {
        fn named(&self) -> Option<&str> {
            self.0
        }
    }

    fn answer(code: &str, message: &str) -> CallError {
        CallError::of_item("ec2:AuthorizeSecurityGroupIngress", code, message)
    }

    fn not_there(group: &str) -> CallError {
        answer("InvalidGroup.NotFound", &format!("The security group '{group}' does not exist"))
    }

    /// What comes of parts that name these, where EC2 refuses what names some of them; with the parts of each call that was made.
    async fn made(
        parts: &[Option<&'static str>],
        refuses: impl Fn(&Named) -> Option<CallError>,
    ) -> (Result<(), Trouble>, Vec<usize>) {
        let calls = RefCell::new(Vec::new());
        let parts = parts.iter().copied().map(Named).collect();
        let result = all_or_one_by_one("sg-own", parts, |parts: Vec<Named>| {
            calls.borrow_mut().push(parts.len());
            std::future::ready(parts.iter().find_map(&refuses).map_or(Ok(()), Err))
        })
        .await;
        (result, calls.into_inner())
    }

    #[tokio::test]
    async fn a_part_that_names_what_is_gone_keeps_no_other_from_being_made() {
        let refuses = |part: &Named| (*part == Named(Some("sg-gone"))).then(|| not_there("sg-gone"));
        let (result, calls) = made(&[Some("sg-gone"), None, Some("sg-there")], refuses).await;
        assert_eq!(calls, [3, 1, 1, 1], "the others come after it");
        let error = result.clone().unwrap_err().of_putting_back();
        assert_eq!(error.failure, CallFailure::Refused, "another look changes nothing");
        assert!(error.to_string().contains("sg-gone"), "{error}");
        assert_eq!(result.clone().unwrap_err().of_undoing().failure, CallFailure::Gone, "an undo may do without it");
        // Alone, it says the same.
        assert_eq!(made(&[Some("sg-gone")], refuses).await, (result, vec![1]));
    }

    #[tokio::test]
    async fn what_is_refused_for_itself_keeps_no_other_from_being_made() {
        let limit = || answer("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules is reached");
        let refuses = |part: &Named| (*part == Named(Some("sg-1"))).then(limit);
        let (result, calls) = made(&[Some("sg-1"), None], refuses).await;
        assert_eq!((result, calls), (Err(limit().into()), vec![2, 1, 1]));
    }

    #[tokio::test]
    async fn a_group_that_is_gone_itself_stays_gone() {
        for parts in [&[None, Some("sg-1")][..], &[Some("sg-1")], &[Some("sg-own"), None], &[None, None], &[None]] {
            let (result, calls) = made(parts, |_| Some(not_there("sg-own"))).await;
            let failure = result.unwrap_err().of_putting_back().failure;
            assert_eq!((failure, calls), (CallFailure::Gone, vec![parts.len()]), "{parts:?}");
        }
        // A rule that is gone is no affair of what it names.
        let gone = |_: &Named| Some(answer("InvalidSecurityGroupRuleId.NotFound", "The rule 'sgr-1' does not exist"));
        let trouble = made(&[Some("sg-1")], gone).await.0.unwrap_err();
        assert_eq!(trouble.of_putting_back().failure, CallFailure::Gone);
    }

    #[tokio::test]
    async fn what_no_part_is_to_blame_for_is_not_tried_again() {
        for code in ["RequestLimitExceeded", "UnauthorizedOperation"] {
            let (result, calls) = made(&[Some("sg-1"), None], |_| Some(answer(code, "no"))).await;
            assert_eq!((result, calls), (Err(answer(code, "no").into()), vec![2]));
        }
        assert_eq!(made(&[Some("sg-1"), None], |_| None).await, (Ok(()), vec![2]));
    }
}
