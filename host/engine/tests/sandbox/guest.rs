//! Guests in WebAssembly text, made components as the toolchains do it.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A guest whose functions do nothing, unless a part is replaced. Both functions get what the
/// canonical ABI passes, and return the address of their result: 1024, where all is zero, which is
/// an empty description and no effects.
pub(crate) struct Guest {
    /// Imports of the core module.
    pub(crate) imports: String,
    /// Pages of its memory.
    pub(crate) pages: u32,
    /// Body of `init(configuration)`, before it returns.
    pub(crate) init: String,
    /// Body of `handle(batch)`, before it returns.
    pub(crate) handle: String,
    /// Further fields of the core module.
    pub(crate) more: String,
    /// WIT packages, beside the contract's.
    pub(crate) packages: Vec<&'static str>,
    /// Further items of the world.
    pub(crate) world: &'static str,
}

impl Default for Guest {
    fn default() -> Self {
        Guest {
            imports: String::new(),
            pages: 1,
            init: String::new(),
            handle: String::new(),
            more: String::new(),
            packages: Vec::new(),
            world: "",
        }
    }
}

impl Guest {
    pub(crate) fn init(text: &str) -> Guest {
        Guest { init: text.to_owned(), ..Guest::default() }
    }

    pub(crate) fn handle(text: &str) -> Guest {
        Guest { handle: text.to_owned(), ..Guest::default() }
    }

    pub(crate) fn with(mut self, more: &str) -> Guest {
        self.more.push_str(more);
        self
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let Guest { imports, pages, init, handle, more, .. } = self;
        let text = format!(
            r#"(module
                (import "carpe:rule/log@0.1.0" "write" (func $log (param i32 i32 i32)))
                {imports}
                (memory (export "memory") {pages})
                (global $top (mut i32) (i32.const 8192))
                (func $cabi_realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (global.get $top))
                    (global.set $top (i32.and
                        (i32.add (i32.add (global.get $top) (local.get 3)) (i32.const 7)) (i32.const -8)))
                    (local.get $at))
                (func $init (export "carpe:rule/rule@0.1.0#init") (param i32 i32) (result i32)
                    {init}
                    (i32.const 1024))
                (func $handle (export "carpe:rule/rule@0.1.0#handle") (param i32 i32 i32 i32) (result i32)
                    {handle}
                    (i32.const 1024))
                {more})"#
        );
        let mut module = wat::parse_str(&text).expect("the guest's text");
        let mut resolve = Resolve::default();
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        resolve.push_dir(&contract).expect("the contract");
        for package in &self.packages {
            resolve.push_str("package.wit", package).expect("a package");
        }
        let world =
            format!("package test:guest; world guest {{ include carpe:rule/plugin@0.1.0; {} }}", self.world);
        let package = resolve.push_str("guest.wit", &world).expect("the guest's world");
        let world = resolve.select_world(&[package], Some("guest")).expect("the world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
            .expect("metadata");
        ComponentEncoder::default()
            .module(&module)
            .expect("the module")
            .validate(true)
            .encode()
            .expect("the component")
    }
}
