//! Values as people read them. Whatever came from outside is shown without power over the terminal.

use std::borrow::Cow;

use crate::domain::event::{Event, Target};

/// Escapes what would move the cursor, break the line or turn the direction of reading around.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(has_power) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if has_power(char) {
            plain.extend(char.escape_default());
        } else {
            plain.push(char);
        }
    }
    Cow::Owned(plain)
}

fn has_power(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `2026-11-24 16:48:29`, of a time as it is stored.
pub(super) fn time(stored: &str) -> String {
    let seconds = stored.get(..19).unwrap_or(stored);
    plain(&seconds.replacen('T', " ", 1)).into_owned()
}

/// Who it was, by the best name there is; `hr-sync for Ann` where a tool says for whom.
pub(super) fn who(event: &Event) -> String {
    let actor = &event.actor;
    let short = |id: &String| id.chars().take(12).collect();
    let name = actor
        .name
        .clone()
        .or_else(|| actor.email.clone())
        .or_else(|| actor.user_id.map(|id| format!("user {id}")))
        .or_else(|| actor.tool.clone())
        .or_else(|| actor.credential_id.as_ref().map(short))
        .unwrap_or_else(|| "-".to_owned());
    let who = match &actor.on_behalf_of {
        Some(person) => format!("{name} for {person}"),
        None => name,
    };
    plain(&who).into_owned()
}

/// The group's name, or its number where nobody said the name.
pub(super) fn group(target: &Target) -> String {
    match (&target.group_name, target.group_id) {
        (Some(name), _) => plain(name).into_owned(),
        (None, Some(id)) => id.to_string(),
        (None, None) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_power_over_the_terminal() {
        assert_eq!(
            plain("Ann\u{1b}[2J\n\u{202e}nnA"),
            r"Ann\u{1b}[2J\n\u{202e}nnA"
        );
        assert_eq!(plain("Jürgen 設計 👩‍🎨"), "Jürgen 設計 👩‍🎨");
        assert_eq!(time("2026-11-24T16:48:29.123Z"), "2026-11-24 16:48:29");
        assert_eq!(time("\u{1b}"), r"\u{1b}");
    }
}
