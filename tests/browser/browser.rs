//! One person's browser, and what can be done with it and seen in it.

use std::panic::Location;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use url::{ParseError, Url};

use crate::driver::Driver;
use crate::support::Gateway;

/// Long enough for a machine with a lot to do; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the [module](self).
pub(crate) struct Browser {
    pub(crate) client: fantoccini::Client,
    site: String,
    _driver: Driver,
}

/// What Chromium's driver takes besides the standard.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

// === impl Browser ===

impl Browser {
    /// Nobody's yet, and nowhere.
    pub(crate) async fn start(gate: &Gateway) -> Self {
        let driver = Driver::start();
        let Value::Object(wanted) = json!({
            "goog:chromeOptions": { "args": [
                "--headless",
                // It sees our own pages alone, and containers lack what its sandbox is made of.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--remote-debugging-pipe",
                "--window-size=1280,900",
                "--lang=en-GB",
                format!("--user-data-dir={}", driver.profile()),
            ] },
            "goog:loggingPrefs": { "browser": "ALL" },
            // A box that a page opened is in the way of all that follows.
            "unhandledPromptBehavior": "ignore",
        }) else {
            unreachable!("it is an object");
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted)
            .connect(&driver.url())
            .await
            .expect("a browser: these tests need chromium and chromedriver of one version");
        Self {
            client,
            site: gate.admin_url(),
            _driver: driver,
        }
    }

    /// Somebody's who came by the link.
    pub(crate) async fn logged_in(gate: &Gateway) -> Self {
        let browser = Self::start(gate).await;
        browser
            .open(&format!("/login#{}", gate.admin_token()))
            .await;
        browser.is_at("/login").await;
        browser.click("button").await;
        browser.is_at("/").await;
        browser
    }

    /// Goes to an address of the gateway, and waits until it is there.
    pub(crate) async fn open(&self, path: &str) {
        let address = format!("{}{path}", self.site);
        self.client.goto(&address).await.unwrap();
    }

    /// Where it is: path, query and fragment.
    pub(crate) async fn address(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.as_str()[self.site.len()..].to_owned()
    }

    /// Returns when it is there.
    #[track_caller]
    pub(crate) fn is_at(&self, address: &str) -> impl Future<Output = ()> {
        self.until(address.to_owned(), async || Some(self.address().await))
    }

    /// Returns when the elements that can be seen have these texts.
    #[track_caller]
    pub(crate) fn shows(&self, css: &str, texts: &[&str]) -> impl Future<Output = ()> {
        let expected: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
        self.until(expected, async move || self.try_texts(css).await.ok())
    }

    // Asks again until the answer is what is expected, or nobody waits any longer.
    #[track_caller]
    fn until<T: PartialEq + std::fmt::Debug>(
        &self,
        expected: T,
        ask: impl AsyncFn() -> Option<T>,
    ) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let end = Instant::now() + PATIENCE;
            loop {
                // `None` while one page gives way to the next.
                let seen = ask().await;
                if seen.as_ref() == Some(&expected) {
                    return;
                }
                assert!(
                    Instant::now() < end,
                    "{caller}: it is {seen:#?}, not {expected:#?}"
                );
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// The texts of the elements that can be seen.
    pub(crate) async fn texts(&self, css: &str) -> Vec<String> {
        self.try_texts(css).await.unwrap()
    }

    async fn try_texts(&self, css: &str) -> Result<Vec<String>, CmdError> {
        let script = "return [...document.querySelectorAll(arguments[0])]
            .filter(element => element.checkVisibility())
            .map(element => element.innerText.replace(/\\s+/g, ' ').trim())";
        let texts = self.client.execute(script, vec![css.into()]).await?;
        Ok(serde_json::from_value(texts).unwrap())
    }

    /// What a script in the page returns.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Writes into a field, in place of what was there.
    pub(crate) async fn fill(&self, name: &str, value: &str) {
        let css = format!("[name={name}]");
        let field = self.client.find(Locator::Css(&css)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// Chooses from a list.
    pub(crate) async fn choose(&self, name: &str, value: &str) {
        let css = format!("select[name={name}]");
        let list = self.client.find(Locator::Css(&css)).await.unwrap();
        list.select_by_value(value).await.unwrap();
    }

    /// Clicks on the first such element that there is.
    pub(crate) async fn click(&self, css: &str) {
        let found = self.client.wait().for_element(Locator::Css(css)).await;
        found.unwrap().click().await.unwrap();
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let focus = self.client.active_element().await.unwrap();
        focus.send_keys(keys).await.unwrap();
    }

    /// What the console says since it was asked last.
    pub(crate) async fn console(&self) -> Vec<String> {
        let asked = Extension {
            path: "se/log",
            body: json!({ "type": "browser" }),
        };
        let lines = self.client.issue_cmd(asked).await.unwrap();
        let lines = lines.as_array().expect("a list");
        lines.iter().map(Value::to_string).collect()
    }

    /// A command of Chromium's own.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let asked = Extension {
            path: "goog/cdp/execute",
            body: json!({ "cmd": command, "params": parameters }),
        };
        self.client.issue_cmd(asked).await.unwrap()
    }

    /// Looks as on a screen of that width, at that time of the day: `light` or `dark`.
    pub(crate) async fn looks(&self, width: u32, scheme: &str) {
        let screen =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", scheme).await;
    }

    /// The page as a picture, all of it.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let size = self
            .script("const page = document.documentElement; return [page.scrollWidth, page.scrollHeight]")
            .await;
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let wanted = json!({ "captureBeyondViewport": true, "clip": clip });
        let answer = self.devtools("Page.captureScreenshot", wanted).await;
        let picture = answer["data"].as_str().expect("a picture");
        STANDARD.decode(picture).unwrap()
    }

    /// Closes it properly.
    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}
