//! What is counted of a row, and how it is added up: by day and organization.
//!
//! Pure. Bounded: the people and groups of a day and organization that are one too many are counted as
//! "others", and so is what belongs to one organization too many, which only those see who may see all.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use jiff::civil::Date;

use crate::domain::action::{Action, Outcome};
use crate::domain::caller::Fingerprint;
use crate::domain::ids::{GroupId, OrganizationId, UserId};
use crate::store::sqlite::Counted;

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Kind {
    /// Groups or memberships.
    Change,
    /// The same, made behind the gateway.
    Observed,
    /// Anything else upstream.
    Other,
}

/// Who changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::admin) enum Who {
    User(UserId),
    Credential(Fingerprint),
}

/// How many of each kind ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::admin) struct Sums([[u64; Outcome::ALL.len()]; 3]);

/// How many distinct ones are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Organizations of a day.
    pub(super) organizations: usize,
    /// People of a day and organization.
    pub(super) people: usize,
    /// Groups of a day and organization.
    pub(super) groups: usize,
    /// People and groups of all days and organizations.
    pub(super) all: usize,
}

/// Somebody or something, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::admin) struct Times {
    pub(in crate::admin) count: u64,
    pub(in crate::admin) name: Option<Box<str>>,
}

/// The counts of some days.
#[derive(Debug)]
pub(super) struct Counts {
    bounds: Bounds,
    days: BTreeMap<Date, HashMap<Option<OrganizationId>, Cell>>,
    kept: usize,
}

#[derive(Debug, Default)]
struct Cell {
    sums: Sums,
    people: Kept<Who>,
    groups: Kept<GroupId>,
}

/// The distinct ones, and how often it was any other.
#[derive(Debug)]
struct Kept<K> {
    times: HashMap<K, Times>,
    others: u64,
}

/// A group of an organization.
pub(in crate::admin) type GroupKey = (Option<OrganizationId>, GroupId);

/// What was counted within some organizations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) days: Vec<(Date, Sums)>,
    pub(super) people: HashMap<Who, Times>,
    pub(super) other_people: u64,
    pub(super) groups: HashMap<GroupKey, Times>,
    pub(super) other_groups: u64,
}

// Some 30 MB at the very most; a company's month is a few hundred kilobytes.
pub(super) const BOUNDS: Bounds = Bounds {
    organizations: 1_000,
    people: 200,
    groups: 500,
    all: 200_000,
};

// === impl Kind ===

impl Kind {
    /// `None` for what was done to Tollgate, which changes nothing upstream.
    pub(super) fn of(action: &str) -> Option<Self> {
        if action == Action::GroupObserved.as_str() {
            return Some(Self::Observed);
        }
        match action.split_once('.')?.0 {
            "group" | "project_group" | "membership" => Some(Self::Change),
            "tollgate" => None,
            _ => Some(Self::Other),
        }
    }
}

// === impl Sums ===

impl Sums {
    fn add(&mut self, kind: Kind, outcome: Outcome) {
        self.0[kind as usize][outcome as usize] += 1;
    }

    fn plus(&mut self, other: &Self) {
        let all = self.0.iter_mut().flatten();
        all.zip(other.0.iter().flatten())
            .for_each(|(sum, count)| *sum += count);
    }

    /// How many of a kind ended in one of these ways.
    pub(in crate::admin) fn of(&self, kind: Kind, outcomes: &[Outcome]) -> u64 {
        outcomes
            .iter()
            .map(|outcome| self.0[kind as usize][*outcome as usize])
            .sum()
    }

    /// How many of a kind there were.
    pub(in crate::admin) fn all(&self, kind: Kind) -> u64 {
        self.of(kind, &Outcome::ALL)
    }

    /// All of them together.
    pub(in crate::admin) fn total<'a>(sums: impl Iterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        sums.for_each(|sum| total.plus(sum));
        total
    }
}

// === impl Times ===

impl Times {
    /// So many more, under the newer name.
    pub(super) fn plus(&mut self, count: u64, name: Option<&str>) {
        self.count += count;
        if let Some(name) = name.filter(|name| self.name.as_deref() != Some(*name)) {
            self.name = Some(name.into());
        }
    }
}

// === impl Kept ===

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self {
            times: HashMap::new(),
            others: 0,
        }
    }
}

impl<K: Eq + Hash> Kept<K> {
    /// Counts it; whether it is a new one.
    fn add(&mut self, key: K, name: Option<&str>, has_room: impl FnOnce(usize) -> bool) -> bool {
        let kept = self.times.len();
        match self.times.entry(key) {
            Entry::Occupied(mut known) => {
                known.get_mut().plus(1, name);
                false
            }
            Entry::Vacant(new) if has_room(kept) => {
                new.insert(Times::default()).plus(1, name);
                true
            }
            Entry::Vacant(_) => {
                self.others += 1;
                false
            }
        }
    }
}

// === impl Counts ===

impl Counts {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            days: BTreeMap::new(),
            kept: 0,
        }
    }

    /// Counts a row.
    pub(super) fn add(&mut self, row: &Counted) {
        let day = row
            .occurred_at
            .get(..10)
            .and_then(|day| day.parse::<Date>().ok());
        let outcome = Outcome::ALL
            .into_iter()
            .find(|known| known.as_str() == row.outcome);
        let (Some(kind), Some(day), Some(outcome)) = (Kind::of(&row.action), day, outcome) else {
            return;
        };
        let bounds = self.bounds;
        let cells = self.days.entry(day).or_default();
        // Anybody can make up the number of an organization.
        let organization = row
            .organization
            .filter(|id| cells.contains_key(&Some(*id)) || cells.len() < bounds.organizations);
        let cell = cells.entry(organization).or_default();
        cell.sums.add(kind, outcome);
        if kind != Kind::Change {
            return;
        }
        if let Some(who) = Who::of(row) {
            let kept = self.kept;
            let has_room = |people| people < bounds.people && kept < bounds.all;
            self.kept += usize::from(cell.people.add(who, row.name.as_deref(), has_room));
        }
        for (group, name) in &row.groups {
            let kept = self.kept;
            let has_room = |groups| groups < bounds.groups && kept < bounds.all;
            self.kept += usize::from(cell.groups.add(*group, name.as_deref(), has_room));
        }
    }

    /// Forgets the days before this one.
    pub(super) fn forget_before(&mut self, first: Date) {
        let kept = self.days.split_off(&first);
        let gone = std::mem::replace(&mut self.days, kept);
        let cells = gone.values().flat_map(HashMap::values);
        self.kept -= cells
            .map(|cell| cell.people.times.len() + cell.groups.times.len())
            .sum::<usize>();
    }

    /// What was counted from `first` to `last`, within some organizations or, with `None`, in all.
    pub(super) fn sum(&self, first: Date, last: Date, within: Option<&[OrganizationId]>) -> Sum {
        let mut sum = Sum::default();
        for day in first
            .series(jiff::ToSpan::days(1))
            .take_while(|day| *day <= last)
        {
            let mut of_day = Sums::default();
            for (organization, cell) in self.days.get(&day).into_iter().flatten() {
                let is_seen =
                    within.is_none_or(|mine| organization.is_some_and(|id| mine.contains(&id)));
                if !is_seen {
                    continue;
                }
                of_day.plus(&cell.sums);
                sum.other_people += cell.people.others;
                sum.other_groups += cell.groups.others;
                for (who, times) in &cell.people.times {
                    let known = sum.people.entry(*who).or_default();
                    known.plus(times.count, times.name.as_deref());
                }
                for (group, times) in &cell.groups.times {
                    let known = sum.groups.entry((*organization, *group)).or_default();
                    known.plus(times.count, times.name.as_deref());
                }
            }
            sum.days.push((day, of_day));
        }
        sum
    }
}

// === impl Who ===

impl Who {
    fn of(row: &Counted) -> Option<Self> {
        let credential = || row.credential.as_ref()?.parse().ok().map(Self::Credential);
        row.user.map(Self::User).or_else(credential)
    }
}
