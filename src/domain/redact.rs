//! A path and a query as they may be shown and kept: codes and tokens stand as keyed hashes.
//!
//! **Guarantee** (DESIGN §1.7): what stays readable is what the table's words and its numbers allow;
//! everything else is replaced. So a code is hidden also in an operation that nobody has listed yet.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use http::Method;

use super::caller::Key;
use super::endpoint::operation;
use super::operations::OPERATIONS;

/// Parameters of paths whose values are words of the reference.
const WORDS: [&str; 6] = [
    "action",
    "client",
    "extension",
    "level",
    "product_id",
    "provider",
];

/// Parameters of queries whose values are kept as they came.
const OPEN_QUERY: [&str; 11] = [
    "active",
    "before",
    "end_date",
    "name",
    "page",
    "per_page",
    "project_ids",
    "since",
    "start_date",
    "with_users",
    "workspace",
];

/// More than any path of the reference has.
const MOST_SEGMENTS: usize = 24;

static VOCABULARY: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let segments = OPERATIONS
        .iter()
        .flat_map(|operation| operation.path.split('/'));
    segments.filter(|segment| !segment.contains('{')).collect()
});

/// `path` with every segment hashed that could be a code.
#[must_use]
pub fn path<'a>(key: &Key, method: &Method, path: &'a str) -> Cow<'a, str> {
    // What is longer than any path of the reference is hashed as one.
    if let Some((end, _)) = path.match_indices('/').nth(MOST_SEGMENTS) {
        let (start, rest) = path.split_at(end);
        let start = self::path(key, method, start);
        return Cow::Owned(format!("{start}/{}", key.pseudonym(rest.as_bytes())));
    }
    let template: Option<Vec<&str>> =
        operation(method, path).map(|operation| segments(operation.path).collect());
    let mut index = 0;
    let mut previous_is_word = false;
    let mut hidden_any = false;
    let shown: Vec<Cow<'_, str>> = path
        .split('/')
        .map(|segment| {
            if segment.is_empty() {
                return Cow::Borrowed(segment);
            }
            let expected = template
                .as_ref()
                .and_then(|template| template.get(index).copied());
            index += 1;
            let open = match expected {
                Some(parameter) if parameter.contains('{') => is_open_parameter(parameter, segment),
                Some(_) | None => {
                    VOCABULARY.contains(segment) || previous_is_word && is_number(segment)
                }
            };
            previous_is_word = VOCABULARY.contains(segment);
            if open {
                Cow::Borrowed(segment)
            } else {
                hidden_any = true;
                Cow::Owned(key.pseudonym(segment.as_bytes()))
            }
        })
        .collect();
    if hidden_any {
        Cow::Owned(shown.join("/"))
    } else {
        Cow::Borrowed(path)
    }
}

/// `query` with every value hashed whose name is not known to be harmless.
#[must_use]
pub fn query(key: &Key, query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if OPEN_QUERY.contains(&name) => pair.to_owned(),
        Some((name, "")) if is_word(name) => pair.to_owned(),
        Some((name, value)) if is_word(name) => {
            format!("{name}={}", key.pseudonym(value.as_bytes()))
        }
        None if pair.is_empty() || OPEN_QUERY.contains(&pair) => pair.to_owned(),
        Some(_) | None => key.pseudonym(pair.as_bytes()),
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn is_open_parameter(parameter: &str, value: &str) -> bool {
    let name = parameter.split(['{', '}']).nth(1).unwrap_or_default();
    let numbers = name.ends_with("_id")
        || name.ends_with("_ids")
        || matches!(name, "from" | "to" | "start_date");
    WORDS.contains(&name) && is_word(value)
        || numbers
            && value
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b",-".contains(&byte))
}

fn is_number(text: &str) -> bool {
    text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_word(text: &str) -> bool {
    text.len() <= 32
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || b"_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(path_text: &str) -> String {
        path(&Key::new(&[1; 32]), &Method::GET, path_text).into_owned()
    }

    #[test]
    fn what_the_reference_knows_stays_readable() {
        for readable in [
            "/api/v9/organizations/12/groups/7",
            "/api/v9/workspaces/1/time_entries/1,2,3",
            "/api/v9/audit_logs/12/2026-01-01/2026-02-01",
            "/api/v9/workspaces/1/rates/project/5",
            "/insights/api/v1/workspace/1/profitability/employees.csv",
            "/api/v9/organizations/12/workspaces/3/workspace_users/9",
            "//api/v9//me/",
            "/",
        ] {
            assert_eq!(shown(readable), readable);
        }
    }

    #[test]
    fn codes_are_hidden_in_each_operation_that_has_one() {
        for operation in OPERATIONS {
            let code = "s3cret-C0de";
            let path = operation
                .path
                .split('/')
                .map(|segment| match segment.split_once('{') {
                    Some((before, rest)) => {
                        format!("{before}{code}{}", rest.split_once('}').unwrap().1)
                    }
                    None => segment.to_owned(),
                })
                .collect::<Vec<_>>()
                .join("/");
            let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
            let shown = super::path(&Key::new(&[1; 32]), &method, &path).into_owned();
            assert!(
                !shown.contains(code),
                "{} is shown as {shown}",
                operation.path
            );
        }
    }

    #[test]
    fn a_code_of_digits_is_hidden_where_the_reference_says_code() {
        assert!(!shown("/api/v9/invitations/123456").contains("123456"));
        assert!(!shown("/api/v9/organizations/invitations/123456/accept").contains("123456"));
        assert!(!shown("/api/v9/ical/workspace_user/123456").contains("123456"));
    }

    #[test]
    fn a_path_of_any_length_is_shown_in_few_words() {
        let shown = shown(&"/a".repeat(30_000));
        assert!(shown.len() < 1000, "{}", shown.len());
    }

    #[test]
    fn values_of_unknown_parameters_are_hidden_and_their_names_are_not() {
        let key = Key::new(&[1; 32]);
        let shown = query(
            &key,
            "name=Design&code=abc&SAMLResponse=x&s3cret&workspace=3&&flag=",
        );
        assert!(shown.starts_with("name=Design&code=hmac-"), "{shown}");
        assert!(shown.ends_with("&workspace=3&&flag="), "{shown}");
        assert!(
            !shown.contains("abc") && !shown.contains("s3cret"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn an_unlisted_path_shows_no_segment_that_the_reference_does_not_have(code in "[a-zA-Z0-9]{13,40}") {
            let path = format!("/api/v9/brand_new/{code}/organizations/{code}");
            prop_assert!(!shown(&path).contains(&code));
        }
    }
}
