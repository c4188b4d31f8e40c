//! The structure of the source: imports run one way, between the rooms of the facade and
//! inside of every room, so that a change has one place.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{Item, UseTree, Visibility};

/// The rooms of the facade, in the order of docs/design.md: each imports only from those
/// behind it.
const ROOMS: [&str; 17] = [
    "cli",
    "bulk",
    "check",
    "facade",
    "reload",
    "config",
    "server",
    "service",
    "access",
    "status",
    "store",
    "call",
    "files",
    "telemetry",
    "descriptors",
    "proto",
    "codec",
];

/// The modules of a crate by their paths, such as `server::rpc::call`, each with the paths
/// that it imports. The root is the empty path.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn imports(source: &str) -> Imports {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let mut imports = Imports::new();
    read_folder(&root, "", &mut imports);
    imports
}

fn read_folder(folder: &Path, module: &str, imports: &mut Imports) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // Tests may use everything.
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            read_folder(&path, &join(module, &name), imports);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = match name.as_str() {
                "mod" | "lib" => module.to_owned(),
                _ => join(module, &name),
            };
            let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let found = imports.entry(module).or_default();
            for item in file.items {
                // What a door re-exports it does not depend on.
                if let Item::Use(item) = item
                    && matches!(item.vis, Visibility::Inherited)
                {
                    expand(&item.tree, String::new(), found);
                }
            }
        }
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() {
        return name.to_owned();
    }
    format!("{module}::{name}")
}

/// The paths of an import, without its braces.
fn expand(tree: &UseTree, path: String, found: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(next) => expand(&next.tree, join(&path, &next.ident.to_string()), found),
        UseTree::Group(group) => {
            for tree in &group.items {
                expand(tree, path.clone(), found);
            }
        }
        UseTree::Name(name) => {
            found.insert(join(&path, &name.ident.to_string()));
        }
        UseTree::Rename(name) => {
            found.insert(join(&path, &name.ident.to_string()));
        }
        UseTree::Glob(_) => {
            found.insert(path);
        }
    }
}

/// The modules that each module imports from, itself left out.
fn edges(imports: &Imports) -> Imports {
    let edges = imports.iter().map(|(module, paths)| {
        let targets = paths.iter().filter_map(|path| {
            let absolute = absolute(module, path, imports)?;
            // The longest path that is a module has the item.
            let mut target = absolute.as_str();
            while !imports.contains_key(target) {
                target = target.rsplit_once("::").map_or("", |(parent, _)| parent);
            }
            Some(target.to_owned())
        });
        let targets = targets.filter(|target| target != module);
        (module.clone(), targets.collect())
    });
    edges.collect()
}

/// The path from the root of the crate that an import in a module means. `None` if it is
/// of another crate.
fn absolute(module: &str, path: &str, imports: &Imports) -> Option<String> {
    let mut rest = path;
    if let Some(path) = rest.strip_prefix("crate::") {
        return Some(path.to_owned());
    }
    let mut base = module;
    rest = rest.strip_prefix("self::").unwrap_or(rest);
    while let Some(above) = rest.strip_prefix("super") {
        base = base.rsplit_once("::").map_or("", |(parent, _)| parent);
        rest = above.strip_prefix("::").unwrap_or(above);
    }
    let first = rest.split("::").next().unwrap_or_default();
    let is_own = base != module || path.starts_with("self::");
    (is_own || imports.contains_key(&join(module, first))).then(|| join(base, rest))
}

/// A way from a module back to itself, if there is one.
fn cycle(edges: &Imports) -> Option<Vec<String>> {
    fn visit<'a>(
        module: &'a str,
        edges: &'a Imports,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|&on_way| on_way == module) {
            return Some(way[start..].iter().map(ToString::to_string).collect());
        }
        if !done.insert(module) {
            return None;
        }
        way.push(module);
        let found = edges[module]
            .iter()
            .find_map(|target| visit(target, edges, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    edges
        .keys()
        .find_map(|module| visit(module, edges, &mut Vec::new(), &mut done))
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// The rooms that each room imports from.
fn rooms(edges: &Imports) -> Imports {
    let mut rooms = Imports::new();
    for (module, targets) in edges {
        let found = rooms.entry(room(module).to_owned()).or_default();
        found.extend(targets.iter().map(|target| room(target).to_owned()));
        found.remove(room(module));
    }
    rooms
}

#[test]
fn no_import_leads_back_to_where_it_began() {
    for source in ["src", "crates/mesibo/src"] {
        let edges = edges(&imports(source));
        assert!(edges.len() > 10, "{source} has {} modules", edges.len());
        assert_eq!(cycle(&edges), None, "{source}");
    }
    // The operations of the emulator are methods of its backend, each beside its types.
    let edges = rooms(&edges(&imports("crates/mesibo-sandbox/src")));
    assert_eq!(cycle(&edges), None, "the emulator");
}

#[test]
fn rooms_import_only_from_those_behind_them() {
    let place = |room: &str| ROOMS.iter().position(|&name| name == room);
    let mut arrows = BTreeSet::new();
    for (module, targets) in edges(&imports("src")) {
        for target in targets {
            let (from, to) = (room(&module).to_owned(), room(&target).to_owned());
            // The root of the library and of the program stands before all rooms.
            if place(&from).is_some() && from != to {
                assert!(place(&from) < place(&to), "{module} imports from {target}");
                arrows.insert((from, to));
            }
        }
    }
    assert!(arrows.len() > 15, "{arrows:?}");
}

#[test]
fn a_cycle_is_found() {
    let paths = |paths: &[&str]| paths.iter().map(ToString::to_string).collect();
    let imports = Imports::from([
        (String::new(), paths(&[])),
        ("a".to_owned(), paths(&["b::Item", "std::fmt"])),
        ("a::b".to_owned(), paths(&["super::c::Item"])),
        ("a::c".to_owned(), paths(&["crate::a::Item"])),
    ]);
    let found: BTreeSet<_> = cycle(&edges(&imports)).unwrap().into_iter().collect();
    assert_eq!(found, paths(&["a", "a::b", "a::c"]));
}
