use std::path::Path;

use super::readable;

#[test]
fn of_a_traceback_the_rules_own_frames_are_shown() {
    let output = r#"Traceback (most recent call last):
  File "/venv/bin/componentize-py", line 8, in <module>
    sys.exit(script())
             ^^^^^^^^
AssertionError: Traceback (most recent call last):
  File "/0/carpe_app.py", line 4, in <module>
    guest.load(lambda: importlib.import_module("conform"))
    ~~~~~~~~~~^^^^^^^^^^^^
  File "/1/carpe_sdk/guest.py", line 30, in load
    import_rule()
  File "/0/conform.py", line 2
    def f(:
          ^
SyntaxError: invalid syntax


Caused by:
    SyntaxError: invalid syntax (conform.py, line 2)

Stack backtrace:
   0: <anyhow::Error>::msg::<alloc::string::String>
"#;
    let shown = readable(output, Path::new("/rules/conform"));
    assert_eq!(
        shown.trim_end(),
        "  File \"/rules/conform/conform.py\", line 2\n    def f(:\n          ^\nSyntaxError: invalid syntax"
    );
    assert_eq!(readable("error: no space left", Path::new("/")), "error: no space left");
}
