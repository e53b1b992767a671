//! Who asks: the three ways in which a client says so.
//!
//! **Guarantee**: HTTP Basic with `email:password`, HTTP Basic with `<api token>:api_token`, or the
//! session cookie, in this order. Something that looks like a credential and is nobody's is *bad*,
//! which is another answer than *none*.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

use super::world::{Person, World};
use crate::domain::ids::UserId;

/// The cookie that a login sets.
pub const SESSION_COOKIE: &str = "__Host-timer-session";

/// What the headers say about the caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// They are this person's.
    Of(UserId),
    /// They are nobody's.
    Bad,
    /// There are none.
    Missing,
}

// === impl Credentials ===

impl Credentials {
    /// Reads them.
    pub(super) fn read(headers: &HeaderMap, world: &World) -> Self {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let found = value
                .to_str()
                .ok()
                .and_then(basic)
                .and_then(|(name, password)| {
                    world.people().find(|person| {
                        is_token(person, &name, &password) || is_login(person, &name, &password)
                    })
                });
            return found.map_or(Self::Bad, |person| Self::Of(person.id));
        }
        let Some(session) = session(headers) else {
            return Self::Missing;
        };
        let found = world.people().find(|person| person.session == session);
        found.map_or(Self::Bad, |person| Self::Of(person.id))
    }
}

fn is_token(person: &Person, name: &str, password: &str) -> bool {
    password == "api_token" && person.token == name
}

fn is_login(person: &Person, name: &str, password: &str) -> bool {
    person.email.eq_ignore_ascii_case(name) && person.password == password
}

fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let pairs = cookies
        .filter_map(|cookie| cookie.to_str().ok())
        .flat_map(|text| text.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == SESSION_COOKIE).then_some(value))
}
