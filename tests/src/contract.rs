//! The contract's reference, `docs/contract.md`, made from the comments in `wit/`.
//!
//! Not by `wit-bindgen-markdown`: that makes a page of each world, in which a type that is a list names itself in place of what
//! is in it.

use std::fmt::Write as _;
use std::path::PathBuf;

use wit_parser::{
    Docs, Function, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, World, WorldItem,
};

use crate::guests::root;

/// What stands before all that comes from the comments.
const INTRODUCTION: &str = "\
What passes between the host and a plugin. [The SDKs](../sdk) do this for an author; a plugin can as well be written against it
without one, in any language that makes components: [door-left-open](../plugins/door-left-open) is, in Rust, and
[doorbell](../plugins/doorbell), which shows how values lie in memory.

This page is made from the comments in [`wit/`](../wit): change those, and then run `cargo run -p carpe-tests --bin contract`.
";

/// In the order in which one reads them; any other comes behind.
const ORDER: [&str; 5] = ["rule", "types", "migration", "columns", "log"];

/// Where the page is kept.
pub fn path() -> PathBuf {
    root().join("docs/contract.md")
}

/// The page as it should be.
pub fn page() -> String {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit")).expect("the contract resolves");
    Page { resolve: &resolve, package, text: String::new() }.made()
}

struct Page<'a> {
    resolve: &'a Resolve,
    package: PackageId,
    text: String,
}

/// A part of a type: its name, what it holds, and what it is.
type Row<'a> = (&'a str, Option<String>, &'a Docs);

impl Page<'_> {
    fn made(mut self) -> String {
        let package = &self.resolve.packages[self.package];
        self.paragraph(&format!("# The contract `{}`", package.name));
        self.paragraph(INTRODUCTION);
        self.paragraph("## Worlds");
        self.paragraph("| world | imports | exports | |\n|---|---|---|---|");
        for world in package.worlds.values() {
            self.world(&self.resolve.worlds[*world]);
        }
        let mut interfaces: Vec<_> = package.interfaces.iter().collect();
        interfaces.sort_by_key(|(name, _)| ORDER.iter().position(|one| one == name).unwrap_or(ORDER.len()));
        for (name, id) in interfaces {
            self.interface(name, *id);
        }
        self.text
    }

    /// With an empty line before it, unless it is the first.
    fn paragraph(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let _ = writeln!(self.text, "{}", text.trim_end());
    }

    fn world(&mut self, world: &World) {
        // An interface of types alone is nothing to be imported for an author.
        let named = |items: Vec<&WorldItem>| -> String {
            let interfaces = items.into_iter().filter_map(|item| match item {
                WorldItem::Interface { id, .. } => Some(&self.resolve.interfaces[*id]),
                WorldItem::Function(_) | WorldItem::Type { .. } => None,
            });
            let names = interfaces.filter(|interface| !interface.functions.is_empty());
            names.filter_map(|interface| interface.name.as_deref()).map(link).collect::<Vec<_>>().join(", ")
        };
        let (imports, exports) =
            (named(world.imports.values().collect()), named(world.exports.values().collect()));
        let docs = one_line(&world.docs);
        let _ = writeln!(self.text, "| `{}` | {imports} | {exports} | {docs} |", world.name);
    }

    fn interface(&mut self, name: &str, id: InterfaceId) {
        let interface = &self.resolve.interfaces[id];
        self.paragraph(&format!("## `{name}`"));
        self.paragraph(text(&interface.docs));
        for function in interface.functions.values() {
            self.function(function);
        }
        // What another interface defines stands there.
        let used = |definition: TypeId| match self.resolve.types[definition].kind {
            TypeDefKind::Type(Type::Id(from)) => self.resolve.types[from].owner != TypeOwner::Interface(id),
            _ => false,
        };
        // As in the file: the parser sorts them by what they need.
        let mut types: Vec<_> = interface.types.iter().filter(|(_, id)| !used(**id)).collect();
        types.sort_by_key(|(_, id)| self.resolve.types[**id].span.start());
        for (name, id) in types {
            self.definition(name, *id);
        }
    }

    fn function(&mut self, function: &Function) {
        self.paragraph(&format!("### `{}`", function.name));
        let parameters = function.params.iter();
        let parameters: Vec<String> = parameters
            .map(|parameter| format!("`{}`: {}", parameter.name, self.shown(parameter.ty)))
            .collect();
        let result = function.result.map(|result| format!(" → {}", self.shown(result))).unwrap_or_default();
        self.paragraph(&format!("({}){result}", parameters.join(", ")));
        self.paragraph(text(&function.docs));
    }

    fn definition(&mut self, name: &str, id: TypeId) {
        let definition = &self.resolve.types[id];
        let (what, head, rows): (String, &str, Vec<Row<'_>>) = match &definition.kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter();
                let rows = fields.map(|field| (&*field.name, Some(self.shown(field.ty)), &field.docs));
                ("A record".to_owned(), "| field | type | |\n|---|---|---|\n", rows.collect())
            }
            TypeDefKind::Variant(variant) => {
                let holds = |ty: Option<Type>| ty.map(|ty| self.shown(ty)).unwrap_or_default();
                let cases = variant.cases.iter();
                let rows = cases.map(|case| (&*case.name, Some(holds(case.ty)), &case.docs));
                ("A variant".to_owned(), "| case | holds | |\n|---|---|---|\n", rows.collect())
            }
            TypeDefKind::Enum(cases) => {
                let rows = cases.cases.iter().map(|case| (&*case.name, None, &case.docs));
                ("An enum".to_owned(), "| case | |\n|---|---|\n", rows.collect())
            }
            kind => (self.kind(kind), "", Vec::new()),
        };
        self.paragraph(&format!("### `{name}`"));
        self.paragraph(&format!("{what}. {}", text(&definition.docs)));
        if !rows.is_empty() {
            self.paragraph(head);
        }
        for (name, shown, docs) in rows {
            let shown = shown.map(|shown| format!(" {shown} |")).unwrap_or_default();
            let _ = writeln!(self.text, "| `{name}` |{shown} {} |", one_line(docs));
        }
    }

    /// A type, with links to those that have a name.
    fn shown(&self, shown: Type) -> String {
        match shown {
            Type::Id(id) => match &self.resolve.types[id].name {
                Some(name) => link(name),
                None => self.kind(&self.resolve.types[id].kind),
            },
            plain => format!("`{}`", plain_name(plain)),
        }
    }

    fn kind(&self, kind: &TypeDefKind) -> String {
        let of = |name: &str, parts: &[Option<Type>]| {
            let parts = parts.iter().map(|part| part.map_or("`_`".to_owned(), |part| self.shown(part)));
            format!("`{name}<`{}`>`", parts.collect::<Vec<_>>().join("`, `")).replace("``", "")
        };
        match kind {
            TypeDefKind::Type(shown) => self.shown(*shown),
            TypeDefKind::List(element) => of("list", &[Some(*element)]),
            TypeDefKind::Option(element) => of("option", &[Some(*element)]),
            TypeDefKind::Result(result) => of("result", &[result.ok, result.err]),
            kind => panic!("the contract has a {}: say how its reference is to show it", kind.as_str()),
        }
    }
}

fn plain_name(plain: Type) -> &'static str {
    match plain {
        Type::U32 => "u32",
        Type::S32 => "s32",
        Type::U64 => "u64",
        Type::S64 => "s64",
        Type::U8 => "u8",
        Type::String => "string",
        other => panic!("the contract has a {other:?}: say how its reference is to show it"),
    }
}

fn link(name: &str) -> String {
    format!("[`{name}`](#{name})")
}

fn text(docs: &Docs) -> &str {
    docs.contents.as_deref().unwrap_or_default()
}

/// For a cell of a table.
fn one_line(docs: &Docs) -> String {
    text(docs).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
