//! The macro that makes a rule a plugin.

/// Makes a [`Rule`](crate::Rule) the plugin that this package builds, and says what it is: see [`crate::About`].
///
/// A package holds one. Natively it only implements [`Described`](crate::Described), for the test kit.
///
/// ```
/// # use carpe_sdk::prelude::*;
/// # #[derive(Deserialize)] struct Doorbell {}
/// # impl Rule for Doorbell {
/// #     type State = ();
/// #     fn on_event(&self, _: &Event, _: &mut (), out: &mut Output) -> Result<()> { Ok(()) }
/// # }
/// export_rule!(Doorbell, on("door.rung").moment("visitor.waiting").action("notify.household"));
/// # fn main() {}
/// ```
///
/// A rule that can read states of an earlier format ([`Rule::migrate`](crate::Rule::migrate)) says so:
///
/// ```
/// # use carpe_sdk::prelude::*;
/// # #[derive(Deserialize)] struct Doorbell {}
/// # #[derive(Clone, Default, Serialize, Deserialize)] struct Visits { count: u32 }
/// impl Rule for Doorbell {
///     type State = Visits;
/// #   fn on_event(&self, _: &Event, _: &mut Visits, out: &mut Output) -> Result<()> { Ok(()) }
///     fn migrate(&self, _from_version: u32, _key: &str, state: &[u8]) -> Result<Option<Visits>> {
///         let count = std::str::from_utf8(state)?.parse()?;     // version 1 was a bare number
///         Ok(Some(Visits { count }))
///     }
/// }
/// export_rule!(Doorbell, migrates, on("door.rung").state_version(2));
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_rule {
    ($rule:ty, migrates, $about:expr $(,)?) => {
        $crate::export_rule!($rule, $about);
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Migration;
            impl $crate::bindings::migration::exports::carpe::rule::migration::Guest for Migration {
                fn migrate(
                    from_version: u32,
                    key: ::std::string::String,
                    state: ::std::vec::Vec<u8>,
                ) -> ::std::result::Result<::std::option::Option<::std::vec::Vec<u8>>, ::std::string::String> {
                    <$rule as $crate::guest::Loaded>::slot(|slot| $crate::guest::migrate(slot, from_version, &key, &state))
                }
            }
            $crate::bindings::migration::export!(Migration with_types_in $crate::bindings::migration);
        };
    };
    ($rule:ty, $about:expr $(,)?) => {
        impl $crate::Described for $rule {
            fn about() -> $crate::About {
                $crate::About::of_package(
                    $about,
                    ::std::env!("CARGO_PKG_NAME"),
                    ::std::env!("CARGO_PKG_VERSION"),
                    ::std::env!("CARGO_PKG_DESCRIPTION"),
                )
            }
        }

        // Natively nothing but tests runs the rule: without this, the compiler would call it unused.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = $crate::test::exported::<$rule>;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            // The contract's `init` has nowhere else to put the rule; a component has one thread.
            ::std::thread_local! {
                static RULE: $crate::guest::Slot<$rule> = const { $crate::guest::Slot::empty() };
            }

            impl $crate::guest::Loaded for $rule {
                fn slot<T>(work: impl FnOnce(&$crate::guest::Slot<$rule>) -> T) -> T {
                    RULE.with(work)
                }
            }

            struct Plugin;
            impl $crate::bindings::plugin::exports::carpe::rule::rule::Guest for Plugin {
                fn init(
                    configuration: ::std::string::String,
                ) -> ::std::result::Result<$crate::bindings::Description, ::std::string::String> {
                    RULE.with(|slot| $crate::guest::init(slot, &configuration))
                }
                fn handle(
                    batch: $crate::bindings::Batch,
                ) -> ::std::result::Result<$crate::bindings::Effects, ::std::string::String> {
                    RULE.with(|slot| $crate::guest::handle(slot, batch))
                }
            }
            $crate::bindings::plugin::export!(Plugin with_types_in $crate::bindings::plugin);

            impl $crate::bindings::columns::exports::carpe::rule::columns::Guest for Plugin {
                fn handle_events(
                    batch: $crate::bindings::EventColumns,
                ) -> ::std::result::Result<$crate::bindings::EffectColumns, ::std::string::String> {
                    RULE.with(|slot| $crate::guest::handle_events(slot, batch))
                }
            }
            $crate::bindings::columns::export!(Plugin with_types_in $crate::bindings::columns);
        };
    };
    ($rule:ty $(,)?) => {
        ::std::compile_error!(
            "say what the rule is given and may give: export_rule!(MyRule, on(\"event.type\").moment(\"..\").action(\"..\"))"
        );
    };
}
