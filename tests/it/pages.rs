//! The pages about groups and the overview, as a browser gets them.

mod group;
mod groups;
mod overview;

use tollgate::config::{AdminToken, Role};
use tollgate::domain::ids::OrganizationId;

use crate::support::{Builder, Client, DESIGN, Gateway, ORG};

const READER: &str = "the-token-of-a-reader-of-some-organizations";

/// Another company's organization, and its one group.
const GLOBEX: OrganizationId = OrganizationId(4200);
const OPERATIONS: i64 = 9101;

/// Where the page of a group is.
fn design() -> String {
    format!("/organizations/{ORG}/groups/{DESIGN}")
}

/// With a token that is for one organization.
fn with_reader_of(gate: Builder, organization: OrganizationId) -> Builder {
    let token_file = gate.folder().join("reader.token");
    std::fs::write(&token_file, READER).unwrap();
    gate.config(|config| {
        config.admin.tokens.push(AdminToken {
            name: "reader".to_owned(),
            token_file,
            role: Role::Reader,
            organizations: vec![organization],
        });
    })
}

/// Somebody with that token.
fn reader(gate: &Gateway) -> Client {
    gate.admin_stranger()
        .authorized(&format!("Bearer {READER}"))
}

/// A page's text.
async fn page(client: &Client, path: &str) -> String {
    let reply = client.get(path).header("accept", "text/html");
    reply.await.assert_ok().text()
}

/// The addresses that a page's links with this text lead to.
fn links(page: &str, text: &str) -> Vec<String> {
    let links = page.split("<a ").skip(1).filter_map(|link| {
        let (head, rest) = link.split_once('>')?;
        let (inside, _) = rest.split_once("</a>")?;
        let (_, address) = head.split_once("href=\"")?;
        let (address, _) = address.split_once('"')?;
        (inside == text).then(|| address.replace("&amp;", "&"))
    });
    links.collect()
}

/// The texts between two others.
fn between<'a>(page: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    let parts = page.split(start).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(end)?.0))
        .collect()
}
