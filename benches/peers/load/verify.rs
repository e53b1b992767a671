//! That a server does what it is measured at: its answer has what the origin's has, in the coding that was
//! asked for, and the origin was asked for it or not, as the scene has it.

use std::io::Read as _;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use flate2::read::GzDecoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::origin::{ASKED, AUTHORIZATION, FIRST_GROUP, list};
use super::processor::Half;
use super::scene::{CHANGED_GROUPS, Coding, Protocol, Scene, Work};
use crate::support::{Answer, Server, Tool};

/// The origin, in a process of its own.
pub(crate) struct Origin {
    server: Server,
    tool: Tool,
}

// === impl Origin ===

impl Origin {
    pub(crate) async fn start(cores: &Half) -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        let server = Server::run(tempfile::tempdir()?, |_, address| {
            let mut command = cores.command(&this);
            command.args(["origin", &address.to_string()]);
            Ok(command)
        });
        let server = server.await.context("the origin does not start")?;
        let tool = Tool::of(format!("http://{}", server.address));
        Ok(Self { server, tool })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// How often it was asked until now.
    pub(crate) async fn asked(&self) -> anyhow::Result<u64> {
        let answer = self.tool.get(ASKED).await?;
        Ok(std::str::from_utf8(answer.body())?.parse()?)
    }

    /// Asks the server at this address; what hits has the list in its cache afterwards.
    pub(crate) async fn verify(&self, scene: Scene, address: SocketAddr) -> anyhow::Result<()> {
        let http2 = scene.protocol == Protocol::Http2;
        let tool = Tool::speaking(http2, format!("http://{address}")).authorized(AUTHORIZATION)?;
        let tool = match scene.coding {
            Coding::Identity => tool,
            Coding::Gzip => tool.with(ACCEPT_ENCODING, "gzip")?,
        };
        if scene.work == Work::Hits {
            tool.get(&scene.path()).await?;
        }
        let before = self.asked().await?;
        let body = if scene.work == Work::Changes {
            // None that the generator changes.
            let group = FIRST_GROUP + CHANGED_GROUPS;
            let (path, change) = (format!("{}{group}", scene.path()), json!({"name": "Brand"}));
            let answer = tool.send(Method::PUT, &path, change.to_string()).await?;
            text(&answer, scene.coding)?
        } else {
            text(&tool.get(&scene.path()).await?, scene.coding)?
        };
        let asked = self.asked().await? - before;
        match scene.work {
            Work::Hits => {
                ensure!(asked == 0, "that was no hit");
                ensure!(body == list(scene.size), "that is not the list");
            }
            // More than once where answers of a run that has ended are still under way, and for the group as it
            // was before the first change.
            Work::Reads => {
                ensure!(asked >= 1, "the origin was not asked");
                ensure!(body == list(scene.size), "that is not the list");
            }
            Work::Changes => {
                ensure!(asked >= 1, "the origin was not asked");
                let group: Value = serde_json::from_str(&body)?;
                ensure!(group["name"] == "Brand", "that is not the change: {group}");
            }
        }
        Ok(())
    }
}

/// The body as it is meant, if this is a success in that coding.
fn text(answer: &Answer, coding: Coding) -> anyhow::Result<String> {
    ensure!(answer.status() == StatusCode::OK, "it answers {answer:?}");
    let said = answer.headers().get(CONTENT_ENCODING);
    let mut text = String::new();
    match coding {
        Coding::Identity => {
            ensure!(said.is_none(), "the answer is in {said:?}");
            answer.body().as_ref().read_to_string(&mut text)?;
        }
        Coding::Gzip => {
            ensure!(
                said.is_some_and(|said| said == "gzip"),
                "the answer is in {said:?}"
            );
            GzDecoder::new(answer.body().as_ref()).read_to_string(&mut text)?;
        }
    }
    Ok(text)
}
