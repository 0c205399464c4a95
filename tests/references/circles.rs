//! Circles between modules: of two modules that use each other, neither can be read or moved alone.
//!
//! A module uses another one by an import or by a path. An item that is exported again counts for the module
//! that defines it. A module and those inside of it may use each other, and test modules may use everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{self, Path};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// The crates with more than a few modules.
const CRATES: [&str; 4] = ["core/src", "launch/src", "src", "tests/cluster/src"];

/// The segments of a path. A module is its path in its crate.
type Segments = Vec<String>;

#[test]
fn no_two_modules_use_each_other() {
    let mut found = Vec::new();
    for source in CRATES {
        let modules = read(&Path::new(env!("BOOTLACE_ROOT")).join(source));
        assert!(modules.len() > 30, "{source} has {} modules", modules.len());
        found.extend(circles(&modules).into_iter().map(|circle| format!("{source}: {circle}")));
    }
    assert!(found.is_empty(), "move what both need to a third module, or into one of them: {found:#?}");
}

/// The text of each module of a crate.
fn read(source: &Path) -> BTreeMap<Segments, String> {
    let mut files = Vec::new();
    super::imports::find(source, &mut files);
    // The program only calls the library.
    files.retain(|file| *file != source.join("main.rs"));
    let module = |file: &Path| {
        let relative = file.strip_prefix(source).unwrap().with_extension("");
        let mut segments: Segments = relative
            .components()
            .map(path::Component::as_os_str)
            .map(|part| part.to_str().unwrap().into())
            .collect();
        if segments.last().is_some_and(|last| last == "mod" || last == "lib") {
            segments.pop();
        }
        segments
    };
    files.iter().map(|file| (module(file), fs::read_to_string(file).unwrap())).collect()
}

/// What a module imports and uses.
#[derive(Default)]
struct Uses {
    /// Imported names, and the path of each.
    imports: BTreeMap<String, Segments>,
    /// Paths of at least two segments, among them those of private imports.
    paths: Vec<Segments>,
    /// Modules that only exist under a condition, such as `cfg(test)`.
    conditional: Vec<String>,
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item(&mut self, item: &'ast Item) {
        let is_conditional =
            |attributes: &[Attribute]| attributes.iter().any(|one| one.path().is_ident("cfg"));
        match item {
            Item::Mod(module) if is_conditional(&module.attrs) => {
                self.conditional.push(module.ident.to_string());
            }
            Item::Fn(function) if is_conditional(&function.attrs) => {}
            Item::Impl(block) if is_conditional(&block.attrs) => {}
            Item::Use(import) if is_conditional(&import.attrs) => {}
            item => visit::visit_item(self, item),
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        let mut names = Vec::new();
        flatten(&import.tree, &[], &mut names);
        // To export an item again is not to use it.
        if matches!(import.vis, Visibility::Inherited) {
            self.paths.extend(names.iter().map(|(_, path)| path.clone()));
        }
        self.imports.extend(names);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

/// Adds the names that an import adds to the module, and the path of each.
fn flatten(tree: &UseTree, prefix: &[String], names: &mut Vec<(String, Segments)>) {
    let with = |segment: &syn::Ident| {
        let segment = (segment != "self" || prefix.is_empty()).then(|| segment.to_string());
        prefix.iter().cloned().chain(segment).collect::<Segments>()
    };
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(&path.ident), names),
        UseTree::Name(name) => {
            let path = with(&name.ident);
            names.push((path.last().cloned().unwrap_or_default(), path));
        }
        UseTree::Rename(name) => names.push((name.rename.to_string(), with(&name.ident))),
        UseTree::Glob(_) => names.push(("*".to_owned(), prefix.to_vec())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, names)),
    }
}

/// A crate: its modules without the conditional ones.
struct Crate(BTreeMap<Segments, Uses>);

impl Crate {
    fn new(texts: &BTreeMap<Segments, String>) -> Self {
        let mut modules: BTreeMap<Segments, Uses> = BTreeMap::new();
        for (module, text) in texts {
            let mut uses = Uses::default();
            uses.visit_file(&syn::parse_file(text).unwrap());
            modules.insert(module.clone(), uses);
        }
        let conditional: Vec<Segments> = modules
            .iter()
            .flat_map(|(module, uses)| {
                uses.conditional.iter().map(|name| join(module, std::slice::from_ref(name)))
            })
            .collect();
        modules.retain(|module, _| !conditional.iter().any(|one| module.starts_with(one)));
        Self(modules)
    }

    /// The module that defines the item at a path, as `module` writes it; `None` if it is of another crate.
    fn definition(&self, module: &[String], path: &[String]) -> Option<&Segments> {
        let (first, rest) = path.split_first()?;
        let absolute = match first.as_str() {
            "crate" => rest.to_vec(),
            "self" | "super" => {
                let ups = path.iter().take_while(|segment| *segment == "super").count();
                let start = module.get(..module.len().checked_sub(ups)?)?;
                join(start, path.get(ups.max(1)..)?)
            }
            _ if self.0.contains_key(&join(module, std::slice::from_ref(first))) => join(module, path),
            _ => {
                let import =
                    self.0.get(module)?.imports.get(first).filter(|import| import.first() != Some(first))?;
                return self.definition(module, &join(import, rest));
            }
        };
        let is_module =
            |length: &usize| absolute.get(..*length).is_some_and(|start| self.0.contains_key(start));
        let length = (0..=absolute.len()).rev().find(is_module)?;
        let (holder, item) = absolute.split_at(length);
        let (holder, uses) = self.0.get_key_value(holder)?;
        match item.split_first().and_then(|(name, rest)| Some((uses.imports.get(name)?, rest))) {
            Some((import, rest)) => self.definition(holder, &join(import, rest)),
            None => Some(holder),
        }
    }

    /// The modules that each module uses, without those that contain it.
    fn edges(&self) -> BTreeMap<&Segments, BTreeSet<&Segments>> {
        let used = |module: &Segments, uses: &Uses| {
            let definitions = uses.paths.iter().filter_map(|path| self.definition(module, path));
            definitions.filter(|used| !module.starts_with(used)).collect()
        };
        self.0.iter().map(|(module, uses)| (module, used(module, uses))).collect()
    }
}

fn join(start: &[String], end: &[String]) -> Segments {
    [start, end].concat()
}

/// The pairs of modules that are part of a circle.
fn circles(texts: &BTreeMap<Segments, String>) -> Vec<String> {
    let modules = Crate::new(texts);
    let edges = modules.edges();
    let reached = |start: &Segments| {
        let (mut reached, mut pending) = (BTreeSet::new(), vec![start]);
        while let Some(module) = pending.pop() {
            pending.extend(edges.get(module).into_iter().flatten().filter(|used| reached.insert(**used)));
        }
        reached.into_iter().cloned().collect::<BTreeSet<Segments>>()
    };
    let reached: BTreeMap<_, _> = edges.keys().map(|module| (*module, reached(module))).collect();
    let pairs = edges.iter().flat_map(|(module, used)| used.iter().map(move |used| (*module, *used)));
    let pairs = pairs.filter(|(module, used)| reached.get(used).is_some_and(|from| from.contains(*module)));
    pairs.map(|(module, used)| format!("{} uses {}", module.join("::"), used.join("::"))).collect()
}

#[test]
fn circles_are_found() {
    let found = |files: &[(&str, &str)]| {
        let segments =
            |module: &str| module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        circles(&files.iter().map(|(module, text)| (segments(module), (*text).to_owned())).collect())
    };
    let both = ["a uses b", "b uses a"];
    assert_eq!(found(&[("a", "use crate::b::B;"), ("b", "use super::a::{self, A};")]), both);
    assert_eq!(found(&[("a", "fn f() -> crate::b::B {}"), ("b", "fn f() { crate::a::f::<u8>() }")]), both);
    // By an import of the parent, by an exported item, and by an imported module.
    let parent = ("", "pub use a::A;\nuse b as c;\nmod a;\nmod b;");
    assert_eq!(found(&[parent, ("a", "use super::c::B;"), ("b", "use crate::A;")]), both);
    assert_eq!(found(&[parent, ("a", "use crate::b;\nfn f() { b::f() }"), ("b", "use super::*;")]), [""; 0]);
    let longer = [
        ("a", "use crate::b::c::C;"),
        ("b", "pub mod c;"),
        ("b::c", "use crate::d::D;"),
        ("d", "use crate::a::A;"),
    ];
    assert_eq!(found(&longer), ["a uses b::c", "b::c uses d", "d uses a"]);
    // A module and its parent, tests, and another crate.
    assert_eq!(found(&[("a", "use b::B;\nmod b;"), ("a::b", "use super::A;")]), [""; 0]);
    let tests = ("a", "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nuse crate::b::B;");
    assert_eq!(found(&[tests, ("a::tests", "use crate::b::B;"), ("b", "use crate::a::A;")]), [""; 0]);
    assert_eq!(found(&[("a", "use b::B;"), ("b", "use crate::a::A;")]), [""; 0]);
}
