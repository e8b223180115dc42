//! What a person does with a page: finds things by their words, presses, types, reads.
//!
//! Nothing here knows a class or the structure of a page. A window that is open in front is all that
//! can be reached, as for a person.

use super::view::Width;
use rackhand_tests::chrome::{Chrome, Element};
use serde_json::json;
use std::time::{Duration, Instant};

/// A page must follow within this; jobs take up to half of it.
const PATIENCE: Duration = Duration::from_mins(1);
/// What is longer is pasted.
const TYPED: usize = 200;
const LOOK: Duration = Duration::from_millis(40);

/// Gives the elements in sight that an `XPath` names, within the window in front when one is open.
const FIND: &str = "
    const windows = [...document.querySelectorAll('dialog[open]')];
    const root = windows.at(-1) ?? document.body;
    const found = document.evaluate(arguments[0], root, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
    const all = Array.from({length: found.snapshotLength}, (_, at) => found.snapshotItem(at));
    return all.filter(one => one.checkVisibility({visibilityProperty: true}));";

/// What can be pressed.
const PRESSABLE: &str = "*[self::button or self::a or self::summary or @role='menuitem' or @role='option']";

/// A browser that looks at one Rackhand.
pub struct Page {
    pub(super) chrome: Chrome,
    pub(super) test: &'static str,
    base: String,
}

impl Page {
    /// Starts a browser; `test` names its pictures.
    pub async fn start(base: String, test: &'static str) -> Self {
        let page = Self { chrome: Chrome::start().await, test, base };
        page.size(Width::Desk).await;
        page
    }

    /// Opens an address below this Rackhand's, or a whole one.
    pub async fn open(&self, path: &str) {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.chrome.open(&url).await;
    }

    /// The path of the address bar.
    pub async fn path(&self) -> String {
        let path = self.chrome.run("return location.pathname", json!([])).await;
        path.as_str().unwrap().to_owned()
    }

    /// A value of the address bar's query; empty when absent.
    pub async fn query(&self, name: &str) -> String {
        let script = "return new URLSearchParams(location.search).get(arguments[0]) ?? ''";
        let value = self.chrome.run(script, json!([name])).await;
        value.as_str().unwrap().to_owned()
    }

    /// Presses a button, link or verb of that name as soon as it can be used.
    pub async fn press(&self, name: &str) {
        let path = format!(".//{PRESSABLE}[{}]", named(name));
        self.click(&path, &format!("press “{name}”")).await;
    }

    /// Presses a verb of the menu that is open.
    pub async fn press_verb(&self, name: &str) {
        let path = format!(".//*[@role='menuitem'][{}]", named(name));
        self.click(&path, &format!("press the verb “{name}”")).await;
    }

    /// Rests the pointer on a button, link or verb of that name.
    pub async fn hover(&self, name: &str) {
        let path = format!(".//{PRESSABLE}[{}]", named(name));
        self.until(&format!("point at “{name}”"), async || {
            let element = self.only(&path).await?;
            self.chrome.hover(&element).await.map_err(|refusal| refusal.0)
        })
        .await;
    }

    /// Presses what is called by words that begin so.
    pub async fn press_beginning(&self, start: &str) {
        let path = format!(".//{PRESSABLE}[starts-with(normalize-space(.), {})]", quoted(start));
        self.click(&path, &format!("press “{start}…”")).await;
    }

    /// Waits until what is called by words that begin so can be pressed.
    pub async fn see_ready(&self, start: &str) {
        let path = format!(
            ".//{PRESSABLE}[starts-with(normalize-space(.), {}) and not(@aria-disabled='true')]",
            quoted(start)
        );
        self.until(&format!("see “{start}…” ready"), async || self.only(&path).await.map(|_| ())).await;
    }

    /// Waits until something that is in sight has that title.
    pub async fn see_titled(&self, title: &str) {
        let path = format!(".//*[@title={}]", quoted(title));
        self.until(&format!("see the title “{title}”"), async || self.only(&path).await.map(|_| ())).await;
    }

    /// Waits until what is called by words that begin so is refused for a reason that holds `words`.
    pub async fn see_barred(&self, start: &str, words: &str) {
        let path = format!(
            ".//{PRESSABLE}[starts-with(normalize-space(.), {}) and @aria-disabled='true' and contains(@title, {})]",
            quoted(start.trim()),
            quoted(words)
        );
        self.until(&format!("see “{start}” refused: {words}"), async || {
            let found = self.chrome.elements(FIND, json!([path])).await;
            if found.is_empty() { Err("it is not".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Presses the button of that name that stands nearest to some words.
    pub async fn press_beside(&self, words: &str, name: &str) {
        let button = format!(".//{PRESSABLE}[{}]", named(name));
        let path =
            format!(".//*[text()[normalize-space(.)={}]]/ancestor::*[{button}][1]/{button}", quoted(words));
        self.click(&path, &format!("press “{name}” beside “{words}”")).await;
    }

    /// Ticks a box or picks a choice by its caption.
    pub async fn tick(&self, caption: &str) {
        let (named, spoken) = (named(caption), quoted(caption));
        let path = format!(".//input[ancestor::label[{named}] or @aria-label={spoken}]");
        self.click(&path, &format!("tick “{caption}”")).await;
    }

    /// Types into the empty or emptied field of that caption.
    pub async fn fill(&self, caption: &str, text: &str) {
        let path = field(caption);
        self.until(&format!("fill “{caption}”"), async || {
            let field = self.only(&path).await?;
            let typed = async {
                self.chrome.clear(&field).await?;
                if text.len() <= TYPED {
                    return self.chrome.keys(&field, text).await;
                }
                self.chrome.click(&field).await?;
                self.chrome.command("Input.insertText", json!({"text": text})).await;
                Ok(())
            };
            typed.await.map_err(|refusal| refusal.0)
        })
        .await;
    }

    /// Waits until the field of that caption holds this.
    pub async fn see_filled(&self, caption: &str, text: &str) {
        let script = format!("const [field] = (() => {{ {FIND} }})(); return field?.value ?? null;");
        let path = field(caption);
        self.until(&format!("see “{text}” in the field “{caption}”"), async || {
            let value = self.chrome.run(&script, json!([path])).await;
            if value == text { Ok(()) } else { Err(format!("it holds {value}")) }
        })
        .await;
    }

    /// Chooses what is shown with words that begin so.
    pub async fn choose(&self, caption: &str, option: &str) {
        let script = format!(
            "const list = (() => {{ {FIND} }})()[0];
             return [...list?.options ?? []].filter(one => one.text.trim().startsWith(arguments[1]));"
        );
        let path = field(caption);
        self.until(&format!("choose “{option}” of “{caption}”"), async || {
            let found = self.chrome.elements(&script, json!([path, option])).await;
            let option = found.first().ok_or("it is not there")?;
            self.chrome.click(option).await.map_err(|refusal| refusal.0)
        })
        .await;
    }

    /// Presses keys on whatever has the focus.
    pub async fn keys(&self, keys: &[&str]) {
        self.chrome.press_keys(keys).await;
    }

    /// Waits until words are in sight anywhere on the page.
    pub async fn see(&self, words: &str) {
        self.until(&format!("see “{words}”"), async || self.says(words).await).await;
    }

    /// Waits until words are in sight no more.
    pub async fn see_gone(&self, words: &str) {
        self.until(&format!("see “{words}” go"), async || match self.says(words).await {
            Ok(()) => Err("it is still in sight".to_owned()),
            Err(_) => Ok(()),
        })
        .await;
    }

    /// Waits until the page's own heading is this.
    pub async fn see_heading(&self, words: &str) {
        let path = format!(".//h1[normalize-space(.)={}]", quoted(words));
        self.until(&format!("see the heading “{words}”"), async || self.only(&path).await.map(|_| ())).await;
    }

    /// Waits until a field is marked as wrong and described by a sentence that holds `words`.
    pub async fn see_refused(&self, caption: &str, words: &str) {
        let script = format!(
            "const [field] = (() => {{ {FIND} }})();
             const told = (field?.getAttribute('aria-describedby') ?? '').split(' ');
             const below = told.map(id => document.getElementById(id)).filter(one => one?.checkVisibility());
             return [field?.getAttribute('aria-invalid'), below.map(one => one.innerText).join(' ')];"
        );
        // An arrow function has the arguments of the function around it.
        let path = field(caption);
        self.until(&format!("see “{words}” at the field “{caption}”"), async || {
            let told = self.chrome.run(&script, json!([path])).await;
            let sentence = told[1].as_str().unwrap_or_default();
            let is_right = told[0] == "true" && sentence.contains(words);
            if is_right { Ok(()) } else { Err(format!("it is marked {} and says “{sentence}”", told[0])) }
        })
        .await;
    }

    /// All the words in sight.
    pub async fn words(&self) -> String {
        let text = self.chrome.run("return document.body.innerText", json!([])).await;
        text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// All the words of the window in front; none when no window is open.
    pub async fn words_in_front(&self) -> String {
        let script = "return [...document.querySelectorAll('dialog[open]')].at(-1)?.innerText ?? ''";
        let text = self.chrome.run(script, json!([])).await;
        text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    async fn says(&self, words: &str) -> Result<(), String> {
        let text = self.words().await;
        if text.contains(words) { Ok(()) } else { Err("it is not in sight".to_owned()) }
    }

    async fn click(&self, path: &str, what: &str) {
        self.until(what, async || {
            let element = self.only(path).await?;
            self.chrome.click(&element).await.map_err(|refusal| refusal.0)
        })
        .await;
    }

    /// The first element in sight that may be used.
    pub(super) async fn only(&self, path: &str) -> Result<Element, String> {
        let usable = format!("{path}[not(@aria-disabled='true') and not(@disabled)]");
        let found = self.chrome.elements(FIND, json!([usable])).await.into_iter().next();
        match found {
            Some(found) => Ok(found),
            None if self.chrome.elements(FIND, json!([path])).await.is_empty() => {
                Err("it is not there".to_owned())
            }
            None => Err("it is there but cannot be used".to_owned()),
        }
    }

    /// Waits until something works; says what was in sight when it never does.
    pub(super) async fn until(&self, what: &str, works: impl AsyncFn() -> Result<(), String>) {
        let begun = Instant::now();
        loop {
            let Err(why) = works().await else { return };
            if begun.elapsed() > PATIENCE {
                self.take("failed").await;
                panic!("cannot {what}: {why}.\nIn sight at {}:\n{}", self.path().await, self.words().await);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Holds for what is called so: by its words, by those of a part of it, or by its spoken name.
fn named(name: &str) -> String {
    let name = quoted(name);
    format!(
        "normalize-space(.)={name} or @aria-label={name} or text()[normalize-space(.)={name}] \
         or .//*[normalize-space(.)={name}]"
    )
}

/// The field of a caption.
fn field(caption: &str) -> String {
    let (named, spoken) = (named(caption), quoted(caption));
    format!(
        ".//*[self::input or self::textarea or self::select]\
         [@id=//label[{named}]/@for or ancestor::label[{named}] or @aria-label={spoken}]"
    )
}

/// A text as `XPath` writes it; it knows no escapes.
fn quoted(text: &str) -> String {
    let mark = if text.contains('\'') { '"' } else { '\'' };
    assert!(!text.contains(mark), "{text} has both kinds of quotation marks");
    format!("{mark}{text}{mark}")
}
