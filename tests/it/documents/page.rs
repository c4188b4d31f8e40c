//! A document in Markdown.

use std::{collections::BTreeSet, fs, path::Path};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What the tests look at in a document.
pub struct Page {
    /// The path from the root of the project.
    pub path: String,
    /// Where links and pictures lead.
    pub links: Vec<String>,
    /// The anchors of the headings.
    pub anchors: BTreeSet<String>,
    /// The commands in blocks of `sh`, each on one line and without a comment.
    pub commands: Vec<String>,
}

impl Page {
    /// Reads a document.
    pub fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut page = Self {
            path: path.strip_prefix(root).unwrap().to_str().unwrap().into(),
            links: Vec::new(),
            anchors: BTreeSet::new(),
            commands: Vec::new(),
        };
        let mut heading = None;
        let mut script = None;
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.anchors
                        .extend(heading.take().map(|text| anchor(&text)));
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language)))
                    if *language == *"sh" =>
                {
                    script = Some(String::new());
                }
                Event::End(TagEnd::CodeBlock) => {
                    let script = script.take().unwrap_or_default();
                    page.commands.extend(commands(&script));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(script) = &mut script {
                        script.push_str(&text);
                    }
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// The commands of a script. A line that ends in a backslash, or within braces, goes on.
fn commands(script: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut begun = String::new();
    for line in script.lines() {
        let line = line.split("  #").next().unwrap_or_default().trim();
        let (line, is_cut) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        begun.push_str(line);
        begun.push(' ');
        let is_open = begun.starts_with("{ ") && !begun.contains("; }");
        if !is_cut && !is_open {
            commands.push(begun.trim().to_owned());
            begun.clear();
        }
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// The anchor that GitHub and crates.io make of a heading.
fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter => letter.is_alphanumeric().then_some(letter),
    });
    kept.collect()
}
