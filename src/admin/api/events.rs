//! `GET /api/events` and `GET /api/events/{id}`.

use std::fmt;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Asked, Named};
use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::problem::Problem;
use crate::domain::action::Outcome;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, GroupId, OrganizationId};
use crate::domain::moment::Moment;
use crate::store::StoreError;
use crate::store::filter::Filter;

/// Only events that meet all of these; the same as the options of `tollgate audit list`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Which {
    /// Only of this organization.
    #[serde(default, deserialize_with = "filled")]
    pub(in crate::admin) org: Option<OrganizationId>,
    /// Only of this group, also where it is one of several.
    #[serde(default, deserialize_with = "filled")]
    pub(in crate::admin) group: Option<GroupId>,
    /// Only by this person: name, address, user number, or the first digits of a credential.
    pub(in crate::admin) actor: Option<String>,
    /// Only of these kinds, such as `group.update`, with commas between them.
    pub(in crate::admin) action: Option<String>,
    /// Only with this outcome: `applied`, `partial`, `rejected`, `unknown` or `not_sent`.
    pub(in crate::admin) outcome: Option<String>,
    /// Only from this time on: `2d`, `3h`, `2026-11-24` or `2026-11-24T16:00:00Z`.
    pub(in crate::admin) since: Option<String>,
    /// Only before this time, written in the same ways.
    pub(in crate::admin) until: Option<String>,
    /// Only with this text in the sentence, the path or a name, in any case.
    pub(in crate::admin) q: Option<String>,
    /// Where to go on, where an answer has pages.
    #[param(ignore)]
    pub(in crate::admin) cursor: Option<String>,
    /// At most this many, where an answer has pages.
    #[param(ignore)]
    #[serde(default, deserialize_with = "filled")]
    pub(in crate::admin) limit: Option<u32>,
    /// What to write, where there is a choice.
    #[serde(default)]
    #[param(ignore)]
    pub(in crate::admin) format: Option<String>,
}

/// Some events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Events {
    /// The events.
    pub(super) events: Vec<Event>,
    /// What to ask the next page with; nothing after the last. A page may hold fewer events than asked for, or
    /// none, and still have a next one: a text is looked for in so many events at a time.
    pub(super) next: Option<String>,
}

/// Names are shorter, and what a text costs grows with it.
const LONGEST: usize = 256;

/// As many events a page has, if nothing is said.
pub(in crate::admin) const USUAL: u32 = 50;
const MOST: u32 = 1000;

// A form sends the fields that nobody filled in too.
fn filled<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    let text = Some(text.trim()).filter(|text| !text.is_empty());
    text.map(str::parse).transpose().map_err(D::Error::custom)
}

// === impl Which ===

impl Which {
    /// As the store asks, for what `principal` may see.
    pub(in crate::admin) fn filter(
        &self,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<Filter, Problem> {
        if let Some(organization) = self.org {
            principal.may_see(organization)?;
        }
        for (name, value) in [
            ("actor", &self.actor),
            ("action", &self.action),
            ("q", &self.q),
        ] {
            if value.as_ref().is_some_and(|value| value.len() > LONGEST) {
                return Err(Problem::bad_request(format!(
                    "{name}: at most {LONGEST} bytes"
                )));
            }
        }
        let outcome = said(&self.outcome);
        if let Some(outcome) = &outcome
            && !Outcome::ALL.iter().any(|known| known.as_str() == *outcome)
        {
            let known = Outcome::ALL.map(Outcome::as_str).join(", ");
            return Err(Problem::bad_request(format!(
                "outcome: there is no {outcome:?}; there are {known}"
            )));
        }
        let actions = self.action.iter().flat_map(|actions| actions.split(','));
        Ok(Filter {
            within: principal.within(),
            organization: self.org,
            group: self.group,
            actor: said(&self.actor),
            actions: actions
                .filter(|action| !action.is_empty())
                .map(str::to_owned)
                .collect(),
            outcome,
            since: time("since", said(&self.since).as_deref(), now)?,
            until: time("until", said(&self.until).as_deref(), now)?,
            text: said(&self.q),
        })
    }

    /// Refuses what an answer takes no account of.
    pub(super) fn without(&self, names: &[&str]) -> Result<(), Problem> {
        let limit = self.limit.map(|_| "limit");
        let cursor = said(&self.cursor).map(|_| "cursor");
        let format = said(&self.format).map(|_| "format");
        let given = [limit, cursor, format].into_iter().flatten();
        match given.into_iter().find(|given| names.contains(given)) {
            Some(name) => Err(Problem::bad_request(format!("{name}: has no meaning here"))),
            None => Ok(()),
        }
    }

    /// The filters as they may stand in the trail: who was asked for, but not what for, which may be anything.
    pub(super) fn kept(&self, path: &str) -> String {
        let number = |id: Option<i64>| id.map(|id| id.to_string());
        let fields = [
            ("org", number(self.org.map(|id| id.0))),
            ("group", number(self.group.map(|id| id.0))),
            (
                "actor",
                said(&self.actor).map(|actor| if is_secret(&actor) { hidden() } else { actor }),
            ),
            ("action", said(&self.action)),
            ("outcome", said(&self.outcome)),
            ("since", said(&self.since)),
            ("until", said(&self.until)),
            ("q", said(&self.q).map(|_| hidden())),
            ("format", said(&self.format)),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        query.extend_pairs(fields);
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    pub(in crate::admin) fn before(&self) -> Result<Option<i64>, Problem> {
        row(&self.cursor)
    }

    /// How many.
    pub(in crate::admin) fn limit(&self) -> Result<u32, Problem> {
        match self.limit.unwrap_or(USUAL) {
            limit @ 1..=MOST => Ok(limit),
            _ => Err(Problem::bad_request(format!("limit: from 1 to {MOST}"))),
        }
    }
}

/// The row that a cursor stands for.
pub(super) fn row(cursor: &Option<String>) -> Result<Option<i64>, Problem> {
    let Some(cursor) = said(cursor) else {
        return Ok(None);
    };
    let number = cursor.parse().ok().filter(|number| *number > 0);
    number
        .map(Some)
        .ok_or_else(|| Problem::bad_request("cursor: send the `next` of the page before, as it is"))
}

fn said(text: &Option<String>) -> Option<String> {
    let text = text.as_deref().map(str::trim);
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn hidden() -> String {
    "(hidden)".to_owned()
}

// A name, an address, a number, or the beginning of a fingerprint is shorter, or not of one word.
fn is_secret(actor: &str) -> bool {
    actor.len() >= 20 && actor.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A time as people write it.
pub(super) fn time(
    name: &str,
    text: Option<&str>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Problem> {
    let moment = text.map(str::parse::<Moment>).transpose();
    let moment = moment.map_err(|why| Problem::bad_request(format!("{name}: {why}")))?;
    Ok(moment.map(|moment| moment.before(now)))
}

/// Events, newest first.
#[utoipa::path(
    get,
    path = "/api/events",
    operation_id = "list_events",
    tag = "trail",
    params(
        Which,
        ("cursor" = Option<String>, Query, description = "Where to go on: the `next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "At most this many; 50 if nothing is said"),
    ),
    responses(
        (status = 200, body = Events),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(admin): State<Admin>,
    principal: Principal,
    Asked(which): Asked<Which>,
) -> Result<Json<Events>, Problem> {
    which.without(&["format"])?;
    let filter = which.filter(&principal, admin.clock.now())?;
    let page = admin
        .reader
        .events(&filter, which.before()?, which.limit()?)
        .await?;
    Ok(Json(Events {
        events: page.events,
        next: page.next.map(|seq| seq.to_string()),
    }))
}

/// One event.
#[utoipa::path(
    get,
    path = "/api/events/{id}",
    operation_id = "get_event",
    tag = "trail",
    params(("id" = String, Path, description = "The event's id, as in `X-Tollgate-Event`")),
    responses(
        (status = 200, body = Event),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn one(
    State(admin): State<Admin>,
    principal: Principal,
    Named(id): Named<String>,
) -> Result<Json<Event>, Problem> {
    admin.event(&principal, &id).await.map(Json)
}

// === impl Admin ===

impl Admin {
    /// The organizations that `principal` may see and that anything is known of.
    pub(in crate::admin) async fn organizations(
        &self,
        principal: &Principal,
    ) -> Result<Vec<OrganizationId>, StoreError> {
        let known = self.reader.known_organizations().await?;
        let ids = known.into_iter().map(|known| known.organization);
        Ok(ids.filter(|id| principal.may_see(*id).is_ok()).collect())
    }

    /// An event that `principal` may see.
    pub(in crate::admin) async fn event(
        &self,
        principal: &Principal,
        id: &str,
    ) -> Result<Event, Problem> {
        let none = || Problem::not_found(format!("there is no event {id:?}"));
        let id: EventId = id.parse().map_err(|_| none())?;
        let event = self.reader.event(id).await?;
        event.filter(|event| principal.sees(event)).ok_or_else(none)
    }
}
