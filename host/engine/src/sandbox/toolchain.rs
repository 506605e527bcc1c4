//! By what a component was made, as far as its bytes tell: for advice only.

use memchr::memmem;

/// What stands in all that a toolchain makes, with what keeps it from importing more than a rule may have. The first that
/// is found counts: the runtimes of interpreters are themselves made with a compiler.
const TRACES: [(&[u8], &str); 6] = [
    (
        b"libpython",
        "componentize-py made it: give its `componentize` the option `--stub-wasi`, as `carpe build` does",
    ),
    (
        b"componentize-qjs",
        "componentize-qjs made it: give it the option `--stub-wasi`, as `carpe build` does",
    ),
    (
        b"starlingmonkey",
        "componentize-js made it: have it disable all features (`--disable all`), or let `carpe build` make it, with QuickJS",
    ),
    (
        b"Go buildinf",
        "a package of Go asks for it, such as `net/http`: `go list -deps .` names all that are used",
    ),
    // Of the section `producers`: a field's name, how many values it has, and their lengths.
    (
        b"\x04Rust\x00\x0cprocessed-by",
        "rustc made it, for a target with WASI: compile for wasm32-unknown-unknown, as `carpe build` does, and see \
         which dependency that breaks (`cargo tree` names all)",
    ),
    (
        b"clang",
        "clang made it, with wasi-libc: leave out the functions that ask for it, such as those of <sys/socket.h>",
    ),
];

/// What its author can do so that it asks for less; none: nothing is known of how it was made.
pub(super) fn advice(component: &[u8]) -> Option<&'static str> {
    let made_by = |(trace, _): &&(&[u8], &str)| memmem::find(component, trace).is_some();
    TRACES.iter().find(made_by).map(|(_, advice)| *advice)
}
