//! Who is in a group, and who put them there.

use std::collections::HashMap;

use maud::{Markup, html};

use crate::admin::page::{layout, people};
use crate::domain::action::Action;
use crate::domain::group::Member;
use crate::domain::ids::UserId;
use crate::store::sqlite::Joined;

/// The members. With `joined`, who added each, and whether all changes were looked at for it.
pub(super) fn table(users: &[Member], (joined, looked_at_all): &(Vec<Joined>, bool)) -> Markup {
    let joined: HashMap<UserId, &Joined> = joined.iter().map(|one| (one.member, one)).collect();
    html! {
        table.table.members {
            thead { tr {
                th scope="col" { "Member" }
                th scope="col" { "Added by" }
                th scope="col" { "When" }
            } }
            tbody {
                @for member in users {
                    tr {
                        th scope="row" { (people::member(member)) " " span.hint { (member.id) } }
                        @match joined.get(&member.id) {
                            Some(joined) => {
                                td { (by(joined)) }
                                td {
                                    a href=(format!("/events/{}", joined.event)) {
                                        (layout::time(&joined.occurred_at, false))
                                    }
                                }
                            }
                            None if *looked_at_all => {
                                td.hint colspan="2" { "was there before the first recorded change" }
                            }
                            None => td.hint colspan="2" { "has been there for longer than its last changes tell" },
                        }
                    }
                }
            }
        }
    }
}

fn by(joined: &Joined) -> Markup {
    html! {
        @if joined.action == Action::GroupObserved.as_str() {
            span.hint { "somebody, behind the gateway" }
        } @else {
            (layout::by(&joined.actor))
        }
    }
}
