//! What `bindgen!` makes of contract 0.1.0.
//!
//! What goes to the guest is borrowed: a batch is lowered straight from where the host holds it.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::allow_attributes, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "package carpe:host; world every-plugin { include carpe:rule/migrating-plugin@0.1.0; export carpe:rule/columns@0.1.0; }",
    world: "carpe:host/every-plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
});
