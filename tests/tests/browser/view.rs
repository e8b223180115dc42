//! How a page looks: pictures at two widths, nothing wider than the screen, no error in the console.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{fs, path::Path};

use super::page::Page;

/// The two screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 1440 px.
    Desk,
    /// 390 px.
    Phone,
}

impl Width {
    fn pixels(self) -> (u32, u32) {
        match self {
            Self::Desk => (1440, 900),
            Self::Phone => (390, 844),
        }
    }
}

/// What is wider than the screen, widest first, so that a failure names it.
const TOO_WIDE: &str = "
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const reach = one => Math.round(one.getBoundingClientRect().right);
    const wide = [...document.body.querySelectorAll('*')].filter(one => reach(one) > room);
    wide.sort((one, other) => reach(other) - reach(one));
    const told = wide.slice(0, 5).map(one => `${one.tagName} ${one.className} to ${reach(one)}: ${one.innerText?.slice(0, 60)}`);
    return [`${document.documentElement.scrollWidth} px on ${room} px`, ...told];";

impl Page {
    /// Takes a screen of that width.
    pub async fn size(&self, width: Width) {
        let is_phone = width == Width::Phone;
        let (width, height) = width.pixels();
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.chrome.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Takes a picture at both widths; on the phone nothing may reach beyond its edge.
    pub async fn show(&self, name: &str) {
        for width in [Width::Desk, Width::Phone] {
            self.size(width).await;
            let wide = self.chrome.run(TOO_WIDE, json!([])).await;
            self.take(&format!("{name}-{}", width.pixels().0)).await;
            assert_eq!(wide, json!([]), "{name} scrolls sideways at {width:?}");
        }
        self.size(Width::Desk).await;
    }

    /// Keeps a picture of what is in sight.
    pub async fn take(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        fs::create_dir_all(&folder).unwrap();
        let picture = STANDARD.decode(self.chrome.picture().await).unwrap();
        fs::write(folder.join(format!("{}-{name}.png", self.test)), picture).unwrap();
    }

    /// Asserts that the browser complained of nothing but answers with these statuses at these paths.
    pub async fn assert_quiet(&self, expected: &[(&str, u16)]) {
        let entries = self.chrome.console().await;
        let message = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE").map(message);
        let is_expected = |message: &String| {
            let fits = |(path, status): &(&str, u16)| {
                message.contains(path) && message.contains(&format!("status of {status}"))
            };
            expected.iter().any(fits)
        };
        let unexpected: Vec<String> = severe.filter(|message| !is_expected(message)).collect();
        assert!(unexpected.is_empty(), "the console says:\n{}", unexpected.join("\n"));
    }
}
