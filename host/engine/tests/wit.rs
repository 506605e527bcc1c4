//! The contract in `wit/`: it resolves, is laid out so that it is easy to find things in, and leaves
//! nothing unexplained.

#![expect(clippy::expect_used, reason = "helpers of tests may panic as tests do")]

use std::path::{Path, PathBuf};

use wit_parser::{Docs, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

fn contract() -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder()).expect("the package resolves");
    (resolve, package)
}

fn interfaces(resolve: &Resolve, package: PackageId) -> Vec<(&str, InterfaceId)> {
    resolve.packages[package].interfaces.iter().map(|(name, id)| (name.as_str(), *id)).collect()
}

#[test]
fn the_package_and_its_worlds_are_what_hosts_and_guests_expect() {
    let (resolve, package) = contract();
    assert_eq!(resolve.packages[package].name.to_string(), "carpe:rule@0.1.0");
    let worlds: Vec<&str> = resolve.packages[package].worlds.keys().map(String::as_str).collect();
    assert_eq!(worlds, ["plugin", "migrating-plugin", "column-plugin"]);
    let mut names: Vec<&str> = interfaces(&resolve, package).into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["columns", "log", "migration", "rule", "types"]);
}

#[test]
fn each_interface_has_a_file_of_its_name() {
    let (resolve, package) = contract();
    for (name, _) in interfaces(&resolve, package) {
        let path = folder().join(format!("{name}.wit"));
        let text = std::fs::read_to_string(&path).expect("a file of the interface's name");
        let declared: Vec<&str> = text.lines().filter(|line| line.starts_with("interface ")).collect();
        assert_eq!(declared, [format!("interface {name} {{")]);
    }
}

#[test]
fn everything_is_documented() {
    let (resolve, package) = contract();
    let mut missing = Vec::new();
    let mut check = |what: String, docs: &Docs| {
        if docs.contents.as_ref().is_none_or(|text| text.trim().is_empty()) {
            missing.push(what);
        }
    };
    for (name, world) in &resolve.packages[package].worlds {
        check(name.clone(), &resolve.worlds[*world].docs);
    }
    for (name, id) in interfaces(&resolve, package) {
        let interface = &resolve.interfaces[id];
        check(name.to_owned(), &interface.docs);
        for function in interface.functions.values() {
            check(format!("{name}.{}", function.name), &function.docs);
        }
        for (type_name, type_id) in &interface.types {
            if is_used(&resolve, *type_id, id) {
                continue;
            }
            let definition = &resolve.types[*type_id];
            check(format!("{name}.{type_name}"), &definition.docs);
            for (part, docs) in parts(&definition.kind) {
                check(format!("{name}.{type_name}.{part}"), docs);
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// Whether a type comes from another interface, where it is documented.
fn is_used(resolve: &Resolve, id: TypeId, here: InterfaceId) -> bool {
    match resolve.types[id].kind {
        TypeDefKind::Type(Type::Id(from)) => resolve.types[from].owner != TypeOwner::Interface(here),
        _ => false,
    }
}

fn parts(kind: &TypeDefKind) -> Vec<(&str, &Docs)> {
    match kind {
        TypeDefKind::Record(record) => {
            record.fields.iter().map(|field| (field.name.as_str(), &field.docs)).collect()
        }
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().map(|case| (case.name.as_str(), &case.docs)).collect()
        }
        TypeDefKind::Enum(cases) => cases.cases.iter().map(|case| (case.name.as_str(), &case.docs)).collect(),
        TypeDefKind::Flags(flags) => {
            flags.flags.iter().map(|flag| (flag.name.as_str(), &flag.docs)).collect()
        }
        _ => Vec::new(),
    }
}
