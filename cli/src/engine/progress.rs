//! Progress of pulls, pushes and loads, as the engine tells it.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::bail;
use futures_util::{Stream, StreamExt};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Deserialize;

/// A line of the engine's answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Line {
    /// The layer that it is about.
    #[serde(default)]
    id: String,
    #[serde(default)]
    status: String,
    /// Plain text, with its line ends.
    #[serde(default)]
    stream: String,
    #[serde(default, rename = "progressDetail")]
    detail: Option<Detail>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Detail {
    current: Option<u64>,
    total: Option<u64>,
}

/// Shows progress until its end; bars on a terminal, else a line for each step.
///
/// # Errors
///
/// What was under way failed; the engine says why.
pub(crate) async fn show(
    mut lines: impl Stream<Item = anyhow::Result<Line>> + Unpin,
    quiet: bool,
) -> anyhow::Result<()> {
    let mut bars = (!quiet && io::stderr().is_terminal()).then(Bars::default);
    let mut last: HashMap<String, String> = HashMap::new();
    while let Some(line) = lines.next().await {
        let line = line?;
        if let Some(error) = line.error {
            bail!("{error}");
        }
        if quiet {
            continue;
        }
        let text = if line.stream.is_empty() { &line.status } else { &line.stream };
        let text = text.trim_end();
        match &mut bars {
            Some(bars) => bars.show(&line.id, text, line.detail.as_ref()),
            None if text.is_empty() => {}
            None if line.id.is_empty() => crate::output::note(text),
            // Bytes are not counted out where nobody watches.
            None if last.get(&line.id).is_some_and(|before| before == text) => {}
            None => {
                crate::output::note(&format!("{}: {text}", line.id));
                last.insert(line.id, text.to_owned());
            }
        }
    }
    Ok(())
}

/// A bar for each layer.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    bars: HashMap<String, ProgressBar>,
}

impl Bars {
    fn show(&mut self, id: &str, text: &str, detail: Option<&Detail>) {
        if id.is_empty() {
            // The terminal may be gone; there is nobody to tell then.
            let _ = self.all.println(text);
            return;
        }
        let bar = self.bars.entry(id.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar.set_prefix(id.to_owned());
            bar
        });
        bar.set_message(text.to_owned());
        match detail {
            Some(Detail { current: Some(current), total: Some(total) }) if *total > 0 => {
                bar.set_style(style("{prefix}: {msg:18} {bar:30} {bytes}/{total_bytes}"));
                bar.set_length(*total);
                bar.set_position(*current);
            }
            _ => bar.set_style(style("{prefix}: {msg}")),
        }
        if ["Pull complete", "Already exists", "Pushed", "Layer already exists"].contains(&text) {
            bar.finish();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
