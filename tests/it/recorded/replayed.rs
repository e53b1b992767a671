//! DESIGN §4: whoever goes back in the trail finds the groups as they were: whatever was changed through
//! the gateway, by whichever door and with whichever outcome, and whatever was noticed of the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::json;
use tollgate::domain::ids::{GroupId, UserId};
use tollgate::domain::replay::State;
use tollgate::simulator::{Match, Toggl};
use tollgate::store::sqlite::Reader;

use super::drift::Day;
use crate::support::{Client, Gateway, ORG, STUDIO, eventually, group, groups, toggl};

/// Something that happens. Groups and people are picked from those that are there.
#[derive(Clone, Debug)]
enum Step {
    Create {
        users: Vec<usize>,
    },
    Update {
        group: usize,
        users: Option<Vec<usize>>,
    },
    Patch {
        group: usize,
        add: bool,
        users: Vec<usize>,
        bad: bool,
    },
    Delete {
        group: usize,
    },
    Edit {
        user: usize,
        groups: Vec<usize>,
    },
    Assign {
        group: usize,
        user: usize,
        joins: bool,
    },
    /// The same, past the gateway.
    Elsewhere {
        group: usize,
        what: Elsewhere,
    },
    /// An update that comes to another end.
    Fail {
        group: usize,
        how: Failure,
    },
    Read {
        reader: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum Elsewhere {
    Rename,
    Add(usize),
    Remove(usize),
    Create,
    Delete,
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    Refused,
    LostBefore,
    LostAfter,
}

const PEOPLE: [i64; 6] = [7001, 7002, 7003, 7004, 7005, 7006];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let group = 0..6usize;
    let person = 0..PEOPLE.len();
    let people = proptest::collection::vec(person.clone(), 0..4);
    let elsewhere = prop_oneof![
        Just(Elsewhere::Rename),
        person.clone().prop_map(Elsewhere::Add),
        person.clone().prop_map(Elsewhere::Remove),
        Just(Elsewhere::Create),
        Just(Elsewhere::Delete),
    ];
    let failure = prop_oneof![
        Just(Failure::Refused),
        Just(Failure::LostBefore),
        Just(Failure::LostAfter)
    ];
    let step = prop_oneof![
        2 => people.clone().prop_map(|users| Step::Create { users }),
        4 => (group.clone(), proptest::option::of(people.clone()))
            .prop_map(|(group, users)| Step::Update { group, users }),
        5 => (group.clone(), any::<bool>(), people.clone(), any::<bool>())
            .prop_map(|(group, add, users, bad)| Step::Patch { group, add, users, bad }),
        2 => group.clone().prop_map(|group| Step::Delete { group }),
        3 => (person.clone(), proptest::collection::vec(group.clone(), 0..3))
            .prop_map(|(user, groups)| Step::Edit { user, groups }),
        2 => (group.clone(), person, any::<bool>())
            .prop_map(|(group, user, joins)| Step::Assign { group, user, joins }),
        4 => (group.clone(), elsewhere).prop_map(|(group, what)| Step::Elsewhere { group, what }),
        1 => (group, failure).prop_map(|(group, how)| Step::Fail { group, how }),
        8 => (0..3usize).prop_map(|reader| Step::Read { reader }),
    ];
    proptest::collection::vec(step, 8..30)
}

/// What the simulator has, or the trail says: names, members and workspaces by number.
type Groups = BTreeMap<i64, (String, Vec<i64>, Vec<i64>)>;

/// A day at an office, and what upstream had at each moment of it that the trail can know.
struct Office {
    toggl: Toggl,
    gate: Gateway,
    day: Day,
    admins: [Client; 2],
    member: Client,
    names: usize,
    /// Which administrators have not been shown yet what was done elsewhere. A list is compared with an
    /// earlier one of the same credential, so it may take both to notice all.
    unseen: [bool; 2],
    moments: Vec<(Timestamp, Groups)>,
}

// === impl Office ===

impl Office {
    async fn open() -> Self {
        let (toggl, day) = (toggl().await, Day::noon());
        let gate = Gateway::before(&toggl).clock(day.clock());
        let gate = gate.config(|config| {
            config.identity.lookup = false;
            // What has no outcome keeps its lists closed for twice this.
            config.upstream.request_timeout = Duration::from_millis(200);
        });
        let gate = gate.start().await;
        let admins = [gate.client("ann"), gate.client("bob")];
        let member = gate.client("cleo");
        Self {
            toggl,
            gate,
            day,
            admins,
            member,
            names: 0,
            unseen: [true; 2],
            moments: Vec::new(),
        }
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("Name {}", self.names)
    }

    fn pick(&self, index: usize) -> Option<GroupId> {
        let groups = self.toggl.groups(ORG);
        (!groups.is_empty()).then(|| groups[index % groups.len()].id)
    }

    /// A list that is believed, by an administrator.
    async fn read(&mut self, reader: &Client) {
        eventually("lists are believed", async || {
            let list = reader.get(groups(ORG)).header("cache-control", "no-cache");
            let stored = list.await.assert_ok().cache() == "tollgate; fwd=request; stored";
            stored.then_some(())
        })
        .await;
    }

    async fn does(&mut self, step: Step) {
        let ann = self.admins[0].clone();
        match step {
            Step::Create { users } => {
                let users: Vec<_> = users.into_iter().map(|user| PEOPLE[user]).collect();
                let new =
                    json!({ "name": self.new_name(), "users": users, "workspaces": [STUDIO] });
                ann.post(groups(ORG), new).await.assert_ok();
            }
            Step::Update {
                group: index,
                users,
            } => {
                let Some(id) = self.pick(index) else { return };
                let mut wanted = json!({ "name": self.new_name() });
                if let Some(users) = users {
                    let users: Vec<_> = users.into_iter().map(|user| PEOPLE[user]).collect();
                    wanted["users"] = json!(users);
                }
                ann.put(group(ORG, id), wanted).await.assert_ok();
            }
            Step::Patch {
                group: index,
                add,
                users,
                bad,
            } => {
                let Some(id) = self.pick(index) else { return };
                let op = if add { "add" } else { "remove" };
                let users = users.into_iter().map(|user| PEOPLE[user]);
                let users = users.chain(bad.then_some(1));
                let patches =
                    users.map(|user| json!({ "op": op, "path": "/users", "value": [user] }));
                let patches: Vec<_> = patches.collect();
                ann.patch(group(ORG, id), json!(patches)).await;
            }
            Step::Delete { group: index } => {
                let Some(id) = self.pick(index) else { return };
                ann.delete(group(ORG, id)).await.assert_ok();
            }
            Step::Edit { user, groups } => {
                let ids: Vec<_> = groups
                    .into_iter()
                    .filter_map(|index| self.pick(index))
                    .collect();
                let number = 610_001 + user;
                let path = format!("/api/v9/organizations/{ORG}/users/{number}");
                ann.put(path, json!({ "groups": ids })).await.assert_ok();
            }
            Step::Assign {
                group: index,
                user,
                joins,
            } => {
                let Some(id) = self.pick(index) else { return };
                let operation = if joins { "assign" } else { "remove" };
                let wanted =
                    json!({ "operation": operation, "group_id": id, "user_id": PEOPLE[user] });
                let path = format!("/api/v9/organizations/{ORG}/workspaces/{STUDIO}/assignments");
                ann.put(path, wanted).await.assert_ok();
            }
            Step::Elsewhere { group: index, what } => self.happens_elsewhere(index, what),
            Step::Fail { group: index, how } => self.fails(index, how).await,
            Step::Read { reader: 2 } => self.read(&self.member.clone()).await,
            Step::Read { reader } => {
                self.read(&self.admins[reader].clone()).await;
                self.unseen[reader] = false;
            }
        }
    }

    fn happens_elsewhere(&mut self, index: usize, what: Elsewhere) {
        let name = self.new_name();
        let Some(id) = self.pick(index) else { return };
        match what {
            Elsewhere::Rename => self.toggl.rename_group(id, &name),
            Elsewhere::Add(user) => self.toggl.add_member(id, UserId(PEOPLE[user])),
            Elsewhere::Remove(user) => self.toggl.remove_member(id, UserId(PEOPLE[user])),
            Elsewhere::Create => {
                self.toggl.create_group(ORG, &name);
            }
            Elsewhere::Delete => self.toggl.delete_group(id),
        }
        self.unseen = [true; 2];
    }

    async fn fails(&mut self, index: usize, how: Failure) {
        let Some(id) = self.pick(index) else { return };
        let fault = self.toggl.next(Match::new(Method::PUT, group(ORG, id)));
        match how {
            Failure::Refused => fault.status(StatusCode::FORBIDDEN),
            Failure::LostBefore => fault.reset_before_apply(),
            Failure::LostAfter => fault.reset_after_apply(),
        }
        let wanted = json!({ "name": self.new_name(), "users": [7004] });
        let reply = self.admins[1].put(group(ORG, id), wanted).await;
        assert!(!reply.status.is_success());
        if !matches!(how, Failure::Refused) {
            self.unseen = [true; 2];
        }
    }

    /// Takes down what upstream has now, if all of it passed through or was noticed.
    fn remember(&mut self) {
        self.day.pass(1);
        if self.unseen == [false; 2] {
            let now = self.day.clock().now();
            let groups = self.toggl.groups(ORG).into_iter();
            let seen = groups.map(|group| {
                let mut users: Vec<i64> = group.users.iter().map(|user| user.0).collect();
                users.sort_unstable();
                let mut workspaces: Vec<i64> = group.workspaces.iter().map(|id| id.0).collect();
                workspaces.sort_unstable();
                (group.id.0, (group.name, users, workspaces))
            });
            self.moments.push((now, seen.collect()));
        }
        self.day.pass(9);
    }
}

async fn as_the_trail_says(reader: &Reader, at: Timestamp) -> Groups {
    let groups = reader.groups_at(ORG, at).await.unwrap().into_iter();
    let told = groups.filter_map(|(id, state)| match state {
        State::Present(facts) => {
            // Nobody is called -1: what is not known equals nothing that is there.
            let users = facts.users.map_or(vec![-1], |users| {
                users.iter().map(|member| member.id.0).collect()
            });
            let workspaces = facts
                .workspaces
                .map_or(vec![-1], |ids| ids.iter().map(|id| id.0).collect());
            Some((id.0, (facts.name.unwrap_or_default(), users, workspaces)))
        }
        State::Absent | State::Unknown => None,
    });
    told.collect()
}

proptest! {
    // Each is a day of a gateway of its own.
    #![proptest_config(Config { cases: 12, max_shrink_iters: 40, failure_persistence: None, ..Config::default() })]

    #[test]
    fn who_goes_back_finds_the_groups_as_they_were(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut office = Office::open().await;
            // A list is compared with an earlier one of the same credential.
            for reader in 0..3 {
                office.does(Step::Read { reader }).await;
            }
            office.remember();
            for step in steps {
                office.does(step).await;
                office.remember();
            }
            let Office { gate, moments, admins, .. } = office;
            // Behind everything that a list told.
            admins[0].post("/api/v9/feedback", json!({})).await.assert_ok();
            let reader = Reader::open(&gate.database()).await.unwrap();
            let mut wrong = None;
            for (at, groups) in moments {
                let told = as_the_trail_says(&reader, at).await;
                if told != groups {
                    let trail = gate.trail().await;
                    wrong = wrong.or(Some(format!("at {at}\nthe trail {told:?}\nupstream  {groups:?}\n{trail}")));
                }
            }
            gate.stop().await;
            prop_assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
            Ok(())
        })?;
    }
}
