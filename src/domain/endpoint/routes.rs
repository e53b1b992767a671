//! The [table of operations](OPERATIONS) as routers.

use std::sync::LazyLock;

use http::Method;
use matchit::{Params, Router};

use crate::domain::operations::{OPERATIONS, Operation};

/// The table as routers, one for each method that it has.
pub(super) struct Routes(Vec<(Method, Router<Route>)>);

pub(super) struct Route {
    pub(super) operation: &'static Operation,
    pub(super) name: String,
    pub(super) list: Option<Kind>,
}

/// Which [`List`](super::List) an operation is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Organization,
    OrganizationWorkspace,
    Workspace,
    ProjectGroups,
}

pub(super) static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    Routes(
        methods
            .into_iter()
            .map(|method| {
                let mut router = Router::new();
                for operation in OPERATIONS
                    .iter()
                    .filter(|operation| operation.method == method)
                {
                    let path = operation.path;
                    let shown = path.strip_prefix("/api/v9").unwrap_or(path);
                    let route = Route {
                        operation,
                        name: format!("{method} {shown}"),
                        list: Kind::of(shown),
                    };
                    router
                        .insert(path, route)
                        .expect("a test inserts the whole table");
                }
                (method, router)
            })
            .collect(),
    )
});

// === impl Kind ===

impl Kind {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/organizations/{organization_id}/groups" => Self::Organization,
            "/organizations/{organization_id}/workspaces/{workspace_id}/groups" => {
                Self::OrganizationWorkspace
            }
            "/workspaces/{workspace_id}/groups" => Self::Workspace,
            "/workspaces/{workspace_id}/project_groups" => Self::ProjectGroups,
            _ => return None,
        })
    }
}

// === impl Routes ===

impl Routes {
    pub(super) fn find<'p>(
        &'static self,
        method: &Method,
        path: &'p str,
    ) -> Option<(&'static Route, Params<'static, 'p>)> {
        // What is asked for is the same, but for the body (RFC 9110 §9.3.2).
        let method = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let (_, router) = self.0.iter().find(|(known, _)| known == method)?;
        let found = router.at(path).ok()?;
        Some((found.value, found.params))
    }

    /// The same by whatever method there is.
    pub(super) fn find_any<'p>(
        &'static self,
        path: &'p str,
    ) -> Option<(&'static Route, Params<'static, 'p>)> {
        let mut methods = self.0.iter();
        methods.find_map(|(method, _)| self.find(method, path))
    }
}
