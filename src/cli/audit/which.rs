//! Which events: the options that `list`, `tail` and `export` share.

use std::io::{self, Write as _};

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::clock::Clock;
use crate::domain::action::Action;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::domain::moment::Moment;
use crate::store::filter::Filter;

/// Only events that meet all of these.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Which {
    /// Only of this organization
    #[arg(long, value_name = "ID")]
    pub(super) org: Option<OrganizationId>,

    /// Only of this group
    #[arg(long, value_name = "ID")]
    group: Option<GroupId>,

    /// Only by this person: name, address, user number, or the first digits of a credential
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,

    /// Only of this kind, such as group.update
    #[arg(long)]
    action: Option<String>,

    /// Only with this outcome
    #[arg(long, value_parser = PossibleValuesParser::new(["applied", "partial", "rejected", "unknown", "not_sent"]))]
    outcome: Option<String>,

    /// Only from this time on: 2d, 3h, 2026-11-24 or 2026-11-24T16:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,

    /// Only before this time, written in the same ways
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

// === impl Which ===

impl Which {
    /// As the store asks. `2d` is counted from now.
    pub(super) fn filter(&self, clock: &Clock) -> Filter {
        let now = clock.now();
        Filter {
            within: None,
            organization: self.org,
            group: self.group,
            actor: self.actor.clone(),
            actions: self.action.iter().cloned().collect(),
            outcome: self.outcome.clone(),
            since: self.since.map(|moment| moment.before(now)),
            until: self.until.map(|moment| moment.before(now)),
            text: None,
        }
    }

    /// The options as they could be typed again, a space before each.
    pub(super) fn words(&self) -> String {
        let options = [
            ("org", self.org.map(|id| id.to_string())),
            ("group", self.group.map(|id| id.to_string())),
            ("actor", self.actor.as_deref().map(quoted)),
            ("action", self.action.as_deref().map(quoted)),
            ("outcome", self.outcome.clone()),
            ("since", self.since.map(|moment| moment.to_string())),
            ("until", self.until.map(|moment| moment.to_string())),
        ];
        let mut words = String::new();
        for (name, value) in options {
            if let Some(value) = value {
                words.push_str(&format!(" --{name} {value}"));
            }
        }
        words
    }

    /// Says on standard error that this version writes no such action, where nothing was found. No error:
    /// another version may have written it.
    pub(super) fn doubt(&self) {
        if let Some(hint) = self.action.as_deref().and_then(hint) {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "tollgate: {hint}");
        }
    }
}

fn quoted(text: &str) -> String {
    let simple = |char: char| char.is_ascii_alphanumeric() || "._-@".contains(char);
    if !text.is_empty() && text.chars().all(simple) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn hint(action: &str) -> Option<String> {
    let known = Action::ALL.map(Action::as_str);
    if known.contains(&action) {
        return None;
    }
    let near = known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(action, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    Some(match near {
        Some((_, near)) => format!("no event has the action {action:?}; did you mean {near}?"),
        None => format!(
            "no event has the action {action:?}; this version writes {}",
            known.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn an_action_that_nobody_writes_is_doubted_and_a_near_one_named() {
        assert_eq!(hint("group.patch"), None);
        assert_snapshot!(hint("group.updat").unwrap(), @r#"no event has the action "group.updat"; did you mean group.update?"#);
        let all = hint("rename").unwrap();
        assert!(
            all.contains("this version writes group.create, group.update"),
            "{all}"
        );
    }
}
