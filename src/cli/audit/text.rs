//! Values as people read them. Whatever came from outside is shown without power over the terminal.

use std::borrow::Cow;

use jiff::Timestamp;
use unicode_width::UnicodeWidthChar as _;

use crate::domain::event::{Event, Target};

/// Escapes what would move the cursor, break the line, turn the direction of reading around, or not be
/// seen: a name that looks like another one must not be another one.
pub(in crate::cli) fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    let mut previous = None;
    while let Some(char) = chars.next() {
        let shown = match char {
            // What holds an emoji or an Indic syllable together; elsewhere it is just not seen.
            '\u{200c}' | '\u{200d}' => {
                let holds = |char: Option<char>| {
                    char.is_some_and(|char| !char.is_ascii() && !is_hidden(char))
                };
                holds(previous) && holds(chars.peek().copied())
            }
            // At the beginning it would join what stands before the name.
            char if previous.is_none() && char.width() == Some(0) => false,
            char => !is_hidden(char),
        };
        if shown {
            plain.push(char);
        } else {
            plain.extend(char.escape_default());
        }
        previous = Some(char);
    }
    Cow::Owned(plain)
}

/// How what came from outside is shown: as it is, or [`plain`] where it would drive a terminal.
pub(super) fn as_told(terminal: bool) -> fn(&str) -> Cow<'_, str> {
    if terminal {
        plain
    } else {
        |text| Cow::Borrowed(text)
    }
}

// Controls, and what Unicode lets a program ignore: marks of direction, fillers, joiners, tags.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// `2026-11-24 16:48:29`, of a time as it is stored.
pub(in crate::cli) fn time(stored: &str) -> String {
    let seconds = stored.get(..19).unwrap_or(stored);
    plain(&seconds.replacen('T', " ", 1)).into_owned()
}

/// `3 min ago`, of a time as it is stored; the day, of what is older than a month.
pub(super) fn ago(stored: &str, now: Timestamp) -> String {
    let Ok(then) = stored.parse::<Timestamp>() else {
        return time(stored);
    };
    match now.as_second() - then.as_second() {
        // A clock that runs ahead.
        ..0 => time(stored),
        seconds @ ..60 => format!("{seconds} s ago"),
        seconds @ ..3600 => format!("{} min ago", seconds / 60),
        seconds @ ..86_400 => format!("{} h ago", seconds / 3600),
        seconds @ ..2_592_000 => format!("{} d ago", seconds / 86_400),
        _ => time(stored).chars().take(10).collect(),
    }
}

/// [`who`], and with which tool, where both are known: `Ann via hr-sync`.
pub(super) fn who_with_what(event: &Event) -> String {
    let actor = &event.actor;
    let person = actor.name.is_some() || actor.email.is_some() || actor.user_id.is_some();
    match &actor.tool {
        Some(tool) if person => named(event, &format!(" via {tool}")),
        _ => who(event),
    }
}

/// Who it was, by the best name there is; `hr-sync for Ann` where a tool says for whom.
pub(super) fn who(event: &Event) -> String {
    named(event, "")
}

fn named(event: &Event, with: &str) -> String {
    let actor = &event.actor;
    let name = actor.best_name().unwrap_or_else(|| "-".to_owned());
    let who = match &actor.on_behalf_of {
        Some(person) => format!("{name}{with} for {person}"),
        None => format!("{name}{with}"),
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
        for hidden in [
            "\u{61c}",
            "\u{200b}",
            "\u{200e}",
            "\u{200f}",
            "\u{2028}",
            "\u{202a}",
            "\u{2060}",
            "\u{2066}",
            "\u{2069}",
            "\u{feff}",
            "\u{e0001}",
            "\u{e0041}",
            "\u{ad}",
            "\u{3164}",
            "\u{85}",
            "\r",
            "\t",
        ] {
            let name = format!("Änn{hidden}x");
            assert_eq!(plain(&name), format!("Änn{}x", hidden.escape_default()));
        }
        // A joiner that joins nothing, and a mark that would sit on the column before.
        assert_eq!(plain("Ann\u{200d}"), r"Ann\u{200d}");
        assert_eq!(plain("\u{301}Ann"), r"\u{301}Ann");
        assert_eq!(plain("e\u{301}te"), "e\u{301}te");
        assert_eq!(plain("Jürgen 設計 👩‍🎨"), "Jürgen 設計 👩‍🎨");
        assert_eq!(time("2026-11-24T16:48:29.123Z"), "2026-11-24 16:48:29");
        assert_eq!(time("\u{1b}"), r"\u{1b}");
    }

    #[test]
    fn a_time_is_told_from_now() {
        let now = "2026-11-24T16:48:29Z".parse().unwrap();
        for (stored, told) in [
            ("2026-11-24T16:48:29.900Z", "0 s ago"),
            ("2026-11-24T16:47:30.000Z", "59 s ago"),
            ("2026-11-24T16:45:00.000Z", "3 min ago"),
            ("2026-11-24T09:48:29.000Z", "7 h ago"),
            ("2026-11-21T09:48:29.000Z", "3 d ago"),
            ("2026-08-01T09:48:29.000Z", "2026-08-01"),
            ("2026-11-24T16:49:00.000Z", "2026-11-24 16:49:00"),
            ("tomorrow", "tomorrow"),
        ] {
            assert_eq!(ago(stored, now), told);
        }
    }
}
