//! What came of the scenes, for people: all figures, those that DESIGN asks for, and a picture of the ratios.

use std::fmt::Write as _;

use maud::Markup;

use super::contender::Contender::{self, Bare, Nginx, Tollgate, Varnish};
use super::picture::{Dot, Row, ratios};
use super::scene::Coding::{Gzip, Identity};
use super::scene::Protocol::Http1;
use super::scene::Scene;
use super::scene::Size::{Medium, Small};
use super::scene::Work::{Changes, Hits, Reads};
use super::{Played, Turn};

/// At least this many times what the peer does, by DESIGN §7.
const ASKED: [(Scene, Contender, f64); 7] = [
    (Scene::new(Hits, Small, Identity, Http1, 64), Nginx, 1.15),
    (Scene::new(Hits, Small, Identity, Http1, 64), Varnish, 1.5),
    (Scene::new(Hits, Small, Identity, Http1, 64), Bare, 0.85),
    (Scene::new(Hits, Medium, Identity, Http1, 64), Nginx, 1.3),
    (Scene::new(Hits, Medium, Gzip, Http1, 64), Nginx, 10.0),
    (Scene::new(Reads, Small, Identity, Http1, 64), Nginx, 0.8),
    (AUDITED, Nginx, 0.4),
];
const AUDITED: Scene = Scene::new(Changes, Small, Identity, Http1, 64);

/// And so many changes a second where the disk does so many fsyncs.
const CHANGES: (f64, f64) = (5_000.0, 7_000.0);

/// With less than this share of their time left, the generator and the origin may be what limits.
const IDLE: f64 = 0.02;

const HEAD: &str = "\
| scene | server | requests/s | from, to | Tollgate ÷ it | p50, ms | p99, ms | µs a request |
|---|---|---|---|---|---|---|---|
";

/// All tables.
pub(super) fn tables(all: &[Played]) -> String {
    let mut text = asked(all);
    text.push_str(HEAD);
    for played in all {
        text.push_str(&rows(played));
    }
    text
}

/// A row for each server, as they are in the large table.
pub(super) fn rows(played: &Played) -> String {
    let mut rows = String::new();
    for (contender, turns) in &played.turns {
        let rates = sorted(turns, |turn| turn.seen.per_second);
        let ratio = match contender {
            Tollgate => String::new(),
            Nginx | Varnish | Bare => played.told(*contender).unwrap_or_default(),
        };
        let _ = writeln!(
            rows,
            "| {} | {} | {}{} | {}, {} | {ratio} | {:.2} | {:.2} | {:.1} |",
            played.scene,
            contender.name(),
            if played.is_limited(*contender) {
                "≥ "
            } else {
                ""
            },
            number(median(turns, |turn| turn.seen.per_second)),
            number(rates[0]),
            number(rates[rates.len() - 1]),
            median(turns, |turn| turn.seen.p50),
            median(turns, |turn| turn.seen.p99),
            median(turns, |turn| turn.processor),
        );
    }
    rows
}

/// What DESIGN asks for, as far as it was played.
fn asked(all: &[Played]) -> String {
    let find = |scene| all.iter().find(|played| played.scene == scene);
    let mut rows = String::new();
    for (scene, contender, least) in ASKED {
        let found = find(scene).and_then(|played| {
            let told = played.told(contender)?;
            Some((played.ratio(contender)?, told))
        });
        let Some((ratio, told)) = found else {
            continue;
        };
        let met = if ratio >= least { "yes" } else { "**no**" };
        let name = contender.name();
        let _ = writeln!(rows, "| {scene} | {least} × {name} | {told} × | {met} |");
    }
    if let Some(played) = find(AUDITED) {
        let (changes, fsyncs) = CHANGES;
        let rate = median(played.of(Tollgate), |turn| turn.seen.per_second);
        let disk = middle(&played.fsyncs);
        let met = match (rate >= changes, disk >= fsyncs) {
            (true, _) => "yes",
            (false, true) => "**no**",
            (false, false) => "not with this disk",
        };
        let _ = writeln!(
            rows,
            "| {AUDITED} | {} a second, with {} fsyncs a second | {}, with {} | {met} |",
            number(changes),
            number(fsyncs),
            number(rate),
            number(disk),
        );
    }
    if rows.is_empty() {
        return rows;
    }
    format!("| scene | at least | measured | met |\n|---|---|---|---|\n{rows}\n")
}

/// The ratios of all scenes.
pub(super) fn picture(all: &[Played]) -> Markup {
    let rows: Vec<Row> = (all.iter())
        .map(|played| Row {
            name: played.scene.to_string(),
            dots: [Nginx, Varnish, Bare]
                .into_iter()
                .filter_map(|contender| {
                    Some(Dot {
                        name: contender.name(),
                        value: played.ratio(contender)?,
                        asked: (ASKED.iter())
                            .find(|(scene, peer, _)| (*scene, *peer) == (played.scene, contender))
                            .map(|(_, _, least)| *least),
                    })
                })
                .collect(),
        })
        .collect();
    ratios(
        "Requests a second: Tollgate's, divided by the peer's",
        "to the right of 1 Tollgate answers more; a ring is what is asked for",
        &rows,
    )
}

// === impl Played ===

impl Played {
    fn of(&self, contender: Contender) -> &[Turn] {
        let turns = self.turns.iter().find(|(other, _)| *other == contender);
        turns.map_or(&[], |(_, turns)| turns)
    }

    /// How many times as many requests Tollgate answers; the middle one of all rounds.
    fn ratio(&self, contender: Contender) -> Option<f64> {
        let pairs = self.of(Tollgate).iter().zip(self.of(contender));
        let ratios: Vec<f64> = pairs
            .map(|(ours, theirs)| ours.seen.per_second / theirs.seen.per_second)
            .collect();
        (!ratios.is_empty()).then(|| middle(&ratios))
    }

    /// The same for people, with what it would be if the generator and the origin had had more time.
    fn told(&self, contender: Contender) -> Option<String> {
        let ratio = self.ratio(contender)?;
        let sign = match (self.is_limited(Tollgate), self.is_limited(contender)) {
            (false, false) => "",
            (true, false) => "≥ ",
            (false, true) => "≤ ",
            (true, true) => "≈ ",
        };
        Some(format!("{sign}{ratio:.2}"))
    }

    /// Whether the generator and the origin may be what limits, not the server.
    fn is_limited(&self, contender: Contender) -> bool {
        median(self.of(contender), |turn| turn.idle) < IDLE
    }
}

fn median(turns: &[Turn], value: impl Fn(&Turn) -> f64) -> f64 {
    middle(&sorted(turns, value))
}

fn sorted(turns: &[Turn], value: impl Fn(&Turn) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = turns.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The median. There is one at least.
fn middle(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values[half]
    } else {
        (values[half - 1] + values[half]) / 2.0
    }
}

/// `12 345`, and with a digit behind the point where there are few before it.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
