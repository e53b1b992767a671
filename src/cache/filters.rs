//! Filtered lists, cut out of the whole one: `cache.filters`.
//!
//! **Guarantee** (DESIGN §1.2): a list is cut only out of one that the same caller was given, and only
//! where there is no doubt about what upstream would answer; the bytes of each group stay as they came.
//! Doubtful is a name that is found in one case of letters and not in another, a group that does not tell
//! its workspaces, and a workspace that none of the groups names: it may be one that upstream refuses.
//!
//! With `verify`, nothing is answered like this: what upstream answers is compared, and the first
//! difference ends the comparing, with a line in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::Entry;
use super::key::CacheKey;
use crate::config::Filters as Mode;
use crate::domain::endpoint::List;
use crate::domain::ids::WorkspaceId;

/// Whether lists are cut. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Filters {
    mode: Mode,
    differed: Arc<AtomicBool>,
}

/// Which groups of the whole list are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    name: Option<String>,
    workspace: Option<WorkspaceId>,
}

/// What of a group decides.
#[derive(Deserialize)]
struct Told {
    name: String,
    workspaces: Option<Vec<WorkspaceId>>,
}

#[cfg(test)]
thread_local! {
    /// How often this thread has read a whole list to cut one out of it.
    pub(crate) static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

// === impl Filters ===

impl Filters {
    /// As `cache.filters` says.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            differed: Arc::default(),
        }
    }

    /// Whether filtered lists are answered out of whole ones.
    #[must_use]
    pub fn answer(&self) -> bool {
        self.mode == Mode::On
    }

    /// Whether they are compared.
    #[must_use]
    pub fn compare(&self) -> bool {
        self.mode == Mode::Verify && !self.differed.load(Ordering::Relaxed)
    }

    /// Compares what upstream answered with what would have been cut out of `whole`.
    pub fn verify(&self, filter: &Filter, whole: &Entry, upstream: &[u8]) {
        let Some(cut) = filter.cut(&whole.identity.body) else {
            return;
        };
        if cut != upstream && !self.differed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "cache.filters = \"verify\" found that upstream filters in another way, or that a group was \
                 changed elsewhere between two lists. Nothing more is compared until the next start; \
                 leave cache.filters at \"off\" unless this does not happen again"
            );
        }
    }
}

// === impl Filter ===

impl Filter {
    /// The filter of a read, and the key of the whole list that it is one of; `None` for a whole list, and
    /// for one that is asked for with anything else.
    #[must_use]
    pub fn of(key: &CacheKey) -> Option<(Self, CacheKey)> {
        let (mut name, mut workspace) = (None, None);
        let organization = match key.list {
            List::Organization(organization) => organization,
            List::OrganizationWorkspace(organization, id) => {
                workspace = Some(id);
                organization
            }
            List::Workspace(_) | List::ProjectGroups(_) => return None,
        };
        for (parameter, value) in key.query() {
            let text = std::str::from_utf8(value).ok()?;
            match &**parameter {
                // Of two, nobody knows which counts.
                b"name" if name.is_none() => name = Some(text.to_owned()),
                b"workspace" if workspace.is_none() => {
                    let id: i64 = text.parse().ok()?;
                    (id.to_string() == text).then_some(())?;
                    workspace = Some(WorkspaceId(id));
                }
                _ => return None,
            }
        }
        let whole = CacheKey::new(key.caller, List::Organization(organization), None)?;
        (*key != whole).then_some((Self { name, workspace }, whole))
    }

    /// The list of those groups of `whole` that it asks for; `None` where upstream might answer another.
    #[must_use]
    pub fn cut(&self, whole: &[u8]) -> Option<Vec<u8>> {
        #[cfg(test)]
        READ.set(READ.get() + 1);
        let groups: Vec<&RawValue> = serde_json::from_slice(whole).ok()?;
        let mut cut = Vec::with_capacity(whole.len());
        let start = whole.iter().position(|byte| *byte == b'[')?;
        let end = whole.iter().rposition(|byte| *byte == b']')?;
        cut.extend_from_slice(&whole[..=start]);
        let mut is_first = true;
        for group in groups {
            if self.takes(&serde_json::from_str(group.get()).ok()?)? {
                if !std::mem::take(&mut is_first) {
                    cut.push(b',');
                }
                cut.extend_from_slice(group.get().as_bytes());
            }
        }
        if is_first && self.workspace.is_some() {
            return None;
        }
        cut.extend_from_slice(&whole[end..]);
        Some(cut)
    }

    fn takes(&self, group: &Told) -> Option<bool> {
        let in_workspace = match self.workspace {
            None => true,
            Some(workspace) => group.workspaces.as_ref()?.contains(&workspace),
        };
        let named = match &self.name {
            None => true,
            Some(part) => {
                let found = group.name.contains(&**part);
                let whatever_case = group.name.to_lowercase().contains(&part.to_lowercase());
                (found == whatever_case).then_some(found)?
            }
        };
        Some(in_workspace && named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrganizationId;
    use crate::layers::testing;

    const ORGANIZATION: OrganizationId = OrganizationId(1);
    const WHOLE: &str = concat!(
        r#"[{"group_id":1,"name":"Design","new":1.10,"workspaces":[3]}, "#,
        r#"{"group_id":2, "name":"Sales","workspaces":[3,4]},"#,
        r#"{"group_id":3,"name":"DACH \"x\"","workspaces":[]}]"#,
        "\n"
    );

    fn filter(list: List, query: Option<&str>) -> Option<Filter> {
        let caller = testing::get("ann", "/").caller.unwrap().fingerprint;
        let key = CacheKey::new(caller, list, query).unwrap();
        let (filter, whole) = Filter::of(&key)?;
        assert_eq!(
            whole,
            CacheKey::new(caller, List::Organization(ORGANIZATION), None).unwrap()
        );
        Some(filter)
    }

    fn cut(query: &str) -> Option<String> {
        let filter = filter(List::Organization(ORGANIZATION), Some(query))?;
        Some(String::from_utf8(filter.cut(WHOLE.as_bytes())?).unwrap())
    }

    #[test]
    fn what_is_asked_for_is_cut_out_byte_by_byte() {
        let sales = "[{\"group_id\":2, \"name\":\"Sales\",\"workspaces\":[3,4]}]\n";
        assert_eq!(cut("name=Sal").unwrap(), sales);
        assert_eq!(cut("workspace=4").unwrap(), sales);
        assert_eq!(cut("workspace=4&name=es").unwrap(), sales);
        let of_both = cut("workspace=3").unwrap();
        assert!(of_both.contains("1.10") && of_both.contains(r#"[3]},{"group_id":2, "#));
        assert_eq!(cut("name=none").unwrap(), "[]\n");
        assert_eq!(cut("name=%22x%22").unwrap().matches("group_id").count(), 1);
        let of_workspace = List::OrganizationWorkspace(ORGANIZATION, WorkspaceId(4));
        let of_workspace = filter(of_workspace, None).unwrap();
        assert_eq!(
            of_workspace.cut(WHOLE.as_bytes()).unwrap(),
            sales.as_bytes()
        );
    }

    #[test]
    fn what_is_doubtful_is_not_cut() {
        assert_eq!(
            cut("name=sales"),
            None,
            "perhaps upstream tells cases apart"
        );
        assert_eq!(cut("workspace=5"), None, "perhaps there is none");
        assert_eq!(cut("workspace=4&name=x"), None);
        for query in [
            "name=a&name=b",
            "workspace=04",
            "workspace=x",
            "name=a&x=1",
            "name=%ff",
        ] {
            assert_eq!(cut(query), None, "{query}");
        }
        let untold = r#"[{"group_id":1,"name":"Design","workspaces":null}]"#;
        let of_workspace = filter(List::Organization(ORGANIZATION), Some("workspace=3"));
        assert_eq!(of_workspace.unwrap().cut(untold.as_bytes()), None);
        assert_eq!(filter(List::Organization(ORGANIZATION), None), None);
        assert_eq!(filter(List::ProjectGroups(WorkspaceId(3)), None), None);
        let named = filter(List::Organization(ORGANIZATION), Some("name=D")).unwrap();
        for odd in ["{}", r#"{"items":[]}"#, "[1]", "null"] {
            assert_eq!(named.cut(odd.as_bytes()), None, "{odd}");
        }
    }
}
