//! `tollgate audit show`: one event on a page.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::json::write_pretty;
use super::text::{plain, who};
use crate::domain::diff::{Change, Field, Kind};
use crate::domain::event::Event;
use crate::store::sqlite::Reader;

#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// The event's id, as in `X-Tollgate-Event`, or its number in the list
    id: String,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For scripts
    Json,
}

pub(super) async fn run(
    args: &ShowArgs,
    reader: &Reader,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let event = match (args.id.parse::<i64>(), args.id.parse()) {
        (Ok(seq), _) => reader.event_at(seq).await?,
        (_, Ok(id)) => reader.event(id).await?,
        (Err(_), Err(_)) => bail!(
            "{:?} is neither an event's id, such as 0193f0a2-7c11-7000-8000-3b1a5c0e9d42, nor its number in the list",
            args.id
        ),
    };
    let event = event.ok_or_else(|| anyhow!("there is no event {}", args.id))?;
    match args.format {
        Format::Text => write!(out, "{}", page(&event))?,
        Format::Json => write_pretty(out, &event)?,
    }
    Ok(())
}

fn page(event: &Event) -> String {
    let mut page = Page(String::new());
    let (actor, source, target) = (&event.actor, &event.source, &event.target);

    page.line(&event.summary);
    page.line("");
    page.field("event", Some(format!("{} (row {})", event.id, event.seq)));
    page.field(
        "when",
        Some(format!(
            "{}, took {} ms",
            event.occurred_at, event.duration_ms
        )),
    );
    page.field("who", Some(who(event)));
    page.field(
        "address",
        actor.email.as_ref().filter(|_| actor.name.is_some()),
    );
    page.field("user", actor.user_id);
    page.field("credential", actor.credential_id.as_ref());
    page.field("tool", actor.tool.as_ref());
    page.field("from", source.ip.as_ref());
    page.field("user agent", source.user_agent.as_ref());
    page.field("request id", source.request_id.as_ref());
    page.field("upstream id", event.response.upstream_request_id.as_ref());
    page.line("");
    page.field("action", Some(&event.action));
    let outcome = match event.response.status {
        Some(status) => format!("{} (status {status})", event.outcome),
        None => event.outcome.clone(),
    };
    page.field("outcome", Some(outcome));
    page.field("organization", target.organization_id);
    page.field("workspace", target.workspace_id);
    let group = match (target.group_id, &target.group_name) {
        (Some(id), Some(name)) => Some(format!("{id} {}", Value::from(name.as_str()))),
        (Some(id), None) => Some(id.to_string()),
        (None, name) => name.clone(),
    };
    page.field("group", group);
    page.field("project", target.project_id);
    page.field("project group", target.project_group_id);
    let request = &event.request;
    let query = request
        .query
        .as_ref()
        .map_or_else(String::new, |query| format!("?{query}"));
    page.field(
        "request",
        Some(format!("{} {}{query}", request.method, request.path)),
    );
    page.field("flags", words(&event.flags));
    page.field("related", words(&event.relations));
    page.field("hash", Some(&event.hash));

    if let Ok(changes) = serde_json::from_value::<Vec<Change>>(event.changes.clone())
        && !changes.is_empty()
    {
        page.line("\nDifference");
        for change in &changes {
            page.line(&format!("  {}", difference(change)));
        }
    }
    page.json("Before", event.before.as_ref());
    page.json("After", event.after.as_ref());
    page.text("Request body", request.body.as_ref());
    page.text("Answer", event.response.body.as_ref());
    page.0
}

// `+ user Ann (5)`
fn difference(change: &Change) -> String {
    let json = |value: &Option<Value>| value.as_ref().map_or("?".to_owned(), Value::to_string);
    let field = match change.field {
        Field::Group => "group",
        Field::Name => "name",
        Field::Users => "user",
        Field::Workspaces => "workspace",
        Field::Project => "project",
        Field::Permissions => "permissions",
    };
    let id = change
        .id
        .map_or_else(|| "?".to_owned(), |id| id.to_string());
    let element = match &change.label {
        Some(label) => format!("{label} ({id})"),
        None => id,
    };
    let line = match change.change {
        Kind::Created => format!("+ {field} {}", json(&change.to)),
        Kind::Deleted => format!("- {field} {}", json(&change.from)),
        Kind::Set => format!("~ {field} {} -> {}", json(&change.from), json(&change.to)),
        Kind::Added => format!("+ {field} {element}"),
        Kind::Removed => format!("- {field} {element}"),
    };
    match (change.group_id, &change.group_name) {
        (Some(id), Some(name)) => format!("{line} in group {id} {}", Value::from(name.as_str())),
        (Some(id), None) => format!("{line} in group {id}"),
        (None, _) => line,
    }
}

// A list of words, or whatever else it is; `None` for an empty list.
fn words(list: &Value) -> Option<String> {
    let items = list.as_array()?;
    let word = |item: &Value| match item {
        Value::String(word) => word.clone(),
        other => other.to_string(),
    };
    let words: Vec<_> = items.iter().map(word).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

struct Page(String);

// === impl Page ===

impl Page {
    fn line(&mut self, text: &str) {
        for line in text.split('\n') {
            self.0.push_str(&plain(line));
            self.0.push('\n');
        }
    }

    fn field(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            let value = value.to_string();
            // Into a `String` it cannot fail.
            let _ = writeln!(self.0, "{name:<14}{}", plain(&value));
        }
    }

    fn json(&mut self, title: &str, value: Option<&Value>) {
        if let Some(value) = value {
            // On one line: a group of hundreds would push what was changed off the screen.
            self.text(title, Some(&value.to_string()));
        }
    }

    fn text(&mut self, title: &str, text: Option<&String>) {
        if let Some(text) = text {
            self.line(&format!("\n{title}"));
            for line in text.lines() {
                self.line(&format!("  {line}"));
            }
        }
    }
}
