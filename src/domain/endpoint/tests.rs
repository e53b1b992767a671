use proptest::prelude::*;

use super::*;

fn get(path: &str) -> Endpoint {
    classify(&Method::GET, [], path).unwrap()
}

fn change(method: &str, path: &str) -> Change {
    match classify(&Method::from_str(method).unwrap(), [], path).unwrap() {
        Endpoint::Change(change) => change,
        other => panic!("{method} {path} is {other:?}"),
    }
}

// The fixture is kept apart from the table, as the reference's own words.
#[test]
fn all_operations_of_the_reference_are_treated_as_it_says() {
    let fixture = include_str!("../../../tests/it/fixtures/operations.tsv");
    let mut seen = 0;
    for line in fixture.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<_> = line.split('\t').collect();
        let [method, template, class, scope] = fields[..] else {
            panic!("{line}")
        };
        let path = numbered(template);
        let endpoint = classify(&Method::from_str(method).unwrap(), [], &path).unwrap();
        let organization = template
            .contains("{organization_id}")
            .then_some(11)
            .map(OrganizationId);
        let workspace = template
            .contains("{workspace_id}")
            .then_some(11)
            .map(WorkspaceId);
        let touches = match scope {
            "-" => Touches::Nothing,
            "org" => Touches::Organization(organization.unwrap(), workspace),
            "workspace" => Touches::Workspace(workspace.unwrap()),
            "all" => Touches::Everything,
            other => panic!("{other}"),
        };
        let expected = match (class, method) {
            ("read", _) => "read".to_owned(),
            ("group-list", _) => "list".to_owned(),
            ("group-change", "POST") => format!("group.create {touches:?}"),
            ("group-change", "PUT") => format!("group.update {touches:?}"),
            ("group-change", "PATCH") => format!("group.patch {touches:?}"),
            ("group-change", "DELETE") => format!("group.delete {touches:?}"),
            ("project-group-change", "POST") => format!("project_group.add {touches:?}"),
            ("project-group-change", "DELETE") => format!("project_group.remove {touches:?}"),
            ("membership-change", _) => format!("membership.change {touches:?}"),
            ("change-touching" | "change", _) => format!("api.write {touches:?}"),
            other => panic!("{other:?}"),
        };
        let actual = match endpoint {
            Endpoint::Change(change) => format!("{} {:?}", change.action, change.touches),
            other => other.class().to_owned(),
        };
        assert_eq!(actual, expected, "{line}");
        seen += 1;
    }
    assert_eq!(seen, 318);
}

fn numbered(template: &str) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        path.push_str("11");
        rest = after.split_once('}').unwrap().1;
    }
    path + rest
}

#[test]
fn the_four_lists_carry_their_numbers() {
    let (o, w) = (OrganizationId(1), WorkspaceId(2));
    assert_eq!(
        get("/api/v9/organizations/1/groups"),
        Endpoint::List(List::Organization(o))
    );
    assert_eq!(
        get("/api/v9/organizations/1/workspaces/2/groups"),
        Endpoint::List(List::OrganizationWorkspace(o, w))
    );
    assert_eq!(
        get("/api/v9/workspaces/2/groups"),
        Endpoint::List(List::Workspace(w))
    );
    assert_eq!(
        get("/api/v9/workspaces/2/project_groups"),
        Endpoint::List(List::ProjectGroups(w))
    );
}

#[test]
fn only_the_exact_spelling_of_a_list_is_one() {
    for path in [
        "/api/v9/organizations/1/groups/",
        "/api/v9//organizations/1/groups",
        "/api/v9/organizations/%31/groups",
        "/api/v9/organizations/01/groups",
        "/api/v9/organizations/+1/groups",
        "/api/v9/organizations/x/groups",
        "/api/v9/./organizations/1/groups",
        "/api/v9/organizations/1/groups;v=1",
    ] {
        assert!(matches!(get(path), Endpoint::Read(_)), "{path}");
    }
}

#[test]
fn a_change_is_the_same_change_however_it_is_spelled() {
    let plain = change("DELETE", "/api/v9/organizations/1/groups/7");
    assert_eq!(plain.ids.group, Some(GroupId(7)));
    for path in [
        "/api/v9/organizations/1/groups/7/",
        "//api/v9/organizations//1/groups/7",
        "/api/v9/%6Frganizations/1/groups/%37",
        "/api/v9/organizations/01/groups/+7",
    ] {
        assert_eq!(change("DELETE", path), plain, "{path}");
    }
}

#[test]
fn a_change_whose_path_could_mean_two_things_is_refused() {
    for path in [
        "/api/v9/organizations/1%2Fgroups/7",
        "/api/v9/organizations/1/x/../groups/7",
        "/api/v9/organizations/1/./groups/7",
        "/api/v9/organizations/1/%2e%2E/groups/7",
        "/api/v9/organizations/1\\groups/7",
        "/api/v9/organizations/1%5cgroups/7",
        "/api/v9/organizations/1/groups/7;x",
        "/api/v9/organizations/1/groups/7%3Bx",
        "/api/v9/organizations/1/groups/7%00",
        "/api/v9/organizations/1/groups/7%0d%0a",
        "/api/v9/organizations/1/groups/%2537",
        "/api/v9/organizations/1/groups/7%",
        "/api/v9/organizations/1/groups/7%3fx",
        "/api/v9/organizations/1/groups/%ff",
    ] {
        assert!(classify(&Method::DELETE, [], path).is_err(), "{path}");
        assert!(matches!(get(path), Endpoint::Read(_)), "{path}");
    }
}

#[test]
fn a_method_in_a_header_counts_as_much_as_the_one_on_the_line() {
    let path = "/api/v9/organizations/1/groups/7";
    let deleted = Endpoint::Change(change("DELETE", path));
    assert_eq!(classify(&Method::GET, ["DELETE"], path), Ok(deleted));
    assert_eq!(classify(&Method::POST, ["delete "], path), Ok(deleted));
    assert_eq!(
        classify(&Method::DELETE, ["GET"], path),
        Ok(deleted),
        "cannot be talked down"
    );
    let list = "/api/v9/organizations/1/groups";
    assert!(
        matches!(classify(&Method::GET, ["GET"], list), Ok(Endpoint::Read(_))),
        "not cached"
    );
    assert!(matches!(
        classify(&Method::GET, ["D E L"], list),
        Ok(Endpoint::Change(_))
    ));
    assert!(classify(&Method::GET, ["DELETE"], "/api/v9/a%2fb").is_err());
}

#[test]
fn what_nobody_listed_is_a_change_that_touches_what_its_path_names() {
    let o = OrganizationId(1);
    let touched = |path| change("POST", path).touches;
    assert_eq!(
        touched("/api/v10/organizations/1/new_thing"),
        Touches::Organization(o, None)
    );
    assert_eq!(
        touched("/api/v9/workspaces/2/new/3"),
        Touches::Workspace(WorkspaceId(2))
    );
    assert_eq!(
        touched("/x/organizations/1/workspaces/2/y"),
        Touches::Organization(o, Some(WorkspaceId(2)))
    );
    assert_eq!(touched("/api/v9/new_thing"), Touches::Everything);
    assert_eq!(change("PURGE", "/api/v9/me").touches, Touches::Everything);
    assert_eq!(
        change("PUT", "/api/v9/organizations/x/groups/7").touches,
        Touches::Everything
    );
    assert_eq!(get("/api/v9/new_thing"), Endpoint::Read(Read::default()));
}

#[test]
fn a_read_says_whose_quota_it_costs_and_which_operation_it_is() {
    let told = |method: &str, path: &str| {
        let method = Method::from_str(method).unwrap();
        match classify(&method, [], path).unwrap() {
            Endpoint::Read(read) => (
                read.organization.map(|id| id.0),
                read.workspace.map(|id| id.0),
                read.name,
            ),
            other => panic!("{path} is {other:?}"),
        }
    };
    assert_eq!(
        told("GET", "/api/v9/organizations/1/groups/"),
        (Some(1), None, "GET /organizations/{organization_id}/groups")
    );
    assert_eq!(
        told("POST", "/reports/api/v3/workspace/2/search/time_entries"),
        (
            None,
            Some(2),
            "POST /reports/api/v3/workspace/{workspace_id}/search/time_entries"
        )
    );
    assert_eq!(
        told("GET", "/api/v10/organizations/1/workspaces/2/new"),
        (Some(1), Some(2), "unlisted read")
    );
    assert_eq!(
        told("HEAD", "/insights/api/v1/workspace/2/x"),
        (None, Some(2), "unlisted read")
    );
    assert_eq!(
        told("GET", "/api/v9/organizations/1/../2"),
        (None, None, "unlisted read"),
        "what it names is not known"
    );
    for (path, name) in [
        ("/api/v9/me/time_entries", "GET /me/time_entries"),
        ("/api/v9/me/new", "unlisted read"),
    ] {
        assert_eq!(get(path), Endpoint::Me(name));
    }
    let list = List::Workspace(WorkspaceId(2));
    assert_eq!(get(&list.path()).name(), list.passed_through().name);
    assert_eq!(get(&format!("{}/", list.path())).name(), list.name());
}

fn any_path() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "api",
        "v9",
        "organizations",
        "workspaces",
        "groups",
        "project_groups",
        "1",
        "22",
        "..",
        "%2f",
        "",
    ];
    let segment = prop_oneof![
        proptest::sample::select(WORDS).prop_map(str::to_owned),
        "\\PC{0,6}",
        "[%0-9a-f;]{0,6}"
    ];
    proptest::collection::vec(segment, 0..8).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #[test]
    fn no_path_makes_it_panic_and_the_normal_form_is_stable(path in any_path(), method in "[A-Z]{1,7}") {
        let _ = classify(&Method::from_str(&method).unwrap(), [], &path);
        let once = normal_form(&path);
        if once.ambiguity.is_none() {
            let twice = normal_form(&once.path);
            prop_assert_eq!(&once.path, &twice.path);
        }
    }

    #[test]
    fn a_write_is_a_read_only_if_the_table_says_so(path in any_path()) {
        if let Ok(Endpoint::Read(_) | Endpoint::Me(_) | Endpoint::List(_)) = classify(&Method::POST, [], &path) {
            let listed = operation(&Method::POST, &path).expect("listed");
            prop_assert_eq!(listed.class, Class::Read);
        }
    }
}
