//! Events as a table.

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};

use super::text::{group, plain, time, who};
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
const USUAL: [Column; 7] = [
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
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_header(columns.iter().map(|column| column.title()));
    for event in events {
        table.add_row(columns.iter().map(|column| column.cell(event)));
    }
    // Two spaces between columns, none at the edge.
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    match width {
        Some(width) => {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width.max(60));
            for (column, shown) in table.column_iter_mut().zip(columns) {
                if let Some(constraint) = shown.constraint() {
                    column.set_constraint(constraint);
                }
            }
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

// === impl Column ===

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Seq => "SEQ",
            Self::Time | Self::Clock => "TIME (UTC)",
            Self::Who => "WHO",
            Self::Tool => "TOOL",
            Self::Action => "ACTION",
            Self::Outcome => "OUTCOME",
            Self::Group => "GROUP",
            Self::What => "WHAT",
        }
    }

    fn cell(self, event: &Event) -> String {
        match self {
            Self::Seq => event.seq.to_string(),
            Self::Time => time(&event.occurred_at),
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
pub(super) fn terminal_width() -> Option<u16> {
    Table::new().width()
}
