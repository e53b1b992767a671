//! Events as a table.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, Width};
use jiff::Timestamp;

use super::text::{ago, group, plain, time, who, who_with_what};
use crate::domain::event::Event;

/// What a column shows of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Its place in the trail.
    Seq,
    /// Day and time.
    Time,
    /// The time of the day.
    Clock,
    /// The person.
    Who,
    /// The label of the tool's base URL.
    Tool,
    /// What kind of change.
    Action,
    /// How it ended.
    Outcome,
    /// The group.
    Group,
    /// The summary.
    What,
}

/// What is shown where nobody asks for something else.
pub(super) const USUAL: [Column; 7] = [
    Column::Seq,
    Column::Time,
    Column::Who,
    Column::Action,
    Column::Outcome,
    Column::Group,
    Column::What,
];

/// Events as a table, a line each, in the order in which they are given.
#[must_use]
pub fn table(events: &[Event]) -> String {
    table_within(events, None)
}

/// The same within `width` columns, long texts on several lines.
#[must_use]
pub fn table_within(events: &[Event], width: Option<u16>) -> String {
    table_of(events, &USUAL, width)
}

/// The same with these columns.
#[must_use]
pub fn table_of(events: &[Event], columns: &[Column], width: Option<u16>) -> String {
    table_as(
        events,
        columns,
        Look {
            width,
            ..Look::default()
        },
    )
}

/// How a table is shown. Through a pipe: as wide as it gets, without colour, with the times as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Look {
    /// The width that it has to fit.
    pub(in crate::cli) width: Option<u16>,
    /// Whether outcomes have colours.
    pub(in crate::cli) colour: bool,
    /// Told from now, such as `3 min ago`.
    pub(in crate::cli) now: Option<Timestamp>,
}

/// The same, shown like that.
pub(super) fn table_as(events: &[Event], columns: &[Column], look: Look) -> String {
    let mut table = empty(look, columns.iter().map(|column| column.title(look)));
    let tool_apart = columns.contains(&Column::Tool);
    for event in events {
        table.add_row(columns.iter().map(|column| match column {
            Column::Who if !tool_apart => Cell::new(who_with_what(event)),
            column => column.cell(event, look),
        }));
    }
    if look.width.is_some() {
        for (column, shown) in table.column_iter_mut().zip(columns) {
            if let Some(constraint) = shown.constraint() {
                column.set_constraint(constraint);
            }
        }
    }
    lines(&mut table)
}

/// A table without rows, in the form that all have.
pub(in crate::cli) fn empty(look: Look, titles: impl IntoIterator<Item = &'static str>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(titles);
    match look.width {
        Some(width) => {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width.max(60));
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    // It would look for a terminal by itself; who asks has looked already.
    if look.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// The table as text.
pub(in crate::cli) fn lines(table: &mut Table) -> String {
    // Two spaces between columns, none at the edge.
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// In which colour an outcome is shown.
pub(super) fn colour_of_outcome(outcome: &str) -> Option<Color> {
    match outcome {
        "applied" => Some(Color::Green),
        "partial" => Some(Color::Yellow),
        "rejected" => Some(Color::Red),
        "unknown" => Some(Color::Magenta),
        "not_sent" => Some(Color::DarkGrey),
        _ => None,
    }
}

fn colour_of_action(action: &str) -> Option<Color> {
    match action.rsplit('.').next()? {
        "create" | "add" => Some(Color::Green),
        "delete" | "remove" => Some(Color::Red),
        "observed" => Some(Color::Magenta),
        _ => None,
    }
}

// === impl Column ===

impl Column {
    fn title(self, look: Look) -> &'static str {
        match self {
            Self::Seq => "SEQ",
            Self::Time if look.now.is_some() => "WHEN",
            Self::Time | Self::Clock => "TIME (UTC)",
            Self::Who => "WHO",
            Self::Tool => "TOOL",
            Self::Action => "ACTION",
            Self::Outcome => "OUTCOME",
            Self::Group => "GROUP",
            Self::What => "WHAT",
        }
    }

    fn cell(self, event: &Event, look: Look) -> Cell {
        let cell = Cell::new(self.text(event, look));
        let colour = match self {
            Self::Action => colour_of_action(&event.action),
            Self::Outcome => colour_of_outcome(&event.outcome),
            _ => None,
        };
        match colour {
            Some(colour) => cell.fg(colour),
            None => cell,
        }
    }

    fn text(self, event: &Event, look: Look) -> String {
        match self {
            Self::Seq => event.seq.to_string(),
            Self::Time => match look.now {
                Some(now) => ago(&event.occurred_at, now),
                None => time(&event.occurred_at),
            },
            Self::Clock => {
                let time = time(&event.occurred_at);
                time.get(11..).unwrap_or(&time).to_owned()
            }
            Self::Who => who(event),
            Self::Tool => plain(event.actor.tool.as_deref().unwrap_or("-")).into_owned(),
            Self::Action => plain(&event.action).into_owned(),
            Self::Outcome => plain(&event.outcome).into_owned(),
            Self::Group => group(&event.target),
            Self::What => plain(&event.summary).into_owned(),
        }
    }

    // What people search for by eye stays on one line.
    fn constraint(self) -> Option<ColumnConstraint> {
        match self {
            Self::Seq | Self::Time | Self::Clock | Self::Action | Self::Outcome => {
                Some(ColumnConstraint::ContentWidth)
            }
            Self::Who | Self::Tool | Self::Group => {
                Some(ColumnConstraint::UpperBoundary(Width::Percentage(20)))
            }
            Self::What => None,
        }
    }
}

/// How wide the terminal is, if there is one.
pub(in crate::cli) fn terminal_width() -> Option<u16> {
    Table::new().width()
}
