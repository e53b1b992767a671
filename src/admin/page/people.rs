//! How the members of groups look.

use maud::{Markup, html};

use super::layout;
use crate::domain::group::Member;

/// A member, leading to all that they did.
pub(super) fn member(member: &Member) -> Markup {
    let id = member.id.to_string();
    html! {
        a href=(layout::link("/", &[("actor", &id)])) title=(format!("User {id}")) {
            @match &member.name {
                Some(name) => (name),
                None => { "user " (id) },
            }
        }
    }
}
