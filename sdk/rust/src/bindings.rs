//! What wit-bindgen makes of `wit/`.

/// The world of every plugin.
pub mod plugin {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        pub_export_macro: true,
        generate_unused_types: true,
    });
}

/// What a migrating plugin exports besides: the two worlds together are `migrating-plugin`. (Generated whole, it
/// would define the macros of `plugin` a second time.)
pub mod migration {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package carpe:sdk; world migration { export carpe:rule/migration@0.1.0; }",
        world: "carpe:sdk/migration",
        pub_export_macro: true,
        with: { "carpe:rule/types@0.1.0": crate::bindings::plugin::carpe::rule::types },
    });
}

/// What every plugin exports besides, so that the host can give it events in columns.
pub mod columns {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package carpe:sdk; world columns { export carpe:rule/columns@0.1.0; }",
        world: "carpe:sdk/columns",
        pub_export_macro: true,
        with: { "carpe:rule/types@0.1.0": crate::bindings::plugin::carpe::rule::types },
    });
}

pub use columns::exports::carpe::rule::columns::{EffectColumns, EventColumns};
pub use plugin::carpe::rule::types::{Batch, Description, Effects};
