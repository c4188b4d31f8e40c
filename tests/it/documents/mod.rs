//! The documents: what they link to and show exists, and their commands are run.

mod commands;
mod page;

use std::{collections::BTreeSet, path::Path};

use page::Page;

/// The folders with documents of this project, besides its root.
const FOLDERS: [&str; 3] = ["docs", "crates/mesibo", "crates/mesibo-sandbox"];

/// Every document, by its path from the root of the project.
fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for folder in [""].iter().chain(&FOLDERS) {
        for entry in root.join(folder).read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(Page::read(root, &path));
            }
        }
    }
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    pages
}

#[test]
fn every_link_and_picture_of_a_document_is_there_with_its_anchor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .canonicalize()
        .unwrap();
    let pages = pages();
    let mut wrong = Vec::new();
    let mut followed = 0;
    for page in &pages {
        for link in page.links.iter().filter(|link| !is_elsewhere(link)) {
            followed += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = root.join(&page.path);
            let folder = folder.parent().unwrap();
            let target = match path {
                "" => root.join(&page.path),
                path => folder.join(path),
            };
            // A link must not lead out of the repository, where others do not have it.
            let inside = target.canonicalize().ok();
            let Some(target) = inside.filter(|target| target.starts_with(&root)) else {
                wrong.push(format!("{}: nothing is at {link}", page.path));
                continue;
            };
            let target = target.strip_prefix(&root).unwrap().to_str().unwrap();
            let has_anchor = |page: &Page| page.path == target && page.anchors.contains(anchor);
            if !anchor.is_empty() && !pages.iter().any(has_anchor) {
                wrong.push(format!(
                    "{}: {target} has no heading for #{anchor}",
                    page.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(followed > 50, "only {followed} links are seen");
}

#[test]
fn every_document_of_the_folder_is_within_reach_of_the_readme() {
    let pages = pages();
    let readme = pages.iter().find(|page| page.path == "README.md").unwrap();
    let linked: BTreeSet<_> = readme.links.iter().map(String::as_str).collect();
    for page in pages.iter().filter(|page| page.path.starts_with("docs/")) {
        assert!(
            linked.contains(&*page.path),
            "README.md lacks {}",
            page.path
        );
    }
}

/// Whether a link leads to another site.
fn is_elsewhere(link: &str) -> bool {
    link.starts_with("https://") || link.starts_with("http://")
}
