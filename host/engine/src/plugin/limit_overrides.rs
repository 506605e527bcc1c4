//! The limits that one plugin has apart from the host's.

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// Declares the fields once; that none of [`Limits`] is left out is checked by the compiler, in `over`.
macro_rules! limit_overrides {
    ($($field:ident: $type:ty,)*) => {
        /// Those [`Limits`] that an operator set for one plugin; the host's hold for the rest.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[non_exhaustive]
        pub struct LimitOverrides {
            $(
                #[doc = concat!("Instead of [`Limits::", stringify!($field), "`].")]
                pub $field: Option<$type>,
            )*
        }

        impl LimitOverrides {
            /// The limits that hold: these where set, else the host's.
            pub fn over(&self, host: &Limits) -> Limits {
                Limits { $($field: self.$field.unwrap_or(host.$field),)* }
            }
        }

        impl From<Limits> for LimitOverrides {
            fn from(limits: Limits) -> Self {
                LimitOverrides { $($field: Some(limits.$field),)* }
            }
        }
    };
}

limit_overrides! {
    memory_bytes: usize,
    table_elements: usize,
    handle_cpu_ms: u64,
    handle_wall_ms: u64,
    init_cpu_ms: u64,
    state_bytes: usize,
    total_state_bytes: usize,
    keys: usize,
    moments_per_input: usize,
    actions_per_moment: usize,
    timers_per_input: usize,
    timers_per_key: usize,
    timer_inputs_per_entry: u32,
    effects_bytes: usize,
    log_lines_per_second: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_differs_from_the_hosts() {
        let host = Limits { state_bytes: 7, ..Limits::default() };
        let overrides = LimitOverrides { memory_bytes: Some(1 << 20), ..LimitOverrides::default() };
        assert_eq!(overrides.over(&host), Limits { memory_bytes: 1 << 20, ..host.clone() });
        assert_eq!(LimitOverrides::from(host.clone()).over(&Limits::default()), host);
    }
}
