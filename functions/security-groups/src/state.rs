//! How a group stands, and how it stood: what the remediations of this function judge.

use std::collections::BTreeSet;

use rescind::journal::Facts;
use rescind::{Call, Resource};
use rescind_lambda::{CallError, ResourceState, Scope};

use crate::calls;
use crate::earlier::Earlier;
use crate::ec2::{self, GroupRef, SecurityGroup};
use crate::exposure::PrefixLists;
use crate::rule::{Rule, Source};
use crate::told::{Changed, Target};

/// How a group stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The group; `None` when it is gone.
    pub group: Option<SecurityGroup>,
    /// The prefix lists that its rules name.
    pub lists: PrefixLists,
    /// Its rules before the change, where the event does not tell them.
    pub earlier: Earlier,
    /// Other groups that modified rules named before, and that are there.
    pub groups: BTreeSet<String>,
    /// Nothing was read: this is what the event alone tells.
    pub is_from_event: bool,
}

impl State {
    /// Reads the group, and side by side its earlier state where that is needed.
    ///
    /// # Errors
    /// When EC2 could not be asked. An earlier state that can't be read is no error here: it may not matter.
    pub async fn read(scope: &Scope, resource: &Resource, target: &Target) -> Result<Self, CallError> {
        let told = target.rules().unwrap_or_default();
        let lists = told.iter().filter_map(|told| match told.rule.as_ref().map(|rule| &rule.source) {
            Some(Source::PrefixList(id)) => Some(id.clone()),
            _ => None,
        });
        let known_lists = lists.collect();
        let group = Box::pin(ec2::read_group(scope, &target.group, &known_lists));
        let is_by_id = matches!(target.group, GroupRef::Id(_));
        if target.needs_earlier_state() && is_by_id {
            let earlier = Box::pin(Earlier::read(scope, resource, target.time));
            let (group, earlier) = futures_util::future::join(group, earlier).await;
            let (group, lists) = group?;
            return Self { group, lists, earlier, ..Self::default() }.with_what_was_named(scope, target).await;
        }
        let (group, lists) = group.await?;
        let mut state = Self { group, lists, ..Self::default() };
        if let Some(group) = state.group.as_ref().filter(|_| target.needs_earlier_state()) {
            let resource = Resource { id: group.id.clone(), ..resource.clone() };
            state.earlier = Box::pin(Earlier::read(scope, &resource, target.time)).await;
        }
        state.with_what_was_named(scope, target).await
    }

    /// Reads what the changed rules named before the change and no rule names now: that may be gone by now.
    async fn with_what_was_named(mut self, scope: &Scope, target: &Target) -> Result<Self, CallError> {
        let told = target.rules().unwrap_or_default().iter();
        let before = told.filter_map(|told| self.earlier.of_changed(told, &target.changed, self.rules()));
        let (mut lists, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for rule in before {
            match &rule.source {
                Source::PrefixList(id) if !self.lists.contains_key(id) => lists.insert(id.clone()),
                Source::Group { id, account: None, peering: None }
                    if matches!(target.changed, Changed::Modified(_)) && self.id() != Some(id) =>
                {
                    groups.insert(id.clone())
                }
                _ => false,
            };
        }
        if !lists.is_empty() || !groups.is_empty() {
            let (lists, groups) = Box::pin(ec2::read_named(scope, &lists, groups)).await?;
            self.lists.extend(lists);
            self.groups = groups;
        }
        Ok(self)
    }

    /// Whether a modification can name this: a group of another account it can't.
    pub fn can_name(&self, source: &Source) -> bool {
        match source {
            Source::Cidr(_) => true,
            Source::PrefixList(id) => self.lists.get(id).is_some_and(Result::is_ok),
            Source::Group { id, account, peering } => {
                account.is_none() && peering.is_none() && (self.id() == Some(id) || self.groups.contains(id))
            }
        }
    }

    /// How the group stands as far as the event tells; `None` when it tells too little.
    pub fn of_event(target: &Target, live: Option<&Self>) -> Option<Self> {
        let (GroupRef::Id(id) | GroupRef::Name(id)) = &target.group;
        let rules = target.rules()?.iter().filter_map(|told| told.rule.clone()).collect();
        Some(Self {
            group: Some(SecurityGroup { id: id.clone(), tags: Vec::new(), rules }),
            lists: live.map(|state| state.lists.clone()).unwrap_or_default(),
            is_from_event: true,
            ..Self::default()
        })
    }

    /// The group's rules.
    pub fn rules(&self) -> &[Rule] {
        self.group.as_ref().map(|group| group.rules.as_slice()).unwrap_or_default()
    }
}

impl ResourceState for State {
    fn id(&self) -> Option<&str> {
        self.group.as_ref().map(|group| group.id.as_str())
    }

    fn tags(&self) -> &[(String, String)] {
        self.group.as_ref().map(|group| group.tags.as_slice()).unwrap_or_default()
    }

    /// Each rule, by what it permits, with its description and tags.
    fn facts(&self) -> Facts {
        self.rules().iter().map(|rule| (rule.permits(), rule.notes())).collect()
    }

    fn after(&self, call: &Call) -> Self {
        let group = self.group.clone();
        let group = group.map(|group| SecurityGroup { rules: calls::applied(&group.rules, call), ..group });
        Self { group, ..self.clone() }
    }
}
