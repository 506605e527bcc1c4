//! Rules in WebAssembly text, made components as the toolchains do it: for what no compiler would make.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A rule whose functions do nothing, unless a part is replaced. It says that it is `hostile` and subscribes to
/// `hostile.event`, by subject.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Pages of its memory at the start, at least 2.
    pub pages: u32,
    /// Body of `init`, before it returns the description. It can `return` another result's address.
    pub init: String,
    /// Body of `handle`, before it returns no effects.
    pub handle: String,
    /// Further fields of the core module, e.g. a start function.
    pub more: String,
}

impl Default for Guest {
    fn default() -> Self {
        Guest { pages: 2, init: String::new(), handle: String::new(), more: String::new() }
    }
}

/// Where the canonical ABI puts what: the result of `init` at 1024, that of `handle` at 512, where all is zero,
/// one subscription at 1280, and the texts at 1536.
const DATA: &str = r#"
    (data (i32.const 1536) "hostile1.0.0hostile.eventsubject")
    (data (i32.const 1280) "\0c\06\00\00\0d\00\00\00" "\00\00\00\00\00\00\00\00\00\00\00\00"
                           "\00\00\00\00\19\06\00\00\07\00\00\00" "\00\00\00\00\00\00\00\00")
    (data (i32.const 1024) "\00\00\00\00" "\00\06\00\00\07\00\00\00" "\07\06\00\00\05\00\00\00"
                           "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00\00\00\00\00"
                           "\00\05\00\00\01\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00"
                           "\01\00\00\00")
"#;

impl Guest {
    /// The component.
    pub fn build(&self) -> Vec<u8> {
        let Guest { pages, init, handle, more } = self;
        let text = format!(
            r#"(module
                (memory (export "memory") {pages})
                (global $top (mut i32) (i32.const 65536))
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
                    (i32.const 512))
                (func (export "cabi_post_carpe:rule/rule@0.1.0#handle") (param i32)
                    (global.set $top (i32.const 65536)))
                {DATA} {more})"#
        );
        let mut module = wat::parse_str(&text).expect("the guest's text");
        let mut resolve = Resolve::default();
        resolve.push_dir(crate::guests::root().join("wit")).expect("the contract");
        let world = "package tests:guest; world guest { include carpe:rule/plugin@0.1.0; }";
        let package = resolve.push_str("guest.wit", world).expect("the guest's world");
        let world = resolve.select_world(&[package], Some("guest")).expect("the world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
            .expect("metadata");
        let mut encoder = ComponentEncoder::default();
        encoder.module(&module).expect("the module").validate(true).encode().expect("the component")
    }
}

/// A component of this text.
pub fn component(text: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {text})")).expect("component text")
}
