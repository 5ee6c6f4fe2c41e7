//! What a remediation is to the engine.

use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, TimeDelta};
use rescind::findings;
use rescind::journal::{Facts, Revert};
use rescind::policy::{Friends, Networks};
use rescind::settings::{OwnSettings, Settings, SettingsError, TagKey, Tags};
use rescind::signal::{ApiCall, Finding, Involved, Resource, Signal};
use rescind::verdict::{Assessment, Offender};
use rescind::{Call, Delivery, Outcome, Plan, Snapshot, Step};

use crate::aws::{CallError, Scope};
use crate::engine::{Cause, Engine, Undoing};

/// An API operation that a remediation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The IAM action: `ec2:RevokeSecurityGroupIngress`.
    pub action: &'static str,
    /// Whether it changes anything. In dry-run no such operation is called.
    pub changes: bool,
}

impl Operation {
    /// An operation that only reads.
    pub const fn reads(action: &'static str) -> Self {
        Self { action, changes: false }
    }

    /// An operation that changes something.
    pub const fn changes(action: &'static str) -> Self {
        Self { action, changes: true }
    }
}

/// What a remediation hears in a signal.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard<T> {
    /// This is what it is about.
    About {
        /// The resource.
        resource: Resource,
        /// What the signal says of it, as far as the remediation cares.
        target: T,
    },
    /// The signal itself tells that nothing is to be done here: nothing is read for it.
    Harmless {
        /// The resource.
        resource: Resource,
        /// One sentence.
        reason: String,
    },
    /// The signal does not tell what it is about (CloudTrail drops requests and responses above 100 KB).
    Unreadable {
        /// The resource as far as it is known.
        resource: Resource,
        /// One sentence.
        reason: String,
    },
}

impl<T> Heard<T> {
    /// [`Self::About`].
    pub fn about(resource: Resource, target: T) -> Self {
        Self::About { resource, target }
    }

    /// [`Self::Harmless`].
    pub fn harmless(resource: Resource, reason: impl Into<String>) -> Self {
        Self::Harmless { resource, reason: reason.into() }
    }

    /// [`Self::Unreadable`].
    pub fn unreadable(resource: Resource, reason: impl Into<String>) -> Self {
        Self::Unreadable { resource, reason: reason.into() }
    }

    /// What a finding is about, for the remediation of this name: whatever `about` makes of each resource for which the table means
    /// it. The others are left alone: the owner's own detection rule found it, or else by the reason that `left` gives.
    pub fn of_finding(
        remediation: &str,
        finding: &Finding,
        about: impl Fn(&Involved) -> Vec<Self>,
        left: impl Fn(&Involved) -> String,
    ) -> Vec<Self> {
        let hear = |(involved, is_meant): (&Involved, bool)| {
            if is_meant {
                return about(involved);
            }
            let reason = findings::found_by_owner(finding).unwrap_or_else(|| left(involved));
            vec![Self::harmless(involved.resource.clone(), reason)]
        };
        findings::candidates_for(remediation, finding).into_iter().flat_map(hear).collect()
    }

    /// The resource, as far as it is known.
    pub fn resource(&self) -> &Resource {
        match self {
            Self::About { resource, .. } | Self::Harmless { resource, .. } | Self::Unreadable { resource, .. } => {
                resource
            }
        }
    }
}

/// What is being judged: everything that a decision may depend on.
#[derive(Debug)]
pub struct Subject<'a, R: Remediation + ?Sized> {
    /// The resource that the signal is about.
    pub resource: &'a Resource,
    /// What the signal says of it.
    pub target: &'a R::Target,
    /// How the resource stands.
    pub state: &'a R::State,
    /// The settings of every remediation.
    pub common: &'a Settings,
    /// The remediation's own settings.
    pub settings: &'a R::Settings,
    /// The roles of Rescind itself, by their ARNs.
    pub own_roles: &'a [String],
    /// What Rescind took back of late, here and from whoever did it now.
    pub taken_back: &'a [Revert],
}

impl<R: Remediation + ?Sized> Subject<'_, R> {
    /// Who is no stranger to the resource: its own account, the owner's organization and the accounts that he trusts.
    pub fn friends(&self) -> Friends {
        Friends {
            organization: self.common.organization.clone(),
            accounts: self.common.trusted_accounts.iter().cloned().collect(),
            ..Friends::new(&self.resource.account)
        }
    }

    /// As [`Self::friends`], where policies may let in who comes from addresses that the owner trusts.
    pub fn friends_and(&self, networks: &Networks) -> Friends {
        Friends { networks: networks.0.clone(), ..self.friends() }
    }

    /// Whether a piece in an earlier state, captured at this moment, may be one that Rescind has taken back: AWS Config may have recorded the
    /// change before it was taken back, and not recorded yet that it was. Who makes it again does not find it there from before.
    pub fn was_taken_back(&self, piece: &str, captured: &str) -> bool {
        const RECORDED_WITHIN: TimeDelta = TimeDelta::minutes(15);
        let Ok(captured) = DateTime::parse_from_rfc3339(captured) else { return false };
        let is_it = |revert: &Revert| revert.changes.iter().any(|change| change == piece);
        self.taken_back.iter().any(|revert| is_it(revert) && captured < revert.at + RECORDED_WITHIN)
    }
}

/// Why [`Remediation::read_further`] is asked: what is worth a look beyond the first read.
#[derive(Debug)]
pub enum Further<'a, S> {
    /// The owner's settings, which may ask for more than others do.
    Wanted(&'a S),
    /// Steps that are to be undone.
    Undone(&'a [Step]),
}

/// How a resource stands, as the engine looks at it whatever the resource is. Remediations of one kind of resource share it.
pub trait ResourceState: Send + Sync + Clone + PartialEq {
    /// The resource's id, where the live state tells more than the signal (a group that was named by name).
    fn id(&self) -> Option<&str>;

    /// The tags of the resource.
    fn tags(&self) -> &[(String, String)];

    /// What is known, piece by piece, for comparing two moments.
    fn facts(&self) -> Facts;

    /// The state that a call of a plan, or of an inverse, makes of this: the same, when nothing is left for it to do.
    #[must_use]
    fn after(&self, call: &Call) -> Self;
}

/// One kind of risky change and how to take it back.
///
/// All but `read`, `read_further`, `keep_evidence` and `make` are pure: they depend on their arguments alone. Those are the only way
/// to AWS.
pub trait Remediation: Send + Sync + 'static {
    /// The name of the bad state, as in the catalogue.
    const NAME: &'static str;
    /// The API calls that it hears of by CloudTrail, as `service:Operation`: `ec2:ModifySecurityGroupRules`. Its rule lets these
    /// through, and [`Signal::called`] asks for them.
    const CALLS: &'static [&'static str];
    /// The operations that `read`, `read_further`, `keep_evidence` and `make` call.
    const OPERATIONS: &'static [Operation];
    /// Whether it contains something and so interrupts a service, instead of taking back a change: then
    /// `rescind:blast-limit` holds.
    const INTERRUPTS_SERVICE: bool = false;

    /// What a signal says, as far as this remediation cares.
    type Target: Send + Sync;
    /// How a resource stands.
    type State: ResourceState;
    /// The remediation's own settings: what its own tags say. `()` where it has none.
    type Settings: OwnSettings;
    /// One offender: what a plan is made of.
    type Offender: Offender;

    /// What the signal is about, one for each resource that is this remediation's business. Empty is only for what its rules keep
    /// away: the function fails on it. Who listens to nothing but calls, tells in `hear` what they are about.
    fn listen(&self, signal: &Signal) -> Vec<Heard<Self::Target>> {
        signal.called(Self::CALLS).map(|call| self.hear(signal, call)).unwrap_or_default()
    }

    /// What one of its calls is about.
    fn hear(&self, _signal: &Signal, _call: &ApiCall) -> Vec<Heard<Self::Target>> {
        Vec::new()
    }

    /// By which id of a resource the journal remembers what was taken back, undone and contained there. Another one where each signal is
    /// a resource of its own.
    fn remembered_as<'a>(&self, id: &'a str) -> &'a str {
        id
    }

    /// How the resource stands as far as the event tells; `None` when it tells too little. For a replay with no account
    /// there is no `live` state; else that adds what an event never tells, such as what is in a prefix list.
    fn state_of_event(
        &self,
        resource: &Resource,
        target: &Self::Target,
        live: Option<&Self::State>,
    ) -> Option<Self::State>;

    /// How the resource stands.
    fn read(
        &self,
        scope: &Scope,
        resource: &Resource,
        target: &Self::Target,
    ) -> impl Future<Output = Result<Self::State, CallError>> + Send;

    /// Adds to a state what only some owners ask for, or what an undo is about. It costs round trips of its own, since the
    /// settings are read side by side with the state: who asks for nothing more should not pay for it.
    fn read_further(
        &self,
        _scope: &Scope,
        _resource: &Resource,
        state: Self::State,
        _further: Further<'_, Self::Settings>,
    ) -> impl Future<Output = Result<Self::State, CallError>> + Send {
        std::future::ready(Ok(state))
    }

    /// Is it risky?
    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<Self::Offender>;

    /// How to take back exactly these offenders.
    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[Self::Offender]) -> Plan;

    /// Keeps what an outcome can't hold and an undo or a person needs, once a change is found risky and before anything is
    /// made, whatever the mode. It changes nothing of the owner's.
    fn keep_evidence(&self, _: &Scope, _: &Subject<'_, Self>) -> impl Future<Output = Result<(), CallError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Makes a call of a plan, or of an inverse.
    fn make(&self, scope: &Scope, call: &Call) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// A remediation as the engine's table holds it, whatever its types.
pub trait AnyRemediation: Send + Sync {
    /// See [`Remediation::NAME`].
    fn name(&self) -> &'static str;
    /// The tags that it understands beside those of every remediation.
    fn tags(&self) -> &'static [TagKey];
    /// See [`Remediation::CALLS`].
    fn calls(&self) -> &'static [&'static str];
    /// See [`Remediation::OPERATIONS`].
    fn operations(&self) -> &'static [Operation];
    /// See [`Remediation::INTERRUPTS_SERVICE`].
    fn interrupts_service(&self) -> bool;
    /// Whether the signal is this remediation's business.
    fn listens(&self, signal: &Signal) -> bool;
    /// Runs the remediation for one delivery, for each resource that it is about. Empty when the signal is none of its
    /// business, or the rule is not for it.
    #[doc(hidden)]
    fn run<'a>(
        &'a self,
        engine: &'a Engine,
        delivery: &'a Delivery,
        cause: Cause<'a>,
    ) -> Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>>;
    /// Undoes what an outcome did.
    #[doc(hidden)]
    fn undo<'a>(
        &'a self,
        engine: &'a Engine,
        undoing: &'a Undoing,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;
}

impl<R: Remediation> AnyRemediation for R {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn tags(&self) -> &'static [TagKey] {
        R::Settings::TAGS
    }

    fn calls(&self) -> &'static [&'static str] {
        R::CALLS
    }

    fn operations(&self) -> &'static [Operation] {
        R::OPERATIONS
    }

    fn interrupts_service(&self) -> bool {
        R::INTERRUPTS_SERVICE
    }

    fn listens(&self, signal: &Signal) -> bool {
        !self.listen(signal).is_empty()
    }

    fn run<'a>(
        &'a self,
        engine: &'a Engine,
        delivery: &'a Delivery,
        cause: Cause<'a>,
    ) -> Pin<Box<dyn Future<Output = Vec<Outcome>> + Send + 'a>> {
        Box::pin(engine.remediate(self, delivery, cause))
    }

    fn undo<'a>(
        &'a self,
        engine: &'a Engine,
        undoing: &'a Undoing,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(engine.undo_one(self, undoing))
    }
}

/// A type of resource whose states are kept in the baseline, from what AWS Config records of it.
pub trait Recorded: Send + Sync {
    /// As AWS Config names it: `AWS::EC2::SecurityGroup`.
    fn resource_type(&self) -> &'static str;

    /// The operations that `complete` calls.
    fn operations(&self) -> &'static [Operation] {
        &[]
    }

    /// Adds to a state what AWS Config leaves out and is needed to put things back, as far as it can still be read: nothing, where
    /// AWS Config tells all. What is read here may be newer than what AWS Config saw: where that matters, the state's time becomes
    /// that of the reading.
    fn complete<'a>(
        &'a self,
        _scope: &'a Scope,
        _resource: &'a Resource,
        _state: &'a mut Snapshot,
    ) -> Pin<Box<dyn Future<Output = Result<(), CallError>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A type of which AWS Config tells all that is needed, by its name: `RecordedAs("AWS::KMS::Key")`.
#[derive(Debug, Clone, Copy)]
pub struct RecordedAs(pub &'static str);

impl Recorded for RecordedAs {
    fn resource_type(&self) -> &'static str {
        self.0
    }
}

/// A Lambda function: its name and its remediations.
#[derive(Clone, Copy)]
pub struct Function {
    /// The crate's and the function's name: `security-groups`.
    pub name: &'static str,
    /// What it takes back.
    pub remediations: &'static [&'static dyn AnyRemediation],
    /// Whose states it keeps.
    pub recorded: &'static [&'static dyn Recorded],
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let recorded: Vec<&str> = self.recorded.iter().map(|recorded| recorded.resource_type()).collect();
        let mut function = f.debug_struct("Function");
        function.field("name", &self.name).field("remediations", &self.names()).field("recorded", &recorded).finish()
    }
}

impl Function {
    /// The names of its remediations.
    pub fn names(&self) -> Vec<&'static str> {
        self.remediations.iter().map(|remediation| remediation.name()).collect()
    }

    /// The tags that a rule of this function may carry.
    pub fn known_tags(&self) -> Vec<TagKey> {
        let own = self.remediations.iter().flat_map(|remediation| remediation.tags().iter().copied());
        let mut known: Vec<TagKey> = Vec::new();
        for tag in rescind::settings::COMMON.iter().copied().chain(own) {
            if !known.contains(&tag) {
                known.push(tag);
            }
        }
        known
    }

    /// Checks the tags of a rule as the function itself would, so that a mistake is found before a deployment.
    ///
    /// # Errors
    /// [`SettingsError`], which names the tag.
    pub fn check_tags(&self, tags: &Tags) -> Result<Settings, SettingsError> {
        tags.check(&self.known_tags())?;
        Settings::parse(tags, &self.names())
    }
}
